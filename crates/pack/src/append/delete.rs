//! Samples marked as deleted, and marks taken back.
//!
//! A mark is a line in the manifest: shards and indexes stay as they are, so deleting takes a
//! moment whatever the size of a dataset, and nobody who reads it just then is disturbed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use serde::Serialize;
use shardpack_manifest::{Event, Manifest};
use shardpack_store::Store;

use super::head::{Head, Place, digest_at};
use crate::Result;
use crate::dataset::{Dataset, cores};
use crate::error::Offenders;
use crate::parallel::each;
use crate::progress::Progress;

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
        Self { undo: false, dry_run: false, jobs: cores() }
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

/// Marks the samples called `keys` as deleted in the manifest at the root of `store`, or takes
/// their marks back. The same keys a second time change nothing.
///
/// The manifest is replaced in one atomic step, under the store's lock, and only if it still is what
/// was read. Fails, and changes nothing, with [`Refused`] for keys of no sample (the first ten are
/// named), with [`NotFound`] without a manifest, and with the store's [`Changed`] when another run
/// wrote the manifest meanwhile.
///
/// [`Refused`]: crate::Error::Refused
/// [`NotFound`]: crate::Error::NotFound
/// [`Changed`]: shardpack_store::ErrorKind::Changed
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
        Head::read(store)?; // taking a lock makes a folder where there was none
    }
    let _lock = (!options.dry_run).then(|| store.lock("")).transpose()?;
    let head = Head::read(store)?;
    let dataset = Dataset::of(store, head.manifest.clone())?;
    let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
    let before = marks(&dataset, &head.manifest, options)?;
    let is_marked =
        |key: &str| before.range((key.to_owned(), None)..).next().is_some_and(|m| m.0 == key);
    // A key that is marked may be live elsewhere only where the manifest says so.
    let sought: Vec<&str> =
        keys.iter().copied().filter(|key| head.manifest.by_place || !is_marked(key)).collect();
    let live = find(&dataset, &sought, options.jobs, true)?;
    known(&sought, &live, is_marked)?;
    let mut marks = before.clone();
    let live = sought.iter().zip(live).filter_map(|(key, place)| Some((*key, place?)));
    match options.undo {
        false => marks.extend(live.map(|(key, place)| (key.to_owned(), Some(place)))),
        true => {
            let live: HashSet<&str> = live.map(|(key, _)| key).collect();
            for key in keys.iter().filter(|key| !live.contains(*key)) {
                unmark(&mut marks, key);
            }
        }
    }
    let changed = marks.len().abs_diff(before.len()) as u64;
    let deleted = marks.len() as u64;
    if changed > 0 && !options.dry_run {
        let next = marked(&head.manifest, &marks);
        let places: Vec<Place> = marks.iter().filter_map(|(_, place)| *place).collect();
        let live = head.manifest.digest - digest_at(&dataset, &places)?;
        head.replace(store, (next, Some(live)), Event::Delete, 0)?;
    }
    Ok(DeleteReport {
        dataset: store.describe(),
        changed,
        unchanged: keys.len() as u64 - changed,
        deleted,
        live: head.manifest.totals.samples.saturating_sub(deleted),
        dry_run: options.dry_run,
    })
}

/// Keys that are marked, with their places.
type Marks = BTreeSet<(String, Option<Place>)>;

/// The marks that there are; places that were written without are looked up.
fn marks(dataset: &Dataset<'_>, manifest: &Manifest, options: &DeleteOptions) -> Result<Marks> {
    let places = match manifest.tombstone_places.is_empty() {
        true => places(dataset, &manifest.tombstones, options.jobs)?,
        false => manifest.tombstone_places.iter().copied().map(Some).collect(),
    };
    Ok(manifest.tombstones.iter().cloned().zip(places).collect())
}

/// Takes the mark of a key back: the last one, where it stands several times.
fn unmark(marks: &mut Marks, key: &str) {
    let of_key = marks.range((key.to_owned(), None)..).take_while(|mark| mark.0 == key);
    if let Some(last) = of_key.last().cloned() {
        marks.remove(&last);
    }
}

/// The manifest with these marks.
fn marked(manifest: &Manifest, marks: &Marks) -> Manifest {
    Manifest {
        tombstones: marks.iter().map(|(key, _)| key.clone()).collect(),
        // All or none: a mark of no sample, which `verify` tells of, has no place.
        tombstone_places: marks
            .iter()
            .map(|(_, place)| *place)
            .collect::<Option<_>>()
            .unwrap_or_default(),
        by_place: manifest.by_place && !marks.is_empty(),
        ..manifest.clone()
    }
}

/// Where the samples of these keys are, deleted or not; none for those that are nowhere.
pub(super) fn places(
    dataset: &Dataset<'_>,
    keys: &[String],
    jobs: usize,
) -> Result<Vec<Option<Place>>> {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    find(dataset, &keys, jobs, false)
}

/// Where the sample of each key is; with `live`, those that are not deleted. Reads indexes until all
/// are found.
fn find(
    dataset: &Dataset<'_>,
    keys: &[&str],
    jobs: usize,
    live: bool,
) -> Result<Vec<Option<Place>>> {
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
        let stands = |(number, record): &(usize, u64)| {
            !live || keys.get(*number).is_some_and(|key| !dataset.is_deleted(shard, *record, key))
        };
        let found: Vec<(usize, u64)> = found.into_iter().filter(stands).collect();
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

/// An error that names the keys of no sample.
fn known(keys: &[&str], live: &[Option<Place>], is_marked: impl Fn(&str) -> bool) -> Result<()> {
    let mut unknown = Offenders::default();
    for (key, place) in keys.iter().zip(live) {
        if place.is_none() && !is_marked(key) {
            unknown.add(|| format!("{key:?}"));
        }
    }
    unknown.refuse("no sample has these keys; nothing was changed")
}

#[cfg(test)]
mod tests;
