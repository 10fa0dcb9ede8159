//! Random samples, one at a time, beside the least that can be done: `pread` of the same ranges.
//!
//!     cargo run --release --example lookup -- DATASET [--lookups 20000] [--batch 1]
//!
//! Both are measured in one process, in turns, so the machine is the same for both: `DATASET` is a
//! local folder, its indexes are open before the clock starts. With `--batch 64` it asks for so many
//! at a time ([`Reader::get_many`]), which reads them in stored order.

use std::error::Error;
use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use shardpack_dataset::examine;
use shardpack_manifest::Index;
use shardpack_reader::plan::SampleId;
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::{LocalOptions, LocalStore};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let (mut place, mut lookups, mut batch) = (None, 20_000, 1);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match &*arg {
            "--lookups" => lookups = value()?.parse()?,
            "--batch" => batch = value()?.parse::<usize>()?.max(1),
            _ => place = Some(arg),
        }
    }
    let place = place.ok_or("usage: lookup DATASET [--lookups N] [--batch N]")?;
    let reader = Reader::open(&place, ReadOptions::default())?;
    let manifest = reader.manifest();
    let store = LocalStore::open(Path::new(&place), &LocalOptions::default());
    let mut shards: Vec<(File, Index<'static>)> = Vec::new();
    for row in &manifest.shards {
        let file = File::open(Path::new(&place).join(&row.path))?;
        shards.push((file, examine(&store, manifest, row)??));
    }
    let samples = draw(manifest.shards.iter().map(|row| row.samples), lookups);
    for &sample in samples.iter().take(1000) {
        reader.get(sample)?; // opens the shards
    }
    let (mut ours, mut least) = (Duration::ZERO, Duration::ZERO);
    let mut buffer = Vec::new();
    // The first pass brings everything into the page cache, and is not counted.
    for counts in [0, 1] {
        for samples in samples.chunks(1000.max(batch)) {
            let start = Instant::now();
            for &SampleId { shard, ordinal } in samples {
                let (file, index) = &shards[shard as usize];
                let record = index.get(ordinal as usize).ok_or("no such record")?;
                buffer.resize(buffer.len().max(record.len as usize), 0);
                file.read_exact_at(&mut buffer[..record.len as usize], record.offset)?;
                black_box(&buffer);
            }
            least += counts * start.elapsed();
            let start = Instant::now();
            look_up(&reader, samples, batch)?;
            ours += counts * start.elapsed();
        }
    }
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / samples.len() as f64;
    println!("pread {:.2} us a sample, get {:.2} us", micros(least), micros(ours));
    println!("{:.0} % of the speed of pread", 100.0 * micros(least) / micros(ours));
    Ok(())
}

fn look_up(reader: &Reader, samples: &[SampleId], batch: usize) -> Result<()> {
    for samples in samples.chunks(batch) {
        match samples {
            [sample] => drop(black_box(reader.get(*sample)?)),
            samples => drop(black_box(reader.get_many(samples)?)),
        }
    }
    Ok(())
}

/// Samples in an order that no cache foresees.
fn draw(counts: impl Iterator<Item = u64>, lookups: usize) -> Vec<SampleId> {
    let counts: Vec<u64> = counts.collect();
    let total: u64 = counts.iter().sum();
    let place = |i: usize| {
        // The golden ratio's multiples fill the range evenly, in no order.
        let mut number = ((i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16) % total.max(1);
        for (shard, &count) in (0..).zip(&counts) {
            match number < count {
                true => return SampleId { shard, ordinal: number },
                false => number -= count,
            }
        }
        SampleId { shard: 0, ordinal: 0 }
    };
    (0..lookups).map(place).collect()
}
