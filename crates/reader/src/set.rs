//! The shards that this process sees, and what their indexes say.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use shardpack_formats::{Compression, Format};
use shardpack_manifest::{Digest, Index, Manifest, Shard};
use shardpack_store::{Object, PerProcess, Store, Traffic};
use xxhash_rust::xxh3::xxh3_128;

use crate::inflate::{Stream, Streams};
use crate::plan::{Run, SampleId, Shards};
use crate::pool::Pool;
use crate::quarantine::Overlay;
use crate::{Error, ReadOptions, Result};

/// Shards of one dataset that this process can read.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) manifest: Manifest,
    pub(crate) format: Arc<dyn Format>,
    /// Where shards are, and where their indexes are.
    store: Arc<dyn Store>,
    indexes: Arc<dyn Store>,
    /// Rows of the manifest that were asked for, and those that are there.
    wanted: Vec<usize>,
    seen: Vec<Seen>,
    overlay: Overlay,
    /// How many shards stay open.
    most_open: AtomicUsize,
    /// A thread may hold a lock in here while it waits for a network: no lock to meet after a fork.
    local: PerProcess<Local>,
}

/// What the threads of a process share.
#[derive(Debug, Default)]
struct Local {
    pool: Arc<Pool>,
    shards: Mutex<Recent>,
    streams: Streams,
}

/// Bytes that are read at once at least, from a file system: few enough that windows stay in the
/// cores' caches, where copying them costs a third less (20,000 samples of 110 KB: 0.41 s of
/// processor time, 0.50 s with 7 MB a lane). And samples at most: the first waits for all of them,
/// and of small shards each holds but a few.
const TOGETHER: (u64, u64) = (2 << 20, 512);
/// The same over a network, where a request has its price: with eight lanes 2 MiB each.
const TOGETHER_FAR: (u64, u64) = (16 << 20, 1 << 15);
/// Bytes that are read at once from a file system: still in the core's cache when they are checked.
const PIECE: usize = 256 << 10;

/// One shard that is there.
#[derive(Debug)]
struct Seen {
    /// Its number in the manifest.
    row: usize,
    /// Its key in the store of shards.
    key: String,
}

/// What is known of a shard, however its bytes come.
#[derive(Debug)]
pub(crate) struct Indexed {
    pub(crate) path: String,
    pub(crate) index: Index<'static>,
    pub(crate) format: Arc<dyn Format>,
}

/// A shard that is open.
#[derive(Debug)]
pub(crate) struct OpenShard {
    pub(crate) indexed: Arc<Indexed>,
    pub(crate) object: Box<dyn Object>,
}

/// Shards that are open, those used last.
#[derive(Debug, Default)]
struct Recent {
    shards: HashMap<u32, (Arc<Slot>, u64)>,
    uses: u64,
}

/// Filled by the first who needs it; others wait.
type Slot = Mutex<Option<Arc<OpenShard>>>;

impl Set {
    /// The shards of `manifest` (of one split, if named) that lie in `store` below `prefix`: all of
    /// them, or with `partly` those that are there.
    pub(crate) fn new(
        manifest: Manifest,
        indexes: Arc<dyn Store>,
        (store, prefix): (Arc<dyn Store>, &str),
        split: Option<&str>,
        partly: bool,
    ) -> Result<Self> {
        let wanted = rows(&manifest, split)?;
        let found = list(&*store, prefix, &manifest, &wanted)?;
        let mut by_name: HashMap<&str, Vec<&str>> = HashMap::new();
        for key in &found {
            by_name.entry(name(key)).or_default().push(key);
        }
        let mut seen = Vec::new();
        let mut missing = Vec::new();
        for &row in &wanted {
            let shard = &manifest.shards[row];
            let same = by_name.get(name(&shard.path)).map_or(&[][..], Vec::as_slice);
            match same.iter().max_by_key(|key| common_end(key, &shard.path)) {
                Some(key) => seen.push(Seen { row, key: (*key).to_owned() }),
                None => missing.push(&*shard.path),
            }
        }
        if let Some(first) = missing.first().filter(|_| !partly || seen.is_empty()) {
            return Err(Error::NotFound(format!(
                "{}: {} of {} shards of the manifest are not there, the first is {first}",
                store.describe(),
                missing.len(),
                missing.len() + seen.len()
            )));
        }
        Ok(Self {
            format: manifest.format.open()?.into(),
            manifest,
            store,
            indexes,
            wanted,
            seen,
            overlay: Overlay::default(),
            most_open: AtomicUsize::new(1),
            local: PerProcess::new(Local::default()),
        })
    }

    /// The same shards without the samples of a quarantine.
    pub(crate) fn without(mut self, options: &ReadOptions) -> Result<Self> {
        self.overlay = Overlay::load(options, &self.manifest)?;
        Ok(self)
    }

    /// Numbers of the shards that are seen, rows of the manifest.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = usize> {
        self.seen.iter().map(|seen| seen.row)
    }

    /// The same with these shards alone, in this order. Fails where one is not there.
    pub(crate) fn only(self, rows: &[usize]) -> Result<Self> {
        let mut by_row: HashMap<usize, Seen> =
            self.seen.into_iter().map(|seen| (seen.row, seen)).collect();
        let mut seen = Vec::new();
        for row in rows {
            let Some(found) = by_row.remove(row) else {
                let path = self.manifest.shards.get(*row).map_or("", |shard| &*shard.path);
                return Err(Error::NotFound(format!(
                    "{}: {path} is not there",
                    self.store.describe()
                )));
            };
            seen.push(found);
        }
        Ok(Self { wanted: rows.to_vec(), seen, ..self })
    }

    /// How many samples of these shards are in the quarantine.
    pub(crate) fn quarantined(&self) -> u64 {
        self.overlay.count(self.seen.iter().map(|seen| seen.row))
    }

    /// The plan's view: how many samples each shard has.
    pub(crate) fn shards(&self) -> Result<Shards> {
        let shards = Shards::new(self.rows().map(|shard| shard.samples))?.of_dataset(self.digest());
        let rows = self.seen.iter().zip(0..).map(|(seen, number)| (seen.row as u64, number));
        let numbers: HashMap<u64, u32> = rows.collect();
        // Places in no shard that is seen are another split's, or another host's.
        let dead = self.dead()?.into_iter().filter_map(|(row, ordinal)| {
            shards.number(SampleId { shard: *numbers.get(&row)?, ordinal })
        });
        let mut dead: Vec<u64> = dead.collect();
        dead.sort_unstable();
        shards.without(dead)
    }

    /// Rows and records of all samples that no epoch has. Tombstones without places are looked up
    /// in the shards that are seen.
    fn dead(&self) -> Result<BTreeSet<(u64, u64)>> {
        let Manifest { tombstones, tombstone_places, .. } = &self.manifest;
        if !tombstone_places.is_empty() || tombstones.is_empty() {
            return Ok(self.overlay.with(tombstone_places));
        }
        let mut found = Vec::new();
        for (number, seen) in (0..).zip(&self.seen) {
            let open = self.open(number)?;
            let positions = tombstones.iter().filter_map(|key| open.indexed.index.position(key));
            found.extend(positions.map(|at| (seen.row as u64, at as u64)));
        }
        Ok(self.overlay.with(&found))
    }

    /// The manifest's rows of the shards that are seen.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Shard> {
        self.seen.iter().map(|seen| &self.manifest.shards[seen.row])
    }

    /// Samples of each shard that some host sees, those left out that are known without reading
    /// the indexes of other hosts' shards: all of a quarantine, and tombstones with places.
    pub(crate) fn all_counts(&self) -> Vec<u64> {
        let mut counts: Vec<u64> = self.manifest.shards.iter().map(|shard| shard.samples).collect();
        for (row, _) in self.overlay.with(&self.manifest.tombstone_places) {
            if let Some(count) = counts.get_mut(row as usize) {
                *count -= 1;
            }
        }
        self.wanted.iter().map(|&row| counts[row]).collect()
    }

    fn digest(&self) -> Digest {
        digest(self.rows())
    }

    /// Mean length of an encoded sample in bytes, at least 1.
    pub(crate) fn mean(&self) -> u64 {
        mean(self.rows())
    }

    /// Samples of each of so many lanes that are read at once.
    pub(crate) fn together(&self, lanes: u64) -> u64 {
        let (bytes, most) = if self.store.moves() { TOGETHER } else { TOGETHER_FAR };
        ((bytes / self.mean()).min(most) / lanes.max(1)).max(1)
    }

    /// Bytes that are read at once and checked.
    pub(crate) fn piece(&self) -> usize {
        if self.store.moves() { PIECE } else { usize::MAX }
    }

    /// How many shards stay open.
    pub(crate) fn keep_open(&self, most: usize) {
        self.most_open.fetch_max(most, Relaxed);
    }

    fn local(&self) -> &Local {
        self.local.or_make(Local::default)
    }

    /// Memory that samples lie in.
    pub(crate) fn pool(&self) -> &Arc<Pool> {
        &self.local().pool
    }

    /// What reading its shards and indexes took.
    pub(crate) fn traffic(&self) -> Traffic {
        let (shards, indexes) = (self.store.traffic(), self.indexes.traffic());
        match Arc::ptr_eq(&self.store, &self.indexes) {
            true => shards,
            false => shards + indexes,
        }
    }

    /// Opens shard `number` with its index, or gives it as it is open.
    pub(crate) fn open(&self, number: u32) -> Result<Arc<OpenShard>> {
        let shards = &self.local().shards;
        let most = self.most_open.load(Relaxed);
        let slot = shards.lock().unwrap_or_else(PoisonError::into_inner).slot(number, most);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = &*slot {
            return Ok(Arc::clone(shard));
        }
        let shard = Arc::new(self.open_anew(number)?);
        *slot = Some(Arc::clone(&shard));
        Ok(shard)
    }

    fn open_anew(&self, number: u32) -> Result<OpenShard> {
        let Some(seen) = self.seen.get(number as usize) else {
            return Err(Error::usage(format!("shard {number}: there are {}", self.seen.len())));
        };
        let row = &self.manifest.shards[seen.row];
        let span = tracing::debug_span!("open", shard = &*row.path, bytes = row.bytes);
        let _open = span.enter();
        let damaged = |shard: &str, reason| Error::Shard { shard: shard.to_owned(), reason };
        let object = self.store.open(&seen.key)?;
        if object.len() != row.bytes {
            let reason = format!("{} bytes, the manifest says {}", object.len(), row.bytes);
            return Err(damaged(&row.path, reason));
        }
        let index = shardpack_dataset::examine(&*self.indexes, &self.manifest, row)?
            .map_err(|reason| damaged(&row.index.path, reason))?;
        let (path, format) = (row.path.clone(), Arc::clone(&self.format));
        Ok(OpenShard { indexed: Arc::new(Indexed { path, index, format }), object })
    }

    /// The plain bytes of a compressed shard from `offset` on; none where the shard has them.
    pub(crate) fn stream(
        &self,
        shard: &Arc<OpenShard>,
        run: &Run,
        offset: u64,
    ) -> Result<Option<Stream>> {
        match self.manifest.compression {
            Compression::None => Ok(None),
            kind => self.local().streams.take((run.lane, run.shard), shard, kind, offset).map(Some),
        }
    }

    /// Keeps a stream for the next piece.
    pub(crate) fn keep(&self, run: &Run, stream: Option<Stream>) {
        if let Some(stream) = stream {
            self.local().streams.keep((run.lane, run.shard), stream);
        }
    }

    /// The sample called `key`: a binary search in the index of each shard.
    pub(crate) fn find(&self, key: &str) -> Result<Option<SampleId>> {
        for number in 0..self.seen.len() as u32 {
            if let Some(ordinal) = self.open(number)?.indexed.index.position(key) {
                let ordinal = ordinal as u64;
                return Ok(Some(SampleId { shard: number, ordinal }));
            }
        }
        Ok(None)
    }
}

impl Recent {
    fn slot(&mut self, number: u32, most: usize) -> Arc<Slot> {
        self.uses += 1;
        let uses = self.uses;
        let (slot, last) = self.shards.entry(number).or_default();
        *last = uses;
        let slot = Arc::clone(slot);
        if self.shards.len() > most
            && let Some((&oldest, _)) = self.shards.iter().min_by_key(|(_, (_, last))| *last)
        {
            self.shards.remove(&oldest);
        }
        slot
    }
}

/// Changes with the shards and their order.
pub(crate) fn digest<'m>(shards: impl Iterator<Item = &'m Shard>) -> Digest {
    let mut text = Vec::new();
    for shard in shards {
        text.extend_from_slice(&shard.crc64nvme.to_le_bytes());
        text.extend_from_slice(&shard.digest.to_u128().to_le_bytes());
    }
    Digest::from_u128(xxh3_128(&text))
}

/// Mean length of an encoded sample in bytes, at least 1.
pub(crate) fn mean<'m>(shards: impl Iterator<Item = &'m Shard>) -> u64 {
    let (bytes, samples) = shards.fold((0u64, 0u64), |(bytes, samples), shard| {
        (bytes.saturating_add(shard.stream_bytes), samples.saturating_add(shard.samples))
    });
    (bytes / samples.max(1)).max(1)
}

/// Numbers of the shards of a split, or of all.
pub(crate) fn rows(manifest: &Manifest, split: Option<&str>) -> Result<Vec<usize>> {
    let Some(split) = split else { return Ok((0..manifest.shards.len()).collect()) };
    let of_split = |&row: &usize| manifest.shards[row].split.as_deref() == Some(split);
    let rows: Vec<usize> = (0..manifest.shards.len()).filter(of_split).collect();
    if rows.is_empty() {
        let names: Vec<&str> = manifest.splits.iter().map(|split| &*split.name).collect();
        return Err(Error::NotFound(format!(
            "no split {split:?}; the manifest has {}",
            if names.is_empty() { "no splits".into() } else { names.join(", ") }
        )));
    }
    Ok(rows)
}

/// The keys below `prefix` among which the shards are. Where they lie in the folder that the
/// manifest names, only that: a dataset has as many indexes as shards.
fn list(
    store: &dyn Store,
    prefix: &str,
    manifest: &Manifest,
    wanted: &[usize],
) -> Result<Vec<String>> {
    let mut paths = wanted.iter().map(|&row| &*manifest.shards[row].path);
    let first = paths.next().unwrap_or_default();
    let folder = paths.fold(first, common_start);
    let folder = folder.rfind('/').map_or("", |end| &folder[..=end]);
    if !folder.is_empty() {
        let found = store.keys(&format!("{prefix}{folder}"))?;
        if found.len() >= wanted.len() {
            return Ok(found);
        }
    }
    Ok(store.keys(prefix)?)
}

/// What two paths begin with, cut behind a `/`.
fn common_start<'p>(a: &'p str, b: &str) -> &'p str {
    let same = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    a.as_bytes()[..same].iter().rposition(|&byte| byte == b'/').map_or("", |end| &a[..=end])
}

fn name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Whole parts at the end that two paths share: a channel's folder holds what lies below
/// `shards/`, or below a split's folder.
fn common_end(a: &str, b: &str) -> usize {
    a.rsplit('/').zip(b.rsplit('/')).take_while(|(a, b)| a == b).count()
}
