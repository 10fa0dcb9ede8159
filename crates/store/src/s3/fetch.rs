//! Bytes of objects, for threads that wait for them.

use std::ops::Range;

use super::connect::S3;
use super::fault::Class;
use super::get::{pour, resume, stream};
use super::parts::{Ahead, Part};
use super::range::Pinned;
use super::wire::Outcome;
use crate::{Result, Sink};

/// Longer reads are cut into parts of so many bytes. Amazon advises 8 to 16 MB: below, requests
/// cost more than bytes; above, fewer run at a time.
pub(super) const PART: u64 = 8 << 20;
/// Parts of one read that are under way: a connection carries some 50 to 90 MB/s.
const PARTS_AHEAD: usize = 8;

impl S3 {
    /// Reads a range of an object into `sink`, in the order of the bytes. A long one arrives in
    /// parts: the first by this thread, those ahead of the sink by others, while there is memory
    /// for them to wait in.
    pub(super) fn read(
        &self,
        object: &mut Pinned,
        range: Range<u64>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let mut ahead = Ahead::default();
        let mut at = range.start;
        while at < range.end {
            if let Some(part) = ahead.pop(self, at)? {
                at += part.as_ref().len() as u64;
                ahead.reach(self, object, at..range.end, PART, PARTS_AHEAD);
                pour(part.as_ref(), sink)?;
                continue;
            }
            let part = at..range.end.min(at + PART);
            at = part.end;
            // The ETag of the first part pins all others.
            if object.etag.is_some() {
                ahead.reach(self, object, at..range.end, PART, PARTS_AHEAD);
            }
            self.get(object, part, sink)?;
        }
        Ok(())
    }

    /// Reads a range into memory.
    pub(super) fn part(&self, object: &mut Pinned, range: Range<u64>) -> Result<Part> {
        let mut part = self.buffers().take(range.end - range.start);
        self.get(object, range, &mut part)?;
        Ok(part)
    }

    /// Reads a range by one request: the short way, if there is one, and what that leaves by the
    /// SDK's.
    pub(super) fn get(
        &self,
        object: &mut Pinned,
        range: Range<u64>,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let (calls, start, end) = (self.calls(), range.start, range.end);
        let (Some(wire), Some(credentials)) = (self.wire(&object.bucket)?, self.credentials())
        else {
            return self.wait(stream(calls, object, range, sink));
        };
        let turn = self.wait(calls.read_turn());
        match wire.get(&credentials, object, range, sink)? {
            Outcome::Done => {
                turn.answered();
                self.wait(calls.receive(end - start));
                Ok(())
            }
            Outcome::Rest(at, fault) => {
                match &fault {
                    Some(fault) if fault.class == Class::Slow => turn.throttled(),
                    _ => drop(turn),
                }
                self.wait(resume(calls, object, at..end, fault, sink))
            }
        }
    }
}
