//! Datasets that were packed, read as training jobs read them.

use std::collections::BTreeMap;
use std::sync::Arc;

use shardpack_formats::Compression;
use shardpack_manifest::{Digest, Manifest};
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::plan::{Part, Shuffle, Tail};
use shardpack_reader::{Damage, Error, ReadOptions, Reader, Sample};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};

const FORMATS: [&str; 4] = ["webdataset", "tfrecord", "recordio", "recordio-protobuf"];

/// A dataset of 300 samples of two fields in about ten shards. Some bodies hold RecordIO's magic
/// word, at which that format splits records.
fn dataset(format: &str) -> Arc<MemoryStore> {
    let body = |i: usize| {
        let mut body = vec![i as u8; 10 + i % 50];
        if i.is_multiple_of(7) {
            body.resize(16, 0);
            body.extend_from_slice(&0xced7_230a_u32.to_le_bytes());
        }
        body
    };
    let files = (0..300).flat_map(|i| {
        let class = i % 3;
        [
            (format!("{class}/{i:03}.jpg"), body(i)),
            (format!("{class}/{i:03}.txt"), format!("text {i}").into_bytes()),
        ]
    });
    let two_fields = format == "webdataset" || format == "tfrecord";
    let files: Vec<_> = files.filter(|(name, _)| two_fields || name.ends_with(".jpg")).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let options = PackOptions { format: format.into(), target: 10_000, ..PackOptions::default() };
    let store = MemoryStore::new();
    pack(&files, &store, &options, &Progress::default()).unwrap();
    Arc::new(store)
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

/// How often each sample was real, and the sum of digests.
#[derive(Debug, Default)]
struct Seen {
    keys: BTreeMap<String, u32>,
    digest: Digest,
    steps: Vec<u64>,
}

impl Seen {
    fn read(&mut self, reader: &Reader, epoch: u64, most: usize) -> shardpack_reader::plan::State {
        let mut samples = reader.epoch(epoch);
        let mut steps = 0;
        for sample in samples.by_ref().take(most) {
            let sample = sample.unwrap();
            steps += 1;
            if sample.is_real() {
                *self.keys.entry(sample.key().to_owned()).or_default() += 1;
            }
        }
        self.steps.push(steps);
        self.digest += samples.digest();
        samples.state()
    }

    fn whole(&self, manifest: &Manifest) {
        assert_eq!(self.digest, manifest.digest);
        assert_eq!(self.keys.len() as u64, manifest.totals.samples);
        assert!(self.keys.values().all(|times| *times == 1), "{:?}", self.keys);
        assert!(self.steps.iter().all(|steps| *steps == self.steps[0]), "{:?}", self.steps);
    }
}

#[test]
fn an_epoch_is_every_sample_once_in_every_format_world_and_shuffle() {
    for format in FORMATS {
        let store = dataset(format);
        let manifest = manifest(&store);
        assert!(manifest.shards.len() > 1, "{format}");
        for shuffle in ["off", "exact", "window:32:shard", "window:16:8"] {
            for (world, threads) in [(1, 0), (1, 3), (2, 1), (7, 2)] {
                let mut seen = Seen::default();
                for rank in 0..world {
                    let mut options = options(rank, world);
                    options.plan.shuffle = shuffle.parse::<Shuffle>().unwrap();
                    options.threads = Some(threads);
                    options.memory = 4000; // a few samples: threads must wait for the loop
                    let reader = Reader::of_store(store.clone(), options).unwrap();
                    seen.read(&reader, 3, usize::MAX);
                }
                seen.whole(&manifest);
            }
        }
    }
}

#[test]
fn bytes_are_those_of_the_files() {
    for format in FORMATS {
        let reader = Reader::of_store(dataset(format), options(0, 1)).unwrap();
        let found = reader.find("1/007").unwrap().unwrap();
        let sample = reader.get(found).unwrap();
        let mut want = vec![7; 16];
        want.extend_from_slice(&0xced7_230a_u32.to_le_bytes());
        let name = sample.fields().next().unwrap().0.to_owned();
        assert_eq!(sample.field(&name), Some(&*want), "{format}");
        assert_eq!(sample.field("none"), None);
        assert!(reader.find("1/008").unwrap().is_none());
    }
}

#[test]
fn many_lookups_come_back_in_the_order_of_asking() {
    let reader = Reader::of_store(dataset("tfrecord"), options(0, 1)).unwrap();
    let keys = ["2/299", "0/000", "1/100", "0/000", "2/002"];
    let places: Vec<_> = keys.iter().map(|key| reader.find(key).unwrap().unwrap()).collect();
    let samples = reader.get_many(&places).unwrap();
    assert_eq!(samples.iter().map(Sample::key).collect::<Vec<_>>(), keys);
    assert!(reader.get_many(&[]).unwrap().is_empty());
}

#[test]
fn another_world_goes_on_where_one_stopped() {
    let store = dataset("webdataset");
    let manifest = manifest(&store);
    for (first, second, steps) in [(3, 5, 7), (3, 2, 40), (1, 4, 299), (4, 1, 0)] {
        let mut seen = Seen::default();
        let mut saved = None;
        for rank in 0..first {
            let reader = Reader::of_store(store.clone(), options(rank, first)).unwrap();
            let state = seen.read(&reader, 0, steps);
            assert!(saved.is_none() || saved == Some(state.clone()), "ranks save the same");
            saved = Some(state);
        }
        seen.steps.clear();
        let saved = saved.map(|state| state.to_string().parse().unwrap());
        for rank in 0..second {
            let options = options(rank, second);
            let reader = Reader::resume_store(store.clone(), options, saved.as_ref()).unwrap();
            seen.read(&reader, 0, usize::MAX);
        }
        seen.whole(&manifest);
    }
}

#[test]
fn the_same_seed_gives_the_same_order_and_another_another() {
    let store = dataset("recordio");
    let order = |seed, epoch, threads| {
        let mut options = options(0, 1);
        options.plan.seed = seed;
        options.threads = Some(threads);
        let reader = Reader::of_store(store.clone(), options).unwrap();
        reader.epoch(epoch).map(|s| s.unwrap().key().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(order(1, 0, 0), order(1, 0, 4));
    assert_ne!(order(1, 0, 0), order(2, 0, 0));
    assert_ne!(order(1, 0, 0), order(1, 1, 0));
}

/// Flips one byte in the body of the first sample of the first shard.
fn damaged(format: &str) -> (Arc<MemoryStore>, String, String) {
    let store = dataset(format);
    let path = manifest(&store).shards[0].path.clone();
    let reader = Reader::of_store(store.clone(), options(0, 1)).unwrap();
    let sample = reader.get(shardpack_reader::plan::SampleId { shard: 0, ordinal: 0 }).unwrap();
    let body = sample.fields().next().unwrap().1.to_vec();
    let mut bytes = shardpack_dataset::read(&*store, &path).unwrap();
    let at = bytes.windows(body.len()).position(|window| window == body).unwrap();
    bytes[at] ^= 1;
    store.put(&path, &bytes, PutMode::Replace).unwrap();
    (store, path, sample.key().to_owned())
}

#[test]
fn a_damaged_sample_is_named_and_the_next_call_goes_on() {
    for format in FORMATS {
        let (store, path, key) = damaged(format);
        let reader = Reader::of_store(store, options(0, 1)).unwrap();
        let mut samples = reader.epoch(0);
        let (good, bad): (Vec<_>, Vec<_>) = samples.by_ref().partition(Result::is_ok);
        assert_eq!((good.len(), bad.len()), (299, 1), "{format}");
        let Err(Error::Damaged(skipped)) = &bad[0] else { panic!("{:?}", bad[0]) };
        assert_eq!((&skipped.shard, &skipped.key, skipped.record), (&path, &key, 0), "{format}");
    }
}

#[test]
fn a_damaged_sample_is_replaced_and_counted_where_asked() {
    let (store, _, key) = damaged("tfrecord");
    let skip = |most| {
        let mut options = options(0, 1);
        options.damage = Damage::Skip { most };
        Reader::of_store(store.clone(), options).unwrap()
    };
    let reader = skip(1);
    let mut samples = reader.epoch(0);
    let real = samples.by_ref().filter(|sample| sample.as_ref().unwrap().is_real()).count();
    assert_eq!((real, samples.stats().samples), (299, 300));
    assert_eq!(samples.stats().skipped.iter().map(|s| &*s.key).collect::<Vec<_>>(), [&*key]);
    let error = skip(0).epoch(0).find_map(Result::err).unwrap();
    assert!(
        matches!(&error, Error::TooManyDamaged { most: 0, last } if last.key == key),
        "{error}"
    );
}

#[test]
fn a_shard_that_is_cut_or_missing_is_named() {
    let store = dataset("tfrecord");
    let path = manifest(&store).shards[2].path.clone();
    let bytes = shardpack_dataset::read(&*store, &path).unwrap();
    store.put(&path, &bytes[..bytes.len() - 1], PutMode::Replace).unwrap();
    let reader = Reader::of_store(store.clone(), options(0, 1)).unwrap();
    let mut samples = reader.epoch(0);
    let error = samples.find_map(Result::err).unwrap();
    assert!(matches!(&error, Error::Shard { shard, .. } if *shard == path), "{error}");
    assert!(samples.next().is_none(), "nothing follows");
    store.remove(&path).unwrap();
    let error = Reader::of_store(store.clone(), options(0, 1)).unwrap_err();
    assert!(error.to_string().contains(&path), "{error}");
    let index = manifest(&store).shards[1].index.path.clone();
    store.put(&path, &bytes, PutMode::Replace).unwrap();
    store.remove(&index).unwrap();
    let reader = Reader::of_store(store, options(0, 1)).unwrap();
    let error = reader.epoch(0).find_map(Result::err).unwrap();
    assert!(error.to_string().contains(&index), "{error}");
}

#[test]
fn deleted_samples_are_not_read() {
    let store = dataset("webdataset");
    let mut manifest = manifest(&store);
    manifest.tombstones = vec!["0/000".into(), "1/100".into()];
    store.put("manifest.json", &manifest.to_bytes().unwrap(), PutMode::Replace).unwrap();
    let reader = Reader::of_store(store, options(0, 1)).unwrap();
    let keys: Vec<_> = reader.epoch(0).map(|s| s.unwrap().key().to_owned()).collect();
    assert_eq!(keys.len(), 298);
    assert!(keys.iter().all(|key| key != "0/000" && key != "1/100"));
}

#[test]
fn workers_share_the_batches_of_a_rank() {
    let store = dataset("tfrecord");
    let mut options = options(1, 2);
    options.plan.batch = Some(4);
    let reader = Reader::of_store(store, options).unwrap();
    let key = |sample: shardpack_reader::Result<Sample>| sample.unwrap().key().to_owned();
    let alone: Vec<_> = reader.epoch(0).map(key).collect();
    let workers: Vec<Vec<_>> =
        (0..3).map(|w| reader.worker(0, w, 3, 4).unwrap().map(key).collect()).collect();
    let together: Vec<_> = (0..alone.len() / 4)
        .flat_map(|batch| workers[batch % 3][batch / 3 * 4..][..4].to_vec())
        .collect();
    assert_eq!(alone, together);
}

#[test]
fn compressed_shards_are_read_too() {
    let files: Vec<_> = (0..50).map(|i| (format!("{i}.txt"), format!("text {i}"))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let pack_options =
        PackOptions { compression: Compression::Zstd, target: 8_000, ..PackOptions::default() };
    let store = Arc::new(MemoryStore::new());
    pack(&files, &*store, &pack_options, &Progress::default()).unwrap();
    let mut seen = Seen::default();
    seen.read(&Reader::of_store(store.clone(), options(0, 1)).unwrap(), 0, usize::MAX);
    seen.whole(&manifest(&store));
}
