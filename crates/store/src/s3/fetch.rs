//! Bytes of objects, for threads that wait for them.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

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
/// Most parts of one read that are under way: from Amazon a connection carries some 50 to 90 MB/s.
const MOST_AHEAD: u64 = 8;
/// What one read should get, in bytes a second, where its connections together carry that.
const GOAL: u64 = 800_000_000;

/// How many parts to fetch ahead of a reader, by how fast a connection lately brought one. Those
/// ahead wait in memory, out of the processor's cache: on a line so fast that one connection will
/// do, whole shards came at 69 % of the line's rate with eight ahead.
#[derive(Debug, Default)]
pub(super) struct Reach {
    /// Bytes a second; 0 before the first part.
    rate: AtomicU64,
}

impl Reach {
    fn note(&self, bytes: u64, took: Duration) {
        // Of less than a part the wait for its first byte would be most.
        if bytes == PART {
            self.rate.store((bytes as f64 / took.as_secs_f64()) as u64, Relaxed);
        }
    }

    fn parts(&self) -> usize {
        let rate = self.rate.load(Relaxed);
        GOAL.checked_div(rate).map_or(MOST_AHEAD, |parts| parts.min(MOST_AHEAD)) as usize
    }
}

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
                ahead.reach(self, object, at..range.end, PART, self.reach().parts());
                pour(part.as_ref(), sink)?;
                continue;
            }
            let part = at..range.end.min(at + PART);
            at = part.end;
            // The ETag of the first part pins all others.
            if object.etag.is_some() {
                ahead.reach(self, object, at..range.end, PART, self.reach().parts());
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
        let begun = Instant::now();
        let (Some(wire), Some(credentials)) = (self.wire(&object.bucket)?, self.credentials())
        else {
            return self.wait(stream(calls, object, range, sink));
        };
        let turn = self.wait(calls.read_turn());
        match wire.get(&credentials, object, range, sink)? {
            Outcome::Done => {
                turn.answered();
                self.reach().note(end - start, begun.elapsed());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_parts_ahead_as_the_line_is_slow() {
        let reach = Reach::default();
        assert_eq!(reach.parts(), 8, "before anything is known");
        let part = |millis| reach.note(PART, Duration::from_millis(millis));
        for (millis, parts) in [(200, 8), (80, 7), (30, 2), (12, 1), (8, 0)] {
            part(millis);
            assert_eq!(reach.parts(), parts, "{millis} ms a part");
        }
        reach.note(PART - 1, Duration::from_secs(1));
        assert_eq!(reach.parts(), 0, "a short range tells nothing");
    }
}
