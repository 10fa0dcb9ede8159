//! The only function of this crate that starts threads.
//!
//! One coordinator (the caller's thread) hands out tasks and takes back what they left; workers
//! write units and seal shards, and share nothing but two channels. Which worker does what, and
//! when, changes no byte: every unit's place in its shard is fixed by the plan.

use std::collections::{HashMap, VecDeque};

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

/// Buffer of one worker: two fit a core's cache of 2 MiB, and larger ones were not faster.
const BUFFER: u64 = 1 << 20;
/// Smallest buffer worth a thread.
const LEAST_BUFFER: u64 = 64 << 10;
/// A unit is about four buffers, or this many samples: small enough to spread over all workers,
/// large enough to forget the cost of a task.
const UNIT_SAMPLES: usize = 256;

/// Writes and seals the shards in `todo`.
pub(crate) fn execute(context: &Context<'_>, todo: Vec<usize>) -> Result<()> {
    let memory = context.options.memory / 2;
    let most =
        context.options.io_depth.max(context.options.jobs).min((memory / LEAST_BUFFER) as usize);
    let capacity = (memory / most as u64).min(BUFFER) as usize & !(crate::writer::ALIGN - 1);
    let size = unit_size(context, &todo, most);
    let mut queue = Queue::new(todo, context.options.jobs);
    let mut crew = Crew::new(context.options.jobs, most);
    let (tasks, inbox) = bounded::<Task>(2 * most);
    let (outbox, results) = unbounded::<(Done, Effort)>();
    std::thread::scope(|scope| {
        let (mut workers, mut in_flight, mut failed) = (0, 0, None);
        loop {
            let target = crew.target();
            while failed.is_none()
                && !context.progress.stopped()
                && in_flight < target + context.options.jobs
            {
                let Some(task) = queue.next(context, size).unwrap_or_else(|e| {
                    failed = Some(e);
                    None
                }) else {
                    break;
                };
                if workers < target && workers < in_flight + 1 {
                    let (inbox, outbox) = (inbox.clone(), outbox.clone());
                    scope.spawn(move || work(context, capacity, &inbox, &outbox));
                    workers += 1;
                    context
                        .progress
                        .threads
                        .fetch_max(workers as u64, std::sync::atomic::Ordering::Relaxed);
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
            if let Err(error) = queue.take(context, done)
                && failed.as_ref().is_none_or(|e| matches!(e, Error::Interrupted { .. }))
            {
                failed = Some(error);
            }
        }
        drop(tasks);
        match failed {
            Some(error) => Err(error),
            None if context.progress.stopped() => {
                Err(Error::Interrupted { sealed: 0, shards: context.plan.shards.len() })
            }
            None => Ok(()),
        }
    })
}

/// Units small enough that every read in flight has one, even for a small dataset.
fn unit_size(context: &Context<'_>, todo: &[usize], most: usize) -> UnitSize {
    let shards = || todo.iter().map(|s| &context.plan.shards[*s]);
    let samples: usize = shards().map(|s| s.end - s.start).sum();
    let bytes: u64 = shards().map(|s| s.bytes).sum();
    let share = 4 * most;
    UnitSize {
        bytes: (bytes / share as u64).clamp(1, 4 * BUFFER),
        samples: (samples / share).clamp(1, UNIT_SAMPLES),
    }
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
    ready: VecDeque<Task>,
}

impl Queue {
    /// Two shards a job are filled at a time and give units in turn: a file system lets one thread
    /// at a time write into a file, so neighbours in time should not be neighbours in a shard.
    fn new(todo: Vec<usize>, jobs: usize) -> Self {
        Self {
            todo: todo.into(),
            open: HashMap::new(),
            filling: VecDeque::new(),
            breadth: 2 * jobs,
            ready: VecDeque::new(),
        }
    }

    fn next(&mut self, context: &Context<'_>, size: UnitSize) -> Result<Option<Task>> {
        if let Some(task) = self.ready.pop_front() {
            return Ok(Some(task));
        }
        loop {
            while self.filling.len() < self.breadth
                && let Some(shard) = self.todo.pop_front()
            {
                self.open.insert(shard, ShardWork::start(context, shard, HashMap::new())?);
                self.filling.push_back(shard);
            }
            let Some(shard) = self.filling.pop_front() else { return Ok(None) };
            if let Some(unit) = self.open.get_mut(&shard).and_then(|work| work.unit(context, size))
            {
                self.filling.push_back(shard);
                return Ok(Some(Task::Write(unit)));
            }
        }
    }

    fn take(&mut self, context: &Context<'_>, done: Done) -> Result<()> {
        let (shard, unit) = match done {
            Done::Wrote(shard, unit) => (shard, unit?),
            Done::Sealed(sealed) => {
                sealed?;
                context.progress.shards.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
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
        let whole = UnitSize { bytes: 4 * BUFFER, samples: UNIT_SAMPLES };
        while let Some(unit) = work.unit(context, whole) {
            self.ready.push_back(Task::Write(unit));
        }
        self.open.insert(shard, work);
    }
}
