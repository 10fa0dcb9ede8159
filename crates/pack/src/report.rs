//! What a run did, or would do.

use std::collections::HashMap;

use serde::Serialize;
use shardpack_dataset::{Mixing, WINDOW, planned};
use shardpack_formats::Label;
use shardpack_manifest::Manifest;
use shardpack_store::Store;

use crate::group::{SampleId, Samples};
use crate::map::MapReport;
use crate::options::PackOptions;
use crate::plan::{Plan, ShardPlan, WHOLE};

/// What a pack did.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PackReport {
    /// Where the dataset is.
    pub destination: String,
    /// True when it was there already, complete, from the same files and options.
    pub already_complete: bool,
    /// Samples in the dataset.
    pub samples: u64,
    /// Files in the dataset.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// Fields of all samples: the files, and labels that the format carries as fields.
    pub fields: u64,
    /// Shards.
    pub shards: usize,
    /// Shards that earlier, killed runs had sealed.
    pub resumed_shards: usize,
    /// Bytes of all shards.
    pub shard_bytes: u64,
    /// Digest of all samples.
    pub digest: String,
    /// What was left out: reason and count.
    pub skipped: Vec<(String, u64)>,
    /// What the destination's server does not do although the dataset's safety rests on it.
    pub doubts: Vec<String>,
    /// Samples by combination of fields, commonest first, at most twenty.
    pub field_sets: Vec<(String, u64)>,
    /// How well labels are mixed in windows of 64 samples, by split; nothing where no labels are
    /// known or no window is full.
    pub mixing: Vec<Mixing>,
    /// What a map did, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapped: Option<MapReport>,
}

/// What a pack would do.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PlanReport {
    /// Samples.
    pub samples: u64,
    /// Files.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// The shards.
    pub shards: Vec<PlannedShard>,
    /// Bytes of all shards before compression.
    pub shard_bytes: u64,
    /// Smallest shard over largest shard, 0 to 1, over shards of all splits.
    pub balance: f64,
    /// Bytes of memory that the plan holds.
    pub plan_memory: u64,
    /// Bytes of memory for buffers, at most.
    pub buffer_memory: u64,
    /// What would be left out: reason and count.
    pub skipped: Vec<(String, u64)>,
    /// Samples by combination of fields, commonest first, at most twenty.
    pub field_sets: Vec<(String, u64)>,
    /// How well labels are mixed in windows of 64 samples, by split; nothing where no labels are
    /// known or no window is full.
    pub mixing: Vec<Mixing>,
}

/// One shard of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct PlannedShard {
    /// Path in the dataset.
    pub path: String,
    /// Samples.
    pub samples: u64,
    /// Bytes before compression.
    pub bytes: u64,
}

/// Rows of field combinations that a report shows.
const FIELD_SETS: usize = 20;

impl PackReport {
    pub(crate) fn new(
        store: &dyn Store,
        samples: &Samples<'_>,
        plan: &Plan,
        manifest: &Manifest,
        resumed_shards: usize,
    ) -> Self {
        let mut field_sets = plan.field_sets.clone();
        field_sets.truncate(FIELD_SETS);
        Self {
            destination: store.describe(),
            already_complete: false,
            samples: manifest.totals.samples,
            files: samples.files() as u64,
            file_bytes: plan.body_bytes,
            fields: manifest.totals.files,
            shards: manifest.shards.len(),
            resumed_shards,
            shard_bytes: manifest.totals.shard_bytes,
            digest: manifest.digest.to_string(),
            skipped: samples.skipped.clone(),
            doubts: Vec::new(),
            field_sets,
            mixing: mixing(samples, plan),
            mapped: None,
        }
    }

    pub(crate) fn complete(
        store: &dyn Store,
        samples: &Samples<'_>,
        plan: &Plan,
        manifest: &Manifest,
    ) -> Self {
        let report = Self::new(store, samples, plan, manifest, manifest.shards.len());
        Self { already_complete: true, ..report }
    }
}

impl PlanReport {
    pub(crate) fn new(samples: &Samples<'_>, plan: &Plan, options: &PackOptions) -> Self {
        let mut field_sets = plan.field_sets.clone();
        field_sets.truncate(FIELD_SETS);
        let shards: Vec<_> = plan
            .shards
            .iter()
            .map(|s| PlannedShard {
                path: s.path.clone(),
                samples: (s.end - s.start) as u64,
                bytes: s.bytes,
            })
            .collect();
        let sizes = || shards.iter().map(|s| s.bytes);
        let balance = sizes().min().unwrap_or(0) as f64 / sizes().max().unwrap_or(1).max(1) as f64;
        Self {
            samples: samples.len() as u64,
            files: samples.files() as u64,
            file_bytes: plan.body_bytes,
            shard_bytes: plan.bytes(),
            balance,
            plan_memory: (samples.memory() + plan.memory()) as u64,
            buffer_memory: options.memory,
            skipped: samples.skipped.clone(),
            field_sets,
            mixing: mixing(samples, plan),
            shards,
        }
    }
}

/// From the plan alone, so that nothing is read for it: a look-up a sample, and another one a row of
/// a table of labels.
fn mixing(samples: &Samples<'_>, plan: &Plan) -> Vec<Mixing> {
    if samples.labels.len() < 2 {
        return Vec::new(); // the first one is none
    }
    let classes = classes(&samples.labels);
    let class = |sample: &SampleId| {
        classes.get(samples.label_number(*sample) as usize).copied().unwrap_or(0)
    };
    let splits = plan.shards.chunk_by(|a, b| a.split == b.split);
    let split = |shards: &[ShardPlan]| {
        let (first, last) = (shards.first()?, shards.last()?);
        let order = plan.order.get(first.start..last.end)?;
        let name = (first.split != WHOLE).then(|| first.split.clone());
        planned(name, order.iter().map(class), WINDOW)
    };
    splits.filter_map(split).collect()
}

/// Equal labels have one number, whichever rows of a table they come from; no label has 0.
fn classes(labels: &[Label]) -> Vec<u32> {
    let mut numbers = HashMap::new();
    let mut number = |label: &Label| {
        if label.is_empty() {
            return 0;
        }
        let values: Vec<u64> = label.values.iter().map(|value| value.to_bits()).collect();
        let next = numbers.len() as u32 + 1;
        *numbers.entry((values, label.text.clone())).or_insert(next)
    };
    labels.iter().map(&mut number).collect()
}
