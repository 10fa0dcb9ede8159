//! Datasets that change: samples added, replaced, marked; shards compacted and put together.
//!
//! Shards and indexes are never written over. A change writes new ones beside them and then
//! replaces the manifest, in one step and only while it is what was read (`head.rs`). The manifest
//! that it replaces stays under `manifests/`, so whoever reads a dataset by its digest goes on.
//!
//! ```text
//! group -> compare with the indexes -> plan -> write, seal -> manifest + rows - marks -> replace
//! group.rs compare.rs                  plan.rs execute.rs     grow.rs                    head.rs
//! ```
//!
//! - **A sample is replaced** by a mark at its old place and a new record in a new shard.
//! - **Names of shards go on** from the number of shards that the dataset ever had, so none is used
//!   twice: `data-00010-of-00012.tar` follows ten shards `-of-00010`.
//! - **Digests are sums**, so the digest of what is live is known before the manifest is written:
//!   that of the version before, plus the new shards', minus that of what is marked.

mod compact;
mod compare;
mod delete;
mod grow;
mod head;
mod merge;
mod options;
mod prune;
mod report;
#[cfg(test)]
mod tests;
mod twice;

pub use compact::{CompactOptions, compact};
pub use delete::{DeleteOptions, DeleteReport, delete};
pub use merge::{MergeOptions, merge};
pub use options::AppendOptions;
pub use report::{AppendReport, CompactReport, MergeReport};

use std::collections::BTreeMap;

use shardpack_manifest::Event;
use shardpack_store::{Source, Store};

use crate::dataset::Dataset;
use crate::error::Offenders;
use crate::group::{SampleId, Samples, group};
use crate::pack::decide;
use crate::progress::{Progress, Stage};
use crate::{Error, Result, labels};

use compare::{Compared, compare};
use grow::Growth;
use head::Head;

/// Adds the samples of `source` that the dataset in `store` does not have, in new shards.
///
/// They are packed as the dataset was: format, schema, compression, grouping, labels, order, size
/// and names of shards are those of its manifest. Samples that it has and that are equal stay as
/// they are, and so do those that were deleted. Nothing is published before all new shards are sealed, and then in one step; a killed
/// run is finished by calling this again.
///
/// Fails with [`Error::Refused`] for samples that differ, without
/// [`sync`](AppendOptions::sync); with [`Error::Usage`] when nobody knows how the dataset was
/// packed; with [`Error::NotFound`] without a manifest; with the store's
/// [`Changed`](shardpack_store::ErrorKind::Changed) when another run replaced the manifest
/// meanwhile. Whatever fails, the dataset is as it was.
///
/// ```
/// use shardpack_pack::{AppendOptions, PackOptions, Progress, append, pack};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let store = MemoryStore::new();
/// let files = MemoryTree::new([("a.txt", "1"), ("b.txt", "2")]);
/// pack(&files, &store, &PackOptions::default(), &Progress::default())?;
///
/// let more = MemoryTree::new([("b.txt", "2"), ("c.txt", "3")]);
/// let report = append(&more, &store, &AppendOptions::default(), &Progress::default())?;
/// assert_eq!((report.added, report.unchanged, report.live), (1, 1, 3));
/// # Ok::<(), shardpack_pack::Error>(())
/// ```
pub fn append(
    source: &dyn Source,
    store: &dyn Store,
    options: &AppendOptions,
    progress: &Progress,
) -> Result<AppendReport> {
    if store.locks() {
        Head::read(store)?; // taking a lock makes a folder where there was none
    }
    let _lock = (!options.dry_run).then(|| store.lock("")).transpose()?;
    let head = Head::read(store)?;
    let dataset = Dataset::of(store, head.manifest.clone())?;
    let mut pack = options.pack(&head.manifest, store)?;
    pack.check()?;
    progress.enter(Stage::Plan);
    let mut samples = group(source.listing(), &pack)?;
    labels::assign(&mut samples, &pack)?;
    let found = compare(&dataset, source, &samples, &pack, progress)?;
    if !options.sync {
        refuse_changes(&found, &samples)?;
    }
    let dead = match options.sync {
        true => found.dead(&samples),
        false => Vec::new(),
    };
    let mut report = AppendReport::of(store, &found, &samples, options);
    let taken = found.taken(options.sync);
    // A key that is dead may be live elsewhere from now on.
    let by_place = options.sync && !(found.changed.is_empty() && found.deleted.is_empty());
    samples.retain(|i| taken[i]);
    if let Some(existing) = &mut pack.existing {
        existing.first_id = found.next_id;
    }
    if samples.len() == 0 && dead.is_empty() {
        if !options.dry_run {
            grow::clear_up(store, &head)?;
        }
        return Ok(AppendReport { nothing: true, ..report.now(&head.manifest) });
    }
    if samples.len() == 0 {
        if options.dry_run {
            return Ok(report.then(&head.manifest));
        }
        let buried = head.bury(&dataset, head.manifest.clone(), dead, false)?;
        return Ok(report.now(&head.replace(store, buried, Event::Sync, 0)?));
    }
    let prepared = decide(samples, &pack, progress)?;
    report.shards = prepared.1.shards.len();
    report.shard_bytes = prepared.1.bytes();
    if options.dry_run {
        return Ok(report.then(&head.manifest));
    }
    let event = if options.sync { Event::Sync } else { Event::Append };
    let growth =
        Growth { head: &head, store, source, copies: None, options: &pack, progress, event };
    let all: Vec<usize> = (0..head.manifest.shards.len()).collect();
    let done = growth.grow(prepared, &|rows| {
        let grown = head.manifest.rebuilt(&all, &BTreeMap::new(), rows)?;
        head.bury(&dataset, grown, dead.clone(), by_place)
    })?;
    report.resumed_shards = done.resumed;
    report.doubts = done.doubts;
    Ok(report.now(&done.manifest))
}

fn refuse_changes(found: &Compared, samples: &Samples<'_>) -> Result<()> {
    let mut changed = Offenders::default();
    for (sample, why) in &found.changed {
        changed.add(|| {
            let mut key = String::new();
            samples.key(*sample as SampleId, &mut key);
            format!("{key:?}: {why}")
        });
    }
    changed.refuse(
        "the dataset has these samples with other contents; --sync replaces them, and marks those that SRC has no more as deleted",
    )
}

/// Why a dataset cannot be changed.
pub(crate) fn unknown(store: &dyn Store, why: &str) -> Error {
    Error::Usage(format!("{}: {why}", store.describe()))
}
