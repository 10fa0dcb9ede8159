//! The proof: every position of every epoch, counted.

use std::collections::BTreeSet;

use super::attempts::{Attempt, Place, Walk, attempts};
use super::counts::Counts;
use super::log::Log;
use super::report::{AuditReport, EpochAudit, Seen, Start};
use crate::plan::{Cursor, Epoch, Plan};
use crate::reader::Reader;
use crate::{Error, Result};

/// What is to be proved.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct AuditOptions {
    /// How often each sample should be seen in an epoch, at most 254. Default 1; more where the
    /// same process walks through the same epoch again, as evaluation does.
    pub times: u8,
    /// How many epochs should be complete. Default: those up to the last one that was begun, which may
    /// be unfinished.
    pub epochs: Option<u64>,
}

impl Default for AuditOptions {
    fn default() -> Self {
        Self { times: 1, epochs: None }
    }
}

/// Samples of a kind that a report names.
const NAMED: usize = 10;

/// Counts how often every sample was seen in every epoch, from the logs of all processes of a job.
///
/// `reader` is of the dataset that was read, opened with [`Log::options`] of any of the logs. Takes a
/// byte of memory a sample, and about a nanosecond a step. A walk through a stream that was cut off, or
/// through the shards of one host, is played again, which takes as long as asking the plan for each sample
/// of the epoch.
///
/// Fails with [`Error::Different`] for logs of another dataset, seed, shuffle or other marks of
/// deletion, and with [`Error::Usage`] without a log that says anything.
pub fn audit(reader: &Reader, logs: &[Log], options: &AuditOptions) -> Result<AuditReport> {
    let identity = reader.plan().state(Cursor::default());
    for log in logs {
        log.state.same_as(&identity).map_err(|error| match error {
            Error::Different { differences } => {
                let name = |difference| format!("{}: {difference}", log.name);
                Error::Different { differences: differences.into_iter().map(name).collect() }
            }
            error => error,
        })?;
    }
    let attempts = attempts(logs);
    // An epoch of which all is undone was not begun.
    let walks = attempts.iter().flat_map(Attempt::walks).filter(Walk::counts);
    let Some(last) = walks.map(|walk| walk.pass.start.epoch).max() else {
        return Err(Error::usage("no log says that anything was read"));
    };
    if options.times == 0 || options.times == u8::MAX {
        return Err(Error::usage(format!("{} times: 1 to 254", options.times)));
    }
    let mut report = AuditReport {
        samples: reader.plan().samples(),
        times: options.times.into(),
        logs: logs.len() as u64,
        torn: logs.iter().filter(|log| log.torn).map(|log| log.name.clone()).collect(),
        ..AuditReport::default()
    };
    report.starts.extend(attempts.iter().map(|attempt| Start {
        epoch: attempt.start.cursor.epoch,
        position: attempt.start.cursor.consumed,
        world: attempt.world * attempt.hosts.unwrap_or(1),
        logs: attempt.logs.len() as u64,
    }));
    let replicas = attempts.iter().map(|attempt| attempt.replicas).max().unwrap_or(1);
    for epoch in 0..options.epochs.unwrap_or(0).max(last + 1) {
        for replica in 0..replicas {
            let audit = Audit { reader, attempts: &attempts, options, epoch, last, replica };
            report.epochs.push(audit.epoch()?);
        }
    }
    Ok(report)
}

/// One epoch of one replica.
struct Audit<'a> {
    reader: &'a Reader,
    attempts: &'a [Attempt<'a>],
    options: &'a AuditOptions,
    epoch: u64,
    /// The last epoch that was begun.
    last: u64,
    replica: u64,
}

impl Audit<'_> {
    fn epoch(&self) -> Result<EpochAudit> {
        let samples = self.reader.plan().samples();
        let mut report =
            EpochAudit { epoch: self.epoch, replica: self.replica, ..EpochAudit::default() };
        // Those of the last attempt that read in it say where it ends.
        let bounds = self.attempts.iter().rev().find_map(|attempt| self.bounds(attempt, samples));
        let Some(bounds) = bounds else {
            report.missing = samples; // nobody says a word of it
            return Ok(report);
        };
        report.dropped = samples - bounds.end;
        let pending = match self.epoch == self.last && self.options.epochs.is_none() {
            true => bounds.pending,
            false => Pending::From(bounds.end),
        };
        let mut counts = Counts::new(bounds.end)?;
        for walk in self.attempts.iter().flat_map(|attempt| self.of_epoch(attempt)) {
            counts.walk(&walk, self.plan(), &mut report);
        }
        counts.sort();
        self.judge(&counts, &pending, &mut report)?;
        self.blame(&mut report);
        Ok(report)
    }

    /// How far an attempt came in the epoch; none when it was never there.
    fn bounds(&self, attempt: &Attempt<'_>, samples: u64) -> Option<Bounds> {
        let walks: Vec<Walk<'_>> = self.of_epoch(attempt).filter(Walk::counts).collect();
        let divided = walks.iter().any(Walk::is_divided);
        // Hosts that have other shards each have other positions, too.
        let end = if divided { samples } else { walks.iter().map(Walk::end).max()?.min(samples) };
        // The last walk of each process, if it went through the epoch more than once.
        let last = walks.chunk_by(|a, b| std::ptr::eq(a.log, b.log)).filter_map(<[_]>::last);
        // A process that is still in the epoch before would begin with its rank.
        let late = attempt.logs.iter().filter(|log| {
            self.is_mine(log) && !walks.iter().any(|walk| std::ptr::eq(walk.log, **log))
        });
        let late = late.map(|log| log.part.rank / log.part.replicas);
        let pending = if walks.iter().any(|walk| walk.pass.stream.is_some()) {
            let unfinished = last.filter(|walk| !walk.is_done()).map(|walk| walk.group().0);
            let ranks: BTreeSet<u64> = unfinished.chain(late).collect();
            match divided {
                false => Pending::Of { ranks, world: attempt.world / attempt.replicas },
                // Nothing says what a host will get.
                true if !ranks.is_empty() => Pending::From(0),
                true => Pending::From(end),
            }
        } else {
            let next = last.map(|walk| (!walk.is_done()).then(|| walk.position(walk.pass.took)));
            let reached: Option<Vec<u64>> = next.chain(late.map(Some)).collect();
            let reached = reached.and_then(|all| all.into_iter().min()).unwrap_or(end);
            Pending::From(reached.min(end))
        };
        Some(Bounds { end, pending })
    }

    fn plan(&self) -> &Plan {
        self.reader.plan()
    }

    fn is_mine(&self, log: &Log) -> bool {
        let part = log.part;
        part.rank % part.replicas == self.replica % part.replicas
    }

    fn of_epoch<'a>(&'a self, attempt: &'a Attempt<'_>) -> impl Iterator<Item = Walk<'a>> {
        let mine = |walk: &Walk<'_>| walk.pass.start.epoch == self.epoch && self.is_mine(walk.log);
        attempt.walks().filter(mine)
    }

    /// Sorts every sample into its kind. Those that are pending may be missing.
    fn judge(&self, counts: &Counts, pending: &Pending, report: &mut EpochAudit) -> Result<()> {
        let (wanted, epoch) = (self.options.times, self.plan().epoch(self.epoch));
        for (position, &count) in (0..).zip(&counts.seen) {
            if count == wanted {
                report.exact += 1;
            } else if count > wanted {
                report.doubled += 1;
                self.name(&epoch, position, count, &mut report.first_doubled)?;
            } else if counts.is_damaged(position) {
                report.damaged += 1;
                self.name(&epoch, position, count, &mut report.first_damaged)?;
            } else if counts.is_left_out(position) {
                report.dropped += 1;
            } else if pending.has(position) {
                report.pending += 1;
            } else {
                report.missing += 1;
                self.name(&epoch, position, count, &mut report.first_missing)?;
            }
        }
        Ok(())
    }

    /// Names one of the first ten of a kind.
    fn name(&self, epoch: &Epoch, position: u64, count: u8, list: &mut Vec<Seen>) -> Result<()> {
        if list.len() >= NAMED {
            return Ok(());
        }
        let Some(sample) = epoch.sample(position) else { return Ok(()) };
        let key = self.reader.key(sample)?;
        list.push(Seen { key, position, times: count.into(), ranks: Vec::new() });
        Ok(())
    }

    /// Says who took the samples that have names, or should have.
    fn blame(&self, report: &mut EpochAudit) {
        let EpochAudit { first_missing, first_doubled, first_damaged, .. } = report;
        let mut named: Vec<&mut Seen> =
            [first_missing, first_doubled, first_damaged].into_iter().flatten().collect();
        let positions: BTreeSet<u64> = named.iter().map(|seen| seen.position).collect();
        if named.is_empty() {
            return;
        }
        for walk in self.attempts.iter().flat_map(|attempt| self.of_epoch(attempt)) {
            let took: BTreeSet<u64> = match walk.in_order() {
                None => {
                    let took = |&p: &u64| walk.took(p) && p < walk.limit();
                    positions.iter().copied().filter(took).collect()
                }
                Some(stream) => {
                    let taken = walk.taken(self.plan(), stream).filter(|taken| !taken.undone);
                    taken.map(|taken| taken.position).filter(|p| positions.contains(p)).collect()
                }
            };
            let met = named.iter_mut().filter(|seen| took.contains(&seen.position));
            met.for_each(|seen| seen.ranks.push(walk.who()));
        }
        for seen in named.into_iter().filter(|seen| seen.ranks.is_empty()) {
            seen.ranks.extend(self.should(seen.position));
        }
    }

    /// Who should have taken a position: a rank of the attempt that had come to it last. Nobody knows
    /// where hosts have other shards each.
    fn should(&self, position: u64) -> Option<String> {
        let place = Cursor { epoch: self.epoch, consumed: position };
        let came = |attempt: &&Attempt<'_>| {
            let Place { cursor, base } = attempt.start;
            Cursor { consumed: base, ..cursor } <= place
        };
        let attempt = self.attempts.iter().rev().find(came)?;
        if attempt.hosts.is_some() {
            return None;
        }
        let rank = position % (attempt.world / attempt.replicas) * attempt.replicas;
        Some(format!("rank {}", rank + self.replica % attempt.replicas))
    }
}

/// How far the last attempt came in an epoch.
struct Bounds {
    /// Positions that the plan hands out.
    end: u64,
    pending: Pending,
}

/// Positions that some process of the last attempt has not come to.
enum Pending {
    /// From this one on.
    From(u64),
    /// Of these ranks of a world, as a stream brings them in any order.
    Of { ranks: BTreeSet<u64>, world: u64 },
}

impl Pending {
    fn has(&self, position: u64) -> bool {
        match self {
            Self::From(first) => position >= *first,
            Self::Of { ranks, world } => ranks.contains(&(position % world)),
        }
    }
}
