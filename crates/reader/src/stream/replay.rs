//! Which samples a stream brought to a rank, and in which order, without the stream: both follow from
//! the order of its shards.

use std::ops::Range;
use std::slice;

use super::deal::{Owner, Rule};
use super::window::{Room, Window};
use crate::plan::{Item, Plan, SampleId, Share};

/// What a rank was handed out, step by step, up to the padding.
pub(crate) struct Replay<'a> {
    plan: &'a Plan,
    rule: Rule,
    window: Window<Item>,
    /// Shards that are left, and the one that the stream is in.
    shards: slice::Iter<'a, u32>,
    shard: u32,
    ordinals: Range<u64>,
}

impl<'a> Replay<'a> {
    /// Of a share, as one rank among those that get different samples: shards, which came in this
    /// order, were `divided` among hosts or not, and passed a window of so many samples.
    ///
    /// Positions are those of the stream's reader: of shards that are divided, the host's.
    pub(crate) fn new(
        plan: &'a Plan,
        (rank, share, divided): (u64, Share, bool),
        shards: &'a [u32],
        window: u64,
    ) -> Self {
        let (seed, epoch) = (plan.seed(), share.epoch().number());
        let most = usize::try_from(window).unwrap_or(usize::MAX);
        let room = Room { most, bytes: usize::MAX };
        Self {
            plan,
            rule: Rule::new(plan, share, divided),
            window: Window::new(room, seed, epoch, rank),
            shards: shards.iter(),
            shard: 0,
            ordinals: 0..0,
        }
    }

    /// The next sample of the stream.
    fn place(&mut self) -> Option<SampleId> {
        loop {
            if let Some(ordinal) = self.ordinals.next() {
                return Some(SampleId { shard: self.shard, ordinal });
            }
            self.shard = *self.shards.next()?;
            self.ordinals = 0..self.plan.shards().stored_in(self.shard);
        }
    }
}

impl Iterator for Replay<'_> {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.window.pop(false) {
                return Some(item);
            }
            let Some(sample) = self.place() else { return self.window.pop(true) };
            if let Owner::This(position) = self.rule.owner(Some(sample)) {
                self.window.push(Item { position, sample, real: true }, 0);
            }
        }
    }
}
