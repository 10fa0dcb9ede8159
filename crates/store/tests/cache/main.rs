//! A store behind a cache: what is read stays right whatever happens to the folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use proptest::prelude::*;
use rustix::fs::{FlockOperation, flock};
use shardpack_store::{
    Cache, CacheOptions, CachedStore, LocalOptions, LocalStore, Lock, MemoryStore, Object,
    ObjectMeta, PutMode, Result, Store, Upload,
};
use shardpack_testkit::store_suite::{pattern, store_suite};

mod processes;

const BLOCK: usize = 1 << 20;
/// What a block's file has beyond its bytes, at most.
const TRAILER: u64 = 104;

/// Memory that tells versions and counts what is read from it.
#[derive(Clone, Debug, Default)]
struct Remote {
    store: MemoryStore,
    bytes: Arc<AtomicU64>,
    /// Says that objects are changed while they are read.
    restless: Arc<AtomicBool>,
}

impl Remote {
    fn with(objects: &[(&str, &[u8])]) -> Self {
        let remote = Self::default();
        for (key, bytes) in objects {
            remote.store.put(key, bytes, PutMode::Replace).unwrap();
        }
        remote
    }

    /// Bytes that were read since the last call.
    fn taken(&self) -> u64 {
        self.bytes.swap(0, SeqCst)
    }
}

#[derive(Debug)]
struct Counted {
    object: Box<dyn Object>,
    remote: Remote,
    version: String,
}

impl Object for Counted {
    fn len(&self) -> u64 {
        self.object.len()
    }

    fn version(&self) -> Option<String> {
        let changed = self.remote.restless.load(SeqCst) && self.remote.bytes.load(SeqCst) > 0;
        Some(format!("{}{changed}", self.version))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let read = self.object.read_at(offset, buf)?;
        self.remote.bytes.fetch_add(read as u64, SeqCst);
        Ok(read)
    }
}

impl Store for Remote {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let object = self.store.open(key)?;
        let mut bytes = vec![0; object.len() as usize];
        object.read_at(0, &mut bytes)?;
        let version = format!("{:016x}", shardpack_formats::crc64nvme(&bytes));
        Ok(Box::new(Counted { object, remote: self.clone(), version }))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.store.list(prefix)
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
        "remote".into()
    }
}

fn cached(remote: &Remote, folder: &Path, most: u64) -> CachedStore {
    let cache = Cache::new(&CacheOptions::new(folder).most(most));
    CachedStore::new(Arc::new(remote.clone()), cache)
}

fn read(store: &dyn Store, key: &str) -> Vec<u8> {
    let object = store.open(key).unwrap();
    let mut bytes = vec![0; object.len() as usize];
    assert_eq!(object.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

/// The files of the cache below `blocks`, with their lengths.
fn files(folder: &Path) -> Vec<(PathBuf, u64)> {
    let shelves = fs::read_dir(folder.join("blocks")).into_iter().flatten();
    let entries = shelves.flat_map(|shelf| fs::read_dir(shelf.unwrap().path())).flatten();
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.unwrap();
            Some((entry.path(), entry.metadata().ok()?.len()))
        })
        .collect();
    files.sort();
    files
}

/// Bytes in all files of the cache, while nobody adds or renames any.
fn held(folder: &Path) -> u64 {
    let usage = fs::File::open(folder.join("usage"));
    if let Ok(usage) = &usage {
        flock(usage, FlockOperation::LockExclusive).unwrap();
    }
    files(folder).iter().map(|(_, len)| len).sum()
}

#[test]
fn a_cached_store_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    for most in [100, 2 << 20, 1 << 30] {
        store_suite(&|| Box::new(cached(&Remote::default(), folder.path(), most)));
        assert!(held(folder.path()) <= most);
    }
    assert!(!files(folder.path()).is_empty());
}

#[test]
fn what_was_read_is_not_fetched_again() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), pattern(3 * BLOCK + 12_345));
    let remote = Remote::with(&[("a", &bytes), ("b", b"small"), ("empty", b"")]);
    let store = cached(&remote, folder.path(), 1 << 30);
    let object = store.open("a").unwrap();
    let mut some = vec![0; 10];
    assert_eq!(object.read_at(BLOCK as u64 - 5, &mut some).unwrap(), 10);
    assert_eq!(some, bytes[BLOCK - 5..BLOCK + 5]);
    assert_eq!(remote.taken(), 2 * BLOCK as u64, "the two blocks that the range touches");
    for round in 0..2 {
        assert!(read(&store, "a") == bytes && read(&store, "b") == b"small");
        assert_eq!(read(&store, "empty"), b"");
        let missing = if round == 0 { bytes.len() - 2 * BLOCK + 5 } else { 0 };
        assert_eq!(remote.taken(), missing as u64, "round {round}");
    }
    let traffic = store.traffic();
    assert_eq!(traffic.fetched, bytes.len() as u64 + 5);
    assert_eq!(traffic.cached, (bytes.len() + 2 * BLOCK + 5) as u64);
    assert_eq!(traffic.trouble, None);
    // Another store on the same folder, as another process has it.
    let other = cached(&remote, folder.path(), 1 << 30);
    assert!(read(&other, "a") == bytes);
    assert_eq!((remote.taken(), other.traffic().fetched), (0, 0));
}

#[test]
fn an_object_that_was_replaced_is_another() {
    let (folder, old) = (tempfile::tempdir().unwrap(), pattern(BLOCK + 7));
    let new: Vec<u8> = old.iter().map(|byte| !byte).collect();
    let remote = Remote::with(&[("a", &old)]);
    let store = cached(&remote, folder.path(), 1 << 30);
    assert!(read(&store, "a") == old);
    remote.store.put("a", &new, PutMode::Replace).unwrap();
    assert!(read(&store, "a") == new);
    remote.store.remove("a").unwrap();
    assert!(store.open("a").unwrap_err().is_not_found());
}

/// A file that was just written may be written again within the same tick of its clock.
#[test]
fn a_file_has_a_version_once_it_has_settled() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("new"), "1").unwrap();
    let old = fs::File::create(folder.path().join("old")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap(); // as unpacking does: it changes a time, too
    let open = |folder: &Path, name: &str| {
        LocalStore::open(folder, &LocalOptions::default()).open(name).unwrap().version()
    };
    assert_eq!((open(folder.path(), "new"), open(folder.path(), "old")), (None, None));
    let settled = open(Path::new("/usr/bin"), "env").expect("an old file");
    assert_eq!(open(Path::new("/usr/bin"), "env"), Some(settled.clone()));
    assert_ne!(open(Path::new("/etc"), "passwd").expect("an old file"), settled);
}

#[test]
fn what_changes_while_it_is_read_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let remote = Remote::with(&[("a", &pattern(100))]);
    remote.restless.store(true, SeqCst);
    let store = cached(&remote, folder.path(), 1 << 30);
    assert_eq!(read(&store, "a"), pattern(100));
    assert_eq!(files(folder.path()), [], "nor is its part left");
}

#[test]
fn damaged_blocks_are_fetched_again() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), pattern(2 * BLOCK + 99));
    let remote = Remote::with(&[("a", &bytes)]);
    read(&cached(&remote, folder.path(), 1 << 30), "a");
    let (path, len) = files(folder.path())[1].clone();
    let whole = fs::read(&path).unwrap();
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let damages: [Damage<'_>; 5] = [
        &|file| file[70_000] ^= 4,
        &|file| *file.last_mut().unwrap() ^= 1,
        &|file| file.truncate(len as usize / 2),
        &Vec::clear,
        &|file| file.fill(0),
    ];
    for (i, damage) in damages.iter().enumerate() {
        let mut file = whole.clone();
        damage(&mut file);
        fs::write(&path, &file).unwrap();
        remote.taken();
        // A new store: one that has the block open has it whole.
        let store = cached(&remote, folder.path(), 1 << 30);
        assert!(read(&store, "a") == bytes, "damage {i}");
        assert_eq!(remote.taken(), BLOCK as u64, "damage {i}");
        assert!(fs::read(&path).unwrap() == whole, "damage {i} is mended");
        assert_eq!(store.traffic().trouble, None);
    }
}

#[test]
fn the_limit_holds_and_the_oldest_goes_first() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = pattern(BLOCK);
    let keys: Vec<String> = (0..12).map(|i| format!("{i:02}")).collect();
    let objects: Vec<(&str, &[u8])> = keys.iter().map(|key| (&**key, &*bytes)).collect();
    let remote = Remote::with(&objects);
    let most = 5 * (BLOCK as u64 + TRAILER);
    // A new store each time: a block that a store has open counts as used when it was opened.
    let read = |key: &str| {
        assert!(read(&cached(&remote, folder.path(), most), key) == bytes);
        assert!(held(folder.path()) <= most, "{} bytes after {key}", held(folder.path()));
        remote.taken() > 0
    };
    let fetched: Vec<bool> = keys.iter().map(|key| read(key)).collect();
    assert_eq!(fetched, [true; 12]);
    assert!(files(folder.path()).len() >= 4, "no more is evicted than must be");
    assert!(!read("11") && !read("10") && read("00"), "the last are there, the first is not");
    // What is used stays, what is not goes.
    for key in ["01", "02", "03", "04", "05"] {
        assert!(read(key));
        assert!(!read("11"), "after {key}");
    }
    fs::write(folder.path().join("blocks/stranger"), "kept").unwrap();
    keys.iter().for_each(|key| {
        read(key);
    });
    assert!(folder.path().join("blocks/stranger").exists(), "eviction knows its own files");
}

#[test]
fn an_unusable_folder_is_read_past_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    fs::write(&file, "").unwrap();
    let link = scratch.path().join("loop");
    std::os::unix::fs::symlink(&link, &link).unwrap();
    for folder in [file.join("below"), link, PathBuf::from("/proc/1/no-cache-here")] {
        let remote = Remote::with(&[("a", &pattern(BLOCK + 1))]);
        let store = cached(&remote, &folder, 1 << 30);
        for _ in 0..2 {
            assert!(read(&store, "a") == pattern(BLOCK + 1), "{}", folder.display());
        }
        let traffic = store.traffic();
        assert!(traffic.trouble.is_some(), "{}", folder.display());
        assert_eq!((traffic.cached, traffic.fetched), (0, 2 * (BLOCK as u64 + 1)));
    }
}

/// Needs a file system of its own, so it does nothing without the right to mount one.
#[test]
fn a_full_disk_is_read_past_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let status = Command::new(args[0]).args(&args[1..]).arg(folder.path()).status();
        status.is_ok_and(|status| status.success())
    };
    if !run(&["mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs"]) {
        return;
    }
    let bytes = pattern(6 * BLOCK);
    let remote = Remote::with(&[("a", &bytes)]);
    let half =
        CachedStore::new(Arc::new(remote.clone()), Cache::new(&CacheOptions::new(folder.path())));
    assert!(read(&half, "a") == bytes);
    let traffic = half.traffic();
    assert_eq!((traffic.trouble, files(folder.path()).len()), (None, 2), "half by default");
    let greedy = cached(&remote, folder.path(), 1 << 30);
    assert!(read(&greedy, "a") == bytes);
    let trouble = greedy.traffic().trouble.unwrap_or_default();
    assert!(trouble.contains("No space left"), "{trouble}");
    assert!(trouble.contains(&*folder.path().to_string_lossy()), "{trouble}");
    assert_eq!(files(folder.path()).len(), 4, "a twentieth stays free");
    assert!(read(&greedy, "a") == bytes, "what is there is used all the same");
    assert_eq!(greedy.traffic().cached, (2 + 4) * BLOCK as u64);
    drop((half, greedy));
    assert!(run(&["umount"]));
}

#[test]
fn a_folder_that_is_removed_is_made_again() {
    let scratch = tempfile::tempdir().unwrap();
    let folder = scratch.path().join("deep/cache");
    let remote = Remote::with(&[("a", &pattern(BLOCK)), ("b", &pattern(BLOCK))]);
    let store = cached(&remote, &folder, 1 << 30);
    assert!(!folder.exists(), "nothing is made before something is read");
    read(&store, "a");
    fs::remove_dir_all(&folder).unwrap();
    assert!(read(&store, "a") == pattern(BLOCK) && read(&store, "b") == pattern(BLOCK));
    assert_eq!(store.traffic().trouble, None);
    assert!(!files(&folder).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Reads of any kind give what the plain store gives, while blocks are evicted all the time.
    #[test]
    fn reads_are_those_of_the_plain_store(
        most in prop_oneof![Just(0), 1u64..5_000_000],
        lens in prop::collection::vec(0usize..3_000_000, 1..4),
        reads in prop::collection::vec((0usize..4, 0.0..1.1f64, 0usize..1_500_000), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let remote = Remote::default();
        for (i, len) in lens.iter().enumerate() {
            remote.store.put(&i.to_string(), &pattern(*len)[..], PutMode::Create).unwrap();
        }
        let stores = [cached(&remote, folder.path(), most), cached(&remote, folder.path(), most)];
        for (i, (object, place, len)) in reads.into_iter().enumerate() {
            let key = (object % lens.len()).to_string();
            let plain = remote.store.open(&key).unwrap();
            let offset = (plain.len() as f64 * place) as u64;
            let (mut expected, mut found) = (vec![7; len], vec![7; len]);
            let n = plain.read_at(offset, &mut expected).unwrap();
            let object = stores[i % 2].open(&key).unwrap();
            prop_assert_eq!(object.read_at(offset, &mut found).unwrap(), n);
            prop_assert!(found == expected, "{} bytes of {} at {}", len, key, offset);
            prop_assert!(held(folder.path()) <= most);
        }
        prop_assert_eq!(stores[0].traffic().trouble, None);
    }
}

#[test]
fn threads_that_want_the_same_fetch_it_once() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), pattern(9 * BLOCK));
    let remote = Remote::with(&[("a", &bytes)]);
    let stores: Vec<_> = (0..3).map(|_| cached(&remote, folder.path(), 1 << 30)).collect();
    thread::scope(|scope| {
        for i in 0..9 {
            let (store, bytes) = (&stores[i % 3], &bytes);
            scope.spawn(move || {
                let object = store.open("a").unwrap();
                let mut piece = vec![0; 300_000];
                for step in 0..40 {
                    let offset = (step * 7919 * 131 + i * 4096) % (bytes.len() - piece.len());
                    object.read_at(offset as u64, &mut piece).unwrap();
                    assert!(piece == bytes[offset..offset + piece.len()]);
                }
            });
        }
    });
    assert_eq!(remote.taken(), bytes.len() as u64);
}
