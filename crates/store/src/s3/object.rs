//! An object that is open for reading.

use std::ops::Range;
use std::sync::Mutex;

use super::connect::S3;
use super::fetch::PART;
use super::get::Filled;
use super::parts::{Ahead, Part};
use super::range::Pinned;
use crate::{Object, Result};

/// Reads ranges; whoever reads on where they ended gets ever longer windows fetched ahead.
#[derive(Debug)]
pub(super) struct S3Object {
    s3: S3,
    pinned: Pinned,
    crc64nvme: Option<u64>,
    window: Mutex<Window>,
}

/// The window of the first read, and of one that is not where the last ended: a record or two.
const FIRST: u64 = 64 << 10;
/// The longest window.
const LONGEST: u64 = PART;
/// Windows on their way once they are the longest: at 50 ms and more before the first byte, a
/// reader of one object would else wait most of the time.
const AHEAD: usize = 4;

#[derive(Debug, Default)]
struct Window {
    start: u64,
    part: Option<Part>,
    /// Where the next read must start to be one that reads on.
    next: u64,
    size: u64,
    ahead: Ahead,
}

impl S3Object {
    pub(super) fn new(s3: S3, pinned: Pinned, crc64nvme: Option<u64>) -> Self {
        Self { s3, pinned, crc64nvme, window: Mutex::default() }
    }

    /// Straight into the caller's buffer.
    fn direct(&self, range: Range<u64>, buf: &mut [u8]) -> Result<()> {
        self.s3.read(&mut self.pinned.clone(), range, &mut Filled { bytes: buf, at: 0 })
    }

    /// Makes the window hold the byte at `at`.
    fn fill(&self, window: &mut Window, at: u64) -> Result<()> {
        let len = self.pinned.len;
        let reading_on = at == window.next && at > 0;
        window.part = None; // its memory may serve the next
        window.size = if reading_on { (window.size * 2).clamp(FIRST, LONGEST) } else { FIRST };
        let part = match window.ahead.pop(&self.s3, at)? {
            Some(part) => part,
            None => {
                let range = at..len.min(at + window.size);
                if reading_on {
                    self.reach(window, range.end);
                }
                self.s3.part(&mut self.pinned.clone(), range)?
            }
        };
        (window.start, window.next) = (at, at + part.as_ref().len() as u64);
        window.part = Some(part);
        if reading_on {
            self.reach(window, window.next);
        }
        Ok(())
    }

    /// Starts windows behind the one that ends at `from`: one while they grow, for few who start to
    /// read on read to the end.
    fn reach(&self, window: &mut Window, from: u64) {
        let most = if window.size == LONGEST { AHEAD } else { 1 };
        let size = (window.size * 2).min(LONGEST);
        window.ahead.reach(&self.s3, &self.pinned, from..self.pinned.len, size, most);
    }
}

impl Object for S3Object {
    fn len(&self) -> u64 {
        self.pinned.len
    }

    fn version(&self) -> Option<String> {
        self.pinned.etag.clone()
    }

    fn crc64nvme(&self) -> Option<u64> {
        self.crc64nvme
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let end = self.pinned.len.min(offset.saturating_add(buf.len() as u64));
        if offset >= end {
            return Ok(0);
        }
        let wanted = (end - offset) as usize;
        let buf = &mut buf[..wanted];
        self.s3.revive()?;
        // A second thread on this object reads elsewhere.
        let Ok(mut window) = self.window.try_lock() else {
            self.direct(offset..end, buf)?;
            return Ok(wanted);
        };
        let mut filled = 0;
        while filled < wanted {
            let at = offset + filled as u64;
            let bytes = window.part.as_ref().map_or(&[][..], Part::as_ref);
            let held = at.checked_sub(window.start).and_then(|from| bytes.get(from as usize..));
            match held.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => {
                    let n = bytes.len().min(wanted - filled);
                    buf[filled..filled + n].copy_from_slice(&bytes[..n]);
                    filled += n;
                }
                None if (at != window.next || at == 0) && (wanted - filled) as u64 >= FIRST => {
                    self.direct(at..end, &mut buf[filled..])?;
                    window.next = end;
                    (window.start, window.part) = (end, None);
                    window.size = (end - at).min(LONGEST);
                    return Ok(wanted);
                }
                None => self.fill(&mut window, at)?,
            }
        }
        Ok(filled)
    }
}
