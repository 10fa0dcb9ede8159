//! How many threads should be at work: as many as there are jobs while the cores are busy, more
//! while they wait for disks and networks, up to the depth that was asked for.
//!
//! One rule serves a hot page cache (two cores, two threads), a cold disk, a network file system
//! at two milliseconds a call, and an fsync: the process's own processor time says whether the
//! cores are idle. A fixed number was tried first: 32 threads halve the time of a cold run and
//! cost a quarter in a hot one.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// How long to watch before judging. Shorter windows mistake scheduling for waiting.
const WINDOW: Duration = Duration::from_millis(15);
/// Below this share of the cores' time the cores are idle, and threads are added.
const IDLE: f64 = 0.80;
/// Above this share threads are taken away again.
const BUSY: f64 = 0.95;

/// Watches the process and says how many tasks should be in flight.
#[derive(Debug)]
pub(crate) struct Crew {
    jobs: usize,
    most: usize,
    target: usize,
    since: Instant,
    cpu: Duration,
}

impl Crew {
    /// Starts with one task a job; never more than `most`.
    pub(crate) fn new(jobs: usize, most: usize) -> Self {
        let target = jobs.min(most);
        Self { jobs, most, target, since: Instant::now(), cpu: process_time() }
    }

    /// Tasks that should be in flight now.
    pub(crate) fn target(&mut self) -> usize {
        let elapsed = self.since.elapsed();
        if elapsed >= WINDOW {
            let cpu = process_time();
            let used = cpu.saturating_sub(self.cpu).as_secs_f64();
            self.target = self.judge(used / (elapsed.as_secs_f64() * self.jobs as f64));
            (self.since, self.cpu) = (Instant::now(), cpu);
        }
        self.target
    }

    /// The next target, from the share of the cores' time that was used.
    fn judge(&self, share: f64) -> usize {
        let least = self.jobs.min(self.most);
        if share < IDLE {
            (self.target * 2).min(self.most)
        } else if share > BUSY {
            (self.target * 3 / 4).max(least)
        } else {
            self.target
        }
    }
}

fn process_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_while_idle_and_shrinks_while_busy() {
        let mut crew = Crew::new(2, 64);
        for want in [4, 8, 16, 32, 64, 64] {
            crew.target = crew.judge(0.1);
            assert_eq!(crew.target, want);
        }
        assert_eq!(crew.judge(0.9), 64);
        for want in [48, 36, 27, 20, 15, 11, 8, 6, 4, 3, 2, 2] {
            crew.target = crew.judge(1.0);
            assert_eq!(crew.target, want);
        }
        assert_eq!(Crew::new(8, 4).target(), 4);
    }
}
