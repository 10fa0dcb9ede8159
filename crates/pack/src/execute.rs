//! Where packing starts its threads.
//!
//! One coordinator (the caller's thread) hands out tasks and takes back what they left; workers
//! write units and seal shards, and share nothing but two channels. Which worker does what, and
//! when, changes no byte: every unit's place in its shard is fixed by the plan.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::context::Context;
use crate::crew::{Crew, Effort, Stopwatch};
use crate::shard::{ShardWork, UnitSize};
use crate::unit::{Scratch, Unit, UnitDone};
use crate::{Error, Result};

/// What a worker does.
enum Task {
    Write(Unit),
    Seal(Box<ShardWork>),
}

/// What came of it.
enum Done {
    Wrote(usize, Result<UnitDone>),
    Sealed(Result<()>),
}

/// Buffer of one worker. Larger ones were not faster, and a write of 1 MiB makes the kernel look for
/// large free blocks: on a machine whose memory was in use that tripled its time.
const BUFFER: u64 = 256 << 10;
/// Smallest buffer worth a thread.
const LEAST_BUFFER: u64 = 64 << 10;
/// A unit is at most this many bytes: a few buffers.
const UNIT_BYTES: u64 = 16 * BUFFER;
/// A unit is at most this part of what is left, divided by the threads at work, so that they end
/// together and that every read in flight has a unit even in a small dataset.
const SHARE: u64 = 4;
/// Memory that a sample needs from when it is written until its shard is sealed: its row for the
/// index, twice while that is built.
const ROW: u64 = 256;

/// Writes and seals the shards in `todo`.
pub(crate) fn execute(context: &Context<'_>, todo: Vec<usize>) -> Result<()> {
    let options = context.options;
    let memory = options.memory / 2;
    let most = options.io_depth.max(options.jobs).min((memory / LEAST_BUFFER) as usize);
    let capacity = (memory / most as u64).min(BUFFER) as usize & !(crate::writer::ALIGN - 1);
    let mut queue = Queue::new(context, todo, unit_bytes(context, most));
    let mut crew = Crew::new(options.jobs, most);
    // A worker's next task waits here while it works, one a job: they never wait for the
    // coordinator. The queue is as long as the crew may grow, so sending never blocks.
    let (tasks, inbox) = bounded::<Task>(most + options.jobs);
    let (outbox, results) = unbounded::<(Done, Effort)>();
    let (mut workers, mut in_flight, mut failure) = (0, 0, None);
    std::thread::scope(|scope| {
        loop {
            let target = crew.target();
            let going_on = failure.is_none() && !context.progress.stopped();
            // Uploads that hold too much get nothing new to hold; with nothing in flight, one task
            // goes on filling what they wait for.
            let may = |in_flight| in_flight == 0 || context.store.has_room();
            while going_on && in_flight < target + options.jobs && may(in_flight) {
                let task = match queue.next(context, target, crew.samples()) {
                    Ok(Some(task)) => task,
                    Ok(None) => break,
                    Err(error) => {
                        failure = Some(error);
                        break;
                    }
                };
                if workers < target.min(in_flight + 1) {
                    let (inbox, outbox) = (inbox.clone(), outbox.clone());
                    scope.spawn(move || work(context, capacity, &inbox, &outbox));
                    workers += 1;
                }
                in_flight += 1;
                if tasks.send(task).is_err() {
                    break;
                }
            }
            if in_flight == 0 {
                break;
            }
            let Ok((done, effort)) = results.recv() else { break };
            in_flight -= 1;
            crew.note(effort);
            if let Done::Wrote(_, Ok(unit)) = &done {
                crew.note_samples(effort, unit.samples());
            }
            if let Err(error) = queue.take(context, done) {
                failure = Some(worse(failure.take(), error));
            }
        }
        drop(tasks);
    });
    context.progress.threads.fetch_max(workers as u64, Relaxed);
    match failure {
        Some(error) => Err(error),
        None if context.progress.stopped() => Err(interrupted(context)),
        None => Ok(()),
    }
}

/// Longest unit. What a store gathers in memory counts only once it is handed out: so many units in
/// flight may then hold no more than an eighth of the memory beyond what uploads may hold.
fn unit_bytes(context: &Context<'_>, most: usize) -> u64 {
    match context.store.gathers() {
        false => UNIT_BYTES,
        true => (context.options.memory / 8 / most as u64).clamp(LEAST_BUFFER, UNIT_BYTES),
    }
}

/// Of two failures the one that tells more: an interruption follows from a stop.
fn worse(before: Option<Error>, error: Error) -> Error {
    match before {
        Some(before) if !matches!(before, Error::Interrupted { .. }) => before,
        _ => error,
    }
}

/// The caller knows how many shards are sealed.
pub(crate) fn interrupted(context: &Context<'_>) -> Error {
    Error::Interrupted { sealed: 0, shards: context.plan.shards.len() }
}

fn work(
    context: &Context<'_>,
    capacity: usize,
    inbox: &Receiver<Task>,
    outbox: &Sender<(Done, Effort)>,
) {
    let mut scratch = Scratch::default();
    let mut watch = Stopwatch::start();
    for task in inbox {
        watch.lap(); // waiting for a task is nobody's effort
        let done = match task {
            Task::Write(unit) => {
                let done = unit.write(context, capacity, &mut scratch);
                let shard = unit.shard;
                drop(unit); // gives the upload back before the coordinator may seal it
                Done::Wrote(shard, done)
            }
            Task::Seal(work) => Done::Sealed(work.seal(context)),
        };
        if outbox.send((done, watch.lap())).is_err() {
            return;
        }
    }
}

/// Shards that wait, shards that are being written, shards that can be sealed.
struct Queue {
    todo: VecDeque<usize>,
    open: HashMap<usize, ShardWork>,
    /// Shards that still hand out units, in turn.
    filling: VecDeque<usize>,
    /// How many of them there should be.
    breadth: usize,
    /// Longest unit, in bytes.
    unit: u64,
    ready: VecDeque<Task>,
    /// What is not yet handed out.
    left: UnitSize,
}

impl Queue {
    /// Four shards a job are filled at a time and give units in turn: a file system lets one thread
    /// at a time write into a file, so neighbours in time should not be neighbours in a shard. Two
    /// were as fast into the page cache; on a disk that is waited for they held 1.1 GB/s, four 1.4.
    /// A store that gathers ranges into parts wants the opposite: one shard after another.
    fn new(context: &Context<'_>, todo: Vec<usize>, unit: u64) -> Self {
        let shards = || todo.iter().map(|s| &context.plan.shards[*s]);
        Self {
            left: UnitSize {
                bytes: shards().map(|s| s.bytes).sum(),
                samples: shards().map(|s| s.end - s.start).sum(),
            },
            unit,
            open: HashMap::new(),
            filling: VecDeque::new(),
            breadth: if context.store.gathers() { 1 } else { 4 * context.options.jobs },
            ready: VecDeque::new(),
            todo: todo.into(),
        }
    }

    /// The next task, cut for this many threads at work.
    fn next(
        &mut self,
        context: &Context<'_>,
        threads: usize,
        samples: usize,
    ) -> Result<Option<Task>> {
        if let Some(task) = self.ready.pop_front() {
            return Ok(Some(task));
        }
        loop {
            while self.room(context)
                && let Some(shard) = self.todo.pop_front()
            {
                self.open.insert(shard, ShardWork::start(context, shard, HashMap::new())?);
                self.filling.push_back(shard);
            }
            let Some(shard) = self.filling.pop_front() else { return Ok(None) };
            let share = SHARE * threads as u64;
            let size = UnitSize {
                bytes: (self.left.bytes / share).clamp(1, self.unit),
                samples: (self.left.samples / share as usize).clamp(1, samples),
            };
            let unit = self.open.get_mut(&shard).and_then(|work| work.unit(context, size));
            if let Some(unit) = unit {
                self.left.samples = self.left.samples.saturating_sub(unit.places.len());
                self.left.bytes = self.left.bytes.saturating_sub(unit.bytes);
                self.filling.push_back(shard);
                return Ok(Some(Task::Write(unit)));
            }
        }
    }

    /// True when another shard may be opened: enough to alternate, and no more samples on their way
    /// to an index than a quarter of the memory holds.
    fn room(&self, context: &Context<'_>) -> bool {
        let samples = |shard: &usize| {
            let plan = &context.plan.shards[*shard];
            (plan.end - plan.start) as u64
        };
        let waiting: u64 = self.open.keys().map(samples).sum();
        let next = self.todo.front().map_or(0, samples);
        self.filling.is_empty()
            || self.filling.len() < self.breadth
                && (waiting + next) * ROW <= context.options.memory / 4
    }

    fn take(&mut self, context: &Context<'_>, done: Done) -> Result<()> {
        let (shard, unit) = match done {
            Done::Wrote(shard, unit) => (shard, unit?),
            Done::Sealed(sealed) => {
                sealed?;
                context.progress.shards.fetch_add(1, Relaxed);
                return Ok(());
            }
        };
        let complete = self.open.get_mut(&shard).is_some_and(|work| work.done(unit));
        if complete && let Some(mut work) = self.open.remove(&shard) {
            match work.new_splits() {
                // Records turned out to need splits, so every later offset was wrong. This is
                // rare (one word in 2^32 of the payload): lay the shard out again and rewrite it.
                Some(splits) => {
                    drop(work);
                    let again = ShardWork::start(context, shard, splits)?;
                    self.again(context, shard, again);
                }
                None => self.ready.push_back(Task::Seal(Box::new(work))),
            }
        }
        Ok(())
    }

    fn again(&mut self, context: &Context<'_>, shard: usize, mut work: ShardWork) {
        let whole = UnitSize { bytes: UNIT_BYTES, samples: usize::MAX };
        while let Some(unit) = work.unit(context, whole) {
            self.ready.push_back(Task::Write(unit));
        }
        self.open.insert(shard, work);
    }
}
