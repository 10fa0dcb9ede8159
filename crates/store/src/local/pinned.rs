//! Files below a root, found and read through handles of their folders.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::source::pour;
use crate::{Error, File, Listing, Result, Sink};

/// Opens files relative to the handle of their folder, which saves the kernel the path: a third
/// of the cost of a small file three folders down.
#[derive(Debug)]
pub(super) struct Folders {
    root: OwnedFd,
    handles: Vec<OnceLock<OwnedFd>>, // by folder number; opened when first used
    left: AtomicU64,                 // handles that may still be opened
    follow: bool,
    keep_atime: AtomicBool,
}

impl Folders {
    /// The folder at `path`; links in the place of files are followed when `follow` says so.
    pub(super) fn open(path: &Path, follow: bool) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
            let name = path.display().to_string();
            match errno {
                Errno::NOTDIR => Error::invalid(name, "is no folder"),
                _ => Error::io(errno, name),
            }
        })?;
        Ok(Self {
            root,
            handles: Vec::new(),
            left: AtomicU64::new(0),
            follow,
            keep_atime: AtomicBool::new(true),
        })
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// Makes room for the handles of the folders of `listing`. A folder of one or two files gets
    /// none: opening it would cost more than it saves.
    pub(super) fn cache(&mut self, listing: &Listing) {
        const FILES_PER_HANDLE: usize = 4;
        if listing.len() >= listing.dirs() * FILES_PER_HANDLE {
            self.handles.resize_with(listing.dirs(), OnceLock::new);
            self.left = AtomicU64::new(handle_budget());
        }
    }

    /// Length and stamp of a file, as the listing is to hold them.
    pub(super) fn measure(&self, file: File<'_>) -> Result<(u64, u64)> {
        let flags = if self.follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
        let stat = self
            .at(file, |folder, name| rustix::fs::statat(folder, name, flags))
            .map_err(|errno| Error::io(errno, file.display()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((stat.st_size as u64, stamp(&stat))),
            FileType::Directory => Err(Error::invalid(file.display(), "is a folder, not a file")),
            _ => Err(Error::invalid(file.display(), "is no regular file")),
        }
    }

    /// Reads a range of a file into `sink`, and proves that the file is what was listed.
    pub(super) fn fetch(
        &self,
        file: File<'_>,
        start: u64,
        len: u64,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let io = |errno: Errno| Error::io(errno, file.display());
        let handle = self.open_file(file).map_err(io)?;
        let end = file.range(start, len)?.end;
        let read = |buf: &mut [u8], at| Ok(rustix::io::pread(&handle, buf, at)?);
        let at = pour((start, end), sink, read, |e| Error::io(e, file.display()))?;
        // One look, after the last byte: what was written before or during the reading shows in
        // the time or the length by now. A look before reading would only find it sooner.
        check(file, &rustix::fs::fstat(&handle).map_err(io)?)?;
        if at < end {
            return Err(Error::changed(file.display(), format!("it ends at byte {at} of {end}")));
        }
        Ok(())
    }

    fn open_file(&self, file: File<'_>) -> rustix::io::Result<OwnedFd> {
        // NONBLOCK: a pipe that took the file's place must not hold the run up.
        let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        if !self.follow {
            flags |= OFlags::NOFOLLOW;
        }
        let open = |flags| {
            self.at(file, |folder, name| rustix::fs::openat(folder, name, flags, Mode::empty()))
        };
        // Reading a fresh data set would otherwise write every inode once, for its access time.
        // Only the owner may ask for that: the first refusal ends it.
        if self.keep_atime.load(Ordering::Relaxed) {
            match open(flags | OFlags::NOATIME) {
                Err(Errno::PERM) => self.keep_atime.store(false, Ordering::Relaxed),
                done => return done,
            }
        }
        open(flags)
    }

    /// Calls with the folder's handle and the name, or with the root's and the path.
    fn at<T>(
        &self,
        file: File<'_>,
        call: impl Fn(BorrowedFd<'_>, &[u8]) -> rustix::io::Result<T>,
    ) -> rustix::io::Result<T> {
        if file.dir.is_empty() {
            return call(self.root.as_fd(), file.name);
        }
        match self.handle(file)? {
            Some(folder) => call(folder.as_fd(), file.name),
            None => call(self.root.as_fd(), &file.path()),
        }
    }

    /// The folder's handle, if it has or may get one.
    fn handle(&self, file: File<'_>) -> rustix::io::Result<Option<&OwnedFd>> {
        let Some(slot) = self.handles.get(file.dir_id as usize) else { return Ok(None) };
        if let Some(handle) = slot.get() {
            return Ok(Some(handle));
        }
        let take = |left: u64| left.checked_sub(1);
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Ok(None);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.root, file.dir, flags, Mode::empty())?;
        Ok(Some(slot.get_or_init(|| handle)))
    }
}

fn check(file: File<'_>, now: &Stat) -> Result<()> {
    let changed = |what| Err(Error::changed(file.display(), what));
    if FileType::from_raw_mode(now.st_mode) != FileType::RegularFile {
        return changed("it is no regular file any more".to_owned());
    }
    if now.st_size as u64 != file.len {
        return changed(format!("listed with {} bytes, now {}", file.len, now.st_size));
    }
    if stamp(now) != file.stamp {
        return changed(format!(
            "listed with modification time {}, now {}",
            seconds(file.stamp),
            seconds(stamp(now))
        ));
    }
    Ok(())
}

/// Modification time in nanoseconds since 1970. Times before that wrap; only equality counts.
pub(super) fn stamp(stat: &Stat) -> u64 {
    (stat.st_mtime as u64).wrapping_mul(1_000_000_000).wrapping_add(stat.st_mtime_nsec)
}

fn seconds(stamp: u64) -> String {
    format!("{}.{:09}", stamp / 1_000_000_000, stamp % 1_000_000_000)
}

/// Half of the handles that the process may open, after raising its limit as far as it may; the
/// other half stays with shards, sockets and threads that read.
fn handle_budget() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            limit = raised;
        }
    }
    // No limit at all still means no more than a kernel's usual million.
    limit.current.unwrap_or(1 << 20) / 2
}
