//! One reader a channel, of all processes of a container.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use shardpack_store::Error as StoreError;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, Result};

/// Keeps others out until it is dropped, or its process is gone.
#[derive(Debug)]
pub(super) struct Lock(File);

/// Longest text about a holder that is read, in bytes.
const LONGEST: u64 = 256;

impl Lock {
    /// Locks `channel` to read `pipe` of it. The file lies beside nothing: a channel's folder may
    /// be read-only, and others look at what is in it.
    pub(super) fn take(channel: &Path, pipe: &str, folder: Option<&Path>) -> Result<Self> {
        let path = path(channel, folder).map_err(|e| StoreError::io(e, pipe))?;
        let failed = |error| StoreError::io(error, path.display().to_string());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits() as i32)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who it is helps, but is not worth another error.
                let _ = file.take(LONGEST).read_to_string(&mut holder);
                if holder.is_empty() {
                    holder.push_str("another process");
                }
                return Err(Error::Busy { pipe: pipe.to_owned(), holder });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error).into()),
        }
        let holder = format!("process {}, reading {pipe}", std::process::id());
        let written = file.set_len(0).and_then(|()| file.rewind());
        written.and_then(|()| file.write_all(holder.as_bytes())).map_err(failed)?;
        Ok(Self(file))
    }
}

/// Closing the file is not enough: a process that was forked off holds it open too.
impl Drop for Lock {
    fn drop(&mut self) {
        // What fails here fails to lock as well, and says so then.
        let _ = self.0.unlock();
    }
}

/// A file whose name is made of the channel's path, however that is spelled.
fn path(channel: &Path, folder: Option<&Path>) -> io::Result<PathBuf> {
    let parent = channel.parent().filter(|parent| !parent.as_os_str().is_empty());
    let whole = parent.unwrap_or(Path::new(".")).canonicalize()?;
    let name = channel.file_name().unwrap_or_default();
    let whole = whole.join(name);
    let hash = xxh3_64(whole.as_os_str().as_encoded_bytes());
    let file = format!("shardpack-pipe-{hash:016x}.lock");
    Ok(folder.map_or_else(std::env::temp_dir, Path::to_owned).join(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(channel: &Path, folder: &Path) -> Result<Lock> {
        Lock::take(channel, "train_0", Some(folder))
    }

    #[test]
    fn one_holder_at_a_time_however_the_path_is_spelled() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let held = take(&folder.join("train"), folder).unwrap();
        let again = take(&folder.join("./train"), folder).unwrap_err();
        let holder = format!("process {}, reading train_0", std::process::id());
        assert!(matches!(again, Error::Busy { holder: found, .. } if found == holder));
        assert!(take(&folder.join("test"), folder).is_ok());
        // What a process that is forked off has of it.
        let copy = held.0.try_clone().unwrap();
        drop(held);
        assert!(take(&folder.join("train"), folder).is_ok());
        drop(copy);
    }
}
