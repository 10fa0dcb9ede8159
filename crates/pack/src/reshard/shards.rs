//! The shards that bodies are read from.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use shardpack_formats::{Error as FormatError, Position, crc32c};
use shardpack_store::{Error as StoreError, ErrorKind, Object, Store};

use super::catalog::Whole;
use crate::Error;
use crate::dataset::{Dataset, decode};

/// Shards that are open at a time: far below what a process may open (1,024 on many systems).
const OPEN: usize = 128;

/// The shards of all inputs, opened when they are first read.
#[derive(Debug)]
pub(super) struct Shards {
    open: Mutex<Open>,
    /// What each was when it was first opened.
    pins: Vec<OnceLock<Pin>>,
    /// Bytes of records that may be decoded at a time.
    memory: u64,
    decoding: Mutex<u64>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct Open {
    objects: HashMap<u32, (Arc<dyn Object>, u64)>,
    clock: u64,
}

/// What an object was.
#[derive(Debug, PartialEq, Eq)]
struct Pin {
    len: u64,
    version: Option<String>,
}

impl Shards {
    /// `count` shards; `memory` bytes are for records that must be decoded.
    pub(super) fn new(count: usize, memory: u64) -> Self {
        Self {
            open: Mutex::default(),
            pins: (0..count).map(|_| OnceLock::new()).collect(),
            memory,
            decoding: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// Shard `number`, which is `key` in `store` and called `name`, of `len` bytes. One that is not
    /// what it was when it was first opened is an error.
    pub(super) fn open(
        &self,
        number: u32,
        (store, key): (&dyn Store, &str),
        len: u64,
        name: &str,
    ) -> shardpack_store::Result<Arc<dyn Object>> {
        if let Some(object) = self.opened(number) {
            return Ok(object);
        }
        let object: Arc<dyn Object> = Arc::from(store.open(key)?);
        let now = Pin { len: object.len(), version: object.version() };
        let changed = |what: String| StoreError::new(ErrorKind::Changed { what }, name);
        if now.len != len {
            return Err(changed(format!("{len} bytes when it was indexed, {} now", now.len)));
        }
        if let Some(pin) = self.pins.get(number as usize) {
            let then = pin.get_or_init(|| Pin { len, version: now.version.clone() });
            // Right after a write a file system may not tell yet.
            if let (Some(then), Some(now)) = (&then.version, &now.version)
                && then != now
            {
                return Err(changed(format!("version {then} when first read, {now} now")));
            }
        }
        let mut open = lock(&self.open);
        open.clock += 1;
        let clock = open.clock;
        open.objects.insert(number, (Arc::clone(&object), clock));
        if open.objects.len() > OPEN {
            let oldest = open.objects.iter().min_by_key(|(_, (_, used))| *used).map(|(n, _)| *n);
            oldest.and_then(|oldest| open.objects.remove(&oldest));
        }
        Ok(object)
    }

    fn opened(&self, number: u32) -> Option<Arc<dyn Object>> {
        let mut open = lock(&self.open);
        open.clock += 1;
        let clock = open.clock;
        let (object, used) = open.objects.get_mut(&number)?;
        *used = clock;
        Some(Arc::clone(object))
    }

    /// Reads a record and hands the body in it, a field called `stored` there, to `take`; gives the
    /// reason when it is no record, or the body is another one.
    pub(super) fn decoded(
        &self,
        dataset: &Dataset<'_>,
        (object, name): (&dyn Object, &str),
        (whole, stored): (&Whole, &str),
        crc: u32,
        take: impl FnOnce(&[u8]) -> shardpack_store::Result<()>,
    ) -> shardpack_store::Result<Result<(), String>> {
        if whole.len > self.memory {
            let reason = format!(
                "a record of {} bytes must be decoded whole, for which there are {}: give four times as much --memory",
                whole.len, self.memory
            );
            return Err(StoreError::new(ErrorKind::Invalid { reason }, name));
        }
        let _share = self.share(whole.len);
        let mut bytes = vec![0; whole.len as usize];
        let read = object.read_at(whole.offset, &mut bytes)?;
        if read < bytes.len() {
            return Ok(Err(format!("the shard ends {read} bytes into the record")));
        }
        let record = match decode(dataset, &bytes) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let sample = &record.sample;
        let body = sample
            .field(stored)
            .or_else(|| sample.fields.get(whole.field as usize).map(|field| sample.body(field)));
        match body.map(|body| (body, crc32c(body))) {
            Some((body, found)) if found == crc => take(body).map(Ok),
            Some((_, found)) => Ok(Err(format!(
                "field {stored:?} has crc32c {found:08x}, the source's index says {crc:08x}"
            ))),
            None => Ok(Err(format!("it has no field {stored:?}, as the source's index says"))),
        }
    }

    /// Waits until `bytes` more may be decoded.
    fn share(&self, bytes: u64) -> Share<'_> {
        let mut used = lock(&self.decoding);
        while *used > 0 && *used + bytes > self.memory {
            used = self.freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Share { shards: self, bytes }
    }
}

/// Memory for a record, given back when dropped.
struct Share<'s> {
    shards: &'s Shards,
    bytes: u64,
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        *lock(&self.shards.decoding) -= self.bytes;
        self.shards.freed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A record of a source that is not what its index says. It passes through the store's errors,
/// which know nothing of records.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    /// The shard, by input and path.
    pub(super) shard: String,
    pub(super) position: Position,
    pub(super) reason: String,
}

impl Broken {
    /// What packing says of it.
    pub(super) fn into_error(self, key: &str) -> Error {
        let source = FormatError::corrupt(self.reason, self.position);
        Error::Record { shard: self.shard, key: key.to_owned(), source }
    }

    /// As a store tells it.
    pub(super) fn into_store(self) -> StoreError {
        let name = self.shard.clone();
        StoreError::new(ErrorKind::Io(io::Error::other(self)), name)
    }

    /// What a source's error says, in packing's words where it is about a record.
    pub(crate) fn told(error: StoreError, key: &str) -> Error {
        let broken = match error.kind() {
            ErrorKind::Io(io) => io.get_ref().and_then(|inner| inner.downcast_ref::<Self>()),
            _ => None,
        };
        match broken.cloned() {
            Some(broken) => broken.into_error(key),
            None => Error::Store(error),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}, {}: {}", self.shard, self.position, self.reason)
    }
}

impl std::error::Error for Broken {}
