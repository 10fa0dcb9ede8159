//! What channels deliver: objects by number, on S3 or on a local disk, pinned when they are listed.

use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shardpack_store::{Error, FileId, LocalTree, Result, S3Objects, Sink, Source, WalkOptions};

/// Threads that look at files side by side.
const IO_DEPTH: usize = 32;

/// Objects, in the order of their keys as bytes or of a manifest. Any number is below `len`.
pub(crate) trait Objects: fmt::Debug + Send + Sync {
    fn len(&self) -> usize;
    fn key(&self, i: usize) -> &str;
    /// Length in bytes.
    fn size(&self, i: usize) -> u64;
    /// What stands for the bytes that were listed.
    fn stamp(&self, i: usize) -> u64;
    /// When it was written, where that is known.
    fn modified(&self, i: usize) -> Option<SystemTime>;
    /// For messages.
    fn name(&self, i: usize) -> String;
    /// Reads `len` bytes from `start`; fails when the object is not the one that was listed.
    fn fetch(&self, i: usize, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()>;
    /// The object as a file of this machine, whose bytes may go out without passing through here.
    fn file(&self, _i: usize) -> Option<Result<Pinned>> {
        None
    }
    /// Compares a checksum with the one that is kept elsewhere, if one is.
    fn prove(&self, _i: usize, _crc64nvme: u64) -> Result<()> {
        Ok(())
    }
}

/// An open file that is what was listed.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    len: u64,
    stamp: u64,
}

impl Pinned {
    /// Bytes that it has, as listed.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Fails when the file is not what was listed: before its bytes are used, and again after.
    pub(crate) fn check(&self) -> Result<()> {
        let name = || self.path.display().to_string();
        let found = self.file.metadata().map_err(|error| Error::io(error, name()))?;
        let (second, rest) = (found.mtime() as u64, found.mtime_nsec() as u64);
        let stamp = second.wrapping_mul(1_000_000_000).wrapping_add(rest);
        match (found.len(), stamp) == (self.len, self.stamp) {
            true => Ok(()),
            false => Err(Error::new(
                shardpack_store::ErrorKind::Changed { what: "its length or time differs".into() },
                name(),
            )),
        }
    }
}

impl Objects for S3Objects {
    fn len(&self) -> usize {
        S3Objects::len(self)
    }

    fn key(&self, i: usize) -> &str {
        S3Objects::key(self, i)
    }

    fn size(&self, i: usize) -> u64 {
        S3Objects::size(self, i)
    }

    fn stamp(&self, i: usize) -> u64 {
        S3Objects::stamp(self, i)
    }

    fn modified(&self, i: usize) -> Option<SystemTime> {
        S3Objects::modified(self, i)
    }

    fn name(&self, i: usize) -> String {
        self.uri(i)
    }

    fn fetch(&self, i: usize, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        S3Objects::fetch(self, i, start..start.saturating_add(len), sink)
    }

    fn prove(&self, i: usize, crc64nvme: u64) -> Result<()> {
        S3Objects::prove(self, i, crc64nvme)
    }
}

/// Files below a folder.
#[derive(Debug)]
pub(crate) struct LocalObjects {
    tree: LocalTree,
    /// Paths below the folder, which are the keys, and numbers in the tree.
    keys: Vec<(String, FileId)>,
}

impl LocalObjects {
    /// All below a folder, hidden ones too, in the order of keys; of a file, that file.
    pub(crate) fn list(path: &Path) -> Result<Self> {
        let options = WalkOptions { hidden: true, io_depth: IO_DEPTH, ..WalkOptions::default() };
        let is_file =
            path.metadata().map_err(|e| Error::io(e, path.display().to_string()))?.is_file();
        let mut objects = match (is_file, path.parent(), path.file_name()) {
            (true, Some(folder), Some(name)) => {
                Self::of(LocalTree::from_list(folder, name.as_bytes(), 0, 1)?)?
            }
            _ => Self::of(LocalTree::open(path, &options)?)?,
        };
        objects.keys.sort_unstable();
        Ok(objects)
    }

    /// Files that a list names, in its order. Keys are paths without their first slash.
    pub(crate) fn named(paths: &[PathBuf]) -> Result<Self> {
        let paths: Vec<&[u8]> = paths.iter().map(|path| path.as_os_str().as_bytes()).collect();
        Self::of(LocalTree::from_list("/", &paths.join(&0), 0, IO_DEPTH)?)
    }

    fn of(tree: LocalTree) -> Result<Self> {
        let mut keys = Vec::with_capacity(tree.listing().len());
        for (id, file) in (0..).zip(tree.listing().iter()) {
            let key = String::from_utf8(file.path()).map_err(|_| {
                let reason = "a key is UTF-8, and this name is not".into();
                Error::new(shardpack_store::ErrorKind::Invalid { reason }, file.display())
            })?;
            keys.push((key, id));
        }
        Ok(Self { tree, keys })
    }

    fn listed(&self, i: usize) -> shardpack_store::File<'_> {
        self.tree.listing().file(self.keys[i].1)
    }

    fn path(&self, i: usize) -> PathBuf {
        self.tree.root().join(&self.keys[i].0)
    }
}

impl Objects for LocalObjects {
    fn len(&self) -> usize {
        self.keys.len()
    }

    fn key(&self, i: usize) -> &str {
        &self.keys[i].0
    }

    fn size(&self, i: usize) -> u64 {
        self.listed(i).len
    }

    fn stamp(&self, i: usize) -> u64 {
        self.listed(i).stamp
    }

    fn modified(&self, i: usize) -> Option<SystemTime> {
        // A local file's stamp is its time of change, in nanoseconds.
        UNIX_EPOCH.checked_add(Duration::from_nanos(self.listed(i).stamp))
    }

    fn name(&self, i: usize) -> String {
        self.path(i).display().to_string()
    }

    fn fetch(&self, i: usize, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        self.tree.fetch(self.keys[i].1, start, len, sink)
    }

    fn file(&self, i: usize) -> Option<Result<Pinned>> {
        let (path, listed) = (self.path(i), self.listed(i));
        let open = || {
            let file = File::open(&path).map_err(|e| Error::io(e, path.display().to_string()))?;
            let pinned = Pinned { file, path: path.clone(), len: listed.len, stamp: listed.stamp };
            pinned.check().map(|()| pinned)
        };
        Some(open())
    }
}
