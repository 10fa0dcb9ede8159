//! Parts of an object that are fetched before they are asked for, and the memory they wait in.
//!
//! A part arrives in chunks, and whoever reads takes each as it comes: bytes that waited for the last
//! of their part had left the processor's cache, which cost a sixth of the rate.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinHandle;

use super::connect::S3;
use super::range::Pinned;
use crate::{Error, Result, Sink};

/// Bytes of a chunk, at most: an eighth of a core's cache on the machines at hand.
pub(super) const CHUNK: u64 = 256 << 10;

/// Buffers of chunks. Used again: fresh memory costs a part as much time as the network does, since
/// each of its pages is first made and cleared.
#[derive(Debug)]
pub(super) struct Buffers(Mutex<Idle>);

#[derive(Debug)]
struct Idle {
    buffers: Vec<Vec<u8>>,
    /// How many more may be in use; negative while readers hold more than there should be.
    left: isize,
}

/// Bytes that follow one another.
#[derive(Debug)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    len: usize,
    filled: usize,
    buffers: Arc<Buffers>,
    process: u32,
}

impl Buffers {
    /// Room for `bytes` in chunks, one part of `least` bytes in any case.
    pub(super) fn new(bytes: u64, least: u64) -> Arc<Self> {
        let left = isize::try_from(bytes.max(least) / CHUNK).unwrap_or(isize::MAX);
        Arc::new(Self(Mutex::new(Idle { buffers: Vec::new(), left })))
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunk that is wanted now, of at most [`CHUNK`] bytes.
    pub(super) fn take(self: &Arc<Self>, len: u64) -> Chunk {
        self.idle().left -= 1;
        self.paid(len)
    }

    /// A chunk that `left` knows of already.
    fn paid(self: &Arc<Self>, len: u64) -> Chunk {
        let mut bytes = self.idle().buffers.pop().unwrap_or_default();
        bytes.resize(CHUNK as usize, 0);
        let (len, process) = (len.min(CHUNK) as usize, std::process::id());
        Chunk { bytes, len, filled: 0, buffers: Arc::clone(self), process }
    }

    /// Sets chunks aside for one that is wanted later; false if there are not so many.
    fn reserve(&self, chunks: isize) -> bool {
        let mut idle = self.idle();
        let fits = idle.left >= chunks;
        if fits {
            idle.left -= chunks;
        }
        fits
    }
}

impl Sink for Chunk {
    fn space(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.bytes[self.filled..self.len])
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.filled = self.len.min(self.filled + n);
        Ok(())
    }
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }
}

impl Drop for Chunk {
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

/// The end of a part at which it is filled: chunks go out as they get full.
#[derive(Debug)]
struct Outlet {
    out: Sender<Result<Chunk>>,
    chunk: Option<Chunk>,
    /// Bytes of the part that have no chunk yet.
    left: u64,
    /// Chunks that are set aside for them.
    reserved: isize,
    /// Nobody waits for it any more.
    stop: Arc<AtomicBool>,
    buffers: Arc<Buffers>,
}

impl Outlet {
    /// Both ends of a part of `len` bytes; none if there is no memory for it.
    fn open(
        len: u64,
        buffers: &Arc<Buffers>,
        stop: &Arc<AtomicBool>,
    ) -> Option<(Self, Receiver<Result<Chunk>>)> {
        let reserved = isize::try_from(len.div_ceil(CHUNK)).ok()?;
        let (out, chunks) = channel(); // what was set aside bounds it
        let (stop, buffers) = (Arc::clone(stop), Arc::clone(buffers));
        buffers
            .reserve(reserved)
            .then(|| (Self { out, chunk: None, left: len, reserved, stop, buffers }, chunks))
    }

    /// Hands out what is filled, and the error that ended it.
    fn close(mut self, got: Result<()>) {
        // Whoever waited for them may be gone.
        if let Some(chunk) = self.chunk.take() {
            let _ = self.out.send(Ok(chunk));
        }
        if let Err(error) = got {
            let _ = self.out.send(Err(error));
        }
    }
}

impl Sink for Outlet {
    fn space(&mut self) -> Result<&mut [u8]> {
        if self.stop.load(Relaxed) {
            let given_up = std::io::Error::other("nobody waits for these bytes any more");
            return Err(Error::io(given_up, "a part"));
        }
        if let Some(full) = self.chunk.take_if(|chunk| chunk.filled == chunk.len) {
            let _ = self.out.send(Ok(full)); // `stop` tells of one who is gone
        }
        let (buffers, left, reserved) = (&self.buffers, &mut self.left, &mut self.reserved);
        let chunk = self.chunk.get_or_insert_with(|| {
            let len = (*left).min(CHUNK);
            (*left, *reserved) = (*left - len, *reserved - 1);
            buffers.paid(len)
        });
        chunk.space()
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.chunk.as_mut().map_or(Ok(()), |chunk| chunk.advance(n))
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.buffers.idle().left += self.reserved;
    }
}

/// Parts on their way, each by a thread, in the order of their bytes. Dropped, it forgets them:
/// a thread whose part is not wanted stops at the next bytes that arrive.
#[derive(Debug)]
pub(super) struct Ahead {
    parts: VecDeque<Coming>,
    stop: Arc<AtomicBool>,
    /// Whose threads fetch them.
    process: u32,
}

/// A part, less what was taken of it.
#[derive(Debug)]
struct Coming {
    range: Range<u64>,
    begun: bool,
    chunks: Receiver<Result<Chunk>>,
    task: JoinHandle<()>,
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
        let mut start = self.parts.back().map_or(range.start, |last| last.range.end);
        while start < range.end && self.parts.len() < most {
            let part = start..range.end.min(start.saturating_add(size));
            let opened = Outlet::open(part.end - part.start, s3.buffers(), &self.stop);
            let Some((mut outlet, chunks)) = opened else { return };
            start = part.end;
            let (own, mut object, range) = (s3.clone(), object.clone(), part.clone());
            let task = s3.handle().spawn_blocking(move || {
                let got = own.get(&mut object, range, &mut outlet);
                outlet.close(got);
            });
            self.parts.push_back(Coming { range: part, begun: false, chunks, task });
        }
    }

    /// Waits for the next bytes, which must start at `at`: else all parts are forgotten.
    pub(super) fn next(&mut self, at: u64) -> Result<Option<Chunk>> {
        let mine = self.process == std::process::id();
        let Some(first) = self.parts.front_mut() else { return Ok(None) };
        if first.range.start != at || !mine {
            *self = Self::default();
            return Ok(None);
        }
        let ended = || Error::io(std::io::Error::other("the thread that reads ended"), "S3");
        match first.chunks.recv().map_err(|_| ended()).flatten() {
            Ok(chunk) => {
                first.begun = true;
                first.range.start += chunk.filled as u64;
                if first.range.is_empty() {
                    self.parts.pop_front();
                }
                Ok(Some(chunk))
            }
            Err(error) => {
                *self = Self::default();
                Err(error)
            }
        }
    }

    /// Whether the byte at `at` is in the middle of a part that is being taken.
    pub(super) fn is_inside(&self, at: u64) -> bool {
        self.parts.front().is_some_and(|first| first.begun && first.range.start == at)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.process != std::process::id() {
            return;
        }
        self.stop.store(true, Relaxed);
        self.parts.iter().for_each(|part| part.task.abort());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(sink: &mut impl Sink, bytes: &[u8]) {
        crate::s3::get::pour(bytes, sink).unwrap();
    }

    #[test]
    fn buffers_are_used_again_and_never_more_than_there_should_be() {
        let (buffers, stop) = (Buffers::new(2 * CHUNK, 0), Arc::default());
        let ahead = Outlet::open(CHUNK + 1, &buffers, &stop);
        assert!(ahead.is_some() && Outlet::open(1, &buffers, &stop).is_none(), "two are set aside");
        let beyond = buffers.take(7); // wanted now: always
        drop(ahead);
        assert!(Outlet::open(CHUNK + 1, &buffers, &stop).is_none(), "one is in use");
        drop(beyond);
        let mut again = buffers.take(2);
        assert!(again.as_ref().is_empty() && again.space().unwrap().len() == 2);
        fill(&mut again, b"ab");
        assert_eq!(again.as_ref(), b"ab");
        drop(again);
        let idle = buffers.idle();
        assert_eq!((idle.left, idle.buffers.len()), (2, 1));
    }

    #[test]
    fn bytes_go_out_before_their_part_is_whole() {
        let (buffers, stop) = (Buffers::new(0, 4 * CHUNK), Arc::default());
        let (mut outlet, chunks) = Outlet::open(2 * CHUNK + 3, &buffers, &stop).unwrap();
        let bytes: Vec<u8> = (0..2 * CHUNK + 3).map(|i| i as u8).collect();
        let (first, rest) = bytes.split_at(CHUNK as usize + 1);
        fill(&mut outlet, first);
        let mut got = chunks.try_recv().unwrap().unwrap().as_ref().to_vec();
        assert!(got.len() == CHUNK as usize && chunks.try_recv().is_err());
        fill(&mut outlet, rest);
        outlet.close(Err(Error::io(std::io::Error::other("cut"), "a part")));
        let (chunk, last) = (chunks.recv().unwrap().unwrap(), chunks.recv().unwrap().unwrap());
        got.extend([chunk.as_ref(), last.as_ref()].concat());
        assert_eq!(got, bytes);
        assert!(
            chunks.recv().unwrap().is_err() && chunks.recv().is_err(),
            "what ended it, the end"
        );
        drop((chunk, last));
        assert_eq!(buffers.idle().left, 4, "what was set aside is given back");
    }

    #[test]
    fn a_part_that_nobody_waits_for_takes_no_bytes() {
        let stop = Arc::default();
        let (mut outlet, _chunks) = Outlet::open(3, &Buffers::new(0, CHUNK), &stop).unwrap();
        assert!(outlet.space().is_ok());
        stop.store(true, Relaxed);
        assert!(outlet.space().is_err());
    }
}
