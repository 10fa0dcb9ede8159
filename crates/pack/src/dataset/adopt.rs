//! A manifest and indexes for shards that something else wrote.

use std::collections::{BTreeMap, BTreeSet};
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
/// The manifest is the last write. A killed run is finished by calling this again: what it left in
/// `index/` stays if it is what this one would write.
///
/// Records without a key are called by their shard and number. Refuses a place that has a manifest
/// or other indexes already, damaged shards (all of them are named), and keys that two samples share.
pub fn adopt(
    dataset: &Dataset<'_>,
    options: &AdoptOptions,
    progress: &Progress,
) -> Result<AdoptReport> {
    let store = dataset.store();
    let _lock = store.lock("")?; // the staging below is one run's
    let left = left(dataset)?;
    let compression = one_compression(dataset)?;
    progress.enter(Stage::Pack);
    progress.bytes_planned.store(dataset.shards().iter().map(|s| s.bytes).sum(), Relaxed);
    progress.shards_planned.store(dataset.shards().len() as u64, Relaxed);
    let outcome = adopt_shards(dataset, &left, options, progress)
        .and_then(|adopted| publish(dataset, compression, adopted, &left, progress));
    if store.moves() {
        let cleaned = store.remove(STAGING);
        let report = outcome?;
        return cleaned.map(|()| report).map_err(Error::from);
    }
    // Written in place. What another failure leaves the next run finds, as may one that is at work.
    if matches!(outcome, Err(Error::Refused { .. })) {
        for path in dataset.shards().iter().map(|shard| index_path(&shard.path)) {
            if !left.contains(&path) {
                store.remove(&path)?;
            }
        }
    }
    outcome
}

/// One indexed shard.
struct Adopted {
    shard: Shard,
    fields: BTreeMap<String, FieldTotals>,
    keys: Vec<KeyPlace>,
    skipped: Skipped,
}

/// Indexes of these shards that are there already, as a killed run leaves them. Anything else that
/// an adoption would write is somebody's.
fn left(dataset: &Dataset<'_>) -> Result<BTreeSet<String>> {
    let (store, mut left) = (dataset.store(), BTreeSet::new());
    if dataset.manifest().is_some() {
        return Err(occupied(dataset, "is a dataset with a manifest already"));
    }
    let indexes: BTreeSet<String> =
        dataset.shards().iter().map(|shard| index_path(&shard.path)).collect();
    for object in store.list("")? {
        let staging = object.key.strip_prefix(STAGING).and_then(|key| key.strip_prefix('/'));
        if object.key == MANIFEST {
            return Err(occupied(dataset, "has a manifest already"));
        }
        if indexes.contains(&object.key) {
            left.insert(object.key);
        } else if staging.map_or(object.key.starts_with("index/"), |key| !indexes.contains(key)) {
            return Err(occupied(
                dataset,
                "has an index or unfinished work already; remove index/ and .shardpack/, or index a copy",
            ));
        }
    }
    Ok(left)
}

fn occupied(dataset: &Dataset<'_>, what: impl Into<String>) -> Error {
    Error::Occupied { destination: dataset.describe(), what: what.into() }
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
    left: &BTreeSet<String>,
    options: &AdoptOptions,
    progress: &Progress,
) -> Result<Vec<Adopted>> {
    let shards = each(dataset.shards().len(), options.jobs, progress, |number| {
        match one(dataset, number, left, options, progress) {
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
    left: &BTreeSet<String>,
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
    write(dataset, &path, &bytes, left)?;
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

/// Writes an index, unless a killed run did. One that says something else is not overwritten: it may
/// be all that knows the keys.
fn write(dataset: &Dataset<'_>, path: &str, bytes: &[u8], left: &BTreeSet<String>) -> Result<()> {
    let store = dataset.store();
    match left.contains(path) {
        false => staging::put(store, &staged(store, path), bytes, PutMode::Replace),
        true if staging::read(store, path)? == bytes => Ok(()),
        true => Err(occupied(
            dataset,
            format!(
                "has {path} already, which is not what indexing gives; remove index/, or index a copy"
            ),
        )),
    }
}

fn publish(
    dataset: &Dataset<'_>,
    compression: Compression,
    adopted: Vec<Adopted>,
    left: &BTreeSet<String>,
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
    let store = dataset.store();
    if store.moves() && left.is_empty() && !manifest.shards.is_empty() {
        store.rename(&staged(store, "index"), "index")?;
    } else if store.moves() {
        let indexes = manifest.shards.iter().map(|shard| &shard.index.path);
        for path in indexes.filter(|path| !left.contains(*path)) {
            store.rename(&staged(store, path), path)?;
        }
    }
    staging::put(store, MANIFEST, &manifest.to_bytes()?, PutMode::Create)?;
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
        let bytes = staging::sealed(dataset.store(), &index_path(path))?.unwrap_or_default();
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
