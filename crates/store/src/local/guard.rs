//! Locks: a file that one open descriptor holds, and that goes when it is let go.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::Lock;

/// A locked file. The kernel unlocks it when the process ends, however it ends; a file that a
/// killed process left is locked again by the next one.
#[derive(Debug)]
pub(super) struct LocalLock {
    path: PathBuf,
    /// None where there are no locks.
    file: Option<File>,
}

impl LocalLock {
    /// Locks `path`; none when another has it. Where the file system has no locks, or takes no
    /// files at all, the lock is granted.
    pub(super) fn take(path: PathBuf) -> io::Result<Option<Self>> {
        loop {
            let file = match open(&path) {
                Ok(file) => file,
                Err(e) if is(&e, Errno::ROFS) => return Ok(Some(Self { path, file: None })),
                Err(e) => return Err(e),
            };
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => {
                    let _ = fs::remove_file(&path); // it locks nothing
                    return Ok(Some(Self { path, file: None }));
                }
                Err(e) => return Err(e.into()),
            }
            // The holder before may have removed the file after it was opened here: then this
            // lock is on no name, and another process may hold a new file of the name.
            if is_at(&file, &path)? {
                return Ok(Some(Self { path, file: Some(file) }));
            }
        }
    }
}

impl Lock for LocalLock {}

impl Drop for LocalLock {
    /// Removes the file while it is still locked, so that it is nobody else's.
    fn drop(&mut self) {
        let mine = |file: &File| is_at(file, &self.path).unwrap_or(false);
        if self.file.as_ref().is_some_and(mine) {
            let _ = fs::remove_file(&self.path); // the next holder takes what is left
        }
    }
}

/// Writable, because NFS locks nothing else alone; never through a link.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

/// True when the path names this very file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let opened = file.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (opened.dev(), opened.ino())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(e),
    }
}
