//! Samples that a quarantine leaves out.

use std::collections::BTreeSet;
use std::sync::Arc;

use shardpack_manifest::{Digest, Quarantine, Quarantined, SampleHasher};
use shardpack_pack::{DeleteOptions, delete};
use shardpack_reader::plan::{Part, Tail};
use shardpack_reader::stream::{Contents, Streamed};
use shardpack_reader::{Error, ReadOptions, Reader, Sample};
use shardpack_store::{MemoryStore, PutMode, Store};
use tempfile::TempDir;

use crate::support::{Joined, both, manifest, packed, streamed, thirty};

/// A quarantine of these places, in a file.
fn file(store: &MemoryStore, places: &[(usize, u64)]) -> (TempDir, String) {
    let manifest = manifest(store);
    let sample = |&(shard, record): &(usize, u64)| Quarantined {
        shard: manifest.shards[shard].path.clone(),
        record,
        key: None,
        reason: "wrong crc32c".into(),
    };
    let quarantine = Quarantine::new(&manifest, places.iter().map(sample).collect());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("q.json");
    std::fs::write(&path, quarantine.to_bytes().unwrap()).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

fn options(quarantine: &str, rank: u64, world: u64) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.quarantine = Some(quarantine.to_owned());
    options.part = Some(Part { rank, world, replicas: 1 });
    options.plan.tail = Tail::Mask;
    options
}

fn keys(samples: &[Sample]) -> BTreeSet<String> {
    let real = samples.iter().filter(|sample| sample.is_real());
    real.map(|sample| sample.key().to_owned()).collect()
}

/// Damages the body of a record, and the frame around it: a tar's header, a TFRecord's length.
fn damage(store: &MemoryStore, shard: usize, record: u64) -> String {
    let manifest = manifest(store);
    let row = &manifest.shards[shard];
    let index = shardpack_dataset::examine(store, &manifest, row).unwrap().unwrap();
    let record = index.get(record as usize).unwrap();
    let mut bytes = shardpack_dataset::read(store, &row.path).unwrap();
    let at = record.fields.clone().find(|field| field.name == "jpg").unwrap().offset.unwrap();
    bytes[at as usize + 3] ^= 1;
    bytes[record.offset as usize] ^= 1;
    store.put(&row.path, &bytes, PutMode::Replace).unwrap();
    record.key.to_owned()
}

#[test]
fn damaged_samples_are_left_out_on_all_ranks_in_every_mode() {
    for format in ["webdataset", "tfrecord", "recordio", "recordio-protobuf"] {
        let store = packed(format, &thirty());
        let places = [(0, 2), (0, 3), (2, 5)];
        let (_folder, path) = file(&store, &places);
        let bad: BTreeSet<String> =
            places.iter().map(|&(shard, record)| damage(&store, shard, record)).collect();
        assert!(
            Reader::of_store(store.clone(), ReadOptions::default())
                .unwrap()
                .epoch(0)
                .any(|s| s.is_err())
        );
        let mut all = [BTreeSet::new(), BTreeSet::new()];
        let mut digests = [Digest::default(), Digest::default()];
        for rank in 0..4 {
            let both = both(&store, &options(&path, rank, 4));
            assert_eq!(both.each_ref().map(Vec::len), [7, 7], "{format}: equal steps");
            assert_eq!(keys(&both[0]), keys(&both[1]), "{format}: rank {rank}");
            let mut hasher = SampleHasher::default();
            for (way, samples) in both.iter().enumerate() {
                all[way].extend(keys(samples));
                let real = samples.iter().filter(|sample| sample.is_real());
                real.for_each(|sample| digests[way] += sample.digest(&mut hasher));
            }
        }
        assert_eq!((all[0].len(), all[1].len()), (27, 27), "{format}");
        assert!(all[0].is_disjoint(&bad), "{format}");
        assert!(digests[0] == digests[1] && digests[0] != manifest(&store).digest, "{format}");
    }
}

#[test]
fn stats_tell_how_many_and_deleted_ones_stay_deleted() {
    let store = packed("webdataset", &thirty());
    let (_folder, path) = file(&store, &[(0, 0), (1, 1)]);
    let other = Reader::of_store(store.clone(), ReadOptions::default()).unwrap();
    assert_eq!((other.quarantined(), other.epoch(0).stats().quarantined), (0, 0));
    let key = both(&store, &ReadOptions::default())[0][3].key().to_owned();
    delete(&*store, std::slice::from_ref(&key), &DeleteOptions::default()).unwrap();
    let reader = Reader::of_store(store.clone(), options(&path, 0, 1)).unwrap();
    let stats = streamed(&store, options(&path, 0, 1)).unwrap().epoch(0).stats().clone();
    assert_eq!(
        (reader.quarantined(), stats.quarantined),
        (2, 2),
        "it belongs to the dataset still"
    );
    let both = both(&store, &options(&path, 0, 1));
    for samples in &both {
        assert!((27..=28).contains(&samples.len()) && !keys(samples).contains(&key));
    }
    // Marks that were written without places are looked up, and add up all the same.
    let mut marks = manifest(&store);
    marks.tombstone_places.clear();
    store.put("manifest.json", &marks.to_bytes().unwrap(), PutMode::Replace).unwrap();
    let again = crate::support::both(&store, &options(&path, 0, 1));
    assert_eq!([keys(&again[0]), keys(&again[1])], [keys(&both[0]), keys(&both[1])]);
    // A checkpoint of one set of samples is none of another.
    let state = other.epoch(0).state();
    let error = Reader::resume_store(store, options(&path, 0, 1), Some(&state)).unwrap_err();
    assert!(matches!(error, Error::Different { .. }), "{error}");
}

#[test]
fn what_cannot_be_laid_over_this_dataset_is_refused() {
    let store = packed("webdataset", &thirty());
    let mut more = thirty();
    more.push(("0/x.jpg".into(), vec![1]));
    let other = packed("webdataset", &more);
    let (folder, path) = file(&other, &[(0, 0)]);
    let far = Quarantined {
        shard: manifest(&store).shards[0].path.clone(),
        record: 99,
        key: None,
        reason: String::new(),
    };
    let far = Quarantine::new(&manifest(&store), vec![far]).to_bytes().unwrap();
    let name = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(name("far.json"), far).unwrap();
    std::fs::write(name("text"), "text").unwrap();
    for (place, part) in [
        (path.clone(), "belongs to another dataset"),
        (name("far.json"), "record 99"),
        (name("text"), "not a shardpack quarantine"),
        (name("none"), "none"),
    ] {
        for error in [
            Reader::of_store(store.clone(), options(&place, 0, 1)).unwrap_err(),
            streamed(&store, options(&place, 0, 1)).unwrap_err(),
        ] {
            let source = std::error::Error::source(&error).map(ToString::to_string);
            let text = format!("{error}: {}", source.unwrap_or_default());
            assert!(text.contains(part), "{place}: {text}");
        }
    }
    let format = shardpack_formats::open("webdataset", &Default::default()).unwrap();
    let contents = Contents::Foreign { format, decode: Default::default() };
    let source = Arc::new(Joined(Vec::new()));
    let foreign = Streamed::new(source, contents, Part::default(), options(&path, 0, 1), None);
    assert!(matches!(foreign.unwrap_err(), Error::Usage(text) if text.contains("manifest")));
}
