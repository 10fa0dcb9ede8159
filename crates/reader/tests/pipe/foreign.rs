//! Streams without a manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use shardpack_dataset::{Dataset, ForeignOptions};
use shardpack_formats::{DecodeOptions, FormatOptions};
use shardpack_reader::plan::{Shuffle, Tail};
use shardpack_reader::stream::{Contents, Objects, Promises, Source, Streamed};
use shardpack_reader::{Error, ReadOptions, Sample};

use crate::support::*;

fn unshuffled() -> ReadOptions {
    let mut options = options(Tail::Mask);
    options.plan.shuffle = Shuffle::Off;
    options
}

fn foreign(format: &str) -> Contents {
    let format = shardpack_formats::open(format, &FormatOptions::default()).unwrap();
    Contents::Foreign { format, decode: DecodeOptions::default() }
}

fn read(source: Arc<dyn Source>, contents: Contents, rank: u64, world: u64) -> Vec<Sample> {
    let reader = Streamed::new(source, contents, part(rank, world), unshuffled(), None).unwrap();
    assert_eq!(reader.promises(), Promises::FOREIGN);
    let mut samples = reader.epoch(0);
    assert_eq!((samples.left(), samples.state()), (None, None));
    samples.by_ref().map(|sample| sample.unwrap()).collect()
}

fn bodies(samples: &[Sample]) -> Vec<Vec<u8>> {
    samples.iter().map(|sample| sample.fields().next().unwrap().1.to_vec()).collect()
}

#[test]
fn ranks_take_records_in_turn_from_a_fifo_and_from_a_store() {
    for format in FORMATS {
        let set = Make::new(format).dataset();
        let memory = || Arc::new(Joined { bytes: set.all().into(), piece: 333 });
        let all = read(memory(), foreign(format), 0, 1);
        assert_eq!(all.len(), 300);
        let digest = all.iter().map(|s| s.digest(&mut Default::default())).sum();
        if format == "webdataset" || format == "recordio-protobuf" {
            assert_eq!(set.manifest.digest, digest, "{format}");
        }
        let options =
            ForeignOptions { format: Some(format.to_owned()), ..ForeignOptions::default() };
        let found = Dataset::foreign(&*set.store, "shards", &options).unwrap();
        let objects = || Arc::new(Objects::new(set.store.clone(), &found, None));
        for source in [memory() as Arc<dyn Source>, objects()] {
            let ranks: Vec<_> =
                (0..3).map(|rank| read(Arc::clone(&source), foreign(format), rank, 3)).collect();
            let turns: Vec<Vec<u8>> = (0..300)
                .map(|turn| bodies(&ranks[turn % 3][turn / 3..=turn / 3]).remove(0))
                .collect();
            assert_eq!(turns, bodies(&all), "{format}");
            assert_eq!(ranks[1][0].position(), 1);
        }
    }
}

#[test]
fn shards_of_a_store_come_in_another_order_in_every_epoch() {
    let set = Make::new("tfrecord").dataset();
    let found = Dataset::foreign(&*set.store, "shards", &ForeignOptions::default()).unwrap();
    let source = Arc::new(Objects::new(set.store.clone(), &found, Some(7)));
    let reader =
        Streamed::new(source, foreign("tfrecord"), part(0, 1), unshuffled(), None).unwrap();
    let order = |epoch| -> Vec<String> {
        let mut order: Vec<String> =
            reader.epoch(epoch).map(|sample| sample.unwrap().shard().to_owned()).collect();
        order.dedup();
        order
    };
    assert_ne!(order(0), order(1));
    assert_eq!(order(1), order(1));
    assert_eq!(order(1).len(), set.manifest.shards.len());
}

#[test]
fn a_cut_in_a_record_is_named_by_stream_and_record() {
    for format in FORMATS {
        let set = Make::tiny(format).dataset();
        let whole = set.all();
        let (mut clean, mut cut) = (0, 0);
        for end in 0..whole.len() {
            let source = Arc::new(Joined { bytes: whole[..end].into(), piece: 100 });
            let reader =
                Streamed::new(source, foreign(format), part(0, 1), unshuffled(), None).unwrap();
            match reader.epoch(0).find_map(Result::err) {
                None => clean += 1,
                Some(Error::Shard { shard, reason }) => {
                    assert_eq!(shard, "memory");
                    assert!(reason.contains("record ") && reason.contains("offset"), "{reason}");
                    cut += 1;
                }
                Some(other) => panic!("{format} {end}: {other}"),
            }
        }
        // Records end in six places at most, and nothing at all is no record.
        let most = if format == "webdataset" { 2 * set.manifest.shards.len() + 20 } else { 6 };
        assert!(clean >= 1 && clean <= most && cut > clean, "{format}: {clean} {cut}");
    }
}

fn wrapped(data: &[u8]) -> Vec<u8> {
    let pad = data.len().next_multiple_of(4) - data.len();
    let len = (data.len() as u32).to_le_bytes();
    [b"\x0a\x23\xd7\xce", &len[..], data, &[0; 3][..pad]].concat()
}

#[test]
fn wrapped_attributes_are_regrouped_and_shared_out() {
    let fields = || Contents::Wrapped {
        fields: vec!["source-ref".into(), "class".into()],
        dmlc_parts: false,
    };
    let images: BTreeMap<u64, Vec<u8>> =
        (0..20).map(|i| (i, vec![i as u8; 30 + i as usize])).collect();
    let pairs = images.iter().map(|(i, image)| [wrapped(image), wrapped(i.to_string().as_bytes())]);
    let bytes: Vec<u8> = pairs.flatten().flatten().collect();
    let fifos = Fifos::new();
    let writer = write(&fifos.make(0), bytes.clone(), 7);
    let samples = read(Arc::new(fifos.pipe()), fields(), 1, 2);
    writer.join().unwrap().unwrap();
    assert_eq!(samples.len(), 10);
    for (sample, i) in samples.iter().zip((1u64..).step_by(2)) {
        assert_eq!(sample.field("source-ref"), Some(&*images[&i]));
        assert_eq!(sample.field("class"), Some(i.to_string().as_bytes()));
        assert_eq!((sample.key(), sample.position()), (&*i.to_string(), i));
        assert_eq!(sample.shard(), "train_0");
    }
    let cut = bytes[..bytes.len() - wrapped(b"19").len()].to_vec();
    let source = Arc::new(Joined { bytes: cut.into(), piece: 64 });
    let reader = Streamed::new(source, fields(), part(0, 1), unshuffled(), None).unwrap();
    let error = reader.epoch(0).find_map(Result::err).unwrap().to_string();
    assert!(error.contains("1 of 2 records, \"class\" is missing"), "{error}");
    let none = Contents::Wrapped { fields: Vec::new(), dmlc_parts: false };
    let source = Arc::new(Joined { bytes: Vec::new().into(), piece: 1 });
    assert!(Streamed::new(source, none, part(0, 1), unshuffled(), None).is_err());
}

#[test]
fn a_host_without_objects_has_no_samples() {
    for format in FORMATS {
        let fifos = Fifos::new();
        let writer = write(&fifos.make(0), Vec::new(), 1);
        assert!(read(Arc::new(fifos.pipe()), foreign(format), 0, 1).is_empty());
        writer.join().unwrap().unwrap();
    }
}
