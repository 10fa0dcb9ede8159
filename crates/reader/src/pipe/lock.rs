//! One reader a channel, of all processes of a container.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use shardpack_store::Error as StoreError;
use xxhash_rust::xxh3::xxh3_64;

use crate::{Error, Result};

/// Keeps others out until it is dropped, or its process is gone.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

/// Longest text about a holder that is read, in bytes.
const LONGEST: u64 = 256;

impl Lock {
    /// Locks `channel` to read `pipe` of it. The file lies beside nothing: a channel's folder may
    /// be read-only, and others look at what is in it.
    pub(super) fn take(channel: &Path, pipe: &str, folder: Option<&Path>) -> Result<Self> {
        let path = path(channel, folder).map_err(|e| StoreError::io(e, pipe))?;
        let failed = |error| StoreError::io(error, path.display().to_string());
        loop {
            let mut file = open(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(Error::Busy { pipe: pipe.to_owned(), holder: holder(file) });
                }
                Err(TryLockError::Error(error)) => return Err(failed(error).into()),
            }
            // The holder before has removed it between the two: it keeps nobody out any more.
            if file.metadata().map_err(failed)?.nlink() == 0 {
                continue;
            }
            let holder = format!("process {}, reading {pipe}", std::process::id());
            let written = file.set_len(0).and_then(|()| file.rewind());
            written.and_then(|()| file.write_all(holder.as_bytes())).map_err(failed)?;
            return Ok(Self { file, path });
        }
    }
}

/// Closing the file is not enough: a process that was forked off holds it open too.
impl Drop for Lock {
    fn drop(&mut self) {
        // Removed while it is still held, so that it is not another's. What fails here leaves a file
        // that nobody holds, which the next one takes.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
}

/// Who holds a lock. It helps to know, but is not worth another error.
fn holder(file: File) -> String {
    let mut holder = String::new();
    match file.take(LONGEST).read_to_string(&mut holder) {
        Ok(1..) => holder,
        _ => "another process".to_owned(),
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
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

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
        let copy = held.file.try_clone().unwrap();
        drop(held);
        assert!(take(&folder.join("train"), folder).is_ok());
        drop(copy);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn of_many_who_take_and_give_back_one_has_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let holders = AtomicU32::new(0);
        let taken = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let Ok(lock) = take(&folder.path().join("train"), folder.path()) else {
                            continue;
                        };
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        holders.fetch_sub(1, Ordering::SeqCst);
                        taken.fetch_add(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.load(Ordering::SeqCst) > 0);
    }
}
