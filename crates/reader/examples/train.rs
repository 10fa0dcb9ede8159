//! A training loop without the training: reads epochs, and prints what it saw of them. The digests
//! of all ranks add up to the one in the manifest: every sample was seen exactly once.
//!
//!     cargo run --release --example train -- --channel train          (in a container)
//!     cargo run --release --example train -- DATASET --epochs 2       (anywhere)

use std::error::Error;
use std::time::Instant;

use shardpack_reader::plan::{Part, Shuffle};
use shardpack_reader::{Channel, ChannelReader, ReadOptions, Reader};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (mut place, mut channel, mut epochs) = (None, None, 1);
    let mut part = Part::default();
    let mut options = ReadOptions::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match &*arg {
            "--channel" => channel = Some(value()?),
            "--manifest" => options.manifest = Some(value()?),
            "--epochs" => epochs = value()?.parse()?,
            "--rank" => part.rank = value()?.parse()?,
            "--world" => part.world = value()?.parse()?,
            "--threads" => options.threads = Some(value()?.parse()?),
            "--seed" => options.plan.seed = value()?.parse()?,
            "--shuffle" => options.plan.shuffle = value()?.parse::<Shuffle>()?,
            _ => place = Some(arg),
        }
    }
    options.part = (part != Part::default()).then_some(part);
    let start = Instant::now();
    let reader = match (&channel, &place) {
        (Some(name), None) => Channel::open(name)?.reader(options)?,
        (Some(name), Some(place)) => Channel::at(name, place)?.reader(options)?,
        (None, Some(place)) => ChannelReader::Seek(Reader::open(place, options)?),
        (None, None) => return Err("usage: train DATASET, or train --channel NAME".into()),
    };
    for epoch in 0..epochs {
        let mut samples = reader.epoch(epoch);
        let mut bytes = 0;
        for sample in &mut samples {
            bytes += sample?.fields().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        }
        let stats = samples.stats();
        println!(
            "epoch {epoch}: {} samples, {bytes} bytes, digest {}",
            stats.samples,
            samples.digest()
        );
        let (time, waited) = (start.elapsed().as_secs_f64(), stats.waited.as_secs_f64());
        eprintln!("{time:.3} s so far, {waited:.3} s of this epoch waiting for samples");
    }
    Ok(())
}
