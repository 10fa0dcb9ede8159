//! Shards without what is dead in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use shardpack_manifest::{Digest, Event, Index, Manifest};
use shardpack_store::{Source, Store};

use super::delete::places;
use super::grow::{self, Growth};
use super::head::{Head, Place, digest_at};
use super::options::packed_with;
use super::prune::prune;
use super::report::CompactReport;
use crate::dataset::{Dataset, cores};
use crate::group::Samples;
use crate::options::{Order, PackOptions};
use crate::pack::{Prepared, decide};
use crate::plan::WHOLE;
use crate::progress::{Progress, Stage};
use crate::reshard::{Copies, DatasetSource, Selection, SourceOptions, proof};
use crate::{Error, Result};

/// What is compacted, and what is kept.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// Also rewrite shards of less than half of the target, where there are several. Default false.
    pub merge_small: bool,
    /// Versions before the head that stay readable; those before them lose their manifests, and
    /// the shards that only they have. Default 1: the version that is compacted, which readers may
    /// be at.
    pub keep: u64,
    /// Look at everything, and write nothing. Default false.
    pub dry_run: bool,
    /// Throw unfinished work of another run away instead of refusing. Default false.
    pub restart: bool,
    /// Threads that compute. Default: the cores.
    pub jobs: usize,
    /// Most reads in flight. Default 64.
    pub io_depth: usize,
    /// Memory for buffers in bytes. Default 512 MiB.
    pub memory: u64,
    /// Folder for decompressed copies of compressed shards. Default: the system's temporary folder.
    pub scratch: PathBuf,
}

impl Default for CompactOptions {
    fn default() -> Self {
        let PackOptions { jobs, io_depth, memory, .. } = PackOptions::default();
        let SourceOptions { scratch, .. } = SourceOptions::default();
        Self {
            merge_small: false,
            keep: 1,
            dry_run: false,
            restart: false,
            jobs,
            io_depth,
            memory,
            scratch,
        }
    }
}

/// Rewrites the shards that hold deleted or replaced samples, without those. All other shards stay
/// byte for byte, and so does the digest of what is live, which is proved before anything is
/// published. Then versions that are not to be kept, and the shards that only they have, are
/// removed.
///
/// A killed run is finished by calling this again. Fails as [`append`](super::append) does.
///
/// ```
/// use shardpack_pack::{
///     CompactOptions, DeleteOptions, PackOptions, Progress, compact, delete, pack,
/// };
/// use shardpack_store::{MemoryStore, MemoryTree};
///
/// let store = MemoryStore::new();
/// let files = MemoryTree::new([("a.txt", "1"), ("b.txt", "2")]);
/// pack(&files, &store, &PackOptions::default(), &Progress::default())?;
/// let kept = delete(&store, &["a".into()], &DeleteOptions::default())?;
///
/// let report = compact(&store, &CompactOptions::default(), &Progress::default())?;
/// assert_eq!((report.dropped, report.live), (1, kept.live));
/// # Ok::<(), shardpack_pack::Error>(())
/// ```
pub fn compact(
    store: &dyn Store,
    options: &CompactOptions,
    progress: &Progress,
) -> Result<CompactReport> {
    if store.locks() {
        Head::read(store)?; // taking a lock makes a folder where there was none
    }
    let _lock = (!options.dry_run).then(|| store.lock("")).transpose()?;
    let head = Head::read(store)?;
    let dataset = Dataset::of(store, head.manifest.clone())?;
    progress.enter(Stage::Plan);
    let mut report = CompactReport { dataset: store.describe(), ..CompactReport::default() };
    report.dry_run = options.dry_run;
    let marks = marks(&dataset, &head.manifest)?;
    let pack = packed(&head.manifest, store, options)?;
    let chosen = chosen(&head.manifest, &marks, pack.target, options);
    report.dropped = marks.len() as u64;
    report.rewritten = chosen.len();
    let mut version = head.manifest.number();
    let mut manifest = head.manifest.clone();
    if chosen.is_empty() {
        if !options.dry_run {
            grow::clear_up(store, &head)?;
        }
    } else {
        let part = part(&dataset, &head.manifest, &chosen, &marks)?;
        version += 1;
        if !options.dry_run {
            let rewrite = Rewrite { head: &head, dataset: &dataset, store, options, progress };
            let done = rewrite.run(part, &chosen, pack)?;
            report.shards = done.shards;
            report.resumed_shards = done.resumed;
            manifest = done.manifest;
        }
    }
    let pruned = prune(store, version.saturating_sub(options.keep), options.dry_run)?;
    report.removed_versions = pruned.versions;
    report.removed_shards = pruned.shards;
    report.removed_bytes = pruned.bytes;
    report.nothing = chosen.is_empty() && pruned.versions == 0;
    Ok(report.now(&manifest, version))
}

/// Places of all that is dead.
fn marks(dataset: &Dataset<'_>, manifest: &Manifest) -> Result<Vec<Place>> {
    match manifest.tombstone_places.len() == manifest.tombstones.len() {
        true => Ok(manifest.tombstone_places.clone()),
        false => {
            Ok(places(dataset, &manifest.tombstones, cores())?.into_iter().flatten().collect())
        }
    }
}

fn packed(manifest: &Manifest, store: &dyn Store, options: &CompactOptions) -> Result<PackOptions> {
    Ok(PackOptions {
        order: Order::Source, // samples stay in the order that they were shuffled into
        shard_multiple: 1,
        fields: Vec::new(),
        required: Vec::new(),
        jobs: options.jobs,
        io_depth: options.io_depth,
        memory: options.memory,
        restart: options.restart,
        ..packed_with(manifest, store)?
    })
}

/// Numbers of the shards that are rewritten.
fn chosen(
    manifest: &Manifest,
    marks: &[Place],
    target: u64,
    options: &CompactOptions,
) -> Vec<usize> {
    let mut chosen: BTreeSet<usize> = marks.iter().map(|(shard, _)| *shard as usize).collect();
    if options.merge_small {
        let is_small =
            |i: &usize| manifest.shards.get(*i).is_some_and(|s| s.stream_bytes < target / 2);
        let small: Vec<usize> = (0..manifest.shards.len()).filter(is_small).collect();
        for of_split in small.chunk_by(|a, b| split(manifest, *a) == split(manifest, *b)) {
            // One small shard alone stays what it is.
            let others = chosen.iter().any(|i| split(manifest, *i) == split(manifest, of_split[0]));
            if of_split.len() > 1 || others {
                chosen.extend(of_split);
            }
        }
    }
    chosen.into_iter().collect()
}

fn split(manifest: &Manifest, shard: usize) -> Option<&str> {
    manifest.shards.get(shard).and_then(|shard| shard.split.as_deref())
}

/// A dataset of these shards alone, as a manifest.
struct Part {
    manifest: Manifest,
    /// Digest of what is live in it.
    live: Digest,
}

fn part(
    dataset: &Dataset<'_>,
    whole: &Manifest,
    chosen: &[usize],
    marks: &[Place],
) -> Result<Part> {
    let mut part = Manifest::new(whole.format.clone(), whole.order);
    part.compression = whole.compression;
    part.labels.clone_from(&whole.labels);
    part.plan = whole.plan;
    let mut dead = Vec::new();
    for (number, &shard) in chosen.iter().enumerate() {
        let Some(row) = whole.shards.get(shard) else { continue };
        let Some(index) = shardpack_dataset::index(dataset, shard)? else { continue };
        part.push(row.clone(), &index.summary().fields)?;
        for (_, record) in marks.iter().filter(|(of, _)| *of == shard as u64) {
            let key = index.get(*record as usize).map(|r| r.key.to_owned()).unwrap_or_default();
            dead.push((key, (number as u64, *record)));
        }
    }
    part.by_place = true;
    part.bury(dead);
    let live = part.digest - digest_at(dataset, marks)?;
    Ok(Part { manifest: part, live })
}

/// What came of rewriting.
struct Rewritten {
    manifest: Manifest,
    shards: usize,
    resumed: usize,
}

/// What rewriting goes by.
struct Rewrite<'a> {
    head: &'a Head,
    dataset: &'a Dataset<'a>,
    store: &'a dyn Store,
    options: &'a CompactOptions,
    progress: &'a Progress,
}

impl Rewrite<'_> {
    /// Packs what is live in the chosen shards, which `part` has, and publishes.
    fn run(&self, part: Part, chosen: &[usize], mut pack: PackOptions) -> Result<Rewritten> {
        let Self { head, dataset, store, options, progress } = *self;
        let fields = part.manifest.fields.clone();
        let live = head.live_digest(dataset)?;
        let kept: Vec<usize> =
            (0..head.manifest.shards.len()).filter(|i| chosen.binary_search(i).is_err()).collect();
        let counts = counts(&part.manifest);
        if counts.values().all(|count| *count == 0) {
            let next = head.manifest.rebuilt(&kept, &fields, Vec::new())?;
            same(live, next.digest)?;
            let manifest = head.replace(store, (next, Some(live)), Event::Compact, 0)?;
            return Ok(Rewritten { manifest, shards: 0, resumed: 0 });
        }
        let inputs = vec![(Dataset::of(store, part.manifest)?, store.describe())];
        let how = SourceOptions {
            jobs: options.jobs,
            memory: options.memory,
            io_depth: options.io_depth,
            scratch: options.scratch.clone(),
        };
        let source = DatasetSource::open(inputs, &Selection::default(), &how, progress)?;
        let mut samples = Samples::of(source.catalog());
        if pack.format != "recordio" {
            samples.ids = Vec::new(); // only its header keeps them
        }
        if let Some(existing) = &mut pack.existing {
            existing.first_id = next_id(dataset)?;
        }
        let prepared = decide(samples, &pack, progress)?;
        same(part.live, proof::expected(&prepared.0, &*prepared.2))?;
        same_splits(&prepared, &counts, store)?;
        let shards = prepared.1.shards.len();
        let event = Event::Compact;
        let copies = Copies::new(&source);
        let (source, copies) = (&source as &dyn Source, Some(&copies));
        let growth = Growth { head, store, source, copies, options: &pack, progress, event };
        let done = growth.grow(prepared, &|rows| {
            let next = head.manifest.rebuilt(&kept, &fields, rows)?;
            same(live, next.digest)?;
            Ok((next, Some(live)))
        })?;
        Ok(Rewritten { manifest: done.manifest, shards, resumed: done.resumed })
    }
}

/// Live samples by split.
fn counts(manifest: &Manifest) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (number, shard) in (0..).zip(&manifest.shards) {
        let dead = manifest.tombstone_places.iter().filter(|(of, _)| *of == number).count() as u64;
        let split = shard.split.clone().unwrap_or_else(|| WHOLE.into());
        *counts.entry(split).or_default() += shard.samples.saturating_sub(dead);
    }
    counts
}

/// Samples stay in their splits.
fn same_splits(
    (_, plan, _): &Prepared<'_>,
    before: &BTreeMap<String, u64>,
    store: &dyn Store,
) -> Result<()> {
    let mut after: BTreeMap<String, u64> = before.keys().map(|name| (name.clone(), 0)).collect();
    for shard in &plan.shards {
        *after.entry(shard.split.clone()).or_default() += (shard.end - shard.start) as u64;
    }
    match after == *before {
        true => Ok(()),
        false => Err(super::unknown(
            store,
            "nothing says which samples are in which split, as in datasets that were merged; `shardpack reshard` packs it anew",
        )),
    }
}

/// The first id that no record has; only RecordIO keeps them.
fn next_id(dataset: &Dataset<'_>) -> Result<u64> {
    let mut next = 0;
    if dataset.format() == "recordio" {
        for shard in 0..dataset.shards().len() {
            let index = shardpack_dataset::index(dataset, shard)?;
            let ids = index.iter().flat_map(Index::iter).map(|r| r.id.saturating_add(1));
            next = next.max(ids.max().unwrap_or(0));
        }
    }
    Ok(next)
}

fn same(wanted: Digest, found: Digest) -> Result<()> {
    match wanted == found {
        true => Ok(()),
        false => Err(Error::Shard {
            shard: "manifest.json".into(),
            reason: format!(
                "the live samples have digest {wanted}, those that were rewritten {found}; nothing was published"
            ),
        }),
    }
}
