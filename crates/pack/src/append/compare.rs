//! What a source has that a dataset has not, and the other way round.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use shardpack_formats::crc32c;
use shardpack_manifest::{Index, IndexRecord};
use shardpack_store::{FileId, Source};

use super::head::Place;
use crate::dataset::{CHUNK, Checksum, Dataset, READERS};
use crate::difference::{Keys, change};
use crate::group::{SampleId, Samples};
use crate::labels_are_fields;
use crate::options::PackOptions;
use crate::parallel::{check_stopped, each};
use crate::plan::{Body, Shaper};
use crate::progress::Progress;
use crate::{Error, Result};

/// What comparing found.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Where the dataset has each sample of the source; none for new ones.
    places: Vec<Option<Place>>,
    /// Samples that are not as the dataset has them, and why, in order.
    pub(super) changed: Vec<(usize, String)>,
    /// Samples of the dataset that the source has not.
    pub(super) removed: Vec<(String, Place)>,
    /// Samples that the dataset has as deleted ones only.
    pub(super) deleted: Vec<usize>,
    /// The first id that no sample has, in formats that have ids.
    pub(super) next_id: u64,
}

impl Compared {
    /// Samples that the dataset has not; with `sync` also those that it has as deleted ones.
    pub(super) fn added(&self, sync: bool) -> u64 {
        let new = self.places.iter().filter(|place| place.is_none()).count();
        (if sync { new } else { new - self.deleted.len() }) as u64
    }

    /// Samples that the dataset has as they are.
    pub(super) fn unchanged(&self) -> u64 {
        self.places.len() as u64 - self.added(true) - self.changed.len() as u64
    }

    /// Whether each sample has to be packed. What was deleted on purpose comes back with `sync`
    /// only.
    pub(super) fn taken(&self, sync: bool) -> Vec<bool> {
        let mut taken: Vec<bool> = self.places.iter().map(Option::is_none).collect();
        for sample in self.deleted.iter().filter(|_| !sync) {
            taken[*sample] = false;
        }
        for (sample, _) in &self.changed {
            taken[*sample] = true;
        }
        taken
    }

    /// Samples of the dataset that are replaced or gone.
    pub(super) fn dead(&self, samples: &Samples<'_>) -> Vec<(String, Place)> {
        let replaced = self.changed.iter().filter_map(|(sample, _)| {
            let mut key = String::new();
            samples.key(*sample as SampleId, &mut key);
            Some((key, self.places.get(*sample).copied().flatten()?))
        });
        self.removed.iter().cloned().chain(replaced).collect()
    }
}

/// Compares by key, then by fields, lengths and label, then by the crc32c of each body: files are
/// read where everything else is equal. Takes 24 bytes a sample and 8 a file.
pub(super) fn compare(
    dataset: &Dataset<'_>,
    source: &dyn Source,
    samples: &Samples<'_>,
    options: &PackOptions,
    progress: &Progress,
) -> Result<Compared> {
    let comparison = Comparison {
        dataset,
        samples,
        keys: Keys::of(samples),
        places: (0..samples.len()).map(|_| AtomicU64::new(NOWHERE)).collect(),
        labels_are_fields: labels_are_fields(dataset.codec()),
        expected: samples.listing().iter().map(|_| AtomicU64::new(0)).collect(),
    };
    let shards = dataset.shards().len();
    let silent = Progress::default();
    let found = each(shards, options.jobs, &silent, |number| {
        check_stopped(progress)?;
        comparison.shard(number)
    })?;
    let mut compared = Compared { places: comparison.found(), ..Compared::default() };
    for shard in found {
        compared.changed.extend(shard.changed);
        compared.removed.extend(shard.removed);
        compared.next_id = compared.next_id.max(shard.next_id);
    }
    compared.changed.extend(comparison.read(source, options, progress)?);
    compared.changed.sort_unstable();
    compared.changed.dedup_by_key(|(sample, _)| *sample);
    compared.removed.sort_unstable();
    compared.deleted = comparison.deleted(&compared.places);
    Ok(compared)
}

/// No place in a dataset.
const NOWHERE: u64 = u64::MAX;
/// The file must have the crc32c that stands in the lower half.
const READ: u64 = 1 << 32;

struct Comparison<'a> {
    dataset: &'a Dataset<'a>,
    samples: &'a Samples<'a>,
    keys: Keys,
    /// Where the dataset has each sample: shard and record.
    places: Vec<AtomicU64>,
    labels_are_fields: bool,
    /// What the dataset says of each file.
    expected: Vec<AtomicU64>,
}

/// What one shard tells.
#[derive(Default)]
struct OfShard {
    changed: Vec<(usize, String)>,
    removed: Vec<(String, Place)>,
    next_id: u64,
}

impl Comparison<'_> {
    fn shard(&self, number: usize) -> Result<OfShard> {
        let mut found = OfShard::default();
        let Some(index) = shardpack_dataset::index(self.dataset, number)? else { return Ok(found) };
        found.next_id = index.iter().map(|record| record.id.saturating_add(1)).max().unwrap_or(0);
        let mut shaper = Shaper::default();
        for (place, record) in live(self.dataset, number, &index) {
            let Some(sample) = self.keys.find(self.samples, record.key) else {
                found.removed.push((record.key.to_owned(), place));
                continue;
            };
            let packed = place.0 << 32 | place.1;
            if self.places[sample as usize].swap(packed, Relaxed) != NOWHERE {
                let reason = format!("sample {:?} is live in two places", record.key);
                let shard = self.dataset.shards()[number].path.clone();
                return Err(Error::Shard { shard, reason });
            }
            if let Some(why) = self.differs(&record, sample, &mut shaper) {
                found.changed.push((sample as usize, why));
            }
        }
        Ok(found)
    }

    /// Why a sample is another than a record, as far as that shows without reading files; those
    /// are noted.
    fn differs(
        &self,
        record: &IndexRecord<'_>,
        sample: SampleId,
        shaper: &mut Shaper,
    ) -> Option<String> {
        shaper.with(self.samples, sample, 0, self.labels_are_fields, |now, bodies, inline| {
            if let Some(why) = change(record, now) {
                return Some(why);
            }
            if record.label.to_label() != *now.label {
                return Some("another label".into());
            }
            for (field, body) in now.fields.iter().zip(bodies) {
                let then = record.fields.clone().find(|then| then.name == field.name)?;
                match *body {
                    Body::File(file) => {
                        self.expected[file as usize].store(READ | u64::from(then.crc32c), Relaxed);
                    }
                    Body::Inline(i) => {
                        let now = inline.get(i).map(|(_, bytes)| crc32c(bytes));
                        if now != Some(then.crc32c) {
                            return Some(format!("field {:?}, which is a label", field.name));
                        }
                    }
                }
            }
            None
        })
    }

    fn found(&self) -> Vec<Option<Place>> {
        let place =
            |packed: u64| (packed != NOWHERE).then_some((packed >> 32, packed & 0xffff_ffff));
        self.places.iter().map(|packed| place(packed.load(Relaxed))).collect()
    }

    /// Samples without a place whose key is a tombstone's.
    fn deleted(&self, places: &[Option<Place>]) -> Vec<usize> {
        let tombstones = self.dataset.manifest().map_or(&[][..], |manifest| &manifest.tombstones);
        let mut key = String::new();
        let mut is_deleted = |sample: &usize| {
            self.samples.key(*sample as SampleId, &mut key);
            tombstones.binary_search(&key).is_ok()
        };
        let new = (0..places.len()).filter(|sample| places[*sample].is_none());
        if tombstones.is_empty() { Vec::new() } else { new.filter(|i| is_deleted(i)).collect() }
    }

    /// Reads the files that were noted, in the order of the listing: samples that have one with
    /// another crc32c.
    fn read(
        &self,
        source: &dyn Source,
        options: &PackOptions,
        progress: &Progress,
    ) -> Result<Vec<(usize, String)>> {
        let listing = self.samples.listing();
        let owners = self.owners();
        let threads = options.jobs.max(READERS.min(options.io_depth));
        let silent = Progress::default();
        let chunks = each(listing.len().div_ceil(CHUNK), threads, &silent, |chunk| {
            let (mut sum, mut changed) = (Checksum::new(), Vec::new());
            for id in chunk * CHUNK..listing.len().min((chunk + 1) * CHUNK) {
                check_stopped(progress)?;
                let expected = self.expected[id].load(Relaxed);
                if expected & READ == 0 {
                    continue;
                }
                let file = listing.file(id as FileId);
                if sum.of(source, id as FileId, file.len)? != expected as u32 {
                    let why = format!("{} has other bytes", file.display());
                    changed.extend(owners.get(id).map(|sample| (*sample as usize, why)));
                }
            }
            Ok(changed)
        })?;
        Ok(chunks.concat())
    }

    /// The sample of each file.
    fn owners(&self) -> Vec<SampleId> {
        let mut owners = vec![0; self.samples.listing().len()];
        for sample in 0..self.samples.len() as SampleId {
            for file in self.samples.members(sample) {
                owners[*file as usize] = sample;
            }
        }
        owners
    }
}

/// The records of a shard that are not deleted.
pub(super) fn live<'i>(
    dataset: &'i Dataset<'_>,
    number: usize,
    index: &'i Index<'_>,
) -> impl Iterator<Item = (Place, IndexRecord<'i>)> {
    let records = (0..).map(move |record| (number as u64, record)).zip(index.iter());
    records.filter(move |((_, record), r)| !dataset.is_deleted(number, *record, r.key))
}
