//! Datasets with overlays, against the dataset that a join makes of both.

mod coverage;
mod stream;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustix::fs::{CWD, Mode, mkfifoat};
use shardpack_manifest::{Digest, Manifest};
use shardpack_pack::{
    AppendOptions, Dataset, DatasetSource, DeleteOptions, Join, Labels, Missing, Order,
    OverlaySource, PackOptions, Progress, Selection, SourceOptions, Split, With, append, delete,
    overlay, pack, reshard,
};
use shardpack_reader::plan::{Part, Shuffle, State, Tail};
use shardpack_reader::{
    Channel, ChannelReader, Damage, Error, Overlaid, ReadOptions, Reader, Result, Sample,
};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};
use tempfile::TempDir;

type Memory = Arc<MemoryStore>;

fn packed(files: Vec<(String, Vec<u8>)>, options: &PackOptions) -> Memory {
    let store = MemoryStore::new();
    pack(&MemoryTree::new(files), &store, options, &Progress::default()).unwrap();
    Arc::new(store)
}

fn format(name: &str) -> PackOptions {
    PackOptions { format: name.into(), ..PackOptions::default() }
}

/// Ninety samples of one field in three classes, in about eight shards; one in ten holds RecordIO's
/// magic word, at which that format splits records.
fn base(name: &str) -> Memory {
    let body = |i: usize| {
        let mut body = vec![i as u8; 16 + 60 * (i % 9)];
        if i.is_multiple_of(10) {
            body.extend_from_slice(&0xced7_230a_u32.to_le_bytes());
        }
        body
    };
    let files = (0..90).map(|i| (format!("{}/{i:03}.jpg", i % 3), body(i))).collect();
    let labels = Some(Labels::Folder);
    packed(files, &PackOptions { labels, max_samples: Some(12), ..format(name) })
}

/// What is added to each of them: `fields` texts. None for those that `without` says.
fn texts(fields: &[&str], without: fn(usize) -> bool) -> Memory {
    let files = (0..90).filter(|i| !without(*i)).flat_map(|i| {
        fields.iter().map(move |field| {
            (
                format!("{}/{i:03}.{field}", i % 3),
                format!("{field} {i}").repeat(1 + i % 5).into_bytes(),
            )
        })
    });
    packed(files.collect(), &PackOptions { max_samples: Some(31), ..format("tfrecord") })
}

fn join<'s>(other: &'s Memory, missing: Missing) -> Join<'s> {
    Join {
        with: With::Dataset(Box::new(Dataset::open(&**other).unwrap())),
        name: "texts".to_owned(),
        columns: Vec::new(),
        missing,
        unused_is_error: false,
    }
}

/// An overlay of `base` that adds what `other` has.
fn laid(base: &Memory, other: &Memory, options: &PackOptions) -> Memory {
    let store = MemoryStore::new();
    let named = (Dataset::open(&**base).unwrap(), "base".to_owned());
    let (how, progress) = (SourceOptions::default(), Progress::default());
    let join = join(other, Missing::Left);
    let source = OverlaySource::open(named, join, None, &how, &progress).unwrap();
    overlay(&source, &store, options, &progress).unwrap();
    Arc::new(store)
}

/// Digest of the dataset that a join makes of both.
fn joined(base: &Memory, other: &Memory, name: &str) -> Digest {
    let named = vec![(Dataset::open(&**base).unwrap(), "base".to_owned())];
    let (how, progress) = (SourceOptions::default(), Progress::default());
    let all = Selection::default();
    let source =
        DatasetSource::join(named, join(other, Missing::Left), &all, &how, &progress).unwrap();
    let store = MemoryStore::new();
    reshard(&source, &store, &format(name), &progress).unwrap();
    manifest(&store).digest
}

fn manifest(store: &MemoryStore) -> Manifest {
    Manifest::parse(&shardpack_dataset::read(store, "manifest.json").unwrap()).unwrap()
}

fn options(rank: u64, world: u64) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.part = Some(Part { rank, world, replicas: 1 });
    options.plan.tail = Tail::Mask;
    options
}

fn open(base: &Memory, overlays: &[&Memory], options: &ReadOptions) -> Result<Overlaid> {
    resume(base, overlays, options, None)
}

fn resume(
    base: &Memory,
    overlays: &[&Memory],
    options: &ReadOptions,
    state: Option<&State>,
) -> Result<Overlaid> {
    let reader = Reader::resume_store(base.clone(), options.clone(), state)?;
    let stores = overlays.iter().map(|&store| Arc::clone(store) as Arc<dyn Store>).collect();
    Overlaid::of_stores(reader, stores, options)
}

/// Key and number of fields of each sample that is real, and their digest.
fn read(samples: &mut shardpack_reader::OverlaidSamples, most: usize) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for sample in samples.by_ref().take(most) {
        let sample = sample.unwrap();
        if sample.is_real() {
            let key = sample.key().to_owned();
            assert!(seen.insert(key, sample.fields().count()).is_none(), "{sample:?} twice");
        }
    }
    seen
}

#[test]
fn an_epoch_is_that_of_the_joined_dataset_in_every_format_and_world() {
    let none = |_| false;
    let two = texts(&["caption", "tags.json"], none);
    let one = texts(&["caption"], none);
    for (below, wanted) in [
        ("webdataset", "webdataset"),
        ("tfrecord", "tfrecord"),
        ("recordio", "tfrecord"),
        ("recordio-protobuf", "recordio-protobuf"),
    ] {
        let base = base(below);
        for (above, other) in [
            ("webdataset", &two),
            ("tfrecord", &two),
            ("recordio", &one),
            ("recordio-protobuf", &two),
        ] {
            let wanted = joined(&base, other, wanted);
            let over = laid(&base, other, &format(above));
            assert_eq!(manifest(&over).shards.len(), manifest(&base).shards.len());
            for (world, threads, shuffle) in
                [(1, 0, "off"), (1, 3, "exact"), (3, 2, "window:32:shard"), (3, 1, "window:5:2")]
            {
                let mut digest = Digest::default();
                for rank in 0..world {
                    let mut options = options(rank, world);
                    options.plan.shuffle = shuffle.parse::<Shuffle>().unwrap();
                    options.threads = Some(threads);
                    options.memory = 9000; // some samples: threads must wait for the loop
                    let reader = open(&base, &[&over], &options).unwrap();
                    let mut samples = reader.epoch(2);
                    read(&mut samples, usize::MAX);
                    assert_eq!(samples.left(), 0);
                    assert_eq!(samples.stats().samples, 90 / world);
                    digest += samples.digest();
                }
                assert_eq!(digest, wanted, "{above} over {below}, world {world}, {shuffle}");
            }
        }
    }
}

#[test]
fn a_state_goes_on_in_another_world_with_other_overlays() {
    let base = base("webdataset");
    let (one, two) = (texts(&["a.txt"], |_| false), texts(&["b.txt"], |_| false));
    let (a, b) = (laid(&base, &one, &format("tfrecord")), laid(&base, &two, &format("webdataset")));
    let mut seen = BTreeMap::new();
    let mut states = Vec::new();
    for rank in 0..3 {
        let reader = open(&base, &[&a, &b], &options(rank, 3)).unwrap();
        let mut samples = reader.epoch(0);
        assert!(read(&mut samples, 7).into_iter().all(|(key, fields)| {
            assert_eq!(fields, 5, "jpg, cls, cls.txt, a.txt and b.txt");
            seen.insert(key, rank).is_none()
        }));
        assert_eq!(samples.left(), 23);
        states.push(samples.state());
    }
    assert!(states.iter().all(|state| *state == states[0]));
    for rank in 0..2 {
        let reader = resume(&base, &[&a], &options(rank, 2), Some(&states[0])).unwrap();
        let mut samples = reader.epoch(reader.start().epoch);
        let rest = read(&mut samples, usize::MAX);
        assert!(rest.into_iter().all(|(key, fields)| {
            assert_eq!(fields, 4);
            seen.insert(key, rank).is_none()
        }));
    }
    assert_eq!(seen.len(), 90);
    // The base alone goes on from there too: nothing of it depends on what lies over it.
    let alone = Reader::resume_store(base.clone(), options(0, 1), Some(&states[0])).unwrap();
    assert_eq!(alone.epoch(0).count(), 69);
    let workers = open(&base, &[&a], &options(0, 1)).unwrap();
    let parts: Vec<usize> =
        (0..2).map(|worker| workers.worker(0, worker, 2, 5).unwrap().count()).collect();
    assert_eq!(parts.iter().sum::<usize>(), 90);
}

#[test]
fn lookups_have_the_fields_of_all() {
    let base = base("recordio");
    let over = laid(&base, &texts(&["txt"], |i| i == 8), &format("tfrecord"));
    let reader = open(&base, &[&over], &options(0, 1)).unwrap();
    let place = |key: &str| reader.find(key).unwrap().unwrap();
    let text = |sample: &Sample| sample.field("txt").map(<[u8]>::to_vec);
    for (key, want) in [("1/070", Some("txt 70")), ("2/008", None)] {
        let sample = reader.get(place(key)).unwrap();
        assert_eq!(text(&sample), want.map(|want| want.as_bytes().to_vec()), "{key}");
        assert!(sample.field("jpg").is_some() && sample.key() == key);
        assert_eq!(reader.key(place(key)).unwrap(), key);
    }
    let keys = ["2/071", "2/008", "0/000", "2/071"];
    let many = reader.get_many(&keys.map(place)).unwrap();
    assert!(many.iter().map(Sample::key).eq(keys));
    assert_eq!(text(&many[0]), Some(b"txt 71txt 71".to_vec()));
    assert_eq!(many[1].fields().count(), 1);
    assert_eq!(many[1].labels().collect::<Vec<_>>(), [2.0]);
    let mut samples = reader.epoch(0);
    assert_eq!(read(&mut samples, usize::MAX).values().sum::<usize>(), 179);
}

#[test]
fn what_is_deleted_in_the_base_is_gone_before_and_after() {
    let base = base("tfrecord");
    let keys = |from: usize| -> Vec<String> {
        (from..90).step_by(9).map(|i| format!("{}/{i:03}", i % 3)).collect()
    };
    delete(&*base, &keys(0), &DeleteOptions::default()).unwrap();
    // Deleted samples need no partner.
    let other = texts(&["txt"], |i| i.is_multiple_of(9));
    let over = laid(&base, &other, &format("tfrecord"));
    let count = |base: &Memory| {
        let reader = open(base, &[&over], &options(0, 1)).unwrap();
        let mut samples = reader.epoch(1);
        let seen = read(&mut samples, usize::MAX);
        assert!(seen.values().all(|fields| *fields == 2));
        (seen.len(), samples.digest())
    };
    assert_eq!(count(&base), (80, joined(&base, &other, "tfrecord")));
    assert_eq!(manifest(&over).live(), 80);
    delete(&*base, &keys(1), &DeleteOptions::default()).unwrap();
    assert_eq!(count(&base), (70, joined(&base, &other, "tfrecord")));
    assert_eq!(manifest(&over).live(), 80, "it stays as it was");
}

#[test]
fn a_base_that_was_changed_is_told_with_the_way_on() {
    let base = base("webdataset");
    let over = laid(&base, &texts(&["txt"], |_| false), &format("webdataset"));
    let then = manifest(&base).digest;
    let new = MemoryTree::new([("0/new.jpg", "new")]);
    append(&new, &*base, &AppendOptions::default(), &Progress::default()).unwrap();
    let now = manifest(&base).live_digest().unwrap();
    let error = open(&base, &[&over], &options(0, 1)).unwrap_err();
    assert!(matches!(error, Error::Overlay { .. }), "{error:?}");
    for told in [&*then.to_string(), &now.to_string(), "version 1", "`shardpack join --overlay`"] {
        assert!(error.to_string().contains(told), "{told:?} is not in {error}");
    }
    // The version that it was made over is still there.
    let mut pinned = options(0, 1);
    pinned.digest = Some(then);
    let reader = open(&base, &[&over], &pinned).unwrap();
    assert_eq!(read(&mut reader.epoch(0), usize::MAX).len(), 90);
}

#[test]
fn what_does_not_belong_together_is_refused_when_it_is_opened() {
    let (base, other) = (base("webdataset"), base("tfrecord"));
    let text = texts(&["txt"], |_| false);
    let over = laid(&base, &text, &format("webdataset"));
    let again = laid(&base, &text, &format("tfrecord"));
    let bare = Arc::new(MemoryStore::new());
    for (below, above, told) in [
        (&other, vec![&over], "another dataset"),
        (&base, vec![&other], "is none"),
        (&base, vec![&over, &again], "its field \"txt\" is there already"),
        (&base, vec![&bare], "no manifest.json"),
    ] {
        let error = open(below, &above, &options(0, 1)).unwrap_err().to_string();
        assert!(error.contains(told), "{told:?} is not in {error}");
    }
}

#[test]
fn records_of_other_samples_are_seen_when_they_are_read() {
    let options_of =
        |max| PackOptions { max_samples: Some(max), order: Order::Key, ..format("tfrecord") };
    let thirty = |letter: &str, field: &str| {
        let file = |i| (format!("{letter}{i:02}.{field}"), vec![i; 40]);
        (0..30).map(file).collect::<Vec<_>>()
    };
    let (base, other) =
        (packed(thirty("a", "jpg"), &options_of(7)), packed(thirty("b", "jpg"), &options_of(7)));
    let over = |base, letter| {
        laid(base, &packed(thirty(letter, "txt"), &options_of(9)), &format("webdataset"))
    };
    let (right, wrong) = (over(&base, "a"), over(&other, "b"));
    let mut lies = manifest(&wrong);
    lies.base = manifest(&right).base;
    wrong.put("manifest.json", &lies.to_bytes().unwrap(), PutMode::Replace).unwrap();
    let mut samples = open(&base, &[&wrong], &options(0, 1)).unwrap().epoch(0);
    let error = samples.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Overlay { .. }), "{error}");
    let told = error.to_string();
    for word in ["\"b", "lies over \"a", "of shards/", "make the overlay anew"] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert!(samples.next().is_none(), "that is the end");
}

#[test]
fn splits_and_their_shards_go_together() {
    let split = |name: &str| Split { name: name.into(), fraction: 0.5 };
    let splits = vec![split("train"), split("val")];
    let files = (0..60).map(|i| (format!("{i:03}.jpg"), vec![7; 50])).collect();
    let base = packed(files, &PackOptions { splits, max_samples: Some(9), ..format("tfrecord") });
    let texts = (0..60).map(|i| (format!("{i:03}.txt"), vec![i])).collect();
    let over = laid(&base, &packed(texts, &format("webdataset")), &format("webdataset"));
    let names = |store| manifest(store).splits.into_iter().map(|s| s.name).collect::<Vec<_>>();
    assert_eq!(names(&over), ["train", "val"]);
    let mut seen = 0;
    for split in ["train", "val"] {
        let mut options = options(0, 1);
        options.split = Some(split.to_owned());
        let reader = open(&base, &[&over], &options).unwrap();
        let found = read(&mut reader.epoch(0), usize::MAX);
        assert!(found.values().all(|fields| *fields == 2));
        seen += found.len();
        // A channel of the split has its shards alone.
        let less = Arc::new(MemoryStore::new());
        for key in over.keys("").unwrap() {
            if !key.starts_with("shards/") || key.contains(split) {
                let bytes = shardpack_dataset::read(&*over, &key).unwrap();
                less.put(&key, &bytes, PutMode::Create).unwrap();
            }
        }
        let reader = open(&base, &[&less], &options).unwrap();
        assert_eq!(read(&mut reader.epoch(0), usize::MAX), found);
        let all = open(&base, &[&less], &self::options(0, 1)).unwrap_err().to_string();
        assert!(all.contains("is not there"), "{all}");
    }
    assert_eq!(seen, 60);
}

/// Changes a byte in the body of a field of the first record of a shard; gives its key.
fn damage(store: &MemoryStore, shard: usize, record: usize) -> String {
    let dataset = Dataset::open(store).unwrap();
    let index = shardpack_dataset::index(&dataset, shard).unwrap().unwrap();
    let record = index.get(record).unwrap();
    let offset = record.fields.clone().next().unwrap().offset.unwrap() as usize;
    let path = &dataset.shards()[shard].path;
    let mut bytes = shardpack_dataset::read(store, path).unwrap();
    bytes[offset] ^= 1;
    store.put(path, &bytes, PutMode::Replace).unwrap();
    record.key.to_owned()
}

#[test]
fn damage_in_one_is_damage_in_both_and_counted_once() {
    let base = base("webdataset");
    let over = laid(&base, &texts(&["txt"], |_| false), &format("webdataset"));
    let clean: Vec<String> = {
        let reader = open(&base, &[&over], &options(0, 1)).unwrap();
        reader.epoch(0).map(|sample| sample.unwrap().key().to_owned()).collect()
    };
    // Both of one sample, one of each of two others.
    let mut damaged = vec![damage(&base, 0, 3), damage(&base, 1, 0), damage(&over, 2, 1)];
    assert_eq!(damage(&over, 0, 3), damaged[0]);
    damaged.sort();
    // The first of an epoch has none before it that could stand in.
    let mut seed = 0;
    let first = loop {
        let mut options = options(0, 1);
        options.plan.seed = seed;
        let reader = open(&base, &[&over], &options).unwrap();
        if matches!(reader.epoch(0).next(), Some(Err(Error::Damaged(_)))) {
            break seed;
        }
        seed += 1;
        assert!(seed < 1000, "no epoch begins with a damaged sample");
    };
    for (seed, threads) in [(0, 0), (first, 3)] {
        let mut options = options(0, 1);
        (options.plan.seed, options.threads) = (seed, Some(threads));
        let reader = open(&base, &[&over], &options).unwrap();
        let mut samples = reader.epoch(0);
        let mut lost = Vec::new();
        for sample in samples.by_ref() {
            match sample {
                Ok(sample) => assert_eq!(sample.fields().count(), 4),
                Err(Error::Damaged(skipped)) => lost.push(skipped.key),
                Err(error) => panic!("{error}"),
            }
        }
        lost.sort();
        assert_eq!((&lost, samples.left(), samples.stats().samples), (&damaged, 0, 87));

        options.damage = Damage::Skip { most: 3 };
        let reader = open(&base, &[&over], &options).unwrap();
        let mut samples = reader.epoch(0);
        let found: Vec<Sample> = samples.by_ref().map(Result::unwrap).collect();
        assert_eq!(found.len(), 90);
        let stands_in = |sample: &&Sample| !sample.is_real();
        assert_eq!(found.iter().filter(stands_in).count(), 3);
        assert!(found.iter().all(|sample| !damaged.contains(&sample.key().to_owned())));
        assert!(found.iter().zip(0..).all(|(sample, at)| sample.position() == at));
        let mut skipped: Vec<_> =
            samples.stats().skipped.iter().map(|skipped| skipped.key.clone()).collect();
        skipped.sort();
        assert_eq!(skipped, damaged);
        if seed == 0 {
            let same = found.iter().zip(&clean).filter(|(sample, key)| sample.key() == **key);
            assert_eq!(same.count(), 87, "all others stand where they stood");
        }
        options.damage = Damage::Skip { most: 2 };
        let mut samples = open(&base, &[&over], &options).unwrap().epoch(0);
        let error = samples.by_ref().find_map(Result::err).unwrap();
        assert!(matches!(error, Error::TooManyDamaged { most: 2, .. }), "{error}");
        assert!(samples.next().is_none());
    }
}
