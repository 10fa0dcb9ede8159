//! An object that is open for reading.

use std::ops::Range;
use std::sync::Mutex;

use tokio::task::JoinHandle;

use super::connect::S3;
use super::get::{Filled, collect, read, stream};
use super::range::Pinned;
use crate::{Error, Object, Result};

/// Reads ranges; whoever reads on where they ended gets ever longer windows fetched ahead.
#[derive(Debug)]
pub(super) struct S3Object {
    s3: S3,
    pinned: Pinned,
    window: Mutex<Window>,
}

/// The window of the first read, and of one that is not where the last ended: a record or two.
const FIRST: u64 = 64 << 10;
/// The longest window.
const LONGEST: u64 = super::get::PART;

#[derive(Debug, Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
    /// Where the next read must start to be one that reads on.
    next: u64,
    size: u64,
    ahead: Option<Ahead>,
}

/// Bytes on their way; dropped, they are not wanted any more.
#[derive(Debug)]
struct Ahead {
    range: Range<u64>,
    task: JoinHandle<Result<Vec<u8>>>,
    /// The process whose threads fetch them.
    process: u32,
}

impl Ahead {
    /// Whether they are those from `at` on, and come to this process.
    fn is_for(&self, at: u64) -> bool {
        self.range.start == at && self.process == std::process::id()
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.task.abort();
        }
    }
}

impl S3Object {
    pub(super) fn new(s3: S3, pinned: Pinned) -> Self {
        Self { s3, pinned, window: Mutex::default() }
    }

    /// Straight into the caller's buffer.
    fn direct(&self, range: Range<u64>, buf: &mut [u8]) -> Result<()> {
        let mut sink = Filled { bytes: buf, at: 0 };
        self.s3.wait(read(self.s3.calls(), self.pinned.clone(), range, &mut sink))
    }

    /// Makes the window hold the byte at `at`.
    fn fill(&self, window: &mut Window, at: u64) -> Result<()> {
        let len = self.pinned.len;
        let reading_on = at == window.next && at > 0;
        window.size = if reading_on { (window.size * 2).clamp(FIRST, LONGEST) } else { FIRST };
        let fetched = match window.ahead.take().filter(|ahead| ahead.is_for(at)) {
            Some(mut ahead) => {
                let joined = self.s3.wait(&mut ahead.task);
                joined.map_err(|e| Error::io(std::io::Error::other(e), self.pinned.name()))??
            }
            None => {
                let range = at..len.min(at + window.size);
                self.s3.wait(collect(self.s3.calls(), &mut self.pinned.clone(), range))?
            }
        };
        (window.start, window.bytes) = (at, fetched);
        window.next = at + window.bytes.len() as u64;
        if reading_on && window.next < len {
            let range = window.next..len.min(window.next + (window.size * 2).min(LONGEST));
            let (calls, mut pinned, part) =
                (self.s3.calls().clone(), self.pinned.clone(), range.clone());
            let task = self.s3.handle().spawn(async move {
                let mut bytes = vec![0; (part.end - part.start) as usize];
                let mut sink = Filled { bytes: &mut bytes, at: 0 };
                stream(&calls, &mut pinned, part, &mut sink).await?;
                Ok(bytes)
            });
            window.ahead = Some(Ahead { range, task, process: std::process::id() });
        }
        Ok(())
    }
}

impl Object for S3Object {
    fn len(&self) -> u64 {
        self.pinned.len
    }

    fn version(&self) -> Option<String> {
        self.pinned.etag.clone()
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
            let held =
                at.checked_sub(window.start).and_then(|from| window.bytes.get(from as usize..));
            match held.filter(|bytes| !bytes.is_empty()) {
                Some(bytes) => {
                    let n = bytes.len().min(wanted - filled);
                    buf[filled..filled + n].copy_from_slice(&bytes[..n]);
                    filled += n;
                }
                None if (at != window.next || at == 0) && (wanted - filled) as u64 >= FIRST => {
                    self.direct(at..end, &mut buf[filled..])?;
                    window.next = end;
                    (window.start, window.size) = (end, (end - at).min(LONGEST));
                    window.bytes.clear();
                    return Ok(wanted);
                }
                None => self.fill(&mut window, at)?,
            }
        }
        Ok(filled)
    }
}
