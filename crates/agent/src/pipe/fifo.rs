//! One FIFO and what goes into it.

use std::fs::{self, File, OpenOptions};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, fcntl_setfl, mkfifoat};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, splice};

use crate::faults::{Link, Passed};
use crate::{Error, Result};

/// Bytes that the kernel holds, where it lets us: of its default of 64 KiB a writer of large pieces
/// waits sixteen times as often.
const PIPE: usize = 1 << 20;
/// How often one who waits for the reader looks whether he still should.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Bytes that are handed to the kernel at a time.
const CHUNK: usize = 1 << 20;

/// What became of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    All,
    /// It closed its end, or the stream was to be cut here.
    ReaderGone,
}

/// The write end of a FIFO that somebody reads.
///
/// Opened for writing only: a write end that can also read hides that the reader went away.
#[derive(Debug)]
pub(super) struct Fifo {
    file: File,
    path: PathBuf,
    link: Arc<Link>,
    passed: Passed,
}

impl Fifo {
    /// Waits for a reader. An open that does not wait would miss one that comes and goes at once,
    /// as TensorFlow's last iterator does, and then wait at a FIFO that nobody asks for again.
    pub(super) fn open(path: &Path, link: Arc<Link>) -> Result<Self> {
        let failed = |error| Error::io(error, path);
        let file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        fcntl_setfl(&file, OFlags::NONBLOCK).map_err(|errno| failed(errno.into()))?;
        let _ = fcntl_setpipe_size(&file, PIPE); // there is a limit for all pipes of a user
        link.request();
        Ok(Self { file, path: path.to_owned(), link, passed: Passed::default() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<Sent> {
        for chunk in bytes.chunks(CHUNK) {
            let allowed = self.link.pass(&mut self.passed, chunk.len());
            let mut rest = chunk.get(..allowed).unwrap_or_default();
            while !rest.is_empty() {
                match rustix::io::write(&self.file, rest) {
                    Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                    Err(errno) => {
                        if self.wait(errno)? == Sent::ReaderGone {
                            return Ok(Sent::ReaderGone);
                        }
                    }
                }
            }
            if allowed < chunk.len() {
                return Ok(Sent::ReaderGone);
            }
        }
        Ok(Sent::All)
    }

    /// A stretch of a file, up to its end at most, without a copy.
    pub(super) fn splice(&mut self, from: &File, range: Range<u64>) -> Result<Sent> {
        let mut at = range.start;
        loop {
            let flags = SpliceFlags::MOVE | SpliceFlags::MORE | SpliceFlags::NONBLOCK;
            let chunk = range.end.saturating_sub(at).min(CHUNK as u64) as usize;
            if chunk == 0 {
                return Ok(Sent::All);
            }
            match splice(from, Some(&mut at), &self.file, None, chunk, flags) {
                Ok(0) => return Ok(Sent::All),
                Ok(_) => {}
                Err(errno) => {
                    if self.wait(errno)? == Sent::ReaderGone {
                        return Ok(Sent::ReaderGone);
                    }
                }
            }
        }
    }

    /// Waits for room after a write that found none.
    fn wait(&self, errno: Errno) -> Result<Sent> {
        match errno {
            Errno::PIPE => return Ok(Sent::ReaderGone),
            Errno::AGAIN => {}
            Errno::INTR => return Ok(Sent::All),
            errno => return Err(Error::io(errno, &self.path)),
        }
        loop {
            let mut polled = [PollFd::new(&self.file, PollFlags::OUT)];
            match poll(&mut polled, Some(&TICK)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(Sent::All),
                Err(errno) => return Err(Error::io(errno, &self.path)),
            }
            if self.link.stop().is_set() {
                return Err(Error::Stopped);
            }
        }
    }
}

/// Makes a FIFO; one that is there will do.
pub(super) fn make(path: &Path) -> Result<()> {
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    match mkfifoat(CWD, path, mode) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) if is_fifo(path) => Ok(()),
        Err(Errno::EXIST) => Err(Error::InTheWay {
            path: path.display().to_string(),
            what: "is no FIFO, and a Pipe channel needs one there".into(),
        }),
        Err(errno) => Err(Error::io(errno, path)),
    }
}

fn is_fifo(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_fifo())
}

/// The FIFO at which a writer waits, held by itself: its name may be removed meanwhile, and then
/// nobody would ever come.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Option<File>>);

impl Waits {
    /// Opens a FIFO for writing: see [`Fifo::open`].
    pub(super) fn open(&self, path: &Path, link: &Arc<Link>) -> Result<Fifo> {
        let flags = (OFlags::PATH | OFlags::NOFOLLOW).bits() as i32;
        let held = OpenOptions::new().read(true).custom_flags(flags).open(path);
        *self.held() = Some(held.map_err(|error| Error::io(error, path))?);
        Fifo::open(path, Arc::clone(link))
    }

    fn held(&self) -> MutexGuard<'_, Option<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        self.held().is_none()
    }

    /// Opens that FIFO as a reader that does not wait, and lets go: the writer goes on.
    pub(super) fn knock(&self) {
        if let Some(held) = &*self.held() {
            let flags = OFlags::NONBLOCK.bits() as i32;
            let path = format!("/proc/self/fd/{}", held.as_raw_fd());
            drop(OpenOptions::new().read(true).custom_flags(flags).open(path));
        }
    }
}

/// The FIFOs whose names begin with `path`.
pub(super) fn of(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(start)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let start = format!("{}_", start.to_string_lossy());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.strip_prefix(&start);
        number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
            && is_fifo(path)
    };
    entries.map(|entry: fs::DirEntry| entry.path()).filter(is_one).collect()
}

pub(super) fn remove_all(path: &Path) {
    for path in of(path) {
        let _ = fs::remove_file(path); // another may have been quicker
    }
}
