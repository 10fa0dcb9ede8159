//! The reading end of a decoder: a stream that knows its offset and checksums what passes.

use std::io::{self, Read};

use crate::compress::read_error;
use crate::{Crc32c, Error, ErrorKind, Position, Result};

/// Memory asked for before a stated length has proved true, in bytes. Longer bodies grow their
/// buffer as bytes arrive, so a lying length costs this much and no more.
const TRUSTED: u64 = 1 << 20;

/// A byte stream, the position of the record being read, and the checksum of its bytes so far.
pub(crate) struct Stream<'r> {
    input: Box<dyn Read + 'r>,
    /// Offset of the next byte.
    offset: u64,
    /// Where the current record starts.
    record: Position,
    crc: Crc32c,
    failed: bool,
}

impl<'r> Stream<'r> {
    pub(crate) fn new(input: Box<dyn Read + 'r>) -> Self {
        Self {
            input,
            offset: 0,
            record: Position::default(),
            crc: Crc32c::default(),
            failed: false,
        }
    }

    /// Where the next record starts, or the damaged one.
    pub(crate) fn position(&self) -> Position {
        self.record
    }

    /// Runs `read` for one record. A record read moves the position on; an error stays.
    pub(crate) fn record(&mut self, read: impl FnOnce(&mut Self) -> Result<bool>) -> Result<bool> {
        if self.failed {
            let reason = "reading stopped at an earlier error";
            return Err(Error::corrupt(reason, self.record));
        }
        self.crc = Crc32c::default();
        let outcome = read(self);
        match outcome {
            Ok(true) => {
                self.record.record += 1;
                self.record.offset = self.offset;
            }
            Ok(false) => {}
            Err(_) => self.failed = true,
        }
        outcome
    }

    /// Takes the record that started at `position` back as damaged.
    pub(crate) fn reject(&mut self, position: Position) {
        self.record = position;
        self.failed = true;
    }

    /// Bytes and checksum of the current record so far.
    pub(crate) fn measure(&self) -> (u64, u32) {
        (self.offset - self.record.offset, self.crc.value())
    }

    /// Fills `header`; false when the stream ends before its first byte.
    pub(crate) fn header(&mut self, header: &mut [u8], what: &'static str) -> Result<bool> {
        let mut filled = 0;
        while filled < header.len() {
            match self.input.read(&mut header[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(self.truncated(what)),
                Ok(n) => filled += n.min(header.len() - filled),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.io(e)),
            }
        }
        self.passed(header);
        Ok(true)
    }

    /// Appends the next `len` bytes to `body`.
    pub(crate) fn body(&mut self, len: u64, body: &mut Vec<u8>, what: &'static str) -> Result<()> {
        let start = body.len();
        body.reserve(len.min(TRUSTED) as usize);
        match self.input.by_ref().take(len).read_to_end(body) {
            Ok(n) if n as u64 == len => {}
            Ok(_) => return Err(self.truncated(what)),
            Err(e) => return Err(self.io(e)),
        }
        self.passed(body.get(start..).unwrap_or_default());
        Ok(())
    }

    pub(crate) fn corrupt(&self, reason: impl Into<String>) -> Error {
        Error::corrupt(reason, self.record)
    }

    pub(crate) fn truncated(&self, what: &'static str) -> Error {
        Error::truncated(what, self.record)
    }

    /// Refuses a record whose payload is over the limit.
    pub(crate) fn check_len(&self, len: u64, limit: u64) -> Result<()> {
        if len > limit {
            return Err(Error::at(ErrorKind::TooLarge { what: "record", len, limit }, self.record));
        }
        Ok(())
    }

    fn io(&self, source: io::Error) -> Error {
        read_error(source, self.record)
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.crc.update(bytes);
    }
}
