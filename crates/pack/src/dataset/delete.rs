//! Samples marked as deleted, and marks taken back.
//!
//! A mark is a line in the manifest: shards and indexes stay as they are, so deleting takes a
//! moment whatever the size of a dataset, and nobody who reads it just then is disturbed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde::Serialize;
use shardpack_manifest::Manifest;
use shardpack_store::{ErrorKind, PutMode, Store};

use super::Dataset;
use crate::error::Offenders;
use crate::parallel::each;
use crate::progress::Progress;
use crate::staging::{self, MANIFEST};
use crate::{Error, Result};

/// How samples are marked.
#[derive(Clone, Copy, Debug)]
pub struct DeleteOptions {
    /// Take marks back in place of setting them. Default false.
    pub undo: bool,
    /// Check everything, and write nothing. Default false.
    pub dry_run: bool,
    /// Indexes that are read at a time, to find the keys. Default: the cores.
    pub jobs: usize,
}

impl Default for DeleteOptions {
    fn default() -> Self {
        Self { undo: false, dry_run: false, jobs: super::cores() }
    }
}

/// What marking came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DeleteReport {
    /// Where the dataset is.
    pub dataset: String,
    /// Samples that were marked, or whose mark was taken back.
    pub changed: u64,
    /// Samples among the keys that were as they were to become.
    pub unchanged: u64,
    /// Samples that are marked now, or would be after a dry run.
    pub deleted: u64,
    /// Samples that are not: those that readers see.
    pub live: u64,
    /// True when nothing was written.
    pub dry_run: bool,
}

/// Number of a shard, and of a record in it.
type Place = (u64, u64);

/// Marks the samples called `keys` as deleted in the manifest at the root of `store`, or takes
/// their marks back. The same keys a second time change nothing.
///
/// The manifest is replaced in one atomic step, under the store's lock, and only if it still is what
/// was read. Fails, and changes nothing, with [`Error::Refused`] for keys of no sample (the first
/// ten are named), with [`Error::NotFound`] without a manifest, and with the store's
/// [`Changed`](ErrorKind::Changed) when another run wrote the manifest meanwhile.
///
/// ```
/// use shardpack_pack::{DeleteOptions, PackOptions, Progress, delete, pack};
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let files = MemoryTree::new([("a.txt", "1"), ("b.txt", "2"), ("c.txt", "3")]);
/// let store = MemoryStore::new();
/// pack(&files, &store, &PackOptions::default(), &Progress::default())?;
///
/// let report = delete(&store, &["b".into()], &DeleteOptions::default())?;
/// assert_eq!((report.changed, report.live), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn delete(store: &dyn Store, keys: &[String], options: &DeleteOptions) -> Result<DeleteReport> {
    if store.locks() {
        Dataset::open(store)?; // taking a lock makes a folder where there was none
    }
    let _lock = (!options.dry_run).then(|| store.lock("")).transpose()?;
    let dataset = Dataset::open(store)?;
    let Some(manifest) = dataset.manifest() else {
        return Err(Error::NotFound(format!("{}: there is no {MANIFEST}", store.describe())));
    };
    let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    let marks = marks(&dataset, manifest, options)?;
    let unmarked: Vec<&str> = keys.iter().copied().filter(|key| !marks.contains_key(key)).collect();
    let found = known(find(&dataset, &unmarked, options.jobs)?, &unmarked)?;
    let mut marks = marks;
    let before = marks.len();
    match options.undo {
        true => marks.retain(|key, _| !keys.contains(key)),
        false => marks.extend(unmarked.iter().copied().zip(found.into_iter().map(Some))),
    }
    let changed = marks.len().abs_diff(before) as u64;
    let deleted = marks.len() as u64;
    if changed > 0 && !options.dry_run {
        let old = manifest.to_bytes()?;
        replace(store, &old, &marked(manifest, &marks).to_bytes()?)?;
    }
    Ok(DeleteReport {
        dataset: store.describe(),
        changed,
        unchanged: keys.len() as u64 - changed,
        deleted,
        live: manifest.totals.samples.saturating_sub(deleted),
        dry_run: options.dry_run,
    })
}

/// The marks that there are, with their places; those that were written without are looked up.
fn marks<'m>(
    dataset: &Dataset<'_>,
    manifest: &'m Manifest,
    options: &DeleteOptions,
) -> Result<BTreeMap<&'m str, Option<Place>>> {
    let keys: Vec<&str> = manifest.tombstones.iter().map(String::as_str).collect();
    let places = match manifest.tombstone_places.is_empty() {
        true => find(dataset, &keys, options.jobs)?,
        false => manifest.tombstone_places.iter().copied().map(Some).collect(),
    };
    Ok(keys.into_iter().zip(places).collect())
}

/// The manifest with these marks.
fn marked(manifest: &Manifest, marks: &BTreeMap<&str, Option<Place>>) -> Manifest {
    Manifest {
        tombstones: marks.keys().map(|key| (*key).to_owned()).collect(),
        // All or none: a mark of no sample, which `verify` tells of, has no place.
        tombstone_places: marks.values().copied().collect::<Option<_>>().unwrap_or_default(),
        ..manifest.clone()
    }
}

/// Where the sample of each key is. Reads indexes until all are found.
fn find(dataset: &Dataset<'_>, keys: &[&str], jobs: usize) -> Result<Vec<Option<Place>>> {
    let numbers: HashMap<&str, usize> = keys.iter().copied().zip(0..).collect();
    let left = AtomicUsize::new(keys.len());
    let found = each(dataset.shards().len(), jobs, &Progress::default(), |shard| {
        if left.load(Relaxed) == 0 {
            return Ok(Vec::new());
        }
        let Some(index) = shardpack_dataset::index(dataset, shard)? else { return Ok(Vec::new()) };
        // Few keys are searched for in the index, many are met on the way through it.
        let found: Vec<(usize, u64)> = match keys.len() < index.len() / 16 {
            true => {
                let position = |(i, key): (usize, &&str)| Some((i, index.position(key)? as u64));
                keys.iter().enumerate().filter_map(position).collect()
            }
            false => {
                let number = |(record, key)| Some((*numbers.get(key)?, record));
                (0..).zip(index.iter().map(|r| r.key)).filter_map(number).collect()
            }
        };
        left.fetch_sub(found.len().min(left.load(Relaxed)), Relaxed);
        Ok(found)
    })?;
    let mut places = vec![None; keys.len()];
    for (shard, found) in (0..).zip(found) {
        for (number, record) in found {
            places[number] = Some((shard, record));
        }
    }
    Ok(places)
}

/// All places, or an error that names the keys without.
fn known(places: Vec<Option<Place>>, keys: &[&str]) -> Result<Vec<Place>> {
    let mut unknown = Offenders::default();
    for (key, _) in keys.iter().zip(&places).filter(|(_, place)| place.is_none()) {
        unknown.add(|| format!("{key:?}"));
    }
    unknown.refuse("no sample has these keys; nothing was changed")?;
    Ok(places.into_iter().flatten().collect())
}

/// How often a manifest that a server did not keep as it was sent is sent.
const TRIES: usize = 3;

/// Puts `new` in place of the manifest `old`. Behind a network it is read back: without a manifest
/// there is no dataset.
fn replace(store: &dyn Store, old: &[u8], new: &[u8]) -> Result<()> {
    store.swap(MANIFEST, old, new)?;
    if store.moves() {
        return Ok(());
    }
    for _ in 0..TRIES {
        match staging::read(store, MANIFEST) {
            Ok(there) if there == new => return Ok(()),
            Ok(there) if Manifest::parse(&there).is_ok() => {
                let what = "it reads back as another run's; that run read this one's first, or this one's is lost";
                let kind = ErrorKind::Changed { what: what.into() };
                return Err(shardpack_store::Error::new(kind, MANIFEST).into());
            }
            Ok(_) => {}
            Err(Error::Store(error)) if error.is_damaged() || error.is_not_found() => {}
            // Written by another run while it was read: to write again would lose that run's marks.
            Err(Error::Store(error)) if error.is_changed() => continue,
            Err(error) => return Err(error),
        }
        store.put(MANIFEST, new, PutMode::Replace)?;
    }
    match staging::read(store, MANIFEST)? == new {
        true => Ok(()),
        false => Err(Error::Shard {
            shard: MANIFEST.into(),
            reason: format!("does not read back as it was written, {TRIES} times"),
        }),
    }
}

#[cfg(test)]
mod tests;
