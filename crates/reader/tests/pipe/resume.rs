//! States: within a stream for as many ranks, and out of other modes for any.

use std::sync::LazyLock;

use proptest::prelude::*;
use shardpack_reader::plan::{Shuffle, State, Tail};
use shardpack_reader::{Error, ReadOptions, Reader};

use crate::support::*;

const SHUFFLES: [&str; 3] = ["off", "window:16:shard", "exact"];

fn options(shuffle: &str) -> ReadOptions {
    let mut options = crate::support::options(Tail::Mask);
    options.plan.shuffle = shuffle.parse::<Shuffle>().unwrap();
    options.plan.lanes = Some(8);
    options
}

/// Reads `most` samples on every rank, and what all of them save.
fn some(
    set: &Set,
    world: u64,
    most: usize,
    options: &ReadOptions,
    from: Option<&State>,
    seen: &mut Seen,
) -> State {
    let mut saved = None;
    for rank in 0..world {
        let bytes = set.joined(set.shuffled(4));
        let reader = set.resumed(bytes, part(rank, world), options, from).unwrap();
        let mut samples = reader.epoch(2);
        seen.read(&mut samples, most);
        let state = samples.state().unwrap().to_string().parse::<State>().unwrap();
        assert!(saved.is_none() || saved.as_ref() == Some(&state), "ranks save the same");
        saved = Some(state);
    }
    saved.unwrap()
}

#[test]
fn as_many_ranks_go_on_where_they_stopped_again_and_again() {
    let set = Make::new("webdataset").dataset();
    for shuffle in SHUFFLES {
        for (world, stops) in [(1, &[1, 40, 100][..]), (3, &[30, 1, 60])] {
            let options = options(shuffle);
            let mut seen = Seen::default();
            let mut state: Option<State> = None;
            for &stop in stops {
                let saved = some(&set, world, stop, &options, state.as_ref(), &mut seen);
                assert_eq!(saved.streamed.map(|streamed| streamed.world), Some(world));
                state = Some(saved);
            }
            seen.steps.clear();
            let end = some(&set, world, usize::MAX, &options, state.as_ref(), &mut seen);
            seen.whole(&set.manifest);
            assert_eq!((end.epoch, end.consumed, end.streamed), (3, 0, None));
        }
    }
}

#[test]
fn a_place_within_a_stream_is_refused_where_it_means_nothing() {
    let set = Make::new("recordio").dataset();
    let options = options("window:16:shard");
    let saved = some(&set, 2, 50, &options, None, &mut Seen::default());
    for world in [1, 3, 4] {
        let error = set.resumed(set.all(), part(0, world), &options, Some(&saved)).unwrap_err();
        assert!(matches!(error, Error::Different { .. }));
        let said = error.to_string();
        assert!(said.contains(&format!("ranks: 2 then, {world} now")), "{said}");
    }
    let sought = Reader::resume_store(set.store.clone(), options.clone(), Some(&saved));
    let said = sought.unwrap_err().to_string();
    assert!(said.contains("streams of 2 ranks then, shards that can be sought now"), "{said}");
    let mut other = options;
    other.plan.seed = 5;
    assert!(set.resumed(set.all(), part(0, 2), &other, Some(&saved)).is_err());
}

#[test]
fn between_epochs_any_world_goes_on_in_any_mode() {
    let set = Make::new("tfrecord").dataset();
    let options = options("window:16:shard");
    let saved = some(&set, 2, usize::MAX, &options, None, &mut Seen::default());
    assert_eq!((saved.epoch, saved.streamed), (3, None));
    let mut seen = Seen::default();
    for rank in 0..5 {
        let reader = set.resumed(set.all(), part(rank, 5), &options, Some(&saved)).unwrap();
        assert_eq!(reader.start().epoch, 3);
        seen.read(&mut reader.epoch(3), usize::MAX);
    }
    seen.whole(&set.manifest);
    assert!(Reader::resume_store(set.store.clone(), options, Some(&saved)).is_ok());
}

#[test]
fn a_state_of_shards_that_can_be_sought_goes_on_in_a_stream_of_any_world() {
    let set = Make::new("recordio-protobuf").dataset();
    for shuffle in SHUFFLES {
        let options = options(shuffle);
        let mut seen = Seen::default();
        let mut saved = None;
        for rank in 0..3 {
            let reader = set.reader(part(rank, 3), &options);
            let mut samples = reader.epoch(2);
            for sample in samples.by_ref().take(23) {
                *seen.keys.entry(sample.unwrap().key().to_owned()).or_default() += 1;
            }
            seen.digest += samples.digest();
            saved = Some(samples.state());
        }
        // Some steps in a stream of two ranks, saved again, and the rest.
        let saved = some(&set, 2, 10, &options, saved.as_ref(), &mut seen);
        assert_eq!(saved.streamed.map(|streamed| streamed.base), Some(69));
        seen.steps.clear();
        some(&set, 2, usize::MAX, &options, Some(&saved), &mut seen);
        seen.whole(&set.manifest);
    }
}

#[test]
fn padding_is_not_repeated() {
    let mut make = Make::new("tfrecord");
    make.samples = 10;
    let set = make.dataset();
    let mut options = options("window:16:shard");
    options.plan.batch = Some(4);
    for stop in 0..4 {
        let mut seen = Seen::default();
        let saved = some(&set, 3, stop, &options, None, &mut seen);
        seen.steps.clear();
        some(&set, 3, usize::MAX, &options, Some(&saved), &mut seen);
        assert_eq!(seen.steps, [4 - stop as u64; 3]);
        seen.whole(&set.manifest);
    }
}

static SET: LazyLock<Set> = LazyLock::new(|| Make::new("recordio-protobuf").dataset());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Ranks that stop anywhere, as often as they like, see every sample once, whatever the order
    /// of shards, the world, the batch and the shuffle.
    #[test]
    fn stops_lose_and_repeat_nothing(
        world in 1u64..6,
        batch in 1u64..5,
        order in 0usize..12,
        shuffle in prop::sample::select(vec!["off", "exact", "window:5:shard", "window:3:7"]),
        stops in prop::collection::vec(0usize..60, 0..4),
    ) {
        let mut options = options(shuffle);
        options.plan.batch = Some(batch);
        let bytes = SET.joined(SET.shuffled(order));
        let (mut seen, mut state) = (Seen::default(), None);
        for stop in stops.into_iter().map(|stop| stop * batch as usize).chain([usize::MAX]) {
            seen.steps.clear();
            let mut saved = None;
            for rank in 0..world {
                let part = part(rank, world);
                let reader = SET.resumed(bytes.clone(), part, &options, state.as_ref()).unwrap();
                let mut samples = reader.epoch(0);
                seen.read(&mut samples, stop);
                saved = samples.state();
            }
            state = saved;
            if state.as_ref().is_some_and(|state| state.epoch > 0) {
                break; // a stop at the end of the epoch
            }
        }
        seen.whole(&SET.manifest);
    }
}
