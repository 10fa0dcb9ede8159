//! The same samples as where shards can be sought.

use std::collections::BTreeSet;
use std::sync::Arc;

use shardpack_formats::Compression;
use shardpack_reader::plan::{SampleId, Shuffle, Subset, Tail};
use shardpack_reader::stream::{Promises, Streamed};
use shardpack_reader::{ReadOptions, Sample};

use crate::support::*;

/// What a rank must agree on: place, position, and every byte.
type Facts = (SampleId, u64, String, u64, String, Vec<(String, Vec<u8>)>);

fn facts(sample: &Sample) -> Facts {
    let fields = sample.fields().map(|(name, body)| (name.to_owned(), body.to_vec())).collect();
    let label = format!("{:?}", sample.label());
    (sample.place(), sample.position(), sample.key().into(), sample.id(), label, fields)
}

#[test]
fn every_rank_gets_the_same_samples_in_every_format_world_tail_and_order_of_shards() {
    for format in FORMATS {
        let set = Make::new(format).dataset();
        let samples = set.manifest.totals.samples;
        for (world, tail, shuffle) in [
            (1, Tail::Mask, "off"),
            (2, Tail::Pad, "window:16:shard"),
            (2, Tail::Mask, "exact"),
            (7, Tail::Mask, "window:8:4"),
            (7, Tail::Drop, "window:16:shard"),
            (7, Tail::Pad, "off"),
        ] {
            let mut options = options(tail);
            options.plan.shuffle = shuffle.parse::<Shuffle>().unwrap();
            options.plan.batch = (world == 7).then_some(4);
            for rank in 0..world {
                let bytes = set.joined(set.shuffled(rank as usize));
                let reader = set.reader(part(rank, world), &options);
                let streamed = set.streamed(bytes, part(rank, world), &options);
                let mut sought = reader.epoch(3);
                let mut stream = streamed.epoch(3);
                assert_eq!(stream.left(), Some(sought.left()));
                let own = |sample: &Sample| sample.position() < samples;
                let want: Vec<Sample> = sought.by_ref().map(|s| s.unwrap()).collect();
                let got: Vec<Sample> = stream.by_ref().map(|s| s.unwrap()).collect();
                assert_eq!(got.len(), want.len(), "{format} {world} {tail:?} {shuffle}");
                let real = |all: &[Sample]| all.iter().filter(|s| s.is_real()).count();
                assert_eq!(real(&got), real(&want));
                let set = |all: &[Sample]| -> BTreeSet<Facts> {
                    all.iter().filter(|sample| own(sample)).map(facts).collect()
                };
                assert_eq!(set(&got), set(&want), "{format} {world} {tail:?} {shuffle}");
                if tail != Tail::Pad {
                    assert_eq!(stream.digest(), sought.digest());
                }
                assert_eq!((stream.left(), stream.state()), (Some(0), Some(sought.state())));
            }
        }
    }
}

#[test]
fn ranks_together_see_every_sample_once_through_real_fifos() {
    for format in FORMATS {
        let set = Make::new(format).dataset();
        let mut seen = Seen::default();
        let fifos: Vec<Fifos> = (0..2).map(|_| Fifos::new()).collect();
        for (rank, fifos) in fifos.iter().enumerate() {
            let writer = write(&fifos.make(0), set.joined(set.shuffled(3)), 4096);
            let pipe = Arc::new(fifos.pipe());
            let (part, options) = (part(rank as u64, 2), options(Tail::Mask));
            let streamed = Streamed::new(pipe, set.contents(None), part, options, None).unwrap();
            assert_eq!(streamed.promises(), Promises::STREAMED);
            seen.read(&mut streamed.epoch(0), usize::MAX);
            writer.join().unwrap().unwrap();
        }
        seen.whole(&set.manifest);
    }
}

#[test]
fn the_order_is_the_streams_or_a_window_of_it_that_the_seed_decides() {
    let set = Make::new("tfrecord").dataset();
    let keys = |shuffle: &str, seed: u64, epoch: u64, memory: u64| -> Vec<String> {
        let mut options = options(Tail::Mask);
        options.plan.shuffle = shuffle.parse().unwrap();
        options.plan.seed = seed;
        options.memory = memory;
        let samples = set.streamed(set.all(), part(0, 1), &options).epoch(epoch);
        samples.map(|sample| sample.unwrap().key().to_owned()).collect()
    };
    let stored: Vec<String> = {
        let mut options = options(Tail::Mask);
        options.plan.shuffle = Shuffle::Off;
        let reader = set.reader(part(0, 1), &options);
        reader.epoch(0).map(|sample| sample.unwrap().key().to_owned()).collect()
    };
    assert_eq!(keys("off", 0, 0, 1), stored);
    let window = keys("window:4:shard", 1, 0, 1 << 20);
    assert_eq!(keys("window:4:shard", 1, 0, 1), window, "memory decides nothing");
    assert_ne!(window, stored);
    assert_ne!(keys("window:4:shard", 2, 0, 1), window);
    assert_ne!(keys("window:4:shard", 1, 1, 1), window);
    // Eight lanes of four: nothing comes before its turn by more than it may.
    for (place, key) in window.iter().enumerate() {
        let turn = stored.iter().position(|stored| stored == key).unwrap();
        assert!(turn <= place + 32, "{key}: {turn} at {place}");
    }
}

#[test]
fn deleted_samples_other_splits_and_what_is_outside_of_a_subset_are_left_out() {
    let mut make = Make::new("webdataset");
    make.splits = &[("train", 0.7), ("test", 0.3)];
    let mut set = make.dataset();
    set.delete(&["0/000", "1/100", "2/299"]);
    let mut options = options(Tail::Mask);
    options.plan.subset = Subset::Count(50);
    for split in [None, Some("train"), Some("test")] {
        options.split = split.map(str::to_owned);
        let keys = |all: Vec<Sample>| -> BTreeSet<String> {
            all.iter().map(|sample| sample.key().to_owned()).collect()
        };
        let sought = set.reader(part(0, 1), &options).epoch(0);
        let want = keys(sought.map(|s| s.unwrap()).collect());
        let streamed = set.streamed(set.joined(set.shuffled(1)), part(0, 1), &options);
        let got = keys(streamed.epoch(0).map(|s| s.unwrap()).collect());
        assert_eq!(got.len(), 50);
        assert_eq!(got, want, "{split:?}");
    }
}

#[test]
fn compressed_shards_arrive_inflated_or_not() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let mut make = Make::new("webdataset");
        make.compression = compression;
        let set = make.dataset();
        let mut inflated = Vec::new();
        let stored = set.all();
        let mut reader = compression.reader(Box::new(&stored[..])).unwrap();
        std::io::Read::read_to_end(&mut reader, &mut inflated).unwrap();
        for bytes in [stored.clone(), inflated] {
            let fifos = Fifos::new();
            let writer = write(&fifos.make(0), bytes, 1 << 16);
            let (pipe, options) = (Arc::new(fifos.pipe()), options(Tail::Mask));
            let streamed =
                Streamed::new(pipe, set.contents(None), part(0, 1), options, None).unwrap();
            let mut seen = Seen::default();
            seen.read(&mut streamed.epoch(0), usize::MAX);
            seen.whole(&set.manifest);
            writer.join().unwrap().unwrap();
        }
    }
}

#[test]
fn a_rank_without_samples_of_its_own_is_padded_too() {
    let mut make = Make::new("tfrecord");
    make.samples = 3;
    let set = make.dataset();
    let mut seen = Seen::default();
    for rank in 0..7 {
        let streamed = set.streamed(set.all(), part(rank, 7), &options(Tail::Mask));
        let mut samples = streamed.epoch(0);
        seen.read(&mut samples, usize::MAX);
    }
    assert_eq!(seen.steps, [1; 7]);
    seen.whole(&set.manifest);
    // An epoch may be longer than its samples by far.
    let mut options = ReadOptions::default();
    options.plan.length = Some(100);
    let streamed = set.streamed(set.all(), part(1, 2), &options);
    assert_eq!(streamed.epoch(0).filter(Result::is_ok).count(), 50);
}
