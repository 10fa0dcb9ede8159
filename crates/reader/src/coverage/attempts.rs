//! Logs in the order in which a job ran, and what counts of each.

use super::log::{Log, Pass, Worker};
use crate::plan::Cursor;

/// One start of a job: processes that began at the same place with the same world.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) start: Cursor,
    pub(super) world: u64,
    pub(super) replicas: u64,
    pub(super) logs: Vec<&'a Log>,
    /// Where the first place is that a later attempt goes on from.
    pub(super) limit: Cursor,
}

/// Behind everything.
const NOWHERE: Cursor = Cursor { epoch: u64::MAX, consumed: u64::MAX };

/// The attempts, in order of time. Processes that consumed nothing help to tell attempts apart, but
/// one of them alone undoes nothing: a worker may have had nothing to do.
pub(super) fn attempts(logs: &[Log]) -> Vec<Attempt<'_>> {
    let mut sorted: Vec<&Log> = logs.iter().collect();
    sorted.sort_by_key(|log| (log.started, log.part.rank, log.worker()));
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for log in sorted {
        // Clocks of hosts differ: its like may have come after another attempt's first.
        let alike = attempts.iter_mut().rev().find(|attempt| attempt.is_like(log));
        match alike.filter(|attempt| attempt.has_room(log)) {
            Some(attempt) => attempt.logs.push(log),
            None => attempts.push(Attempt {
                start: log.start(),
                world: log.part.world,
                replicas: log.part.replicas,
                logs: vec![log],
                limit: NOWHERE,
            }),
        }
    }
    attempts.retain(|attempt| attempt.logs.iter().any(|log| !log.passes.is_empty()));
    let mut limit = NOWHERE;
    for attempt in attempts.iter_mut().rev() {
        attempt.limit = limit;
        limit = limit.min(attempt.start);
    }
    attempts
}

impl Attempt<'_> {
    /// Whether a process began where this attempt did.
    fn is_like(&self, log: &Log) -> bool {
        (self.start, self.world, self.replicas) == (log.start(), log.part.world, log.part.replicas)
    }

    /// Whether a process that started later is of this attempt. If its rank is there already, it
    /// is the rank started again if the process before had ended, else a second process that
    /// takes itself for that rank.
    fn has_room(&self, log: &Log) -> bool {
        let rank = |log: &Log| (log.part.rank, log.worker());
        !self.logs.iter().any(|other| rank(other) == rank(log) && other.ended <= log.started)
    }

    /// What its processes walked through.
    pub(super) fn walks(&self) -> impl Iterator<Item = Walk<'_>> {
        self.logs.iter().flat_map(|log| log.walks(self.limit))
    }
}

impl Log {
    fn start(&self) -> Cursor {
        self.passes.first().map_or(self.state.cursor(), |pass| pass.start)
    }

    fn worker(&self) -> Worker {
        self.passes.first().map_or_else(Worker::default, |pass| pass.worker)
    }

    /// A pass that begins in the middle of an epoch goes on from a checkpoint: it undoes what this
    /// process took from there on before.
    fn walks(&self, limit: Cursor) -> impl Iterator<Item = Walk<'_>> {
        let mut limit = limit;
        let mut walks: Vec<Walk<'_>> = Vec::with_capacity(self.passes.len());
        for pass in self.passes.iter().rev() {
            walks.push(Walk { log: self, pass, limit });
            if pass.start.consumed > 0 {
                limit = limit.min(pass.start);
            }
        }
        walks.into_iter().rev()
    }
}

/// A pass of a process through an epoch, and how far it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    pub(super) log: &'a Log,
    pub(super) pass: &'a Pass,
    limit: Cursor,
}

impl Walk<'_> {
    /// Positions of its epoch from here on are undone.
    pub(super) fn limit(&self) -> u64 {
        match self.limit.epoch.cmp(&self.pass.start.epoch) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => self.limit.consumed,
            std::cmp::Ordering::Greater => u64::MAX,
        }
    }

    /// Whether anything that it could take counts.
    pub(super) fn counts(&self) -> bool {
        self.pass.start.consumed < self.limit()
    }

    /// Rank and world among those that get different samples.
    fn group(&self) -> (u64, u64) {
        let part = self.log.part;
        (part.rank / part.replicas, part.world / part.replicas)
    }

    /// Distance from one step of the rank to the next.
    pub(super) fn stride(&self) -> u64 {
        self.group().1
    }

    /// Position of the rank's first step.
    fn first(&self) -> u64 {
        let ((rank, world), base) = (self.group(), self.pass.start.consumed);
        base + (rank + world - base % world) % world
    }

    /// Position of the process's step `i`.
    pub(super) fn position(&self, i: u64) -> u64 {
        let Worker { worker, workers, batch } = self.pass.worker;
        let step = (i / batch * workers + worker) * batch + i % batch;
        self.first() + step * self.stride()
    }

    /// Whether it took `position`.
    pub(super) fn took(&self, position: u64) -> bool {
        let Worker { worker, workers, batch } = self.pass.worker;
        let Some(past) = position.checked_sub(self.first()) else { return false };
        let step = past / self.stride();
        let number = step / batch;
        past.is_multiple_of(self.stride())
            && number % workers == worker
            && number / workers * batch + step % batch < self.pass.took
    }

    /// Whether it came to its end.
    pub(super) fn is_done(&self) -> bool {
        self.pass.took >= self.pass.worker.steps(self.pass.steps)
    }

    /// Where the epoch ends for all ranks: behind their last steps.
    pub(super) fn end(&self) -> u64 {
        self.pass.start.consumed + self.pass.steps * self.stride()
    }

    /// Who walked, for people.
    pub(super) fn who(&self) -> String {
        let rank = self.log.part.rank;
        match self.pass.worker {
            Worker { workers: 1, .. } => format!("rank {rank} ({})", self.log.name),
            Worker { worker, .. } => format!("rank {rank}, worker {worker} ({})", self.log.name),
        }
    }
}

impl Worker {
    /// How many of the rank's first `steps` steps are this worker's.
    pub(super) fn steps(self, steps: u64) -> u64 {
        let turn = self.workers * self.batch;
        let rest = (steps % turn).saturating_sub(self.worker * self.batch);
        steps / turn * self.batch + rest.min(self.batch)
    }
}
