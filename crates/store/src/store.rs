//! Trees of objects that datasets live in.

use std::fmt;
use std::ops::{Add, Range};
use std::path::PathBuf;

use crate::{Error, Result};

/// Why an object that was to be replaced was not.
pub(crate) const REWRITTEN: &str = "another run has written it since it was read";

/// A tree of objects. Keys are relative, `/`-separated, without empty, `.` or `..` parts.
pub trait Store: fmt::Debug + Send + Sync {
    /// Objects whose key starts with `prefix` (whole path parts: `a/b` or `a/b/`), sorted by key.
    /// A prefix that is not there gives an empty list.
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>>;

    /// The keys that [`list`](Self::list) gives. Where names come without lengths it is much
    /// cheaper: ten thousand files in a folder are a few calls instead of twenty thousand.
    fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        Ok(self.list(prefix)?.into_iter().map(|object| object.key).collect())
    }

    /// Opens an object for reading.
    fn open(&self, key: &str) -> Result<Box<dyn Object>>;

    /// Starts an object of exactly `len` bytes, or of unknown length. It appears under its key,
    /// whole, when it is sealed; dropped before that it leaves nothing behind.
    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>>;

    /// Starts an object of exactly `len` bytes, of which the ranges `copies`, in order, are to come by
    /// [`Upload::copy_at`]. Each of them has [`least_copy`](Self::least_copy) bytes or more, and so has
    /// what lies between two of them and before the first, unless nothing does.
    fn create_around(
        &self,
        key: &str,
        len: u64,
        _copies: &[Range<u64>],
    ) -> Result<Box<dyn Upload>> {
        self.create(key, Some(len))
    }

    /// Least bytes that [`Upload::copy_at`] may copy; None where it never does.
    fn least_copy(&self) -> Option<u64> {
        None
    }

    /// Writes a small object in one atomic and, where asked, durable step.
    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()>;

    /// Makes `key` of an object that lies elsewhere, whole and as durable as one that is sealed, if
    /// its bytes need not pass through this program for it; None where they must.
    fn copy(&self, _key: &str, _from: &Address) -> Result<Option<Copied>> {
        Ok(None)
    }

    /// Where an object lies, for those who can copy it without its bytes passing through here.
    fn address(&self, _key: &str) -> Option<Address> {
        None
    }

    /// Replaces a small object that still holds `old`; fails with
    /// [`Changed`](crate::ErrorKind::Changed) when it does not, so that of two writers who read the
    /// same bytes one is told.
    ///
    /// This one looks just before it writes, which is enough under a [`lock`](Self::lock). A store
    /// that grants no locks makes one step of both.
    fn swap(&self, key: &str, old: &[u8], new: &[u8]) -> Result<()> {
        let object = self.open(key)?;
        // One byte more than expected tells a longer object.
        let mut there = vec![0; old.len() + 1];
        let read = object.read_at(0, &mut there)?;
        match there.get(..read) == Some(old) {
            true => self.put(key, new, PutMode::Replace),
            false => Err(Error::changed(key, REWRITTEN)),
        }
    }

    /// Moves everything under one prefix to another that does not exist yet, in one atomic step
    /// where the store can ([`Exists`](crate::ErrorKind::Exists) otherwise).
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Whether [`rename`](Self::rename) is there, as one cheap step. Where it is not, objects are
    /// written where they belong at once.
    fn moves(&self) -> bool {
        true
    }

    /// Whether ranges of an upload wait in memory until they make a part. Then what is written at
    /// the same time should lie close together; elsewhere it should not, as a file system lets one
    /// thread at a time write into a file.
    fn gathers(&self) -> bool {
        false
    }

    /// False while uploads hold as much memory as they may: a caller that has other work should
    /// start no more of it.
    fn has_room(&self) -> bool {
        true
    }

    /// Looks whether a sealed object is what was sent; fails with
    /// [`Changed`](crate::ErrorKind::Changed) or [`NotFound`](crate::ErrorKind::NotFound). For
    /// stores behind a network: a local one has told when it sealed.
    fn prove(&self, _key: &str, _len: u64, _crc64nvme: u64) -> Result<()> {
        Ok(())
    }

    /// What this store's server does not do although a dataset's safety rests on it, found by
    /// trying with an object called `key`.
    fn doubts(&self, _key: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Removes an object or everything under a prefix. Nothing there is no error.
    fn remove(&self, key: &str) -> Result<()>;

    /// Removes what dead writers left unfinished below `prefix`; returns how many. Only for a time
    /// when nobody writes there. Unfinished objects are in no list and cannot be opened.
    fn sweep(&self, prefix: &str) -> Result<u64>;

    /// Keeps everything below `prefix` (empty: the whole tree) for the holder, until the lock is
    /// dropped; fails with [`Busy`](crate::ErrorKind::Busy) when another has it. A process that is
    /// killed holds nothing any more.
    ///
    /// It keeps out only who asks for the same prefix. It is no object, so no list has it. Network
    /// file systems without locks (Lustre without `flock`, some NFS) grant it to everyone.
    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>>;

    /// Whether [`lock`](Self::lock) keeps anyone out. Where it does not, two runs at one place meet
    /// at [`PutMode::Create`].
    fn locks(&self) -> bool {
        true
    }

    /// What reading took so far.
    fn traffic(&self) -> Traffic {
        Traffic::default()
    }

    /// Where the tree is, for messages.
    fn describe(&self) -> String;
}

/// What reading took, since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests that were sent again.
    pub retries: u64,
    /// Bytes that a cache had, also where their block was fetched just before for others.
    pub cached: u64,
    /// Bytes that a cache did not have, and that were fetched: whole blocks where it keeps them.
    pub fetched: u64,
    /// What went wrong first with a cache, which was read past.
    pub trouble: Option<String>,
}

impl Traffic {
    /// What came since `before`.
    pub fn since(self, before: &Self) -> Self {
        Self {
            retries: self.retries.saturating_sub(before.retries),
            cached: self.cached.saturating_sub(before.cached),
            fetched: self.fetched.saturating_sub(before.fetched),
            trouble: self.trouble,
        }
    }
}

impl Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            retries: self.retries + other.retries,
            cached: self.cached + other.cached,
            fetched: self.fetched + other.fetched,
            trouble: self.trouble.or(other.trouble),
        }
    }
}

/// Where an object lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A file of this machine.
    File(PathBuf),
    /// An object of a service that speaks S3.
    S3 {
        /// The service's URL, where it is not Amazon's.
        endpoint: Option<String>,
        /// The bucket.
        bucket: String,
        /// The whole key.
        key: String,
    },
}

/// What is known of bytes that were copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copied {
    /// Whoever copied them tells their CRC-64/NVME.
    Checked(u64),
    /// They are for the caller to check.
    Unchecked,
}

/// An object that is open for reading, from any thread.
pub trait Object: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> u64;

    /// True without bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands for exactly these bytes, as long as nobody changes them: an ETag, the time of
    /// the last change. None where nothing does; then nobody may keep them.
    fn version(&self) -> Option<String> {
        None
    }

    /// CRC-64/NVME of its bytes, where whoever keeps them tells one of his own.
    fn crc64nvme(&self) -> Option<u64> {
        None
    }

    /// Fills `buf` from `offset`; returns fewer bytes only at the end of the object.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize>;
}

/// An object that is being written, from any number of threads.
pub trait Upload: fmt::Debug + Send + Sync {
    /// Writes a range. Ranges come in any order, do not overlap, and together cover the object.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Takes a range from an object that lies elsewhere, as it was in this [version](Object::version),
    /// if its bytes need not pass through this program for it; gives their CRC-64/NVME as whoever
    /// copied them tells it. None where they must: then they are to be written. Only for a range that
    /// [`Store::create_around`] was told of.
    fn copy_at(
        &self,
        _offset: u64,
        _from: &Address,
        _version: &str,
        _range: Range<u64>,
    ) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Makes the object of `len` bytes durable (unless the store was told not to) and visible.
    /// `crc64nvme` is the CRC-64/NVME of its bytes, from a caller that made one on the way: a store
    /// that keeps checksums fails with [`Changed`](crate::ErrorKind::Changed) when what it was
    /// given, or what arrived, does not have it.
    fn seal(self: Box<Self>, len: u64, crc64nvme: Option<u64>) -> Result<()>;
}

/// A part of a store that is kept for its holder; dropping it lets others in.
pub trait Lock: fmt::Debug + Send + Sync {}

/// What a listing tells of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Key relative to the store's root.
    pub key: String,
    /// Length in bytes.
    pub len: u64,
}

/// Whether [`Store::put`] may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutMode {
    /// Fails with [`Exists`](crate::ErrorKind::Exists) when the key is taken; of two writers
    /// exactly one wins.
    Create,
    /// Replaces what is there.
    Replace,
}
