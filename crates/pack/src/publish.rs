//! Makes a dataset out of sealed shards. The manifest is the last write: before it there is no
//! dataset, after it a whole one.

use shardpack_manifest::{
    Fingerprint, Index, Labels, Manifest, RecordFormat, Row, Shard, Sidecar, Summary,
};
use shardpack_store::{PutMode, Store};

use crate::context::Context;
use crate::foreign::{self, Beside};
use crate::parallel::each;
use crate::plan::ShardPlan;
use crate::progress::Progress;
use crate::prove::prove;
use crate::reshard::Over;
use crate::sources::sources_path;
use crate::staging::{self, Identity, MANIFEST, STAGING, index_path, sealed, sealed_index, staged};
use crate::{Error, Result};

/// Where the map from class names to ids lies.
pub(crate) const LABELS: &str = "labels.json";

/// Looks at a manifest that is about to be written; an error keeps it from being.
pub(crate) type Prove<'p> = &'p dyn Fn(&Manifest) -> Result<()>;

/// Moves what is staged to its place and writes the manifest, if `prove` lets it.
pub(crate) fn publish(
    context: &Context<'_>,
    identity: &Identity,
    prove: Prove<'_>,
) -> Result<Manifest> {
    let store = context.store;
    let mut manifest = head(context, identity)?;
    for (entry, fields) in rows(context)? {
        manifest.push(entry, &fields)?;
    }
    prove(&manifest)?;
    foreign::write(&Beside {
        store,
        format: context.format,
        indexes: &context.options.indexes,
        new: &context.plan.shards,
        all: &context.plan.shards,
        at: &|path| staged(store, path),
    })?;
    finish(store, &context.options.s3_root(), &manifest)?;
    Ok(manifest)
}

/// Makes a dataset of what is staged and sealed; `prefix` is where it will be on S3.
pub(crate) fn finish(store: &dyn Store, prefix: &str, manifest: &Manifest) -> Result<()> {
    write_labels(store, manifest)?;
    foreign::write_sagemaker(store, prefix, manifest)?;
    for folder in ["index", "shards"] {
        move_once(store, folder)?;
    }
    staging::put(store, MANIFEST, &manifest.to_bytes()?, PutMode::Create)?;
    Ok(store.remove(STAGING)?)
}

/// Writes the map of class names that a manifest speaks of.
pub(crate) fn write_labels(store: &dyn Store, manifest: &Manifest) -> Result<()> {
    let Some(labels) = &manifest.labels else { return Ok(()) };
    let Some(path) = &labels.map else { return Ok(()) };
    let map =
        serde_json::to_vec_pretty(&labels.classes).map_err(|e| Error::Usage(e.to_string()))?;
    staging::put(store, path, &map, PutMode::Replace)
}

/// The manifest's rows for the shards of a plan, all of which are sealed.
pub(crate) fn rows(context: &Context<'_>) -> Result<Vec<Row>> {
    each(context.plan.shards.len(), readers(context), &Progress::default(), |i| row(context, i))
}

/// The manifest's row for a sealed shard, and its fields. A shard behind a network is looked at
/// once more: what S3 has now is what the manifest vouches for.
fn row(context: &Context<'_>, shard: usize) -> Result<Row> {
    let (store, shard) = (context.store, &context.plan.shards[shard]);
    let bytes = sealed_index(store, shard)?.ok_or_else(|| missing(shard))?;
    let index = Index::parse(&bytes[..])?;
    prove(store, shard, &index)?;
    let split = is_split(context).then(|| shard.split.clone());
    let summary = index.summary();
    let mut entry = entry(shard, split, &index, &summary, &bytes);
    let sources = sources_path(&shard.path);
    entry.sources = sealed(store, &sources)?.map(|bytes| Sidecar::of(sources, &bytes));
    Ok((entry, summary.fields))
}

/// Whether shards are in splits: as the options say, or as what an overlay lies over is.
fn is_split(context: &Context<'_>) -> bool {
    match over(context) {
        Some(over) => over.is_split(),
        None => !context.options.splits.is_empty(),
    }
}

/// What is packed lies over this, if it is an overlay.
fn over<'c>(context: &Context<'c>) -> Option<&'c Over> {
    context.samples.catalog?.over.as_ref()
}

/// Threads that read indexes: one on a local store, where an index is tens of megabytes when
/// samples are many; behind a network, where each is two round trips, as many as memory allows
/// indexes of 4 MB, which is a shard of 50,000 samples.
fn readers(context: &Context<'_>) -> usize {
    const INDEX: u64 = 4 << 20;
    match context.store.gathers() {
        false => 1,
        true => context.options.io_depth.min((context.options.memory / 2 / INDEX) as usize).max(1),
    }
}

/// A killed publish may have moved a folder already.
fn move_once(store: &dyn Store, folder: &str) -> Result<()> {
    if !store.moves() || store.list(&staged(store, folder))?.is_empty() {
        return Ok(());
    }
    Ok(store.rename(&staged(store, folder), folder)?)
}

fn head(context: &Context<'_>, identity: &Identity) -> Result<Manifest> {
    let options = context.options;
    let mut format = RecordFormat::new(options.format.clone());
    format.options = options.format_options.clone();
    let mut manifest = Manifest::new(format, options.order);
    manifest.compression = options.compression;
    manifest.options = identity.options.clone();
    let fingerprint = u128::from_str_radix(&identity.fingerprint, 16);
    manifest.plan = fingerprint.ok().map(Fingerprint);
    if !context.samples.classes.is_empty() {
        let classes = context.samples.classes.clone();
        manifest.labels = Some(Labels { map: Some(LABELS.into()), classes });
    }
    if let Some(over) = over(context) {
        over.note(&mut manifest);
    }
    Ok(manifest)
}

/// The manifest's row for a shard, from what its index says.
fn entry(
    plan: &ShardPlan,
    split: Option<String>,
    index: &Index<'_>,
    summary: &Summary,
    bytes: &[u8],
) -> Shard {
    let file = index.shard();
    Shard {
        path: plan.path.clone(),
        split,
        samples: summary.samples,
        files: summary.files,
        body_bytes: summary.body_bytes,
        bytes: file.bytes,
        stream_bytes: file.stream_bytes,
        crc64nvme: file.crc64nvme,
        digest: index.digest(),
        index: Sidecar::of(index_path(&plan.path), bytes),
        sources: None,
    }
}

fn missing(shard: &ShardPlan) -> Error {
    Error::Shard {
        shard: shard.path.clone(),
        reason: format!(
            "{} is gone since the shard was sealed; run again",
            staging::index_path(&shard.path)
        ),
    }
}
