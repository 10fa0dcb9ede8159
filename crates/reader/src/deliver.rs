//! Reading ahead: the order is known, so threads read what comes next while the loop computes.
//!
//! Workers take pieces in the order in which they will be needed and put them into their window;
//! the consumer takes windows in order. What is read ahead is bounded in bytes. Threads start at
//! the first window, never before: a reader may be made, and sent through a fork, without any.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Span;

use crate::plan::{Run, Window, Windows};
use crate::sample::{Batch, Row};
use crate::segment::Segment;
use crate::set::Set;
use crate::{Error, Result};

/// Bytes that one thread reads at once at most: a window of large samples is read by several.
const LONGEST: u64 = 8 << 20;
/// Bytes between two wanted samples that are cheaper to read than to skip.
const GAP: u64 = 64 << 10;

/// Windows of a share, read ahead.
#[derive(Debug)]
pub(crate) struct Delivery {
    shared: Arc<Shared>,
    threads: usize,
    /// The process that the threads live in; none before they are started.
    process: Option<u32>,
    /// The epoch's: of what threads read too.
    span: Span,
}

#[derive(Debug)]
struct Shared {
    set: Arc<Set>,
    state: Mutex<State>,
    /// For workers: there is room, or an end.
    work: Condvar,
    /// For the consumer: the first window may be complete.
    ready: Condvar,
    /// Bytes that may be read ahead.
    budget: u64,
    mean: u64,
}

#[derive(Debug)]
struct State {
    windows: Windows,
    pending: VecDeque<Pending>,
    /// Number of the first window in `pending`.
    head: u64,
    jobs: VecDeque<Job>,
    /// Bytes of all windows in `pending`, as planned.
    ahead: u64,
    /// No window will follow those in `pending`.
    planned: bool,
    closed: bool,
}

/// A window that is being read.
#[derive(Debug)]
struct Pending {
    segments: Vec<Option<Result<Segment>>>,
    missing: usize,
    rows: Vec<Row>,
    bytes: u64,
}

/// A piece of a window to read.
#[derive(Debug)]
struct Job {
    window: u64,
    segment: usize,
    runs: Vec<Run>,
}

impl Delivery {
    /// Nothing is read, and no thread started, before the first call of [`next`](Self::next).
    pub(crate) fn new(
        set: Arc<Set>,
        windows: Windows,
        threads: usize,
        budget: u64,
        span: Span,
    ) -> Self {
        let state = State {
            windows,
            pending: VecDeque::new(),
            head: 0,
            jobs: VecDeque::new(),
            ahead: 0,
            planned: false,
            closed: false,
        };
        let mean = set.mean();
        let shared = Shared {
            set,
            state: Mutex::new(state),
            work: Condvar::new(),
            ready: Condvar::new(),
            budget,
            mean,
        };
        Self { shared: Arc::new(shared), threads, process: None, span }
    }

    /// False in a process that was forked off after threads were started: there are none here.
    pub(crate) fn is_alive(&self) -> bool {
        self.process.is_none_or(|process| process == std::process::id())
    }

    /// The next window and the time that was waited for it. None at the end.
    pub(crate) fn next(&mut self) -> Option<(Result<Batch>, Duration)> {
        let start = Instant::now();
        if self.process.is_none() {
            self.process = Some(std::process::id());
            for _ in 0..self.threads {
                let (shared, span) = (Arc::clone(&self.shared), self.span.clone());
                let spawned = std::thread::Builder::new()
                    .name("shardpack-read".into())
                    .spawn(move || span.in_scope(|| shared.read_ahead()));
                if let Err(error) = spawned {
                    let error = shardpack_store::Error::io(error, "a thread that reads");
                    return Some((Err(error.into()), start.elapsed()));
                }
            }
        }
        let pending = match self.threads {
            0 => self.span.in_scope(|| self.shared.read_now()),
            _ => self.shared.wait(),
        };
        pending.map(|pending| (pending.into_batch(), start.elapsed()))
    }
}

/// Ends the threads: each after what it reads just now. Nobody waits for them, as a read from a
/// network may take long.
impl Drop for Delivery {
    fn drop(&mut self) {
        if self.is_alive() {
            self.shared.state().closed = true;
            self.shared.work.notify_all();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread does.
    fn read_ahead(&self) {
        let mut state = self.state();
        loop {
            if state.closed {
                return;
            }
            let Some(job) = state.next_job(self) else {
                if state.planned {
                    return;
                }
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Segment::load(&self.set, &job.runs)
            }));
            // A consumer that waits for a thread which is gone would wait for ever.
            let read = read.unwrap_or_else(|_| Err(Error::usage("a thread that reads panicked")));
            state = self.state();
            if state.put(&job, read) {
                self.ready.notify_all();
            }
        }
    }

    /// Waits for the first window.
    fn wait(&self) -> Option<Pending> {
        let mut state = self.state();
        loop {
            if let Some(pending) = state.take() {
                self.work.notify_all();
                return Some(pending);
            }
            if state.planned && state.pending.is_empty() {
                return None;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads the next window on the caller's thread.
    fn read_now(&self) -> Option<Pending> {
        let mut state = self.state();
        loop {
            if let Some(pending) = state.take() {
                return Some(pending);
            }
            let job = state.next_job(self)?;
            let read = Segment::load(&self.set, &job.runs);
            state.put(&job, read);
        }
    }
}

impl State {
    /// The piece that is needed soonest; none while enough is read ahead, or at the end.
    fn next_job(&mut self, shared: &Shared) -> Option<Job> {
        while self.jobs.is_empty() {
            // The window that is waited for is read whatever its size.
            if self.ahead >= shared.budget && !self.pending.is_empty() {
                return None;
            }
            let Some(window) = self.windows.next() else {
                self.planned = true;
                shared.ready.notify_all();
                shared.work.notify_all();
                return None;
            };
            self.plan(&window, shared.mean);
        }
        self.jobs.pop_front()
    }

    fn plan(&mut self, window: &Window, mean: u64) {
        let number = self.head + self.pending.len() as u64;
        let (rows, pieces) = pieces(window, mean);
        let bytes = mean * window.order.len() as u64;
        let missing = pieces.len();
        self.ahead += bytes;
        self.jobs.extend(pieces.into_iter().enumerate().map(|(segment, runs)| Job {
            window: number,
            segment,
            runs,
        }));
        let segments = (0..missing).map(|_| None).collect();
        self.pending.push_back(Pending { segments, missing, rows, bytes });
    }

    /// Puts a piece in its place. True when its window is complete.
    fn put(&mut self, job: &Job, read: Result<Segment>) -> bool {
        let window = (job.window - self.head) as usize;
        let Some(pending) = self.pending.get_mut(window) else { return false };
        pending.segments[job.segment] = Some(read);
        pending.missing -= 1;
        pending.missing == 0
    }

    /// The first window, when all of it is there.
    fn take(&mut self) -> Option<Pending> {
        let pending = self.pending.pop_front_if(|pending| pending.missing == 0)?;
        self.head += 1;
        self.ahead -= pending.bytes;
        Some(pending)
    }
}

impl Pending {
    fn into_batch(self) -> Result<Batch> {
        let segments: Result<Vec<Segment>> = self.segments.into_iter().flatten().collect();
        Ok(Batch { segments: segments?, rows: self.rows })
    }
}

/// What to read for a window, in pieces of one shard each, and for each sample in the order of
/// handing out where it is then.
pub(crate) fn pieces(window: &Window, mean: u64) -> (Vec<Row>, Vec<Vec<Run>>) {
    let longest = (LONGEST / mean).max(1);
    let mut pieces: Vec<Vec<Run>> = Vec::new();
    let mut read: Vec<Row> = Vec::with_capacity(window.order.len());
    for run in &window.runs {
        let mut rest = *run;
        while rest.count > 0 {
            let joined = pieces.last_mut().filter(|piece| joins(piece, &rest, mean, longest));
            let (piece, room) = match joined {
                Some(piece) => {
                    let held = piece.first().map_or(0, |first| rest.first - first.first);
                    (piece, longest - held)
                }
                None => {
                    pieces.push(Vec::new());
                    (pieces.last_mut().expect("just pushed"), longest)
                }
            };
            let count = rest.count.min(room);
            piece.push(Run { count, ..rest });
            let segment = pieces.len() as u32 - 1;
            let next = match read.last() {
                Some(last) if last.segment == segment => last.sample + 1,
                _ => 0,
            };
            read.extend((next..).take(count as usize).map(|sample| Row { segment, sample }));
            rest = Run { first: rest.first + count, count: rest.count - count, ..rest };
        }
    }
    let rows = window.order.iter().map(|&number| read[number as usize]).collect();
    (rows, pieces)
}

/// Whether `run` is better read together with the piece before it.
fn joins(piece: &[Run], run: &Run, mean: u64, longest: u64) -> bool {
    let (Some(first), Some(last)) = (piece.first(), piece.last()) else { return false };
    let end = last.first + last.count;
    last.shard == run.shard
        && run.first >= end
        && (run.first - end).saturating_mul(mean) <= GAP
        && run.first - first.first < longest
}
