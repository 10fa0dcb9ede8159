//! Files to pack.

use std::io;
use std::ops::Range;

use crate::{Error, FileId, Listing, Object, Result};

/// A set of files, listed once. Safe to read from many threads at a time.
pub trait Source: Send + Sync {
    /// What was found.
    fn listing(&self) -> &Listing;

    /// Reads `len` bytes of a file from `start` into `sink`.
    ///
    /// Fails with [`Changed`](crate::ErrorKind::Changed) when the file is no longer the one that
    /// was listed (length or stamp), before or after reading: what arrived in the sink is then
    /// not to be used.
    fn fetch(&self, file: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()>;

    /// Where the files come from, for messages and manifests.
    fn describe(&self) -> String;
}

/// Takes bytes where it wants them, so that a file is read straight to its place.
pub trait Sink {
    /// Free room, at least one byte. Repeated calls without [`Sink::advance`] give the same room.
    fn space(&mut self) -> Result<&mut [u8]>;

    /// Says that the first `n` bytes of the room are filled.
    fn advance(&mut self, n: usize) -> Result<()>;
}

/// Moves the bytes from `start` to `end` that `read` finds at an offset into `sink`; returns where
/// they ended, which is before `end` when there are no more.
pub(crate) fn pour(
    (start, end): (u64, u64),
    sink: &mut dyn Sink,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
    fail: impl Fn(io::Error) -> Error,
) -> Result<u64> {
    let mut at = start;
    while at < end {
        let space = sink.space()?;
        let want = space.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        match read(&mut space[..want], at) {
            Ok(0) => break,
            Ok(n) => {
                sink.advance(n)?;
                at += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(fail(e)),
        }
    }
    Ok(at)
}

/// Moves the bytes of `range` from an object into `sink`; returns where they ended, which is before
/// the range's end when the object ends there.
pub fn pour_at(object: &dyn Object, range: Range<u64>, sink: &mut dyn Sink) -> Result<u64> {
    let mut at = range.start;
    while at < range.end {
        let space = sink.space()?;
        let want = space.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        match object.read_at(at, &mut space[..want])? {
            0 => break,
            n => {
                sink.advance(n)?;
                at += n as u64;
            }
        }
    }
    Ok(at)
}

/// A [`Sink`] that appends to a vector. For small reads and tests: it grows as bytes arrive, and
/// so never trusts a length.
#[derive(Debug)]
pub struct Bytes<'a> {
    bytes: &'a mut Vec<u8>,
    filled: usize,
}

impl<'a> Bytes<'a> {
    /// Appends to `bytes`, which is whole again when the sink is dropped.
    pub fn new(bytes: &'a mut Vec<u8>) -> Self {
        let filled = bytes.len();
        Self { bytes, filled }
    }
}

impl Sink for Bytes<'_> {
    fn space(&mut self) -> Result<&mut [u8]> {
        const ROOM: usize = 64 << 10;
        if self.filled == self.bytes.len() {
            self.bytes.resize(self.filled + ROOM, 0);
        }
        Ok(&mut self.bytes[self.filled..])
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.filled += n;
        Ok(())
    }
}

impl Drop for Bytes<'_> {
    fn drop(&mut self) {
        self.bytes.truncate(self.filled);
    }
}
