//! What appending did, or would do.

use serde::Serialize;
use shardpack_manifest::Manifest;
use shardpack_store::Store;

use super::AppendOptions;
use super::compare::Compared;
use crate::group::Samples;

/// What appending did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AppendReport {
    /// Where the dataset is.
    pub dataset: String,
    /// True when nothing was written.
    pub dry_run: bool,
    /// True when there was nothing to do, and so nothing was written.
    pub nothing: bool,
    /// Samples that the dataset did not have.
    pub added: u64,
    /// Samples that were replaced, with `sync`.
    pub replaced: u64,
    /// Samples that were marked as deleted because the source has them no more, with `sync`.
    pub removed: u64,
    /// Samples of the source that the dataset has as they are.
    pub unchanged: u64,
    /// Samples of the source that the dataset has as deleted ones, and that stay so without `sync`.
    pub deleted: u64,
    /// New shards.
    pub shards: usize,
    /// New shards that earlier, killed runs had sealed.
    pub resumed_shards: usize,
    /// Bytes of new shards, before compression.
    pub shard_bytes: u64,
    /// Number of the version of the dataset, from 1.
    pub version: u64,
    /// Samples that are live in it.
    pub live: u64,
    /// Their digest, which readers are pinned to; none of a dry run that would change it, and of a
    /// dataset with marks that was never changed otherwise.
    pub digest: Option<String>,
    /// Files that were left out: reason and count.
    pub skipped: Vec<(String, u64)>,
    /// What the dataset's server does not do although its safety rests on it.
    pub doubts: Vec<String>,
}

impl AppendReport {
    pub(super) fn of(
        store: &dyn Store,
        found: &Compared,
        samples: &Samples<'_>,
        options: &AppendOptions,
    ) -> Self {
        let synced = |count: usize| if options.sync { count as u64 } else { 0 };
        Self {
            dataset: store.describe(),
            dry_run: options.dry_run,
            added: found.added(options.sync),
            deleted: if options.sync { 0 } else { found.deleted.len() as u64 },
            replaced: synced(found.changed.len()),
            removed: synced(found.removed.len()),
            unchanged: found.unchanged(),
            skipped: samples.skipped.clone(),
            ..Self::default()
        }
    }

    /// With the version that there is now.
    pub(super) fn now(self, manifest: &Manifest) -> Self {
        Self {
            version: manifest.number(),
            live: manifest.live(),
            digest: manifest.live_digest().map(|digest| digest.to_string()),
            ..self
        }
    }

    /// With what would be live after a dry run.
    pub(super) fn then(self, manifest: &Manifest) -> Self {
        let live = manifest.live() + self.added - self.removed.min(manifest.live());
        Self { version: manifest.number() + 1, live, digest: None, ..self }
    }
}

/// What merging did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MergeReport {
    /// Where the dataset is.
    pub dataset: String,
    /// True when nothing was written.
    pub dry_run: bool,
    /// True when it was there already, complete, of the same datasets.
    pub already_complete: bool,
    /// Shards, all of them copied as they are.
    pub shards: u64,
    /// Shards that earlier, killed runs had copied.
    pub resumed_shards: usize,
    /// Bytes of all shards.
    pub shard_bytes: u64,
    /// Samples that are live.
    pub live: u64,
    /// Samples that are marked as deleted, those of the sources included.
    pub deleted: u64,
    /// Samples among them that gave way to another of the same key.
    pub duplicates: u64,
    /// Digest of the live samples, which readers are pinned to.
    pub digest: String,
    /// What the destination's server does not do although the dataset's safety rests on it.
    pub doubts: Vec<String>,
}

impl MergeReport {
    pub(super) fn of(
        store: &dyn Store,
        manifest: &Manifest,
        duplicates: u64,
        dry_run: bool,
    ) -> Self {
        Self {
            dataset: store.describe(),
            dry_run,
            shards: manifest.shards.len() as u64,
            shard_bytes: manifest.totals.shard_bytes,
            live: manifest.live(),
            deleted: manifest.tombstones.len() as u64,
            duplicates,
            digest: manifest.live_digest().unwrap_or_default().to_string(),
            ..Self::default()
        }
    }
}

/// What compacting did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// Where the dataset is.
    pub dataset: String,
    /// True when nothing was written.
    pub dry_run: bool,
    /// True when there was nothing to do, and so nothing was written.
    pub nothing: bool,
    /// Samples that are in no shard of the dataset any more: they were deleted or replaced.
    pub dropped: u64,
    /// Shards that were rewritten.
    pub rewritten: usize,
    /// Shards that they became.
    pub shards: usize,
    /// Of these, shards that earlier, killed runs had sealed.
    pub resumed_shards: usize,
    /// Versions that are kept no more.
    pub removed_versions: u64,
    /// Shards that only those had.
    pub removed_shards: u64,
    /// Bytes of these.
    pub removed_bytes: u64,
    /// Number of the version of the dataset, from 1.
    pub version: u64,
    /// Samples that are live, as before.
    pub live: u64,
    /// Their digest, as before.
    pub digest: Option<String>,
}

impl CompactReport {
    pub(super) fn now(self, manifest: &Manifest, version: u64) -> Self {
        let digest = manifest.live_digest().map(|digest| digest.to_string());
        Self { version, live: manifest.live(), digest, ..self }
    }
}
