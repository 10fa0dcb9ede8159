//! A store whose objects are kept on a local disk as they are read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_128;

use super::Cache;
use super::block::{BLOCK, BlockId};
use super::folder::{Claim, Part};
use crate::{Lock, Object, ObjectMeta, PutMode, Result, Store, Traffic, Upload};

/// A store that reads through a [`Cache`]. Writes go straight to the store behind it.
///
/// Every object is opened at the store, which tells its version; so a manifest that was replaced is
/// read anew, and what comes from the cache are the bytes that the store has now. An object whose
/// store tells no version is not kept.
///
/// ```
/// use std::sync::Arc;
///
/// use shardpack_store::{Cache, CacheOptions, CachedStore, LocalOptions, LocalStore, Store};
///
/// let (remote, near) = (tempfile::tempdir()?, tempfile::tempdir()?);
/// std::fs::write(remote.path().join("a.tar"), "bytes")?;
/// let store = LocalStore::open(remote.path(), &LocalOptions::default());
///
/// let cache = Cache::new(&CacheOptions::new(near.path()).most(1 << 30));
/// let store = CachedStore::new(Arc::new(store), cache);
/// let mut bytes = [0; 5];
/// assert_eq!(store.open("a.tar")?.read_at(0, &mut bytes)?, 5);
/// assert_eq!(&bytes, b"bytes");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CachedStore {
    inner: Arc<dyn Store>,
    cache: Cache,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    cached: AtomicU64,
    fetched: AtomicU64,
}

impl CachedStore {
    /// Reads the objects of `inner` through `cache`.
    pub fn new(inner: Arc<dyn Store>, cache: Cache) -> Self {
        Self { inner, cache, counts: Arc::default() }
    }
}

impl Store for CachedStore {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let object = self.inner.open(key)?;
        let Some(version) = object.version() else { return Ok(object) };
        let (place, len) = (self.inner.describe(), object.len());
        // Lengths keep apart what else might be one text made of other parts.
        let name = format!("{}:{place}{}:{key}{len}:{version}", place.len(), key.len());
        Ok(Box::new(CachedObject {
            name: xxh3_128(name.as_bytes()),
            inner: object,
            version,
            cache: self.cache.clone(),
            counts: Arc::clone(&self.counts),
        }))
    }

    fn traffic(&self) -> Traffic {
        let own = Traffic {
            retries: 0,
            cached: self.counts.cached.load(Relaxed),
            fetched: self.counts.fetched.load(Relaxed),
            trouble: self.cache.trouble(),
        };
        own + self.inner.traffic()
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        self.inner.keys(prefix)
    }

    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>> {
        self.inner.create(key, len)
    }

    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
        self.inner.put(key, bytes, mode)
    }

    fn swap(&self, key: &str, old: &[u8], new: &[u8]) -> Result<()> {
        self.inner.swap(key, old, new)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)
    }

    fn moves(&self) -> bool {
        self.inner.moves()
    }

    fn gathers(&self) -> bool {
        self.inner.gathers()
    }

    fn has_room(&self) -> bool {
        self.inner.has_room()
    }

    fn prove(&self, key: &str, len: u64, crc64nvme: u64) -> Result<()> {
        self.inner.prove(key, len, crc64nvme)
    }

    fn doubts(&self, key: &str) -> Result<Vec<String>> {
        self.inner.doubts(key)
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.inner.remove(key)
    }

    fn sweep(&self, prefix: &str) -> Result<u64> {
        self.inner.sweep(prefix)
    }

    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>> {
        self.inner.lock(prefix)
    }

    fn locks(&self) -> bool {
        self.inner.locks()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}

#[derive(Debug)]
struct CachedObject {
    inner: Box<dyn Object>,
    /// Hash of address, length and version.
    name: u128,
    version: String,
    cache: Cache,
    counts: Arc<Counts>,
}

/// Longest wait for a block that another thread or process fetches; then it is fetched here too.
/// Twice the time in which a request for it may stall and be repeated.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it is there: a fetch takes tens of milliseconds.
const LOOK: Duration = Duration::from_millis(2);
/// A block that is there and cannot be read is fetched past the cache after so many looks.
const LOOKS: u32 = 3;

impl CachedObject {
    /// Reads from byte `at` of a block.
    fn piece(&self, id: BlockId, at: usize, out: &mut [u8]) -> Result<usize> {
        let start = Instant::now();
        let mut looks = 0;
        loop {
            if self.cache.read(id, at, out) {
                self.counts.cached.fetch_add(out.len() as u64, Relaxed);
                return Ok(out.len());
            }
            match self.cache.claim(&id) {
                Some(Claim::Mine(part)) => return self.fetch(part, id, at, out),
                Some(Claim::Theirs) if start.elapsed() < PATIENCE => thread::sleep(LOOK),
                Some(Claim::There) if looks < LOOKS => looks += 1,
                _ => return self.past(id, at, out),
            }
        }
    }

    /// Fetches a block and keeps it.
    fn fetch(&self, part: Part, id: BlockId, at: usize, out: &mut [u8]) -> Result<usize> {
        let mut block = vec![0; id.len as usize];
        let read = self.inner.read_at(id.number * BLOCK, &mut block)?;
        self.counts.fetched.fetch_add(read as u64, Relaxed);
        // A file that was written to while it was open is another version by now.
        let is_same = read == block.len() && self.inner.version().as_ref() == Some(&self.version);
        if is_same {
            self.cache.commit(part, &id, &block);
        }
        let there = block.get(at..read).unwrap_or_default();
        let len = there.len().min(out.len());
        out[..len].copy_from_slice(&there[..len]);
        Ok(len)
    }

    /// Reads past the cache.
    fn past(&self, id: BlockId, at: usize, out: &mut [u8]) -> Result<usize> {
        let read = self.inner.read_at(id.number * BLOCK + at as u64, out)?;
        self.counts.fetched.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

impl Object for CachedObject {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn version(&self) -> Option<String> {
        Some(self.version.clone())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let len = self.len();
        let end = len.min(offset.saturating_add(buf.len() as u64));
        let (mut at, mut filled) = (offset, 0);
        while at < end {
            let number = at / BLOCK;
            let start = number * BLOCK;
            let id = BlockId { object: self.name, number, len: BLOCK.min(len - start) as u32 };
            let wanted = (end.min(start + BLOCK) - at) as usize;
            let read = self.piece(id, (at - start) as usize, &mut buf[filled..filled + wanted])?;
            (at, filled) = (at + read as u64, filled + read);
            if read < wanted {
                break;
            }
        }
        Ok(filled)
    }
}
