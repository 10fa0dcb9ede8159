//! What it takes until the first sample is there: it must not grow with the number of shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::plan::Shuffle;
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::{
    Lock, MemoryStore, MemoryTree, Object, ObjectMeta, PutMode, Result, Store, Upload,
};

/// What was asked of a store.
#[derive(Debug, Default)]
struct Counts {
    lists: AtomicU64,
    opens: AtomicU64,
    /// Bytes of all but the manifest, which has a row for each shard.
    bytes: AtomicU64,
    manifests: AtomicU64,
}

impl Counts {
    fn told(&self) -> [u64; 4] {
        [&self.lists, &self.opens, &self.bytes, &self.manifests].map(|count| count.load(Relaxed))
    }
}

#[derive(Debug)]
struct Counting {
    store: MemoryStore,
    counts: Arc<Counts>,
}

#[derive(Debug)]
struct Counted {
    object: Box<dyn Object>,
    is_manifest: bool,
    counts: Arc<Counts>,
}

impl Object for Counted {
    fn len(&self) -> u64 {
        self.object.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let read = self.object.read_at(offset, buf)?;
        if !self.is_manifest {
            self.counts.bytes.fetch_add(read as u64, Relaxed);
        }
        Ok(read)
    }
}

impl Store for Counting {
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.counts.lists.fetch_add(1, Relaxed);
        self.store.list(prefix)
    }

    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let is_manifest = key == "manifest.json";
        let count = if is_manifest { &self.counts.manifests } else { &self.counts.opens };
        count.fetch_add(1, Relaxed);
        let object = self.store.open(key)?;
        Ok(Box::new(Counted { object, is_manifest, counts: Arc::clone(&self.counts) }))
    }

    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>> {
        self.store.create(key, len)
    }

    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
        self.store.put(key, bytes, mode)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.store.rename(from, to)
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.store.remove(key)
    }

    fn sweep(&self, prefix: &str) -> Result<u64> {
        self.store.sweep(prefix)
    }

    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>> {
        self.store.lock(prefix)
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// Samples of a shard, and of a window of a lane.
const SAMPLES: u64 = 4;

/// What construction asks for, and what it has asked for when the first sample is there.
fn first_sample(shards: u64, shuffle: Shuffle) -> [[u64; 4]; 2] {
    let files: Vec<_> = (0..shards * SAMPLES).map(|i| (format!("{i:06}.txt"), "x")).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, *body)));
    let store = MemoryStore::new();
    let options = PackOptions {
        format: "tfrecord".into(),
        target: 1 << 20,
        max_samples: Some(SAMPLES),
        ..PackOptions::default()
    };
    pack(&files, &store, &options, &Progress::default()).unwrap();
    let counts = Arc::new(Counts::default());
    let store = Arc::new(Counting { store, counts: Arc::clone(&counts) });
    let mut options = ReadOptions::default();
    options.plan.shuffle = shuffle;
    options.threads = Some(0); // nothing is read ahead: each count is the same in each run
    let reader = Reader::of_store(store, options).unwrap();
    assert_eq!(reader.manifest().shards.len() as u64, shards);
    let made = counts.told();
    reader.epoch(0).next().unwrap().unwrap();
    [made, counts.told()]
}

#[test]
fn opens_and_bytes_do_not_grow_with_the_number_of_shards() {
    for shuffle in ["off", "window:4:shard", "window:4:2", "exact"] {
        let shuffle: Shuffle = shuffle.parse().unwrap();
        let [few, many] = [1_000, 10_000].map(|shards| {
            let [made, first] = first_sample(shards, shuffle);
            // One listing, and the manifest: no index, no shard.
            assert_eq!(made, [1, 0, 0, 1], "{shards} shards, {shuffle}");
            assert_eq!([first[0], first[3]], [1, 1], "{shards} shards, {shuffle}");
            [first[1], first[2]]
        });
        // At most a window, each sample of which may lie in a shard of its own, with its index. Of
        // fewer shards more samples lie in the same one.
        assert!(few[0] >= 2 && few[1] > 0, "{shuffle}");
        assert!((0..2).all(|i| many[i] <= few[i] * 5 / 4), "{shuffle}: {few:?}, then {many:?}");
    }
}
