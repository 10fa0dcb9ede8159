//! The table in the documentation is what the code does.

use super::*;

const CLASSES: u32 = 100;
const SAMPLES: u32 = 100_000;
const BATCH: usize = 256;

/// Mean and ideal of one rank of 8, whole epoch.
fn measured(shuffle: &str, labels: &[u32]) -> Quality {
    let shards = Shards::new([u64::from(SAMPLES) / 80; 80]).unwrap();
    let options = PlanOptions { shuffle: shuffle.parse().unwrap(), ..PlanOptions::default() };
    let plan = Plan::new(shards, options, Part { rank: 0, world: 8, replicas: 1 }).unwrap();
    let epochs = (0..8).map(|epoch| quality(&plan, epoch, BATCH, labels).unwrap());
    let mut mean = 0.0;
    let mut ideal = 0.0;
    for quality in epochs {
        mean += quality.mean / 8.0;
        ideal = quality.ideal;
    }
    Quality { mean, ideal }
}

#[test]
fn table_of_the_documentation() {
    let by_class: Vec<_> = (0..SAMPLES).map(|i| i / (SAMPLES / CLASSES)).collect();
    let order = super::super::random::shuffled(1, SAMPLES);
    let shuffled: Vec<_> = order.iter().map(|&i| by_class[i as usize]).collect();
    let mut rows = String::new();
    for shuffle in [
        "off",
        "window:256:shard",
        "window:1024:shard",
        "window:4096:shard",
        "window:256:64",
        "window:1024:64",
        "window:256:16",
        "window:1024:16",
        "exact",
    ] {
        let percent = |labels: &[u32]| {
            let Quality { mean, ideal } = measured(shuffle, labels);
            100.0 * mean / ideal
        };
        let (first, second) = (percent(&by_class), percent(&shuffled));
        let name = format!("`{shuffle}`");
        rows += &format!("//! | {name:<19} | {first:>6.1} % | {second:>6.1} % |\n");
    }
    let documentation = include_str!("../mod.rs");
    assert!(documentation.contains(&rows), "the documentation should say\n{rows}");
    let ideal = measured("exact", &by_class).ideal;
    assert!(documentation.contains(&format!("{ideal:.1} of {CLASSES} classes")), "{ideal}");
}

#[test]
fn quality_is_exact_where_it_can_be_told() {
    let plan = |batch| {
        let shards = Shards::new([8]).unwrap().without(vec![7]).unwrap();
        let options = PlanOptions { shuffle: Shuffle::Off, ..PlanOptions::default() };
        let plan = Plan::new(shards, options, Part::default()).unwrap();
        quality(&plan, 0, batch, &[0, 0, 0, 1, 1, 2, 2, 9])
    };
    // Batches 000, 112; of 7 samples in classes of 3, 2 and 2: C(4,3)/C(7,3) lack the first,
    // C(5,3)/C(7,3) each of the others.
    let Quality { mean, ideal } = plan(3).unwrap();
    assert_eq!(mean, 1.5);
    assert!((ideal - (3.0 - 4.0 / 35.0 - 20.0 / 35.0)).abs() < 1e-12);
    assert!(plan(0).is_err());
    assert!(plan(8).is_err());
    let shards = Shards::new([8]).unwrap();
    let plan = Plan::new(shards, PlanOptions::default(), Part::default()).unwrap();
    assert!(quality(&plan, 0, 2, &[0; 7]).is_err());
}
