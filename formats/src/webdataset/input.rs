//! The bytes of a stream through one large buffer, with their offset.

use std::fmt;
use std::io::{self, Read};

/// Bytes asked for at once. Large enough that a read's cost vanishes, small enough that bytes are
/// still in a core's cache when they are checksummed and copied.
const BUFFER: usize = 256 << 10;

pub(super) struct Input<'r> {
    source: Box<dyn Read + 'r>,
    buffer: Box<[u8]>,
    /// The part of the buffer that is read and not yet taken.
    start: usize,
    end: usize,
    /// Offset of the next byte in the stream.
    offset: u64,
}

impl<'r> Input<'r> {
    pub(super) fn new(source: Box<dyn Read + 'r>) -> Self {
        Self { source, buffer: vec![0; BUFFER].into(), start: 0, end: 0, offset: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes between one byte and `limit` bytes; none only at the end of the stream.
    pub(super) fn take(&mut self, limit: u64) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.end = read(&mut *self.source, &mut self.buffer)?;
            self.start = 0;
        }
        let len = limit.min((self.end - self.start) as u64) as usize;
        self.start += len;
        self.offset += len as u64;
        Ok(&self.buffer[self.start - len..self.start])
    }

    /// Fills `target` as far as the stream goes, and says how far.
    pub(super) fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < target.len() {
            let rest = &mut target[filled..];
            // What would fill the buffer anyway is read without passing through it.
            if self.start == self.end && rest.len() >= BUFFER {
                let len = read(&mut *self.source, rest)?;
                self.offset += len as u64;
                filled += len;
                if len == 0 {
                    break;
                }
                continue;
            }
            let taken = self.take(rest.len() as u64)?;
            rest[..taken.len()].copy_from_slice(taken);
            match taken.len() {
                0 => break,
                len => filled += len,
            }
        }
        Ok(filled)
    }

    /// Appends `len` bytes to `target`, and calls `each` with every piece while it is in cache.
    /// False when the stream ends before. Memory grows as bytes arrive: a length that lies costs
    /// one buffer.
    pub(super) fn append(
        &mut self,
        mut len: u64,
        target: &mut Vec<u8>,
        mut each: impl FnMut(&[u8]),
    ) -> io::Result<bool> {
        while len > 0 {
            let from = target.len();
            let piece = len.min(BUFFER as u64) as usize;
            target.resize(from + piece, 0);
            let filled = self.fill(&mut target[from..])?;
            target.truncate(from + filled);
            each(&target[from..]);
            if filled < piece {
                return Ok(false);
            }
            len -= piece as u64;
        }
        Ok(true)
    }

    /// Passes `len` bytes to `each`. False when the stream ends before.
    pub(super) fn pass(&mut self, mut len: u64, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        while len > 0 {
            let taken = self.take(len)?;
            if taken.is_empty() {
                return Ok(false);
            }
            each(taken);
            len -= taken.len() as u64;
        }
        Ok(true)
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("offset", &self.offset).finish_non_exhaustive()
    }
}

fn read(source: &mut dyn Read, target: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(target) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            // A reader that claims more than it was given room for is not to be believed.
            result => return result.map(|len| len.min(target.len())),
        }
    }
}
