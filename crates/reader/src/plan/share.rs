//! What one rank, or one of its workers, takes of an epoch.

use super::{Epoch, SampleId, Windows};
use crate::{Error, Result};

/// How far all ranks together have come. All there is to a checkpoint: of an epoch, exactly the
/// positions below `consumed` have been handed out, whatever the world was and will be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// Epoch, from 0.
    pub epoch: u64,
    /// Positions of it that were handed out.
    pub consumed: u64,
}

/// One step of a rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Position in the epoch. Padding stands behind the last sample.
    pub position: u64,
    /// The sample.
    pub sample: SampleId,
    /// False for padding that must not be counted: [`Tail::Mask`](super::Tail).
    pub real: bool,
}

/// The positions of one rank from a [`Cursor`] to the end of its epoch: every `world`-th. Equally
/// many on every rank.
#[derive(Clone, Debug)]
pub struct Share {
    epoch: Epoch,
    /// Position of the rank's first step, and the distance to its next.
    first: u64,
    world: u64,
    /// Where all ranks start, and where the epoch ends.
    base: u64,
    end: u64,
    /// The rank's steps, and those with a sample of their own. Its workers' are counted from them.
    len: u64,
    real: u64,
    masked: bool,
    split: Option<Split>,
}

/// Every `workers`-th batch.
#[derive(Clone, Copy, Debug)]
struct Split {
    worker: u64,
    workers: u64,
    batch: u64,
}

impl Split {
    /// How many of the rank's first `len` steps are this worker's.
    fn count(self, len: u64) -> u64 {
        let turn = self.workers * self.batch;
        let rest = (len % turn).saturating_sub(self.worker * self.batch);
        len / turn * self.batch + rest.min(self.batch)
    }

    /// The rank's number of the worker's step `i`.
    fn step(self, i: u64) -> u64 {
        (i / self.batch * self.workers + self.worker) * self.batch + i % self.batch
    }
}

/// What a share is made of beside its epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The residue of the rank's positions, below `world`.
    pub(crate) rank: u64,
    pub(crate) world: u64,
    pub(crate) base: u64,
    /// Positions of the epoch, and steps of each rank from `base` on.
    pub(crate) end: u64,
    pub(crate) len: u64,
    pub(crate) masked: bool,
}

impl Share {
    pub(crate) fn new(epoch: Epoch, bounds: Bounds) -> Self {
        let Bounds { rank, world, base, end, len, masked } = bounds;
        let first = base + (rank + world - base % world) % world;
        let real = epoch.len().saturating_sub(first).div_ceil(world).min(len);
        Self { epoch, first, world, base, end, len, real, masked, split: None }
    }

    pub(crate) fn of_lane(epoch: Epoch, lane: u64) -> Self {
        let (end, world) = (epoch.len(), epoch.lanes());
        let len = end.saturating_sub(lane).div_ceil(world);
        let len = if lane < world { len } else { 0 };
        let rank = lane.min(world - 1);
        Self::new(epoch, Bounds { rank, world, base: 0, end, len, masked: false })
    }

    /// The part of a worker process: batches `worker`, `worker + workers`, ... of the rank, so that
    /// workers asked in turn hand out the rank's batches in order. `batch` samples each: the same
    /// as in the plan's options, where it is given.
    ///
    /// Every worker reads in all lanes of the rank, so `n` workers open each shard `n` times; one
    /// process with threads does not.
    pub fn worker(mut self, worker: u64, workers: u64, batch: u64) -> Result<Self> {
        if self.split.is_some() {
            return Err(Error::usage("a worker's share is not divided again"));
        }
        let fits = workers.checked_mul(batch).is_some_and(|turn| turn <= super::MAX_SAMPLES);
        if worker >= workers || batch == 0 || !fits {
            return Err(Error::usage(format!("worker {worker} of {workers} with batch {batch}")));
        }
        self.split = Some(Split { worker, workers, batch });
        Ok(self)
    }

    /// Steps: samples and padding.
    pub fn len(&self) -> u64 {
        self.split.map_or(self.len, |split| split.count(self.len))
    }

    /// True when there is no step.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Steps before padding starts.
    pub fn real(&self) -> u64 {
        self.split.map_or(self.real, |split| split.count(self.real))
    }

    /// Step number `i`, from 0; `None` from [`len`](Self::len) on.
    pub fn item(&self, i: u64) -> Option<Item> {
        if i >= self.len() {
            return None;
        }
        let (position, samples) = (self.position(i), self.epoch.len());
        // Padding begins the epoch again.
        let sample = self.epoch.sample(position.checked_rem(samples)?)?;
        Some(Item { position, sample, real: position < samples || !self.masked })
    }

    /// Steps from `i` on.
    pub fn items(&self, i: u64) -> impl Iterator<Item = Item> {
        (i..self.len()).filter_map(|i| self.item(i))
    }

    /// The step at which `position` is handed out; `None` when another rank or worker does.
    pub fn step(&self, position: u64) -> Option<u64> {
        let past = position.checked_sub(self.first)?;
        let step = past / self.world;
        if past % self.world != 0 || step >= self.len {
            return None;
        }
        let Some(Split { worker, workers, batch }) = self.split else { return Some(step) };
        let number = step / batch;
        (number % workers == worker).then(|| number / workers * batch + step % batch)
    }

    /// The steps before padding, as windows to read. What follows them is
    /// `items(share.real())`: fewer than a batch but for an epoch that was given a length.
    pub fn windows(&self) -> Windows {
        Windows::of_share(self.clone())
    }

    /// The cursor when every rank has taken `steps` of its steps, those of all its workers. At the
    /// end it is the start of the next epoch.
    pub fn after(&self, steps: u64) -> Cursor {
        let consumed = self.base.saturating_add(steps.saturating_mul(self.world));
        match steps >= self.len || consumed >= self.end {
            true => Cursor { epoch: self.epoch.number() + 1, consumed: 0 },
            false => Cursor { epoch: self.epoch.number(), consumed },
        }
    }

    /// The same behind the rank's steps from position `base` on, which is not above its first; and how
    /// many these are.
    pub(crate) fn since(self, base: u64) -> (Self, u64) {
        let earlier = self.first.saturating_sub(base) / self.world;
        let (first, len) = (self.first - earlier * self.world, self.len + earlier);
        let real = self.real + earlier;
        (Self { first, base, len, real, ..self }, earlier)
    }

    /// What the rank's positions leave divided by the number of ranks.
    pub(crate) fn residue(&self) -> u64 {
        self.first % self.world
    }

    /// Lanes in which it has samples, in no order: all of them rarely, as those of a rank are every
    /// `world`-th where the world divides them.
    pub fn lanes(&self) -> impl Iterator<Item = u64> + use<> {
        let stride = self.lane_stride();
        (self.first % stride..self.epoch.lanes()).step_by(stride as usize)
    }

    /// Where all ranks start, how many steps the rank has, and of a worker's part: worker, workers
    /// and batch.
    pub(crate) fn extent(&self) -> (u64, u64, Option<(u64, u64, u64)>) {
        let split = self.split.map(|split| (split.worker, split.workers, split.batch));
        (self.base, self.len, split)
    }

    /// Whether padding says that it is not real.
    pub(crate) fn is_masked(&self) -> bool {
        self.masked
    }

    /// The epoch.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Distance from one lane of the share to the next.
    pub(crate) fn lane_stride(&self) -> u64 {
        gcd(self.epoch.lanes(), self.world)
    }

    /// Position of step `i`, also behind the last sample.
    pub(crate) fn position(&self, i: u64) -> u64 {
        self.first + self.split.map_or(i, |split| split.step(i)) * self.world
    }
}

/// Greatest common divisor; `a` is not 0.
pub(crate) fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
