//! A manifest and indexes for shards that something else wrote.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;
use shardpack_formats::{Compression, Skipped};
use shardpack_manifest::{FieldTotals, Manifest, Order, RecordFormat, Shard, Sidecar};
use shardpack_store::PutMode;

use super::Dataset;
use super::indexed::{Indexed, indexed};
use super::keys::{KeyPlace, duplicates, hash};
use crate::error::Offenders;
use crate::parallel::each;
use crate::progress::{Progress, Stage};
use crate::staging::{self, MANIFEST, STAGING, index_path, staged};
use crate::{Error, Result};

/// How shards are adopted.
#[derive(Clone, Copy, Debug)]
pub struct AdoptOptions {
    /// Shards that are read at a time. Default: the cores.
    pub jobs: usize,
    /// Memory for buffers in bytes, over all jobs. Default 512 MiB. The index of a shard in the
    /// making comes on top: about 80 bytes a record, and its key.
    pub memory: u64,
}

/// What an adoption wrote.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AdoptReport {
    /// Where the dataset is.
    pub dataset: String,
    /// Name of the record format.
    pub format: String,
    /// Shards.
    pub shards: u64,
    /// Samples.
    pub samples: u64,
    /// Fields of those samples.
    pub files: u64,
    /// Bytes of those fields.
    pub file_bytes: u64,
    /// Digest of all samples.
    pub digest: String,
    /// What the shards hold beside samples: reason and count.
    pub skipped: Vec<(String, u64)>,
}

/// Writes `manifest.json` and `index/` beside foreign shards, which stay as and where they are.
/// The manifest is the last write.
///
/// Records without a key are called by their shard and number. Refuses a place that has a manifest
/// or an `index/` already, damaged shards (all of them are named), and keys that two samples share.
pub fn adopt(
    dataset: &Dataset<'_>,
    options: &AdoptOptions,
    progress: &Progress,
) -> Result<AdoptReport> {
    let _lock = dataset.store().lock("")?; // the staging below is one run's
    free(dataset)?;
    let compression = one_compression(dataset)?;
    progress.enter(Stage::Pack);
    progress.bytes_planned.store(dataset.shards().iter().map(|s| s.bytes).sum(), Relaxed);
    progress.shards_planned.store(dataset.shards().len() as u64, Relaxed);
    let outcome = adopt_shards(dataset, options, progress)
        .and_then(|adopted| publish(dataset, compression, adopted, progress));
    let cleaned = dataset.store().remove(STAGING);
    if outcome.is_err() && !dataset.store().moves() {
        dataset.store().remove("index")?; // written in place, and refused above if it was there
    }
    let report = outcome?;
    cleaned?;
    Ok(report)
}

/// One indexed shard.
struct Adopted {
    shard: Shard,
    fields: BTreeMap<String, FieldTotals>,
    keys: Vec<KeyPlace>,
    skipped: Skipped,
}

/// Is nothing here that an adoption would write?
fn free(dataset: &Dataset<'_>) -> Result<()> {
    let occupied = |what: &str| {
        Err(Error::Occupied { destination: dataset.describe(), what: what.to_owned() })
    };
    if dataset.manifest().is_some() {
        return occupied("is a dataset with a manifest already");
    }
    for object in dataset.store().list("")? {
        if object.key == MANIFEST {
            return occupied("has a manifest already");
        }
        if object.key.starts_with("index/") || object.key.starts_with(".shardpack/") {
            return occupied(
                "has an index or unfinished work already; remove index/ and .shardpack/, or index a copy",
            );
        }
    }
    Ok(())
}

fn one_compression(dataset: &Dataset<'_>) -> Result<Compression> {
    let mut shards = dataset.shards().iter();
    let first = shards.next().map(|s| s.compression).unwrap_or_default();
    match shards.find(|s| s.compression != first) {
        None => Ok(first),
        Some(other) => Err(Error::Usage(format!(
            "{} is compressed otherwise ({}) than the shards before it ({}); a dataset has one compression",
            other.path,
            other.compression.name(),
            first.name()
        ))),
    }
}

fn adopt_shards(
    dataset: &Dataset<'_>,
    options: &AdoptOptions,
    progress: &Progress,
) -> Result<Vec<Adopted>> {
    let shards = each(dataset.shards().len(), options.jobs, progress, |number| {
        match one(dataset, number, options, progress) {
            Err(Error::Shard { shard, reason }) => Ok(Err(format!("{shard}: {reason}"))),
            outcome => outcome.map(Ok),
        }
    })?;
    let mut damaged = Offenders::default();
    let mut adopted = Vec::new();
    for shard in shards {
        match shard {
            Ok(shard) => adopted.push(shard),
            Err(reason) => damaged.add(|| reason),
        }
    }
    damaged.refuse("these shards are damaged, or not of this format; nothing was written")?;
    Ok(adopted)
}

fn one(
    dataset: &Dataset<'_>,
    number: usize,
    options: &AdoptOptions,
    progress: &Progress,
) -> Result<Adopted> {
    let shard = &dataset.shards()[number];
    let object = dataset.store().open(&shard.path)?;
    let mut keys = Vec::new();
    let memory = (options.memory, options.jobs);
    let Indexed { bytes, file, summary, skipped } =
        indexed(dataset, number, &*object, memory, progress, &mut |key, record| {
            let (shard, record) = (number as u32, record as u32);
            keys.push(KeyPlace { hash: hash(key), shard, record });
        })?;
    let path = index_path(&shard.path);
    dataset.store().put(&staged(dataset.store(), &path), &bytes, PutMode::Replace)?;
    let row = Shard {
        path: shard.path.clone(),
        split: None,
        samples: summary.samples,
        files: summary.files,
        body_bytes: summary.body_bytes,
        bytes: file.bytes,
        stream_bytes: file.stream_bytes,
        crc64nvme: file.crc64nvme,
        digest: summary.digest,
        index: Sidecar::of(path, &bytes),
        sources: None,
    };
    Ok(Adopted { shard: row, fields: summary.fields, keys, skipped })
}

fn publish(
    dataset: &Dataset<'_>,
    compression: Compression,
    adopted: Vec<Adopted>,
    progress: &Progress,
) -> Result<AdoptReport> {
    progress.enter(Stage::Publish);
    let mut format = RecordFormat::new(dataset.format());
    format.options = dataset.format_options().clone();
    let mut manifest = Manifest::new(format, Order::Source);
    manifest.compression = compression;
    let (mut places, mut skipped) = (Vec::new(), Vec::new());
    for shard in adopted {
        manifest.push(shard.shard, &shard.fields)?;
        places.extend(shard.keys);
        skipped.push(shard.skipped);
    }
    refuse_duplicates(dataset, places)?;
    let bytes = manifest.to_bytes()?;
    let (store, folder) = (dataset.store(), "index");
    if store.moves() && !manifest.shards.is_empty() {
        store.rename(&staged(store, folder), folder)?;
    }
    store.put(MANIFEST, &bytes, PutMode::Create)?;
    Ok(AdoptReport {
        dataset: dataset.describe(),
        format: dataset.format().into(),
        shards: manifest.shards.len() as u64,
        samples: manifest.totals.samples,
        files: manifest.totals.files,
        file_bytes: manifest.totals.body_bytes,
        digest: manifest.digest.to_string(),
        skipped: skipped_rows(&skipped),
    })
}

fn refuse_duplicates(dataset: &Dataset<'_>, places: Vec<KeyPlace>) -> Result<()> {
    let found = duplicates(dataset, places, |place| {
        let path = dataset.shards().get(place.shard as usize).map_or("", |s| s.path.as_str());
        let bytes = staging::read(dataset.store(), &staged(dataset.store(), &index_path(path)))?;
        let index = shardpack_manifest::Index::parse(bytes)?;
        Ok(index.get(place.record as usize).map(|r| r.key.to_owned()).unwrap_or_default())
    })?;
    let mut shared = Offenders::default();
    for duplicate in found {
        shared.add(|| {
            let places =
                duplicate.places.iter().map(|(shard, record)| format!("{shard} record {record}"));
            format!("{:?}: {}", duplicate.key, places.collect::<Vec<_>>().join(", "))
        });
    }
    shared.refuse("keys must be unique in a dataset; these are of several samples")
}

/// What shards hold that is in no sample, as reason and count.
pub(crate) fn skipped_rows(skipped: &[Skipped]) -> Vec<(String, u64)> {
    let sum = |count: fn(&Skipped) -> u64| skipped.iter().map(count).sum::<u64>();
    let first = skipped.iter().find_map(|s| s.first.as_deref());
    let example = first.map(|name| format!(", such as {name:?}")).unwrap_or_default();
    [
        ("directories", sum(|s| s.directories), false),
        ("hard links, which no reader of samples follows", sum(|s| s.hard_links), true),
        ("links, devices and the like, which are in no sample", sum(|s| s.specials), true),
        ("files whose names are of no sample", sum(|s| s.unnamed), true),
    ]
    .into_iter()
    .filter(|(_, count, _)| *count > 0)
    .map(|(what, count, named)| (format!("{what}{}", if named { &*example } else { "" }), count))
    .collect()
}

impl Default for AdoptOptions {
    fn default() -> Self {
        Self { jobs: super::cores(), memory: super::MEMORY }
    }
}
