//! Trouble on demand: what a training loop should bear, without waiting for a bad day.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Stop;

/// What goes wrong in Pipe and FastFile channels. The default is nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Wait before the first byte of each request. Default: none.
    pub latency: Duration,
    /// Most bytes a second, of all channels together. Default: no limit.
    pub bandwidth: Option<u64>,
    /// Bytes after which a FIFO is closed, as if the epoch were over, and after which reads of an
    /// open file fail with `EIO`. Default: never.
    pub drop_after: Option<u64>,
    /// How long each FIFO and each open file once falls silent. Default: not at all.
    pub stall: Duration,
    /// Bytes after which it does. Default 1 MiB.
    pub stall_after: u64,
}

impl Default for Faults {
    fn default() -> Self {
        let (latency, stall) = (Duration::ZERO, Duration::ZERO);
        Self { latency, bandwidth: None, drop_after: None, stall, stall_after: 1 << 20 }
    }
}

/// The way that bytes take, with its faults.
#[derive(Debug)]
pub(crate) struct Link {
    faults: Faults,
    stop: Stop,
    /// When the bytes that passed so far will have.
    free: Mutex<Option<Instant>>,
}

/// How far a FIFO or an open file has come.
#[derive(Debug, Default)]
pub(crate) struct Passed {
    bytes: u64,
    has_stalled: bool,
}

impl Link {
    pub(crate) fn new(faults: Faults, stop: Stop) -> Self {
        Self { faults, stop, free: Mutex::default() }
    }

    /// True where nothing is held up: bytes need not be counted.
    pub(crate) fn is_clear(&self) -> bool {
        let kept = Faults { stall_after: self.faults.stall_after, ..Faults::default() };
        self.faults == kept
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Before the first byte of a request.
    pub(crate) fn request(&self) {
        if !self.faults.latency.is_zero() {
            self.stop.wait(self.faults.latency);
        }
    }

    /// How many of the next `len` bytes may pass, after the time that they take: fewer where the
    /// stream is cut.
    pub(crate) fn pass(&self, passed: &mut Passed, len: usize) -> usize {
        let left = self.faults.drop_after.map_or(u64::MAX, |end| end.saturating_sub(passed.bytes));
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        passed.bytes += len as u64;
        let faults = &self.faults;
        if !faults.stall.is_zero() && !passed.has_stalled && passed.bytes > faults.stall_after {
            passed.has_stalled = true;
            self.stop.wait(faults.stall);
        }
        if let Some(wait) = self.busy(len) {
            self.stop.wait(wait);
        }
        len
    }

    /// How long `len` bytes take that stand behind all others.
    fn busy(&self, len: usize) -> Option<Duration> {
        let rate = self.faults.bandwidth?.max(1);
        let now = Instant::now();
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let end = free.unwrap_or(now).max(now) + Duration::from_secs_f64(len as f64 / rate as f64);
        *free = Some(end);
        Some(end - now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_cut_where_it_should_be() {
        let link = Link::new(Faults { drop_after: Some(10), ..Faults::default() }, Stop::default());
        let mut passed = Passed::default();
        assert!(!link.is_clear());
        assert_eq!([4, 4, 4, 4].map(|len| link.pass(&mut passed, len)), [4, 4, 2, 0]);
        let clear = Link::new(Faults::default(), Stop::default());
        assert!(clear.is_clear() && clear.pass(&mut Passed::default(), 1 << 30) == 1 << 30);
    }

    #[test]
    fn bytes_queue_for_the_bandwidth() {
        let faults = Faults { bandwidth: Some(1000), ..Faults::default() };
        let link = Link::new(faults, Stop::default());
        link.busy(5_000);
        let wait = link.busy(5_000).unwrap();
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
    }

    #[test]
    fn a_stall_ends_with_the_agent() {
        let stop = Stop::default();
        let stall = Duration::from_secs(3600);
        let link = Link::new(Faults { stall, stall_after: 0, ..Faults::default() }, stop.clone());
        stop.set();
        assert_eq!(link.pass(&mut Passed::default(), 5), 5);
    }
}
