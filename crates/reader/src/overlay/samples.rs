//! An epoch of a dataset and its overlays, in step.

use std::collections::VecDeque;

use shardpack_manifest::{Digest, SampleHasher};

use super::{Overlaid, together};
use crate::coverage::{self, Progress};
use crate::plan::{Plan, Share, State};
use crate::stats::Skipped;
use crate::{Damage, Error, Result, Sample, Samples, Stats};

/// A rank's samples of one epoch, with the fields of overlays, in order. After a damaged sample the
/// next call goes on behind it; any other error is the end.
#[derive(Debug)]
pub struct OverlaidSamples {
    plan: Plan,
    share: Share,
    base: Samples,
    overlays: Vec<Samples>,
    damage: Damage,
    /// Read already, to find what stands in for the first ones, which were damaged.
    ahead: VecDeque<Result<Sample>>,
    /// What stands in for the next one, should it be damaged; kept only where that is asked for.
    last: Option<Sample>,
    /// Steps that were handed out.
    taken: u64,
    failed: bool,
    /// Tells this iterator from every other of the process.
    pass: u64,
    /// Positions whose own sample was damaged.
    lost: Vec<u64>,
    digest: Digest,
    hasher: SampleHasher,
    stats: Stats,
}

impl OverlaidSamples {
    pub(super) fn new(reader: &Overlaid, share: Share) -> Self {
        let (base, overlays) = reader.all(&share);
        let stats = Stats { quarantined: base.stats().quarantined, ..Stats::default() };
        Self {
            plan: reader.plan().clone(),
            share,
            base,
            overlays,
            damage: reader.damage,
            ahead: VecDeque::new(),
            last: None,
            taken: 0,
            failed: false,
            pass: coverage::pass(),
            lost: Vec::new(),
            digest: Digest::default(),
            hasher: SampleHasher::default(),
            stats,
        }
    }

    /// What to save to go on behind the samples that were handed out so far, in any world, with these
    /// overlays or others. Right when every rank, and all workers together, have taken equally many.
    pub fn state(&self) -> State {
        self.plan.state(self.share.after(self.taken))
    }

    /// Samples that are left, padding included.
    pub fn left(&self) -> u64 {
        self.share.len() - self.taken
    }

    /// What was read of the dataset and its overlays, and what was waited for. A sample counts once,
    /// and so does one that was skipped, in whichever it was damaged.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sum of the digests of the real samples so far. Over all ranks, an epoch adds up to the digest of
    /// a dataset whose samples have all these fields: of what `shardpack join` makes of both.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// For a log of what was consumed.
    pub(crate) fn progress(&self) -> Progress<'_> {
        let Self { plan, share, pass, taken, lost, .. } = self;
        Progress { plan, share, pass: *pass, taken: *taken, lost, stream: None }
    }

    fn advance(&mut self) -> Result<Option<Sample>> {
        let Some(found) = self.ahead.pop_front().or_else(|| self.read()) else { return Ok(None) };
        match found {
            Err(Error::Damaged(skipped)) => self.replace(skipped).map(Some),
            found => {
                let sample = found?;
                if let Damage::Skip { .. } = self.damage {
                    self.last = Some(sample.clone());
                }
                Ok(Some(sample))
            }
        }
    }

    /// The next sample. All go a step, whatever one of them finds, so that they stay in step.
    fn read(&mut self) -> Option<Result<Sample>> {
        let base = self.base.next();
        let over: Vec<_> = self.overlays.iter_mut().filter_map(Iterator::next).collect();
        match base {
            None if over.is_empty() => None,
            Some(base) if over.len() == self.overlays.len() => Some(together(base, over)),
            // One has ended by an error, or before the others, which plans do not.
            Some(Err(error)) => Some(Err(error)),
            _ => Some(over.into_iter().find_map(Result::err).map_or_else(
                || Err(Error::usage("a dataset and its overlays do not end together")),
                Err,
            )),
        }
    }

    /// A neighbour in place of a damaged sample: the one before it, at the start the next one.
    fn replace(&mut self, skipped: Skipped) -> Result<Sample> {
        let position = self.share.position(self.taken);
        self.lost.push(position);
        let Damage::Skip { most } = self.damage else { return Err(Error::Damaged(skipped)) };
        self.stats.skipped.push(skipped.clone());
        if self.stats.skipped.len() as u64 > most {
            return Err(Error::TooManyDamaged { most, last: skipped });
        }
        if self.last.is_none() {
            self.last = self.whole_ahead(most);
        }
        let stands_in = self.last.as_ref().map(|last| last.at(position, false));
        stands_in.ok_or(Error::Damaged(skipped))
    }

    /// The first sample to come that is whole, of no more than may be skipped.
    fn whole_ahead(&mut self, most: u64) -> Option<Sample> {
        let whole = |found: &Result<Sample>| found.as_ref().ok().cloned();
        if let Some(sample) = self.ahead.iter().find_map(whole) {
            return Some(sample);
        }
        while (self.ahead.len() as u64) < most {
            let found = self.read()?;
            let (sample, goes_on) = (whole(&found), matches!(&found, Err(Error::Damaged(_))));
            self.ahead.push_back(found);
            if sample.is_some() || !goes_on {
                return sample;
            }
        }
        None
    }

    /// Adds up what each has read, where one of them has read more.
    fn add_up(&mut self) {
        let each = || std::iter::once(&self.base).chain(&self.overlays).map(Samples::stats);
        if each().map(|stats| stats.windows).sum::<u64>() == self.stats.windows {
            return;
        }
        let Stats { samples, quarantined, .. } = self.stats;
        let mut sum =
            Stats { skipped: std::mem::take(&mut self.stats.skipped), ..Stats::default() };
        each().for_each(|stats| sum.add(stats));
        self.stats = Stats { samples, quarantined, ..sum };
    }
}

impl Iterator for OverlaidSamples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        if self.failed {
            return None;
        }
        let found = self.advance();
        self.add_up();
        match found {
            Ok(Some(sample)) => {
                self.taken += 1;
                self.stats.samples += 1;
                if sample.is_real() {
                    self.digest += sample.digest(&mut self.hasher);
                }
                Some(Ok(sample))
            }
            Ok(None) => None,
            Err(error) => {
                match error {
                    Error::Damaged(_) => self.taken += 1,
                    _ => self.failed = true,
                }
                Some(Err(error))
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, usize::try_from(self.left()).ok())
    }
}
