//! Orders that must never change: a checkpoint of one release goes on in the next. All values are
//! from a second implementation, written in Python after SPEC.md.

use super::super::random::{Permutation, key, mix, shuffled};
use super::*;

fn epoch(shards: Shards, shuffle: &str, seed: u64, lanes: u64, epoch: u64) -> Epoch {
    let (shuffle, lanes) = (shuffle.parse().unwrap(), Some(lanes));
    let options = PlanOptions { seed, shuffle, lanes, ..PlanOptions::default() };
    Plan::new(shards, options, Part::default()).unwrap().epoch(epoch)
}

fn order(epoch: &Epoch) -> impl Iterator<Item = SampleId> {
    (0..epoch.len()).map(|position| epoch.sample(position).unwrap())
}

#[test]
fn numbers() {
    assert_eq!(mix(1), 0x5692_161d_100b_05e5);
    assert_eq!(key([1, 2, 3]), 0xd073_4750_fde3_62b3);
    assert_eq!(shuffled(key([1, 2, 3]), 10), [0, 9, 7, 2, 3, 5, 6, 1, 4, 8]);
    let permutation = Permutation::new(key([1, 2, 3]), 1000);
    let start: Vec<_> = (0..8).map(|x| permutation.at(x)).collect();
    assert_eq!(start, [710, 690, 313, 558, 567, 915, 844, 761]);
    assert_eq!(Permutation::new(key([5]), 1_000_000_000_000).at(123_456_789), 600_490_799_353);
}

#[test]
fn small_orders() {
    let shards = Shards::new([5, 0, 3, 7, 4]).unwrap().without(vec![2, 9]).unwrap();
    for (shuffle, number, golden) in [
        ("off", 0, "0.0 2.2 3.6 0.1 3.0 4.0 0.3 3.2 4.1 0.4 3.3 4.2 2.0 3.4 4.3 2.1 3.5"),
        ("exact", 0, "2.2 2.0 0.4 4.1 3.0 3.2 3.4 0.3 4.3 4.0 3.5 2.1 0.1 0.0 3.3 4.2 3.6"),
        ("exact", 1, "4.1 4.2 3.0 3.4 3.2 3.6 3.5 4.3 0.4 2.2 3.3 2.1 4.0 0.0 0.1 0.3 2.0"),
        (
            "window:3:shard",
            0,
            "2.2 4.3 3.4 2.1 0.1 3.3 2.0 0.0 3.2 4.1 3.0 3.5 4.2 0.3 3.6 4.0 0.4",
        ),
        (
            "window:3:shard",
            1,
            "0.1 3.3 4.1 0.0 3.5 2.2 0.3 3.4 4.0 3.0 2.1 4.3 0.4 2.0 4.2 3.2 3.6",
        ),
        ("window:4:5", 0, "0.0 2.0 4.0 4.3 3.0 3.5 0.1 2.1 3.4 4.2 2.2 3.6 0.4 3.3 4.1 0.3 3.2"),
        ("window:4:5", 1, "3.5 0.3 3.0 4.2 0.1 2.1 3.4 0.0 3.2 4.3 4.1 2.2 4.0 2.0 3.3 3.6 0.4"),
    ] {
        let epoch = epoch(shards.clone(), shuffle, 7, 3, number);
        let seen: Vec<_> = order(&epoch).map(|id| format!("{}.{}", id.shard, id.ordinal)).collect();
        assert_eq!(seen.join(" "), golden, "{shuffle}, epoch {number}");
    }
}

#[test]
fn a_larger_order() {
    let dead = (5..3000).step_by(97).collect();
    let shards = Shards::new([700, 900, 0, 1100, 300]).unwrap().without(dead).unwrap();
    let epoch = epoch(shards, "window:100:64", 123_456_789, 7, 4);
    assert_eq!(epoch.len(), 2969);
    let words = order(&epoch).map(|id| u64::from(id.shard) << 32 | id.ordinal);
    assert_eq!(key(words), 0x0f97_7c00_6a66_5c70);
}

#[test]
fn a_mix() {
    let plan =
        || Plan::new(Shards::new([10]).unwrap(), PlanOptions::default(), Part::default()).unwrap();
    let mix = Mix::new(&[plan(), plan()], &[3.0, 1.0], 7).unwrap();
    let start: String = (0..64).map(|step| mix.source(step).to_string()).collect();
    assert_eq!(start, "1001000000011000010001000010000000000100000000001001000000011100");
}

/// The defaults are part of an order too.
#[test]
fn default_lanes() {
    for (shards, world, shuffle, lanes) in [
        (80, 1, "window:256:shard", 8),
        (80, 8, "window:256:shard", 64),
        (80, 16, "window:256:shard", 80),
        (80, 50, "exact", 50),
        (80, 100, "exact", 100),
        (80, 5, "off", 5),
        (10_000_000, MAX_LANES / 2 + 1, "exact", MAX_LANES / 2 + 1),
    ] {
        let options = PlanOptions { shuffle: shuffle.parse().unwrap(), ..PlanOptions::default() };
        let part = Part { rank: 0, world, replicas: 1 };
        let plan = Plan::new(Shards::new(vec![10; shards]).unwrap(), options, part).unwrap();
        assert_eq!(plan.state(plan.start()).lanes, lanes, "{shards} {world} {shuffle}");
    }
}
