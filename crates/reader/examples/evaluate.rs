//! Evaluation and lookups. Every sample counts exactly once, whatever the number of ranks; after
//! that, single samples are fetched by key, out of order.
//!
//!     cargo run --release --example evaluate -- DATASET [KEY ...]

use std::error::Error;

use shardpack_reader::plan::{Part, Shuffle, Tail};
use shardpack_reader::{ReadOptions, Reader};

/// Ranks of the job. Here they run one after the other.
const WORLD: u64 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let place = args.next().ok_or("usage: evaluate DATASET [KEY ...]")?;
    let mut options = ReadOptions::default();
    options.plan.shuffle = Shuffle::Off;
    options.plan.tail = Tail::Mask; // all ranks have equally many steps; padding says so
    let (mut steps, mut counted) = (0, 0);
    for rank in 0..WORLD {
        options.part = Some(Part { rank, world: WORLD, replicas: 1 });
        let reader = Reader::open(&place, options.clone())?;
        for sample in reader.epoch(0) {
            steps += 1;
            counted += u64::from(sample?.is_real());
        }
    }
    println!("{counted} samples counted in {steps} steps of {WORLD} ranks");

    let reader = Reader::open(&place, options)?;
    let mut places = Vec::new();
    for key in args {
        places.push(reader.find(&key)?.ok_or_else(|| format!("no sample {key:?}"))?);
    }
    // One call for many: they are read in the order in which they are stored.
    for sample in reader.get_many(&places)? {
        println!("{}", sample.key());
        for (name, bytes) in sample.fields() {
            println!("  {name}: {} bytes", bytes.len());
        }
    }
    Ok(())
}
