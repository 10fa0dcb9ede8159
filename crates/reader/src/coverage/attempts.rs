//! Logs in the order in which a job ran, and what counts of each.

use std::cmp::Ordering;

use shardpack_channel::Rank;

use super::log::{Log, Pass, Worker};
use crate::plan::Cursor;

/// Where a process begins, and what came before it is undone from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The epoch, and how many of its positions were gone.
    pub(super) cursor: Cursor,
    /// Those below are gone. It is the cursor's number but for a stream, of which that is a number
    /// only: of each rank's steps from here on, the first are gone.
    pub(super) base: u64,
}

/// One start of a job: processes that began at the same place with the same world.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    pub(super) start: Place,
    /// Ranks; of each host, where hosts have other shards each.
    pub(super) world: u64,
    pub(super) replicas: u64,
    /// Hosts that have other shards each.
    pub(super) hosts: Option<u64>,
    pub(super) logs: Vec<&'a Log>,
    /// Where the first place is that a later attempt goes on from.
    pub(super) limit: Place,
}

/// Behind everything.
const NOWHERE: Place =
    Place { cursor: Cursor { epoch: u64::MAX, consumed: u64::MAX }, base: u64::MAX };

/// The attempts, in order of time. Processes that consumed nothing help to tell attempts apart, but
/// one of them alone undoes nothing: a worker may have had nothing to do.
pub(super) fn attempts(logs: &[Log]) -> Vec<Attempt<'_>> {
    let mut sorted: Vec<&Log> = logs.iter().collect();
    sorted.sort_by_key(|log| (log.started, log.process()));
    let mut attempts: Vec<Attempt<'_>> = Vec::new();
    for log in sorted {
        // Clocks of hosts differ: its like may have come after another attempt's first.
        let alike = attempts.iter_mut().rev().find(|attempt| attempt.is_like(log));
        let mut with = match alike {
            Some(attempt) if attempt.has_room(log) => {
                attempt.logs.push(log);
                continue;
            }
            Some(attempt) => attempt.give_up(log),
            None => Vec::new(),
        };
        with.push(log);
        attempts.push(Attempt {
            start: log.start(),
            world: log.part.world,
            replicas: log.part.replicas,
            hosts: log.hosts(),
            logs: with,
            limit: NOWHERE,
        });
    }
    attempts.retain(|attempt| attempt.logs.iter().any(|log| !log.passes.is_empty()));
    let mut limit = NOWHERE;
    for attempt in attempts.iter_mut().rev() {
        attempt.limit = limit;
        limit = limit.min(attempt.start);
    }
    attempts
}

impl<'a> Attempt<'a> {
    /// Whether a process began where this attempt did.
    fn is_like(&self, log: &Log) -> bool {
        (self.start, self.world, self.replicas, self.hosts)
            == (log.start(), log.part.world, log.part.replicas, log.hosts())
    }

    /// Whether a process that started later is of this attempt. If its rank is there already, it
    /// is the rank started again if the process before had ended, else a second process that
    /// takes itself for that rank.
    fn has_room(&self, log: &Log) -> bool {
        let is_same = |other: &&&Log| other.process() == log.process();
        !self.logs.iter().filter(is_same).any(|other| other.ended <= log.started)
    }

    /// Takes out the processes that go with one that has no room here: they began when the one before
    /// of its rank had ended, and it began while they were at work. Ranks of this attempt that were
    /// killed before they had a log had left them room.
    fn give_up(&mut self, log: &Log) -> Vec<&'a Log> {
        let same = self.logs.iter().filter(|other| other.process() == log.process());
        let ended = same.map(|other| other.ended).max().unwrap_or_default();
        let all = std::mem::take(&mut self.logs).into_iter();
        let (with, rest) = all.partition(|o| o.started >= ended && o.ended >= log.started);
        self.logs = rest;
        with
    }

    /// What its processes walked through.
    pub(super) fn walks(&self) -> impl Iterator<Item = Walk<'_>> {
        self.logs.iter().flat_map(|log| log.walks(self.limit))
    }
}

impl Log {
    fn start(&self) -> Place {
        // Of a stream that goes on behind a mix, ranks have not passed over equally many steps.
        let tells = |pass: &&Pass| {
            let Cursor { epoch, consumed } = pass.start;
            pass.skip() == 0 || (epoch, consumed) != (self.begins.cursor.epoch, self.begins.base)
        };
        let first = self.passes.first().filter(tells);
        first.map_or(self.begins, |pass| pass.begins(self.stride()))
    }

    /// Host, rank and worker.
    fn process(&self) -> (Option<u32>, u64, Worker) {
        let worker = self.passes.first().map_or_else(Worker::default, |pass| pass.worker);
        (self.host.map(|host| host.rank), self.part.rank, worker)
    }

    fn hosts(&self) -> Option<u64> {
        self.host.map(|Rank { world, .. }| world.into())
    }

    /// Distance from one step of the rank to the next.
    fn stride(&self) -> u64 {
        self.part.world / self.part.replicas
    }

    /// A pass that begins in the middle of an epoch goes on from a checkpoint: it undoes what this
    /// process took from there on before.
    fn walks(&self, limit: Place) -> impl Iterator<Item = Walk<'_>> {
        let mut limit = limit;
        let mut walks: Vec<Walk<'_>> = Vec::with_capacity(self.passes.len());
        for pass in self.passes.iter().rev() {
            walks.push(Walk { log: self, pass, limit });
            let begins = pass.begins(self.stride());
            if begins.cursor.consumed > 0 {
                limit = limit.min(begins);
            }
        }
        walks.into_iter().rev()
    }
}

impl Pass {
    /// Where it begins, given the distance from one step of its rank to the next.
    fn begins(&self, stride: u64) -> Place {
        let (Cursor { epoch, consumed: base }, skip) = (self.start, self.skip());
        Place { cursor: Cursor { epoch, consumed: base + skip * stride }, base }
    }

    /// Steps that its stream passed over.
    pub(super) fn skip(&self) -> u64 {
        self.stream.as_ref().map_or(0, |stream| stream.skip)
    }
}

/// A pass of a process through an epoch, and how far it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk<'a> {
    pub(super) log: &'a Log,
    pub(super) pass: &'a Pass,
    limit: Place,
}

impl Walk<'_> {
    /// Positions of its epoch from here on are undone.
    pub(super) fn limit(&self) -> u64 {
        match self.limit.cursor.epoch.cmp(&self.pass.start.epoch) {
            Ordering::Less => 0,
            Ordering::Equal if self.is_gone_on_from() => u64::MAX,
            Ordering::Equal => self.limit.base,
            Ordering::Greater => u64::MAX,
        }
    }

    /// Steps of its rank from here on are undone.
    pub(super) fn last(&self) -> u64 {
        match self.is_gone_on_from() {
            true => {
                let past = self.limit.cursor.consumed.saturating_sub(self.first());
                past.div_ceil(self.stride())
            }
            false => u64::MAX,
        }
    }

    /// Whether what undoes the rest of it goes on with the same streams.
    fn is_gone_on_from(&self) -> bool {
        let Cursor { epoch, consumed } = self.pass.start;
        let limit = self.limit;
        self.pass.stream.is_some() && (limit.cursor.epoch, limit.base) == (epoch, consumed)
    }

    /// Whether anything that it could take counts.
    pub(super) fn counts(&self) -> bool {
        self.pass.start.consumed < self.limit() && self.pass.skip() < self.last()
    }

    /// Rank and world among those that get different samples.
    pub(super) fn group(&self) -> (u64, u64) {
        let part = self.log.part;
        (part.rank / part.replicas, part.world / part.replicas)
    }

    /// Distance from one step of the rank to the next.
    pub(super) fn stride(&self) -> u64 {
        self.log.stride()
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
        if let Some(host) = self.log.host {
            return format!("rank {rank} of host {} ({})", host.rank, self.log.name);
        }
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
