//! Epoch after epoch in one row.

use super::{Cursor, Plan, Share, share};
use crate::{Error, Result};

/// A rank's steps through all epochs from the plan's start: every `world`-th position of epochs
/// joined end to end. Nothing is padded or dropped; a step of all ranks may lie in two epochs.
#[derive(Clone, Debug)]
pub struct Endless {
    plan: Plan,
    /// The first step's position, counted from the start of the start's epoch.
    first: u64,
}

impl Endless {
    pub(crate) fn new(plan: Plan) -> Result<Self> {
        let Cursor { consumed, .. } = plan.start;
        if consumed > plan.samples() || plan.samples() == 0 {
            return Err(Error::usage(format!(
                "no endless epochs from position {consumed} of {} samples",
                plan.samples()
            )));
        }
        let (rank, world) = (plan.rank, plan.world);
        let first = consumed + (rank + world - consumed % world) % world;
        Ok(Self { plan, first })
    }

    /// Epoch and position of step `i`, from 0.
    pub fn position(&self, i: u64) -> (u64, u64) {
        self.split(u128::from(self.first) + u128::from(i) * u128::from(self.plan.world))
    }

    /// The cursor when every rank has taken `steps` steps.
    pub fn after(&self, steps: u64) -> Cursor {
        let taken = u128::from(steps) * u128::from(self.plan.world);
        let (epoch, consumed) = self.split(u128::from(self.plan.start.consumed) + taken);
        Cursor { epoch, consumed }
    }

    /// The same steps from step `i` on, epoch by epoch: the windows of these shares, one after the
    /// other, are what to read. Cursors are those of [`after`](Self::after), as ranks do not start
    /// an epoch at the same step.
    pub fn shares(&self, mut i: u64) -> impl Iterator<Item = Share> {
        std::iter::repeat_with(move || {
            let (epoch, position) = self.position(i);
            let (world, end) = (self.plan.world, self.plan.samples());
            let len = (end - position).div_ceil(world);
            i += len;
            let rank = position % world;
            let bounds = share::Bounds { rank, world, base: position, end, len, masked: false };
            Share::new(self.plan.epoch(epoch), bounds)
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    fn split(&self, offset: u128) -> (u64, u64) {
        let samples = u128::from(self.plan.samples());
        let epochs = u64::try_from(offset / samples).unwrap_or(u64::MAX);
        (self.plan.start.epoch.saturating_add(epochs), (offset % samples) as u64)
    }
}
