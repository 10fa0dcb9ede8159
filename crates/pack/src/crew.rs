//! How many threads should be at work: as many as there are jobs while the cores are the limit,
//! more while threads wait for disks and networks, up to the depth that was asked for.
//!
//! One rule serves a hot page cache (two cores, two threads), a cold disk, a network file system
//! at two milliseconds a call, and an fsync: each thread says how long it waited, and there are
//! enough threads when those that do not wait fill the jobs. A fixed number was tried first: 32
//! threads halve the time of a cold run and cost a quarter in a hot one. So was the process's
//! processor time: a busy neighbour looks like waiting there.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Wall time and, within it, time that a thread ran or wanted to run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    wall: Duration,
    busy: Duration,
}

/// Measures the effort of the thread that made it.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    /// `cpu-time wait-time slices` in nanoseconds; wait-time is the queue for a core.
    schedstat: Option<File>,
    wall: Instant,
    busy: Duration,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        let schedstat = File::open("/proc/thread-self/schedstat").ok();
        let mut watch = Self { schedstat, wall: Instant::now(), busy: Duration::ZERO };
        watch.busy = watch.busy_so_far();
        watch
    }

    /// The effort since the last lap.
    pub(crate) fn lap(&mut self) -> Effort {
        let (wall, busy) = (Instant::now(), self.busy_so_far());
        let effort = Effort { wall: wall - self.wall, busy: busy.saturating_sub(self.busy) };
        (self.wall, self.busy) = (wall, busy);
        effort
    }

    /// Time on a core and in the queue for one; without the kernel's counters only the former.
    fn busy_so_far(&self) -> Duration {
        self.counters().unwrap_or_else(|| {
            let time = clock_gettime(ClockId::ThreadCPUTime);
            Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
        })
    }

    fn counters(&self) -> Option<Duration> {
        let mut text = [0; 64];
        let len = self.schedstat.as_ref()?.read_at(&mut text, 0).ok()?;
        let mut numbers = std::str::from_utf8(&text[..len]).ok()?.split_ascii_whitespace();
        let (cpu, queue) =
            (numbers.next()?.parse::<u64>().ok()?, numbers.next()?.parse::<u64>().ok()?);
        Some(Duration::from_nanos(cpu + queue))
    }
}

/// Effort to see before judging, in wall time of all threads: less is noise.
const WINDOW: Duration = Duration::from_millis(20);

/// How long a task should take: long beside the microseconds of handing it over, short beside a
/// run. Where a file takes 7 ms, a task of a thousand would hold its thread for seconds while the
/// crew is still finding out.
const TASK: Duration = Duration::from_millis(10);
/// Samples of a task before the pace is known.
const FIRST: usize = 4;
/// Most samples of a task.
const MOST_SAMPLES: usize = 1024;

/// Says how many tasks should be in flight, and how long they should be.
#[derive(Debug)]
pub(crate) struct Crew {
    jobs: usize,
    most: usize,
    target: usize,
    seen: Effort,
    /// Seconds that one sample took lately, waiting included.
    pace: Option<f64>,
}

impl Crew {
    /// Starts with one task a job; never more than `most`.
    pub(crate) fn new(jobs: usize, most: usize) -> Self {
        Self { jobs, most, target: jobs.min(most), seen: Effort::default(), pace: None }
    }

    /// Tasks that should be in flight now.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// Samples that make a task of a reasonable length at the pace seen so far.
    pub(crate) fn samples(&self) -> usize {
        let samples = self.pace.map_or(FIRST, |pace| (TASK.as_secs_f64() / pace) as usize);
        samples.clamp(1, MOST_SAMPLES)
    }

    /// Takes note of a task that wrote samples.
    pub(crate) fn note_samples(&mut self, effort: Effort, samples: usize) {
        let pace = (effort.wall.as_secs_f64() / samples.max(1) as f64).max(1e-9);
        self.pace = Some(self.pace.map_or(pace, |before| (before + pace) / 2.0));
    }

    /// Takes note of a task's effort.
    pub(crate) fn note(&mut self, effort: Effort) {
        self.seen.wall += effort.wall;
        self.seen.busy += effort.busy;
        if self.seen.wall >= WINDOW * self.target as u32 {
            let seen = std::mem::take(&mut self.seen);
            self.target = self.judge(seen.busy.as_secs_f64() / seen.wall.as_secs_f64());
        }
    }

    /// As many threads as fill the jobs, when each is busy for this share of its time. At most four
    /// times as many as before, so that one slow call is not a verdict.
    fn judge(&self, busy: f64) -> usize {
        let wanted = (self.jobs as f64 / busy.clamp(1e-3, 1.0)).round() as usize;
        wanted.min(self.target * 4).clamp(self.jobs.min(self.most), self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_as_fill_the_jobs() {
        let mut crew = Crew::new(2, 64);
        for (busy, want) in
            [(1.0, 2), (0.1, 8), (0.1, 20), (0.01, 64), (0.01, 64), (0.5, 4), (1.0, 2)]
        {
            crew.target = crew.judge(busy);
            assert_eq!(crew.target, want, "busy {busy}");
        }
        assert_eq!(Crew::new(8, 4).target(), 4);
    }

    #[test]
    fn judges_after_a_window_of_every_thread() {
        let mut crew = Crew::new(2, 64);
        let waiting = Effort { wall: WINDOW, busy: Duration::ZERO };
        crew.note(waiting);
        assert_eq!(crew.target(), 2);
        crew.note(waiting);
        assert_eq!(crew.target(), 8);
    }

    #[test]
    fn tasks_are_short_where_files_are_slow() {
        let mut crew = Crew::new(2, 64);
        let effort = |millis| Effort { wall: Duration::from_millis(millis), ..Effort::default() };
        assert_eq!(crew.samples(), FIRST);
        crew.note_samples(effort(16 * 7), 16);
        assert_eq!(crew.samples(), 1);
        for _ in 0..30 {
            crew.note_samples(effort(1), 200);
        }
        assert_eq!(crew.samples(), MOST_SAMPLES);
    }

    #[test]
    fn a_thread_that_waits_is_not_busy() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let mut watch = Stopwatch::start();
        let waited = receiver.recv_timeout(Duration::from_millis(50));
        let effort = watch.lap();
        assert!(waited.is_err() && effort.wall >= Duration::from_millis(50));
        assert!(effort.busy < effort.wall / 2, "{effort:?}");
        drop(sender);
    }
}
