//! Shards that a service has divided among hosts.

use std::sync::Arc;

use shardpack_channel::Rank;
use shardpack_reader::plan::Tail;
use shardpack_reader::stream::{Promises, Streamed};
use shardpack_reader::{Error, ReadOptions};

use crate::support::*;

fn host(
    set: &Set,
    bytes: Vec<u8>,
    (number, hosts): (u32, u32),
    local: (u64, u64),
    options: &ReadOptions,
) -> Streamed {
    let source = Arc::new(Joined { bytes: bytes.into(), piece: 700 });
    let contents = set.contents(Some(Rank { rank: number, world: hosts }));
    Streamed::new(source, contents, part(local.0, local.1), options.clone(), None).unwrap()
}

#[test]
fn every_sample_is_seen_once_in_equally_many_steps_whatever_a_host_is_given() {
    for format in ["webdataset", "recordio"] {
        let set = Make::new(format).dataset();
        let shards = set.manifest.shards.len();
        for (hosts, local, batch) in [(2, 1, 1), (3, 1, 4), (3, 2, 1)] {
            let mut options = options(Tail::Mask);
            options.plan.batch = Some(batch);
            let order = set.shuffled(7);
            let mut seen = Seen::default();
            for number in 0..hosts {
                let given = order.iter().copied().skip(number as usize).step_by(hosts as usize);
                let bytes = set.joined(given);
                for rank in 0..local {
                    let given = (number, hosts);
                    let reader = host(&set, bytes.clone(), given, (rank, local), &options);
                    assert_eq!(reader.promises(), Promises::SHARDED);
                    seen.read(&mut reader.epoch(1), usize::MAX);
                }
            }
            assert!(shards > hosts as usize);
            assert_eq!(seen.steps.len() as u64, u64::from(hosts) * local);
            assert!(seen.steps[0] % batch == 0);
            seen.whole(&set.manifest);
        }
    }
}

#[test]
fn what_a_host_with_few_samples_has_is_all_that_any_takes_with_drop() {
    let set = Make::new("tfrecord").dataset();
    let shards = set.manifest.shards.len();
    let mut seen = Seen::default();
    for number in 0..3 {
        let bytes = set.joined((number as usize..shards).step_by(3));
        let reader = host(&set, bytes, (number, 3), (0, 1), &options(Tail::Drop));
        seen.read(&mut reader.epoch(0), usize::MAX);
    }
    assert!(seen.steps.iter().all(|steps| *steps == seen.steps[0]), "{:?}", seen.steps);
    assert!(seen.keys.values().all(|times| *times == 1));
}

#[test]
fn a_part_that_is_not_even_or_not_whole_is_an_error() {
    let set = Make::new("tfrecord").dataset();
    let shards = set.manifest.shards.len();
    let error = |bytes| {
        let reader = host(&set, bytes, (0, 2), (0, 1), &options(Tail::Mask));
        reader.epoch(0).find_map(Result::err).unwrap()
    };
    let few = error(set.shard(0));
    assert!(matches!(few, Error::Uneven { visible: 1, .. }), "{few}");
    let many = error(set.all());
    assert!(matches!(many, Error::Uneven { visible, .. } if visible == shards as u64), "{many}");
    let mut cut = set.joined(0..shards / 2);
    cut.pop();
    let cut = error(cut);
    let last = &set.manifest.shards[shards / 2 - 1].path;
    assert!(matches!(&cut, Error::Shard { shard, .. } if shard == last), "{cut}");
}
