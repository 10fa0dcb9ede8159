//! Datasets put together without rewriting a shard.
//!
//! Shards are copied as they are, under names of the new dataset; nothing is decoded. Indexes do
//! not say what their shard is called, so they are copied too.

mod copy;
mod inputs;

use shardpack_manifest::{Manifest, Shard};
use shardpack_store::Store;

use super::report::MergeReport;
use crate::dataset::{Dataset, cores};
use crate::foreign::{self, Beside};
use crate::name::Template;
use crate::options::{ForeignIndex, PackOptions};
use crate::parallel::each;
use crate::plan::{Plan, ShardPlan, WHOLE};
use crate::progress::{Progress, Stage};
use crate::publish;
use crate::reshard::Duplicates;
use crate::staging::{self, Found, staged};
use crate::{Error, Result, prove};

use inputs::Inputs;

/// How datasets are put together.
#[derive(Clone, Debug)]
pub struct MergeOptions {
    /// What becomes of samples with the same key: an error, or all but one are marked as deleted.
    pub duplicates: Duplicates,
    /// Names of shards. Default: the first dataset's.
    pub name: Option<Template>,
    /// Indexes for other tools. Default none.
    pub indexes: Vec<ForeignIndex>,
    /// Where the dataset will be on S3, for the SageMaker files; none leaves a placeholder.
    pub s3_prefix: Option<String>,
    /// Look at everything, and write nothing. Default false.
    pub dry_run: bool,
    /// Throw unfinished work of another run away instead of refusing. Default false.
    pub restart: bool,
    /// Shards that are copied at a time. Default: the cores.
    pub jobs: usize,
}

impl Default for MergeOptions {
    fn default() -> Self {
        Self {
            duplicates: Duplicates::default(),
            name: None,
            indexes: Vec::new(),
            s3_prefix: None,
            dry_run: false,
            restart: false,
            jobs: cores(),
        }
    }
}

/// Makes one dataset of several in `store`, which must be empty or hold the unfinished work of this
/// very run. Each has the name that messages call it.
///
/// Shards keep their bytes: each is copied, and its CRC-64/NVME compared with its manifest's, which
/// is all that is read of it. Samples that are deleted stay so. Nothing is published before all
/// shards are there; a killed run is finished by calling this again.
///
/// Fails with [`Error::Usage`] for datasets that differ in format, schema or compression, that
/// number classes differently, or of which only some are split; with [`Error::Refused`] for keys of
/// several samples, unless [`MergeOptions::duplicates`] chooses one; with [`Error::Shard`] for a
/// shard that is not what its manifest says.
///
/// ```
/// use shardpack_pack::{Dataset, MergeOptions, PackOptions, Progress, merge, pack};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let (a, b, both) = (MemoryStore::new(), MemoryStore::new(), MemoryStore::new());
/// for (store, name) in [(&a, "a.txt"), (&b, "b.txt")] {
///     pack(&MemoryTree::new([(name, "1")]), store, &PackOptions::default(), &Progress::default())?;
/// }
/// let inputs = vec![(Dataset::open(&a)?, "a".into()), (Dataset::open(&b)?, "b".into())];
/// let report = merge(&inputs, &both, &MergeOptions::default(), &Progress::default())?;
/// assert_eq!((report.shards, report.live), (2, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn merge(
    inputs: &[(Dataset<'_>, String)],
    store: &dyn Store,
    options: &MergeOptions,
    progress: &Progress,
) -> Result<MergeReport> {
    progress.enter(Stage::Plan);
    let inputs = Inputs::of(inputs)?;
    let taken = inputs.taken(options)?;
    let dead = inputs.dead(options)?;
    let (manifest, marked) = inputs.manifest(&taken, &dead, options)?;
    let mut report = MergeReport::of(store, &manifest, marked, options.dry_run);
    if options.dry_run {
        return Ok(report);
    }
    let plan = plan(&manifest);
    let _lock = store.lock("")?;
    let identity = inputs.identity(&manifest, options);
    let todo = match staging::open(store, &plan, &identity, options.restart, &|| Ok(None))? {
        Found::Complete(manifest) => {
            return Ok(MergeReport {
                already_complete: true,
                ..MergeReport::of(store, &manifest, marked, false)
            });
        }
        Found::Todo(todo) => todo,
    };
    report.doubts = store.doubts(staging::PROBE)?;
    report.resumed_shards = plan.shards.len() - todo.len();
    progress.enter(Stage::Pack);
    progress.shards_planned.store(todo.len() as u64, std::sync::atomic::Ordering::Relaxed);
    each(todo.len(), options.jobs, progress, |i| {
        let number = todo[i];
        let (Some(from), Some(row)) = (taken.get(number), manifest.shards.get(number)) else {
            return Ok(());
        };
        inputs.copy(from, row, store, progress)
    })
    .map_err(|error| unfinished(error, report.resumed_shards, plan.shards.len()))?;
    progress.enter(Stage::Publish);
    for shard in &plan.shards {
        let bytes = staging::sealed_index(store, shard)?.unwrap_or_default();
        prove::prove(store, shard, &shardpack_manifest::Index::parse(bytes)?)?;
    }
    let format = manifest.format.open()?;
    let at = |path: &str| staged(store, path);
    let (indexes, all) = (&options.indexes[..], &plan.shards[..]);
    foreign::write(&Beside { store, format: &*format, indexes, new: all, all, at: &at })?;
    let prefix = PackOptions { s3_prefix: options.s3_prefix.clone(), ..PackOptions::default() };
    publish::finish(store, &prefix.s3_root(), &manifest)?;
    Ok(report)
}

/// What is copied stays, unlike what is only read.
fn unfinished(error: Error, before: usize, shards: usize) -> Error {
    match error {
        Error::Stopped { done, .. } => Error::Interrupted { sealed: before + done, shards },
        other => other,
    }
}

/// The shards of a manifest, as packing knows them.
fn plan(manifest: &Manifest) -> Plan {
    let mut start = 0;
    let shard = |row: &Shard| {
        let first = start;
        start += row.samples as usize;
        ShardPlan {
            path: row.path.clone(),
            split: row.split.clone().unwrap_or_else(|| WHOLE.into()),
            start: first,
            end: start,
            bytes: row.stream_bytes,
        }
    };
    Plan {
        shards: manifest.shards.iter().map(shard).collect(),
        order: Vec::new(),
        lens: Vec::new(),
        body_bytes: manifest.totals.body_bytes,
        field_sets: Vec::new(),
        fingerprint: manifest.plan.map_or(0, |plan| plan.0),
        stamps: 0,
    }
}
