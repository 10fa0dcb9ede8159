//! What the manifest and its indexes say of the shards in a stream.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shardpack_formats::{Format, Record, Schema};
use shardpack_manifest::{IndexRecord, Manifest};
use shardpack_store::Store;

use crate::plan::{SampleId, Shards};
use crate::quarantine::Overlay;
use crate::set::{self, Indexed};
use crate::{Error, ReadOptions, Result};

/// A dataset whose shards come in a stream. Only the manifest and the indexes are looked up.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) manifest: Manifest,
    pub(crate) format: Arc<dyn Format>,
    store: Arc<dyn Store>,
    /// Number in the plan of each shard of the manifest; none for one of another split.
    numbers: Vec<Option<u32>>,
    /// Rows of the manifest in the order of the plan.
    wanted: Vec<usize>,
    /// The first record of each shard, where it was needed already.
    firsts: Mutex<Vec<Option<First>>>,
    /// The index that was read last.
    recent: Mutex<Option<Arc<KnownShard>>>,
    naming: Naming,
    overlay: Overlay,
}

/// One shard's index.
#[derive(Debug)]
pub(crate) struct KnownShard {
    /// Its row of the manifest.
    pub(crate) row: usize,
    pub(crate) indexed: Arc<Indexed>,
}

/// As much of a shard's first record as tells that the shard begins.
#[derive(Clone, Debug)]
pub(crate) struct First {
    len: u64,
    crc32c: u32,
    id: u64,
    key: String,
}

/// What a record itself says of which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    Key,
    Id,
    /// TFRecords of plain bytes have no name.
    Nothing,
}

impl Known {
    /// The shards of `manifest`, of one split if named, without the samples of a quarantine. Indexes
    /// are in `store`.
    pub(crate) fn new(
        manifest: Manifest,
        store: Arc<dyn Store>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let overlay = Overlay::load(options, &manifest)?;
        let wanted = set::rows(&manifest, options.split.as_deref())?;
        let mut numbers = vec![None; manifest.shards.len()];
        for (number, &row) in wanted.iter().enumerate() {
            numbers[row] = Some(number as u32);
        }
        let naming = match (&*manifest.format.name, manifest.format.options.schema) {
            ("recordio", _) => Naming::Id,
            ("tfrecord", Schema::Raw) => Naming::Nothing,
            _ => Naming::Key,
        };
        let format = manifest.format.open()?.into();
        Ok(Self {
            firsts: Mutex::new(vec![None; manifest.shards.len()]),
            manifest,
            store,
            numbers,
            wanted,
            recent: Mutex::default(),
            naming,
            overlay,
            format,
        })
    }

    /// The plan's view: the same as where the shards can be sought.
    pub(crate) fn shards(&self) -> Result<Shards> {
        let rows = || self.wanted.iter().map(|&row| &self.manifest.shards[row]);
        let shards = Shards::new(rows().map(|shard| shard.samples))?;
        let shards = shards.of_dataset(set::digest(rows()));
        let dead = self.dead()?.into_iter().filter_map(|(row, ordinal)| {
            shards.number(self.place(usize::try_from(row).ok()?, ordinal)?)
        });
        let mut dead: Vec<u64> = dead.collect();
        dead.sort_unstable();
        shards.without(dead)
    }

    /// Rows and records of all samples that no epoch has. Tombstones without places are looked up.
    fn dead(&self) -> Result<BTreeSet<(u64, u64)>> {
        let Manifest { tombstones, tombstone_places, .. } = &self.manifest;
        if !tombstone_places.is_empty() || tombstones.is_empty() {
            return Ok(self.overlay.with(tombstone_places));
        }
        let mut found = Vec::new();
        for &row in &self.wanted {
            let shard = self.open(row)?;
            let positions = tombstones.iter().filter_map(|key| shard.indexed.index.position(key));
            found.extend(positions.map(|at| (row as u64, at as u64)));
        }
        Ok(self.overlay.with(&found))
    }

    /// How many samples of these shards are in the quarantine.
    pub(crate) fn quarantined(&self) -> u64 {
        self.overlay.count(self.wanted.iter().copied())
    }

    /// Mean length of an encoded sample in bytes.
    pub(crate) fn mean(&self) -> u64 {
        set::mean(self.wanted.iter().map(|&row| &self.manifest.shards[row]))
    }

    /// The place of a record in the plan; none in a shard of another split.
    pub(crate) fn place(&self, row: usize, ordinal: u64) -> Option<SampleId> {
        let shard = self.numbers.get(row).copied().flatten()?;
        Some(SampleId { shard, ordinal })
    }

    /// Rows of the shards that the plan has, in its order.
    pub(crate) fn wanted(&self) -> &[usize] {
        &self.wanted
    }

    /// The index of the shard in a row of the manifest.
    pub(crate) fn open(&self, row: usize) -> Result<Arc<KnownShard>> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shard) = recent.as_ref().filter(|shard| shard.row == row) {
            return Ok(Arc::clone(shard));
        }
        let Some(said) = self.manifest.shards.get(row) else {
            return Err(Error::usage(format!("shard {row} of the manifest")));
        };
        let index = shardpack_dataset::examine(&*self.store, &self.manifest, said)?;
        let index =
            index.map_err(|reason| Error::Shard { shard: said.index.path.clone(), reason })?;
        let (path, format) = (said.path.clone(), Arc::clone(&self.format));
        let indexed = Arc::new(Indexed { path, index, format });
        let shard = Arc::new(KnownShard { row, indexed });
        *recent = Some(Arc::clone(&shard));
        Ok(shard)
    }

    /// The shard, of those that have samples, that begins with `record`: told by its bytes, or by
    /// its name alone. Looked for from row `from` on, and first among those that `is_seen` is not
    /// true of.
    pub(crate) fn beginning_with(
        &self,
        record: &Record,
        by: By,
        from: usize,
        is_seen: impl Fn(usize) -> bool,
    ) -> Result<Option<usize>> {
        let rows = self.manifest.shards.len();
        let mut again = None;
        for row in (from..rows).chain(0..from.min(rows)) {
            let samples = self.manifest.shards.get(row).map_or(0, |shard| shard.samples);
            if samples == 0 || !self.first_is(row, record, by)? {
                continue;
            }
            match is_seen(row) {
                false => return Ok(Some(row)),
                true => again = again.or(Some(row)),
            }
        }
        Ok(again)
    }

    fn first_is(&self, row: usize, record: &Record, by: By) -> Result<bool> {
        let is = |first: &First| match by {
            By::Bytes => (first.len, first.crc32c) == (record.len, record.crc32c),
            By::Name => match self.naming {
                Naming::Key => first.key == record.sample.key,
                Naming::Id => first.id == record.sample.id,
                Naming::Nothing => false,
            },
            By::Length => first.len == record.len,
        };
        if let Some(Some(first)) = self.firsts().get(row) {
            return Ok(is(first));
        }
        let shard = self.open(row)?;
        let Some(IndexRecord { key, id, len, crc32c, .. }) = shard.indexed.index.get(0) else {
            return Ok(false);
        };
        let first = First { len, crc32c, id, key: key.to_owned() };
        let found = is(&first);
        if let Some(slot) = self.firsts().get_mut(row) {
            *slot = Some(first);
        }
        Ok(found)
    }

    fn firsts(&self) -> MutexGuard<'_, Vec<Option<First>>> {
        self.firsts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a record bears the name of the one in the index, or nothing speaks against it.
    pub(crate) fn may_be(&self, record: &Record, said: &IndexRecord<'_>) -> bool {
        match self.naming {
            Naming::Key => record.sample.key == said.key,
            Naming::Id => record.sample.id == said.id,
            Naming::Nothing => true,
        }
    }
}

/// How a record is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// By length and crc32c.
    Bytes,
    /// By key or id: its bytes are damaged.
    Name,
    /// By length alone: its bytes are damaged, and it cannot say its name. A wrong guess shows in the
    /// record behind it.
    Length,
}
