//! A training loop without the training: reads epochs, prints what it saw.
//!
//!     cargo run --release --example train -- DATASET --epochs 2 --rank 0 --world 1

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use shardpack_reader::plan::{Part, Shuffle};
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::{LocalOptions, LocalStore};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let mut dataset = None;
    let (mut epochs, mut part) = (1, Part::default());
    let mut options = ReadOptions::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match &*arg {
            "--epochs" => epochs = value()?.parse()?,
            "--rank" => part.rank = value()?.parse()?,
            "--world" => part.world = value()?.parse()?,
            "--threads" => options.threads = Some(value()?.parse()?),
            "--shuffle" => options.plan.shuffle = value()?.parse::<Shuffle>()?,
            _ => dataset = Some(arg),
        }
    }
    options.part = part;
    let dataset = dataset.ok_or("usage: train DATASET")?;
    let store = Arc::new(LocalStore::open(dataset, &LocalOptions::default()));
    let start = Instant::now();
    let reader = Reader::of_store(store, options)?;
    for epoch in 0..epochs {
        let mut samples = reader.epoch(epoch);
        let mut bytes = 0;
        for sample in &mut samples {
            bytes += sample?.fields().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        }
        let stats = samples.stats();
        println!(
            "epoch {epoch}: {} samples, {bytes} bytes of fields, digest {}, {:.3} s, waited {:.3} s",
            stats.samples,
            samples.digest(),
            start.elapsed().as_secs_f64(),
            stats.waited.as_secs_f64(),
        );
    }
    Ok(())
}
