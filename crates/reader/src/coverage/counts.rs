//! How often each sample of an epoch was seen.

use super::attempts::Walk;
use super::report::EpochAudit;
use super::streams::Taken;
use crate::plan::Plan;
use crate::{Error, Result};

/// How often each position was seen.
pub(super) struct Counts {
    pub(super) seen: Vec<u8>,
    /// Positions whose sample was damaged.
    damaged: Vec<u64>,
    /// Positions that hosts with more samples than others leave out.
    left_out: Vec<u64>,
}

impl Counts {
    pub(super) fn new(positions: u64) -> Result<Self> {
        let mut seen = Vec::new();
        let len = usize::try_from(positions).unwrap_or(usize::MAX);
        seen.try_reserve_exact(len)
            .map_err(|_| Error::usage(format!("an audit takes {positions} bytes of memory")))?;
        seen.resize(len, 0);
        Ok(Self { seen, damaged: Vec::new(), left_out: Vec::new() })
    }

    pub(super) fn walk(&mut self, walk: &Walk<'_>, plan: &Plan, report: &mut EpochAudit) {
        match walk.in_order() {
            None => self.by_plan(walk, plan.samples(), report),
            Some(stream) => {
                let (mut steps, skip) = (0, stream.skip);
                for taken in walk.taken(plan, stream) {
                    self.take(taken, report);
                    steps += 1;
                }
                report.padding += walk.pass.took.saturating_sub(skip + steps);
                if walk.is_divided() && walk.group().0 == 0 && walk.counts() {
                    self.left_out.extend(walk.left_out(plan, stream));
                }
            }
        }
    }

    /// After all walks.
    pub(super) fn sort(&mut self) {
        self.damaged.sort_unstable();
        self.left_out.sort_unstable();
    }

    pub(super) fn is_damaged(&self, position: u64) -> bool {
        self.damaged.binary_search(&position).is_ok()
    }

    pub(super) fn is_left_out(&self, position: u64) -> bool {
        self.left_out.binary_search(&position).is_ok()
    }

    /// A walk whose steps are those of the plan.
    fn by_plan(&mut self, walk: &Walk<'_>, samples: u64, report: &mut EpochAudit) {
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

    /// A step of a stream.
    fn take(&mut self, taken: Taken, report: &mut EpochAudit) {
        let Taken { position, lost, undone } = taken;
        match self.at(position) {
            _ if undone => report.undone += 1,
            None => {}
            Some(_) if lost => self.damaged.push(position),
            Some(count) => *count = count.saturating_add(1),
        }
    }

    fn at(&mut self, position: u64) -> Option<&mut u8> {
        self.seen.get_mut(usize::try_from(position).ok()?)
    }
}
