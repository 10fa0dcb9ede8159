//! A map as a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::key;
use crate::{Error, ErrorKind, Lock, Object, ObjectMeta, PutMode, Result, Store, Upload};

/// A tree of objects in memory. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    objects: Arc<RwLock<Objects>>,
    locks: Locks,
}

/// Prefixes that somebody holds.
type Locks = Arc<Mutex<BTreeSet<String>>>;
type Objects = BTreeMap<String, Arc<[u8]>>;

impl MemoryStore {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    fn read(&self) -> RwLockReadGuard<'_, Objects> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Objects> {
        self.objects.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let prefix = key::prefix(prefix)?;
        let objects = self.read();
        let found = objects.iter().filter(|(key, _)| key::is_below(key, prefix));
        Ok(found.map(|(key, b)| ObjectMeta { key: key.clone(), len: b.len() as u64 }).collect())
    }

    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        key::check(key)?;
        match self.read().get(key) {
            Some(bytes) => Ok(Box::new(MemoryObject(Arc::clone(bytes)))),
            None => Err(Error::new(ErrorKind::NotFound, key)),
        }
    }

    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>> {
        key::check(key)?;
        Ok(Box::new(MemoryUpload {
            store: self.clone(),
            key: key.to_owned(),
            len,
            bytes: Mutex::default(),
        }))
    }

    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
        key::check(key)?;
        let mut objects = self.write();
        if mode == PutMode::Create && objects.contains_key(key) {
            return Err(Error::new(ErrorKind::Exists, key));
        }
        objects.insert(key.to_owned(), bytes.into());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (key::folder(from)?, key::folder(to)?);
        let mut objects = self.write();
        if objects.keys().any(|key| key::is_below(key, Some(new))) {
            return Err(Error::new(ErrorKind::Exists, to));
        }
        let below = |key: &String| key::is_below(key, Some(old));
        let moving: Vec<String> = objects.keys().filter(|key| below(key)).cloned().collect();
        if moving.is_empty() {
            return Err(Error::new(ErrorKind::NotFound, from));
        }
        if key::is_below(new, Some(old)) {
            return Err(Error::invalid(to, "lies below what is moved"));
        }
        for key in moving {
            if let Some(bytes) = objects.remove(&key) {
                objects.insert(format!("{new}{}", &key[old.len()..]), bytes);
            }
        }
        Ok(())
    }

    fn remove(&self, key: &str) -> Result<()> {
        let key = key::folder(key)?;
        self.write().retain(|object, _| !key::is_below(object, Some(key)));
        Ok(())
    }

    fn sweep(&self, prefix: &str) -> Result<u64> {
        key::prefix(prefix).map(|_| 0) // an upload that is dropped frees its memory
    }

    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>> {
        let prefix = key::prefix(prefix)?.unwrap_or_default().to_owned();
        let mut held = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
        match held.insert(prefix.clone()) {
            true => Ok(Box::new(MemoryLock { locks: Arc::clone(&self.locks), prefix })),
            false => Err(Error::new(ErrorKind::Busy, format!("memory/{prefix}"))),
        }
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

#[derive(Debug)]
struct MemoryLock {
    locks: Locks,
    prefix: String,
}

impl Lock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.prefix);
    }
}

#[derive(Debug)]
struct MemoryObject(Arc<[u8]>);

impl Object for MemoryObject {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let n = buf.len().min(self.0.len() - start);
        buf[..n].copy_from_slice(&self.0[start..start + n]);
        Ok(n)
    }
}

#[derive(Debug)]
struct MemoryUpload {
    store: MemoryStore,
    key: String,
    len: Option<u64>,
    bytes: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    bytes: Vec<u8>,
    count: u64,
}

impl Upload for MemoryUpload {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64);
        let end = end.filter(|&end| self.len.is_none_or(|len| end <= len));
        let Some(end) = end.and_then(|end| usize::try_from(end).ok()) else {
            let reason = format!("bytes {offset}+{} lie beyond its end", bytes.len());
            return Err(Error::invalid(&self.key, reason));
        };
        let mut written = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if written.bytes.len() < end {
            let missing = end - written.bytes.len();
            let room = written.bytes.try_reserve(missing);
            room.map_err(|_| Error::new(ErrorKind::Full, &self.key))?;
            written.bytes.resize(end, 0);
        }
        written.bytes[end - bytes.len()..end].copy_from_slice(bytes);
        written.count += bytes.len() as u64;
        Ok(())
    }

    fn seal(self: Box<Self>, len: u64, _crc64nvme: Option<u64>) -> Result<()> {
        let written = self.bytes.into_inner().unwrap_or_else(PoisonError::into_inner);
        if written.count != len || self.len.is_some_and(|expected| expected != len) {
            let reason = format!("{} bytes were written, {len} sealed", written.count);
            return Err(Error::invalid(&self.key, reason));
        }
        self.store.put(&self.key, &written.bytes, PutMode::Replace)
    }
}
