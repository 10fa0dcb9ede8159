//! Parts of an object that are fetched before they are asked for, and the memory they wait in.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use super::connect::S3;
use super::range::Pinned;
use crate::{Error, Result, Sink};

/// Buffers of parts. Used again: fresh memory costs a part as much time as the network does, since
/// each of its pages is first made and cleared.
#[derive(Debug)]
pub(super) struct Buffers(Mutex<Idle>);

#[derive(Debug)]
struct Idle {
    buffers: Vec<Vec<u8>>,
    /// How many more may be in use; negative while readers hold more than there should be.
    left: isize,
}

/// Memory that a part is read into, and then the part.
#[derive(Debug)]
pub(super) struct Part {
    bytes: Vec<u8>,
    len: usize,
    filled: usize,
    /// Nobody waits for it any more.
    stop: Arc<AtomicBool>,
    buffers: Arc<Buffers>,
    process: u32,
}

impl Buffers {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let left = isize::try_from(most).unwrap_or(isize::MAX);
        Arc::new(Self(Mutex::new(Idle { buffers: Vec::new(), left })))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Memory for a part that is wanted now.
    pub(super) fn take(self: &Arc<Self>, len: u64) -> Part {
        let mut idle = self.idle();
        idle.left -= 1;
        let bytes = idle.buffers.pop().unwrap_or_default();
        drop(idle);
        Part::new(bytes, len, Arc::default(), Arc::clone(self))
    }

    /// Memory for one that is wanted later; none if there is no more.
    fn spare(self: &Arc<Self>, len: u64, stop: &Arc<AtomicBool>) -> Option<Part> {
        let mut idle = self.idle();
        if idle.left <= 0 {
            return None;
        }
        idle.left -= 1;
        let bytes = idle.buffers.pop().unwrap_or_default();
        drop(idle);
        Some(Part::new(bytes, len, Arc::clone(stop), Arc::clone(self)))
    }
}

impl Part {
    fn new(bytes: Vec<u8>, len: u64, stop: Arc<AtomicBool>, buffers: Arc<Buffers>) -> Self {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let process = std::process::id();
        let mut part = Self { bytes, len, filled: 0, stop, buffers, process };
        if part.bytes.len() < len {
            part.bytes.resize(len, 0);
        }
        part
    }
}

impl Sink for Part {
    fn space(&mut self) -> Result<&mut [u8]> {
        if self.stop.load(Relaxed) {
            let given_up = std::io::Error::other("nobody waits for these bytes any more");
            return Err(Error::io(given_up, "a part"));
        }
        Ok(&mut self.bytes[self.filled..self.len])
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.filled = self.len.min(self.filled + n);
        Ok(())
    }
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // In a process that was forked off, a thread that is not there may hold the lock.
        if self.process != std::process::id() {
            return;
        }
        let mut idle = self.buffers.idle();
        idle.left += 1;
        if idle.left > 0 && idle.buffers.len() < idle.left.unsigned_abs() {
            idle.buffers.push(std::mem::take(&mut self.bytes));
        }
    }
}

/// Parts on their way, each by a thread, in the order of their bytes. Dropped, it forgets them:
/// a thread whose part is not wanted stops at the next bytes that arrive.
#[derive(Debug)]
pub(super) struct Ahead {
    parts: VecDeque<(Range<u64>, JoinHandle<Result<Part>>)>,
    stop: Arc<AtomicBool>,
    /// Whose threads fetch them.
    process: u32,
}

impl Default for Ahead {
    fn default() -> Self {
        Self { parts: VecDeque::new(), stop: Arc::default(), process: std::process::id() }
    }
}

impl Ahead {
    /// Starts parts of `size` bytes from where the last one ends, or from the start of `range`, to
    /// its end, until `most` are on their way or memory for them runs out.
    pub(super) fn reach(
        &mut self,
        s3: &S3,
        object: &Pinned,
        range: Range<u64>,
        size: u64,
        most: usize,
    ) {
        let mut start = self.parts.back().map_or(range.start, |(last, _)| last.end);
        while start < range.end && self.parts.len() < most {
            let part = start..range.end.min(start.saturating_add(size));
            let Some(mut memory) = s3.buffers().spare(part.end - part.start, &self.stop) else {
                return;
            };
            start = part.end;
            let (own, mut object, range) = (s3.clone(), object.clone(), part.clone());
            let task = s3.handle().spawn_blocking(move || {
                own.get(&mut object, range, &mut memory)?;
                Ok(memory)
            });
            self.parts.push_back((part, task));
        }
    }

    /// Waits for the next part, which must start at `at`: else all are forgotten.
    pub(super) fn pop(&mut self, s3: &S3, at: u64) -> Result<Option<Part>> {
        let mine = self.process == std::process::id();
        match self.parts.pop_front() {
            Some((range, task)) if range.start == at && mine => {
                let joined =
                    s3.wait(task).map_err(|e| Error::io(std::io::Error::other(e), "S3"))?;
                joined.map(Some)
            }
            None => Ok(None),
            Some(_) => {
                *self = Self::default();
                Ok(None)
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        self.stop.store(true, Relaxed);
        self.parts.iter().for_each(|(_, task)| task.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_never_more_than_there_should_be() {
        let buffers = Buffers::new(2);
        let stop = Arc::default();
        let (first, second) = (buffers.spare(3, &stop), buffers.take(5));
        assert!(first.is_some() && buffers.spare(1, &stop).is_none(), "two of two are in use");
        let beyond = buffers.take(7); // wanted now: always
        drop((first, second));
        let mut again = buffers.spare(2, &stop).unwrap();
        assert!(again.bytes.len() > 2 && again.as_ref().is_empty(), "memory that was used before");
        assert_eq!(again.space().unwrap().len(), 2);
        again.advance(2).unwrap();
        assert_eq!(again.as_ref().len(), 2);
        drop((again, beyond));
        let kept = buffers.idle();
        assert_eq!((kept.left, kept.buffers.len()), (2, 2));
    }

    #[test]
    fn a_part_that_nobody_waits_for_takes_no_bytes() {
        let stop = Arc::default();
        let mut part = Buffers::new(1).spare(3, &stop).unwrap();
        assert!(part.space().is_ok());
        stop.store(true, Relaxed);
        assert!(part.space().is_err());
    }
}
