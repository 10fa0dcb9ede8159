//! What counts of a walk through a stream: which samples it brought is told by the order of its shards.

use super::attempts::Walk;
use super::log::Stream;
use crate::plan::{Item, Plan, Share, share};
use crate::stream::Replay;

/// A step that a rank took.
pub(super) struct Taken {
    /// Position of its sample in the epoch of the whole dataset.
    pub(super) position: u64,
    /// Whether its sample was damaged, so that another one was handed out in its place or none.
    pub(super) lost: bool,
    /// Whether a later start from a checkpoint before it has undone it.
    pub(super) undone: bool,
}

impl<'a> Walk<'a> {
    /// How a stream brought the samples, where that must be known to tell which they were: a rank that
    /// took all of its steps of a plan has its samples, in whichever order.
    pub(super) fn in_order(&self) -> Option<&'a Stream> {
        let stream = self.pass.stream.as_ref()?;
        let whole = stream.skip == 0 && self.is_done() && self.last() >= self.pass.steps;
        (!whole || self.is_divided()).then_some(stream)
    }

    /// Whether hosts have other shards each.
    pub(super) fn is_divided(&self) -> bool {
        self.log.host.is_some()
    }

    /// The steps that it took, up to the padding.
    pub(super) fn taken(&self, plan: &'a Plan, stream: &'a Stream) -> impl Iterator<Item = Taken> {
        let mut lost = self.pass.lost.clone();
        lost.sort_unstable();
        let epoch = plan.epoch(self.pass.start.epoch);
        let (divided, last, limit) = (self.is_divided(), self.last(), self.limit());
        let taken = move |(step, item): (u64, Item)| {
            let own = item.position;
            let position = if divided { epoch.position(item.sample)? } else { own };
            let (lost, undone) = (lost.binary_search(&own).is_ok(), step >= last || own >= limit);
            Some(Taken { position, lost, undone })
        };
        let (skip, took) = (stream.skip as usize, self.pass.took as usize);
        let rank = (self.group().0, self.share(plan), divided);
        let steps = (0..).zip(Replay::new(plan, rank, &stream.shards, stream.window));
        steps.take(took).skip(skip).filter_map(taken)
    }

    /// Positions of samples that came to its host and are nobody's: hosts that got more than others
    /// leave them out.
    pub(super) fn left_out(&self, plan: &'a Plan, stream: &'a Stream) -> impl Iterator<Item = u64> {
        let epoch = plan.epoch(self.pass.start.epoch);
        let ours = self.pass.steps.saturating_mul(self.stride());
        let bounds = share::Bounds { rank: 0, world: 1, len: u64::MAX, ..self.bounds() };
        let all = (0, Share::new(epoch.clone(), bounds), true);
        let behind = Replay::new(plan, all, &stream.shards, 0).filter(move |i| i.position >= ours);
        behind.filter_map(move |item| epoch.position(item.sample))
    }

    /// The steps of its rank.
    fn share(&self, plan: &Plan) -> Share {
        Share::new(plan.epoch(self.pass.start.epoch), self.bounds())
    }

    fn bounds(&self) -> share::Bounds {
        let ((rank, world), base) = (self.group(), self.pass.start.consumed);
        share::Bounds { rank, world, base, end: self.end(), len: self.pass.steps, masked: false }
    }
}
