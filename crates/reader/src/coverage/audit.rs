//! The proof: every position of every epoch, counted.

use super::attempts::{Attempt, Walk, attempts};
use super::log::Log;
use super::report::{AuditReport, EpochAudit, Seen, Start};
use crate::plan::{Cursor, Epoch};
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
/// byte of memory a sample, and about a nanosecond a step.
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
        epoch: attempt.start.epoch,
        position: attempt.start.consumed,
        world: attempt.world,
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
        let reached = match self.epoch == self.last && self.options.epochs.is_none() {
            true => bounds.reached,
            false => bounds.end,
        };
        let mut counts = Counts::new(bounds.end)?;
        for walk in self.attempts.iter().flat_map(|attempt| self.of_epoch(attempt)) {
            counts.walk(&walk, samples, &mut report);
        }
        counts.damaged.sort_unstable();
        self.judge(&counts, reached, &mut report)?;
        Ok(report)
    }

    /// How far an attempt came in the epoch; none when it was never there.
    fn bounds(&self, attempt: &Attempt<'_>, samples: u64) -> Option<Bounds> {
        let walks: Vec<Walk<'_>> = self.of_epoch(attempt).filter(Walk::counts).collect();
        let end = walks.iter().map(Walk::end).max()?.min(samples);
        // The last walk of each process, if it went through the epoch more than once.
        let last = walks.chunk_by(|a, b| std::ptr::eq(a.log, b.log)).filter_map(<[_]>::last);
        let next = last.map(|walk| (!walk.is_done()).then(|| walk.position(walk.pass.took)));
        // A process that is still in the epoch before would begin with its rank.
        let late = attempt.logs.iter().filter(|log| {
            self.is_mine(log) && !walks.iter().any(|walk| std::ptr::eq(walk.log, **log))
        });
        let late = late.map(|log| Some(log.part.rank / log.part.replicas));
        let reached: Option<Vec<u64>> = next.chain(late).collect();
        let reached = reached.and_then(|all| all.into_iter().min()).unwrap_or(end).min(end);
        Some(Bounds { end, reached })
    }

    fn is_mine(&self, log: &Log) -> bool {
        let part = log.part;
        part.rank % part.replicas == self.replica % part.replicas
    }

    fn of_epoch<'a>(&'a self, attempt: &'a Attempt<'_>) -> impl Iterator<Item = Walk<'a>> {
        let mine = |walk: &Walk<'_>| walk.pass.start.epoch == self.epoch && self.is_mine(walk.log);
        attempt.walks().filter(mine)
    }

    /// Sorts every sample into its kind. Those from `reached` on may be missing.
    fn judge(&self, counts: &Counts, reached: u64, report: &mut EpochAudit) -> Result<()> {
        let (wanted, epoch) = (self.options.times, self.reader.plan().epoch(self.epoch));
        for (position, &count) in (0..).zip(&counts.seen) {
            if count == wanted {
                report.exact += 1;
            } else if count > wanted {
                report.doubled += 1;
                self.name(&epoch, position, count, &mut report.first_doubled)?;
            } else if counts.damaged.binary_search(&position).is_ok() {
                report.damaged += 1;
                self.name(&epoch, position, count, &mut report.first_damaged)?;
            } else if position >= reached {
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
        let walks = self.attempts.iter().flat_map(|attempt| self.of_epoch(attempt));
        let took = walks.filter(|walk| walk.took(position) && position < walk.limit());
        let mut ranks: Vec<String> = took.map(|walk| walk.who()).collect();
        if ranks.is_empty() {
            ranks.extend(self.should(position));
        }
        let key = self.reader.key(sample)?;
        list.push(Seen { key, position, times: count.into(), ranks });
        Ok(())
    }

    /// Who should have taken a position: a rank of the attempt that had come to it last.
    fn should(&self, position: u64) -> Option<String> {
        let place = Cursor { epoch: self.epoch, consumed: position };
        let attempt = self.attempts.iter().rev().find(|attempt| attempt.start <= place)?;
        let rank = position % (attempt.world / attempt.replicas) * attempt.replicas;
        Some(format!("rank {}", rank + self.replica % attempt.replicas))
    }
}

/// How far the last attempt came in an epoch.
struct Bounds {
    /// Positions that the plan hands out.
    end: u64,
    /// Positions below were taken if all is right; `end` when some process came to its end.
    reached: u64,
}

/// How often each position was seen.
struct Counts {
    seen: Vec<u8>,
    /// Positions whose sample was damaged.
    damaged: Vec<u64>,
}

impl Counts {
    fn new(positions: u64) -> Result<Self> {
        let mut seen = Vec::new();
        let len = usize::try_from(positions).unwrap_or(usize::MAX);
        seen.try_reserve_exact(len)
            .map_err(|_| Error::usage(format!("an audit takes {positions} bytes of memory")))?;
        seen.resize(len, 0);
        Ok(Self { seen, damaged: Vec::new() })
    }

    fn walk(&mut self, walk: &Walk<'_>, samples: u64, report: &mut EpochAudit) {
        let limit = walk.limit();
        for i in 0..walk.pass.took {
            let position = walk.position(i);
            if position >= samples {
                report.padding += walk.pass.took - i; // all that follow are
                break;
            }
            match self.at(position).filter(|_| position < limit) {
                Some(count) => *count = count.saturating_add(1),
                None => report.undone += 1,
            }
        }
        for &position in walk.pass.lost.iter().filter(|&&p| p < limit && walk.took(p)) {
            if let Some(count) = self.at(position) {
                *count = count.saturating_sub(1);
                self.damaged.push(position);
            }
        }
    }

    fn at(&mut self, position: u64) -> Option<&mut u8> {
        self.seen.get_mut(usize::try_from(position).ok()?)
    }
}
