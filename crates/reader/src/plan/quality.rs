//! How well an order mixes.

use std::collections::HashMap;

use shardpack_dataset::present;

use super::{Plan, SampleId};
use crate::{Error, Result};

/// Distinct classes in a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// Mean over the full batches of one rank in one epoch.
    pub mean: f64,
    /// Expected of a random permutation of the same samples.
    pub ideal: f64,
}

/// Counts the distinct classes in each full batch of the plan's rank in `epoch`. `labels` has the
/// class of every stored sample, dead ones too, in the dataset's order.
pub fn quality(plan: &Plan, epoch: u64, batch: usize, labels: &[u32]) -> Result<Quality> {
    let shards = &plan.shards;
    if labels.len() as u64 != shards.stored() {
        let (labels, stored) = (labels.len(), shards.stored());
        return Err(Error::usage(format!("{labels} labels for {stored} samples")));
    }
    let label = |sample: SampleId| shards.number(sample).map_or(0, |n| labels[n as usize]);

    let mut sizes = HashMap::new();
    let mut live = 0;
    while live < shards.live() {
        let (SampleId { shard, ordinal }, run) = shards.locate(live);
        for ordinal in ordinal..ordinal + run {
            *sizes.entry(label(SampleId { shard, ordinal })).or_insert(0u64) += 1;
        }
        live += run;
    }

    let share = plan.share(super::Cursor { epoch, consumed: 0 });
    let mut drawn = Vec::new();
    for window in share.windows() {
        let read: Vec<_> = window.runs.iter().flat_map(|run| run.samples()).map(label).collect();
        drawn.extend(window.order.iter().map(|&n| read[n as usize]));
    }
    let batches = drawn.chunks_exact(batch.max(1));
    let (count, mut distinct) = (batches.len(), 0);
    for batch in batches {
        let mut classes = batch.to_vec();
        classes.sort_unstable();
        classes.dedup();
        distinct += classes.len();
    }
    if batch == 0 || count == 0 {
        return Err(Error::usage(format!("no full batch of {batch} in {} samples", drawn.len())));
    }
    let ideal = sizes.into_values().map(|size| present(size, shards.live(), batch as u64)).sum();
    Ok(Quality { mean: distinct as f64 / count as f64, ideal })
}
