//! One FIFO: waited for, opened, read to its end.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use shardpack_channel::fifo;
use shardpack_store::Error as StoreError;
use tracing::field::Empty;

use super::lock::Lock;
use super::turn::{Turn, Turns, name};
use super::{Awaited, PipeOptions, Stalled};
use crate::stream::Stop;
use crate::{Error, Result};

/// How often one who waits looks whether he still should.
const TICK: Duration = Duration::from_millis(50);
/// Bytes that the kernel holds of a pipe, where it lets a process without privileges have them:
/// its default is 64 KiB, and a writer of large pieces then waits sixteen times as often.
const PIPE: usize = 1 << 20;

/// An open FIFO whose writer was met.
///
/// Never blocks in the kernel: a read that finds nothing polls, so that a writer that falls silent
/// is an error in time, and one who is told to stop does.
#[derive(Debug)]
pub(super) struct Fifo {
    // Dropped in this order: when the turn is given back, the FIFO is closed and its lock free.
    file: File,
    _lock: Lock,
    _turn: Turn,
    name: String,
    stop: Stop,
    /// How long a byte may take.
    limit: Duration,
    bytes: u64,
    ended: bool,
}

impl Fifo {
    /// Waits for the next FIFO of `channel` and for its writer.
    pub(super) fn open(
        channel: &Path,
        options: &PipeOptions,
        turns: &Arc<Turns>,
        stop: &Stop,
    ) -> Result<Self> {
        let span = tracing::info_span!("wait", channel = %channel.display(), pipe = Empty);
        let _wait = span.enter();
        let turn = turns.take(channel, stop)?;
        let is_first = turns.next() == options.first;
        let wait = Wait::new(if is_first { options.start } else { options.stall }, stop);
        loop {
            let next = name(&fifo(channel, turns.next()));
            let failed = |error| Error::from(StoreError::io(error, next.as_str()));
            let Some(number) = turn.find(channel).map_err(failed)? else {
                wait.a_tick(&next, Awaited::Fifo).map_err(|e| super::failed(e, &next))?;
                continue;
            };
            let path = fifo(channel, number);
            let name = name(&path);
            // Opening it is what uses it up: the lock comes first.
            let lock = Lock::take(channel, &name, options.locks.as_deref())?;
            let Some(file) = open(&path)? else { continue };
            turn.opened(number);
            span.record("pipe", &*name);
            // Without privileges there is a limit for all pipes of a user; then it stays small.
            let _ = fcntl_setpipe_size(&file, PIPE);
            match meet_writer(&file, &name, &wait).map_err(|e| super::failed(e, &name))? {
                Met::Writer => {
                    let (stop, limit) = (stop.clone(), options.stall);
                    let (_lock, _turn) = (lock, turn);
                    return Ok(Self {
                        file,
                        _lock,
                        _turn,
                        name,
                        stop,
                        limit,
                        bytes: 0,
                        ended: false,
                    });
                }
                // Somebody had used it up, and it was only now removed.
                Met::Removal => {}
            }
        }
    }

    /// Its name for messages: `train_0`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Opens a FIFO without waiting for a writer. None when it is gone.
fn open(path: &Path) -> Result<Option<File>> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let failed = |error| Error::from(StoreError::io(error, path.display().to_string()));
    let kind = match path.metadata() {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    if !kind.is_fifo() {
        let path = path.display();
        return Err(Error::usage(format!("{path} is no FIFO: the channel is not in Pipe mode")));
    }
    match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// What ends the wait for a writer.
enum Met {
    Writer,
    Removal,
}

/// A pipe that nobody has opened for writing reads as if it had ended; only after poll has told of
/// bytes, or of a writer that is gone again, does it say the truth.
fn meet_writer(file: &File, name: &str, wait: &Wait<'_>) -> io::Result<Met> {
    while !is_ready(file)? {
        if file.metadata()?.nlink() == 0 {
            return Ok(Met::Removal);
        }
        wait.in_time(name, Awaited::Writer)?;
    }
    Ok(Met::Writer)
}

/// Waits for a tick at most. True with bytes, or when all writers are gone.
fn is_ready(file: &File) -> io::Result<bool> {
    let mut polled = [PollFd::new(file, PollFlags::IN)];
    let tick = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    match poll(&mut polled, Some(&tick)) {
        Ok(_) => Ok(polled.iter().any(|polled| !polled.revents().is_empty())),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

impl Read for Fifo {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ended || buf.is_empty() {
            return Ok(0);
        }
        let mut wait = None;
        loop {
            match rustix::io::read(&self.file, &mut *buf) {
                Ok(0) => {
                    // A writer that comes later would be another epoch's.
                    self.ended = true;
                    return Ok(0);
                }
                Ok(read) => {
                    self.bytes += read as u64;
                    return Ok(read);
                }
                Err(Errno::AGAIN) => {}
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let wait = wait.get_or_insert_with(|| {
                self.stop.waiting();
                Wait::new(self.limit, &self.stop)
            });
            if !is_ready(&self.file)? {
                wait.in_time(&self.name, Awaited::Bytes { after: self.bytes })?;
            }
        }
    }
}

/// A wait that ends.
struct Wait<'s> {
    since: Instant,
    limit: Duration,
    stop: &'s Stop,
}

impl<'s> Wait<'s> {
    fn new(limit: Duration, stop: &'s Stop) -> Self {
        Self { since: Instant::now(), limit, stop }
    }

    /// An error when it took too long, or nobody waits any more.
    fn in_time(&self, pipe: &str, awaited: Awaited) -> io::Result<()> {
        self.stop.check()?;
        let waited = self.since.elapsed();
        match waited < self.limit {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                Stalled { pipe: pipe.to_owned(), waited, awaited },
            )),
        }
    }

    fn a_tick(&self, pipe: &str, awaited: Awaited) -> io::Result<()> {
        self.in_time(pipe, awaited)?;
        thread::sleep(TICK.min(self.limit));
        Ok(())
    }
}
