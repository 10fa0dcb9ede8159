//! One epoch as a row of positions.

use std::sync::Arc;

use super::random::{Permutation, Use, key};
use super::sequence::Sequence;
use super::{SampleId, Shards, Shuffle, Windows};

/// Samples of a lane that are read together where nothing is permuted within a lane (`Off` and
/// `Exact`), and at least where windows are smaller: enough that the cost of a window is spread.
const LEAST_SPAN: u64 = 64;

/// One epoch: every live sample at exactly one position, the same for all ranks and any world.
///
/// Cheap to clone; knows nothing of ranks.
#[derive(Clone, Debug)]
pub struct Epoch {
    shards: Arc<Shards>,
    sequence: Sequence,
    number: u64,
    seed: u64,
    lanes: u64,
    window: u64,
}

impl Epoch {
    pub(crate) fn new(
        shards: Arc<Shards>,
        shuffle: Shuffle,
        seed: u64,
        lanes: u64,
        number: u64,
    ) -> Self {
        let sequence = Sequence::new(&shards, shuffle, seed, number);
        let window = match shuffle {
            Shuffle::Window { window, .. } => window,
            Shuffle::Off | Shuffle::Exact => 1,
        };
        Self { shards, sequence, number, seed, lanes, window }
    }

    /// Its number, from 0.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Samples, and positions.
    pub fn len(&self) -> u64 {
        self.shards.live()
    }

    /// True when there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rows that are read side by side.
    pub fn lanes(&self) -> u64 {
        self.lanes
    }

    /// The sample at `position`; `None` from [`len`](Self::len) on.
    pub fn sample(&self, position: u64) -> Option<SampleId> {
        (position < self.len()).then(|| self.stored(self.place(position, &mut None)).0)
    }

    /// The position of `sample`: `None` when it is dead, outside of the subset or not there.
    ///
    /// For a stream that dictates the order: a rank keeps the samples whose position is its own.
    pub fn position(&self, sample: SampleId) -> Option<u64> {
        let live = self.shards.live_number(sample)?;
        let place = self.sequence.place(&self.shards, live, sample.shard);
        let (short, longer) = (self.len() / self.lanes, self.len() % self.lanes);
        let in_longer = longer * (short + 1);
        let (lane, depth) = match place < in_longer {
            true => (place / (short + 1), place % (short + 1)),
            false => (longer + (place - in_longer) / short, (place - in_longer) % short),
        };
        let window = depth / self.window;
        let within = self.permutation(lane, window).inverse(depth % self.window);
        Some((window * self.window + within) * self.lanes + lane)
    }

    /// Windows of one lane, from its sample number `from_depth` on.
    pub fn windows(&self, lane: u64, from_depth: u64) -> Windows {
        Windows::of_lane(self.clone(), lane, from_depth)
    }

    /// Samples of a lane that are read together, where nobody says otherwise.
    pub(crate) fn span(&self) -> u64 {
        self.whole_windows(LEAST_SPAN)
    }

    /// The least number of samples in whole windows that is not below `samples`.
    pub(crate) fn whole_windows(&self, samples: u64) -> u64 {
        self.window.saturating_mul(samples.max(1).div_ceil(self.window))
    }

    /// Place in the sequence of what is at `position`. Keeps the permutation for the next call in
    /// the same window.
    pub(crate) fn place(&self, position: u64, kept: &mut Option<Kept>) -> u64 {
        let (depth, lane) = (position / self.lanes, position % self.lanes);
        let (window, within) = (depth / self.window, depth % self.window);
        let start = self.lane_start(lane) + window * self.window;
        if self.window == 1 {
            return start;
        }
        let kept = match kept {
            Some(kept) if (kept.lane, kept.window) == (lane, window) => kept,
            kept => kept.insert(Kept { lane, window, permutation: self.permutation(lane, window) }),
        };
        start + kept.permutation.at(within)
    }

    /// A number that rises in the order in which samples are best read.
    pub(crate) fn read_order(&self, place: u64) -> u64 {
        match &self.sequence {
            // Places next to each other are nowhere near each other.
            Sequence::Exact(permutation) => permutation.at(place),
            _ => place,
        }
    }

    /// The sample of a number of [`read_order`](Self::read_order), and how many numbers after it
    /// are of samples that are stored in a row.
    pub(crate) fn in_read_order(&self, number: u64) -> (SampleId, u64) {
        match &self.sequence {
            Sequence::Exact(_) => self.shards.locate(number),
            _ => self.stored(number),
        }
    }

    /// The sample at a place of the sequence, and how many after it are stored in a row.
    fn stored(&self, place: u64) -> (SampleId, u64) {
        let (live, run) = self.sequence.at(&self.shards, place);
        let (sample, stored) = self.shards.locate(live);
        (sample, run.min(stored))
    }

    fn lane_start(&self, lane: u64) -> u64 {
        lane * (self.len() / self.lanes) + lane.min(self.len() % self.lanes)
    }

    fn permutation(&self, lane: u64, window: u64) -> Permutation {
        let lane_len = self.len() / self.lanes + u64::from(lane < self.len() % self.lanes);
        let len = (lane_len - window * self.window).min(self.window);
        let words = [self.seed, self.number, Use::Window as u64, lane, window];
        Permutation::new(key(words), len)
    }
}

/// The permutation of a window.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    lane: u64,
    window: u64,
    permutation: Permutation,
}
