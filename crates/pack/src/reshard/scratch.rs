//! Copies that have places: compressed shards, which are streams, decompressed; and the values of a
//! table that is joined.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use shardpack_dataset::{PIECE, ShardReader};
use shardpack_formats::Compression;
use shardpack_store::{
    Direct, Error as StoreError, ErrorKind, LocalOptions, LocalStore, Lock, Object, Store, Upload,
};

use crate::{Error, Result};

/// A folder for copies, removed when dropped. What a killed run left is removed by the next one.
#[derive(Debug)]
pub(super) struct Scratch {
    folder: PathBuf,
    store: LocalStore,
    lock: Option<Box<dyn Lock>>,
}

/// Folders of all runs start so.
const PREFIX: &str = "shardpack-scratch-";
/// Bytes decompressed at a time.
const BUFFER: usize = 256 << 10;

impl Scratch {
    /// A new folder below `below`, which is made if it is not there.
    pub(super) fn new(below: &Path) -> Result<Self> {
        let failed = |e: io::Error| StoreError::io(e, format!("--scratch {}", below.display()));
        fs::create_dir_all(below).map_err(failed)?;
        sweep(below);
        for number in 0u32.. {
            let folder = below.join(format!("{PREFIX}{}-{number}", std::process::id()));
            match fs::create_dir(&folder) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(failed(e).into()),
            }
            let options = LocalOptions { durable: false, direct: Direct::Never, expected_bytes: 0 };
            let store = LocalStore::open(&folder, &options);
            // Another run that sweeps just now may have taken it for a dead one's.
            match store.lock("") {
                Ok(lock) if folder.is_dir() => {
                    return Ok(Self { folder, store, lock: Some(lock) });
                }
                _ => continue,
            }
        }
        Err(Error::Usage(format!("--scratch {}: no name is free", below.display())))
    }

    /// Where the copies are.
    pub(super) fn store(&self) -> &dyn Store {
        &self.store
    }

    /// Name of a shard's copy.
    pub(super) fn key(shard: u32) -> String {
        format!("{shard:010}")
    }

    /// Starts a shard's copy.
    pub(super) fn create(&self, shard: u32) -> Result<Box<dyn Upload>> {
        self.store.create(&Self::key(shard), None).map_err(|e| self.named(e))
    }

    /// Decompresses a shard; returns its length.
    pub(super) fn decompress(
        &self,
        shard: u32,
        object: &dyn Object,
        compression: Compression,
    ) -> Result<u64> {
        let upload = self.create(shard)?;
        let damaged = |e: io::Error| Error::Shard {
            shard: String::new(),
            reason: format!("its compressed stream: {e}"),
        };
        let input = ShardReader::new(object, PIECE);
        let mut stream = compression.reader(Box::new(input)).map_err(damaged)?;
        let (mut buffer, mut len) = (vec![0; BUFFER], 0);
        loop {
            let read = match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(damaged(e)),
            };
            let piece = buffer.get(..read).unwrap_or_default();
            upload.write_at(len, piece).map_err(|e| self.named(e))?;
            len += read as u64;
        }
        upload.seal(len, None).map_err(|e| self.named(e))?;
        Ok(len)
    }

    /// An error about a copy names the folder, which is what can be changed.
    pub(super) fn named(&self, error: StoreError) -> Error {
        let below = self.folder.parent().unwrap_or(&self.folder);
        match error.kind() {
            ErrorKind::Full => StoreError::new(
                ErrorKind::Full,
                format!(
                    "--scratch {}: compressed shards are decompressed there, all of them, and the values of a joined table lie there",
                    below.display()
                ),
            )
            .into(),
            _ => error.into(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing else can be done about what stays; the next run tries again.
        let _ = fs::remove_dir_all(&self.folder);
        self.lock = None;
    }
}

/// Removes the folders that nobody holds.
fn sweep(below: &Path) {
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(PREFIX)) {
            continue;
        }
        let store = LocalStore::open(entry.path(), &LocalOptions::default());
        if let Ok(_lock) = store.lock("") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_hold_stays() {
        let below = tempfile::tempdir().unwrap();
        let dead = below.path().join(format!("{PREFIX}1-0"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("0000000000"), b"bytes").unwrap();
        fs::create_dir(below.path().join("other")).unwrap();
        let living = Scratch::new(below.path()).unwrap();
        assert!(!dead.exists());
        let second = Scratch::new(below.path()).unwrap();
        assert!(living.folder.is_dir() && second.folder != living.folder);
        drop((living, second));
        let left: Vec<_> =
            fs::read_dir(below.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["other"]);
    }
}
