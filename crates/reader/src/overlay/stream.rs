//! A stream with the fields of overlays.

use shardpack_manifest::{Digest, SampleHasher};

use super::together;
use crate::plan::{Cursor, Share, State};
use crate::stats::Skipped;
use crate::stream::{Promises, StreamSamples, Streamed};
use crate::{Damage, Error, Reader, Result, Sample, Stats};

/// A stream of a dataset's shards, and overlays of it whose shards can be sought: a Pipe channel, and
/// overlays in File or FastFile mode. The record of each sample is looked up in them as it comes, on the
/// loop's thread: a read of some microseconds from a disk, of milliseconds from a network.
///
/// Made by [`ChannelReader::overlaid`](crate::ChannelReader::overlaid).
#[derive(Clone, Debug)]
pub struct OverlaidStream {
    base: Streamed,
    overlays: Vec<Reader>,
    damage: Damage,
}

impl OverlaidStream {
    pub(crate) fn new(base: Streamed, overlays: Vec<Reader>, damage: Damage) -> Self {
        Self { base, overlays, damage }
    }

    /// This rank's samples of an epoch: of the one that a state was saved in, those that are left.
    pub fn epoch(&self, epoch: u64) -> OverlaidStreamSamples {
        self.over(self.base.epoch(epoch))
    }

    /// The samples of a share of its plan.
    pub(crate) fn share(&self, share: Share) -> OverlaidStreamSamples {
        self.over(self.base.share(share))
    }

    fn over(&self, base: StreamSamples) -> OverlaidStreamSamples {
        OverlaidStreamSamples {
            stats: base.stats().clone(),
            base,
            overlays: self.overlays.clone(),
            damage: self.damage,
            last: None,
            skipped: Vec::new(),
            over: false,
            digest: Digest::default(),
            hasher: SampleHasher::default(),
        }
    }

    /// The reader of the stream.
    pub(crate) fn base(&self) -> &Streamed {
        &self.base
    }

    /// Where it starts: the epoch, and how many of its positions are gone.
    pub fn start(&self) -> Cursor {
        self.base.start()
    }

    /// What holds for its samples.
    pub fn promises(&self) -> Promises {
        self.base.promises()
    }
}

/// A rank's samples of one epoch, as a stream brings them, with the fields of overlays. After a damaged
/// sample the next call goes on behind it; any other error is the end.
#[derive(Debug)]
pub struct OverlaidStreamSamples {
    base: StreamSamples,
    overlays: Vec<Reader>,
    damage: Damage,
    /// What stands in for the next one, should its record in an overlay be damaged; kept only where
    /// that is asked for.
    last: Option<Sample>,
    /// Of which a record in an overlay is damaged. Those of the stream it counts itself.
    skipped: Vec<Skipped>,
    over: bool,
    digest: Digest,
    hasher: SampleHasher,
    stats: Stats,
}

impl OverlaidStreamSamples {
    /// What to save to go on behind the samples that were handed out so far. Right when every rank
    /// has taken equally many.
    pub fn state(&self) -> Option<State> {
        self.base.state()
    }

    /// Samples that are left, padding included.
    pub fn left(&self) -> Option<u64> {
        self.base.left()
    }

    /// What was read of the stream, what was waited for, and what was skipped in any of all. What is
    /// read of overlays is not in it.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Sum of the digests of the real samples so far. Over all ranks, an epoch adds up to the digest of
    /// a dataset whose samples have all these fields.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The samples of the stream.
    pub(crate) fn base(&self) -> &StreamSamples {
        &self.base
    }

    fn advance(&mut self) -> Option<Result<Sample>> {
        let base = match self.base.next()? {
            Ok(base) => base,
            error => return Some(error),
        };
        let (place, position) = (base.place(), base.position());
        let over = self.overlays.iter().map(|overlay| overlay.get(place)).collect();
        Some(match together(Ok(base), over) {
            Ok(sample) => {
                if let Damage::Skip { .. } = self.damage {
                    self.last = Some(sample.clone());
                }
                Ok(sample)
            }
            Err(Error::Damaged(skipped)) => self.replace(skipped, position),
            error => error,
        })
    }

    /// The sample before a damaged one in its place; the error where there is none.
    fn replace(&mut self, skipped: Skipped, position: u64) -> Result<Sample> {
        self.base.lose(position);
        let Damage::Skip { most } = self.damage else { return Err(Error::Damaged(skipped)) };
        self.skipped.push(skipped.clone());
        let all = self.skipped.len() + self.base.stats().skipped.len();
        if all as u64 > most {
            return Err(Error::TooManyDamaged { most, last: skipped });
        }
        let last = self.last.as_ref().map(|last| last.at(position, false));
        last.ok_or(Error::Damaged(skipped))
    }
}

impl Iterator for OverlaidStreamSamples {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        if self.over {
            return None;
        }
        let found = self.advance();
        let theirs = self.base.stats();
        let skipped = theirs.skipped.len() + self.skipped.len();
        if (self.stats.windows, self.stats.skipped.len()) != (theirs.windows, skipped) {
            self.stats = theirs.clone();
            self.stats.skipped.extend(self.skipped.iter().cloned());
        }
        self.stats.samples = theirs.samples;
        match &found {
            Some(Ok(sample)) if sample.is_real() => {
                self.digest += sample.digest(&mut self.hasher);
            }
            Some(Ok(_) | Err(Error::Damaged(_))) => {}
            Some(Err(_)) | None => self.over = true,
        }
        found
    }
}
