//! A share as runs of stored samples and the order to hand them out: no cost of planning a sample
//! beyond some tens of nanoseconds, no allocation but two a window.

use super::epoch::Kept;
use super::{Epoch, Share};

/// Samples that are read together and handed out permuted.
///
/// ```
/// # use shardpack_reader::plan::{Part, Plan, PlanOptions, SampleId, Shards};
/// # let plan = Plan::new(Shards::new([5, 5])?, PlanOptions::default(), Part::default())?;
/// let share = plan.share(plan.start());
/// for window in share.windows() {
///     let read: Vec<SampleId> = window.runs.iter().flat_map(|run| run.samples()).collect();
///     for (i, &n) in window.order.iter().enumerate() {
///         let item = share.item(window.first + i as u64).unwrap();
///         assert_eq!(item.sample, read[n as usize]);
///     }
/// }
/// # Ok::<_, shardpack_reader::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Number of its first sample: of the share, or of the lane.
    pub first: u64,
    /// What to read: exactly the samples of this window, by lane and in stored order within.
    ///
    /// A rank that needs only some samples of a stretch has a run for each of its pieces. Whoever
    /// knows their bytes decides which gaps are cheaper to read than to skip.
    pub runs: Vec<Run>,
    /// For each sample in the order of handing out, its number among those of the runs.
    pub order: Vec<u32>,
}

/// Samples that are stored one after the other in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The lane. Its runs follow one another: mostly each goes on where the one before ended.
    pub lane: u32,
    /// Number of the shard.
    pub shard: u32,
    /// Ordinal of the first sample.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Run {
    /// Its samples.
    pub fn samples(self) -> impl Iterator<Item = super::SampleId> {
        (0..self.count).map(move |i| super::SampleId { shard: self.shard, ordinal: self.first + i })
    }
}

/// Iterator over the windows of a share, or of one lane. Padding is not among them.
#[derive(Debug)]
pub struct Windows {
    share: Share,
    next: u64,
    end: u64,
    at_most: u64,
    /// Samples of a lane that are read together: whole windows.
    span: u64,
    /// For each lane of the share, the permutation that was used last.
    kept: Vec<Option<Kept>>,
    picks: Vec<Pick>,
}

/// A sample of the window that is being made.
#[derive(Debug)]
struct Pick {
    lane: u32,
    /// Its number in the window.
    out: u32,
    place: u64,
}

impl Windows {
    pub(crate) fn of_share(share: Share) -> Self {
        let end = share.real();
        let kept = vec![None; share.lanes().count()];
        let (at_most, span) = (u64::from(u32::MAX), share.epoch().span());
        Self { share, next: 0, end, at_most, span, kept, picks: Vec::new() }
    }

    /// A lane is the share of a rank in a world of as many ranks as there are lanes.
    pub(crate) fn of_lane(epoch: Epoch, lane: u64, from_depth: u64) -> Self {
        let mut windows = Self::of_share(Share::of_lane(epoch, lane));
        windows.next = from_depth;
        windows
    }

    /// Those from step `step` of the share on.
    pub(crate) fn from(mut self, step: u64) -> Self {
        self.next = step;
        self
    }

    /// The same samples in windows of at most `samples` (at least one): memory is bounded where a
    /// share has many more lanes than it was planned for, at the price of reading the same
    /// stretches several times.
    pub fn at_most(mut self, samples: u64) -> Self {
        self.at_most = samples.clamp(1, u64::from(u32::MAX));
        self
    }

    /// The same samples in windows of at least `samples` of each lane: the least whole number of
    /// the plan's windows. Default 64 samples.
    pub fn at_least(mut self, samples: u64) -> Self {
        self.span = self.share.epoch().whole_windows(samples);
        self
    }

    /// Lanes that each window is of.
    pub(crate) fn lanes(&self) -> u64 {
        self.kept.len() as u64
    }

    /// Picks what comes up to the end of a span of depths, the same in all lanes.
    fn pick(&mut self) {
        let epoch = self.share.epoch();
        let lanes = epoch.lanes();
        let stride = self.share.lane_stride();
        let round = self.span * lanes;
        let stop = (self.share.position(self.next) / round + 1) * round;
        self.picks.clear();
        while self.next < self.end && (self.picks.len() as u64) < self.at_most {
            let position = self.share.position(self.next);
            if position >= stop {
                break;
            }
            let lane = position % lanes;
            let place = epoch.place(position, &mut self.kept[(lane / stride) as usize]);
            let out = self.picks.len() as u32;
            self.picks.push(Pick { lane: lane as u32, out, place: epoch.read_order(place) });
            self.next += 1;
        }
    }
}

impl Iterator for Windows {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        if self.next >= self.end {
            return None;
        }
        let first = self.next;
        self.pick();
        self.picks.sort_unstable_by_key(|pick| (pick.lane, pick.place));
        let mut order = vec![0; self.picks.len()];
        for (number, pick) in self.picks.iter().enumerate() {
            order[pick.out as usize] = number as u32;
        }
        Some(Window { first, runs: runs(self.share.epoch(), &self.picks), order })
    }
}

/// Sorted picks as runs.
fn runs(epoch: &Epoch, picks: &[Pick]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    // Up to which place samples are stored in a row, and where the one at `base` is.
    let (mut base, mut end, mut stored) = (0, 0, None);
    let mut next = None;
    for &Pick { lane, place, .. } in picks {
        let sample = match stored.filter(|_| (base..end).contains(&place)) {
            Some(sample) => sample,
            None => {
                let (sample, left) = epoch.in_read_order(place);
                (base, end, stored) = (place, place + left, Some(sample));
                sample
            }
        };
        let ordinal = sample.ordinal + (place - base);
        match runs.last_mut().filter(|_| next == Some((lane, sample.shard, ordinal))) {
            Some(run) => run.count += 1,
            None => runs.push(Run { lane, shard: sample.shard, first: ordinal, count: 1 }),
        }
        next = Some((lane, sample.shard, ordinal + 1));
    }
    runs
}
