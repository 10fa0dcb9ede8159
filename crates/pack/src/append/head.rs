//! The manifest of a published dataset, which a change replaces.

use std::collections::HashMap;

use shardpack_manifest::{Digest, Event, Manifest, SampleHasher, Version};
use shardpack_store::{ErrorKind, PutMode, Store};

use crate::dataset::{Dataset, cores};
use crate::parallel::each;
use crate::progress::Progress;
use crate::staging::{self, MANIFEST, TRIES};
use crate::{Error, Result};

/// Number of a shard, and of a record in it.
pub(crate) type Place = (u64, u64);

/// A manifest with the digest of what is live in it.
pub(crate) type Living = (Manifest, Option<Digest>);

/// The head as it was read: what replaces it is only published while it is this.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    pub(crate) manifest: Manifest,
}

impl Head {
    /// Fails with [`Error::NotFound`] without a manifest: nothing there, an unfinished run, or
    /// shards that something else wrote.
    pub(crate) fn read(store: &dyn Store) -> Result<Self> {
        let bytes = match staging::read(store, MANIFEST) {
            Ok(bytes) => bytes,
            Err(Error::Store(error)) if error.is_not_found() => {
                Dataset::open(store)?; // says what is there instead
                return Err(Error::Store(error));
            }
            Err(error) => return Err(error),
        };
        let manifest = Manifest::parse(&bytes).map_err(|e| e.in_file(MANIFEST))?;
        if manifest.base.is_some() {
            return Err(Error::Usage(format!(
                "{}: is an overlay, which is as what it lies over is: change that, and make the overlay anew with `shardpack join --overlay`",
                store.describe()
            )));
        }
        Ok(Self { bytes, manifest })
    }

    /// Whether another reading gave the same.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }

    /// Shards that the dataset ever had.
    pub(crate) fn shards_ever(manifest: &Manifest) -> u64 {
        match manifest.history.is_empty() {
            true => manifest.shards.len() as u64,
            false => manifest.history.iter().map(|version| version.new_shards).sum(),
        }
    }

    /// Digest of the samples that are live.
    pub(crate) fn live_digest(&self, dataset: &Dataset<'_>) -> Result<Digest> {
        match self.manifest.live_digest() {
            Some(digest) => Ok(digest),
            None => {
                let manifest = &self.manifest;
                let places = match manifest.tombstone_places.is_empty() {
                    true => super::delete::places(dataset, &manifest.tombstones, cores())?,
                    false => manifest.tombstone_places.iter().copied().map(Some).collect(),
                };
                let places: Vec<Place> = places.into_iter().flatten().collect();
                Ok(manifest.digest - digest_at(dataset, &places)?)
            }
        }
    }

    /// Marks samples of this version in `grown`, a manifest that has all its shards, and tells
    /// what is live then. `by_place` says that keys that are marked may be live elsewhere.
    pub(crate) fn bury(
        &self,
        dataset: &Dataset<'_>,
        mut grown: Manifest,
        dead: Vec<(String, Place)>,
        by_place: bool,
    ) -> Result<Living> {
        let places: Vec<Place> = dead.iter().map(|(_, place)| *place).collect();
        let new: Digest = grown.digest - self.manifest.digest;
        let live = self.live_digest(dataset)? + new - digest_at(dataset, &places)?;
        // Shards may have moved behind new ones of splits before theirs.
        let numbers: HashMap<&str, u64> =
            grown.shards.iter().map(|shard| shard.path.as_str()).zip(0..).collect();
        let number = |shard: u64| {
            let shard = self.manifest.shards.get(usize::try_from(shard).ok()?)?;
            numbers.get(shard.path.as_str()).copied()
        };
        let moved = |(key, (shard, record)): (String, Place)| Some((key, (number(shard)?, record)));
        let dead: Vec<_> = dead.into_iter().filter_map(moved).collect();
        if grown.tombstone_places.len() != grown.tombstones.len() {
            let places = super::delete::places(dataset, &grown.tombstones, cores())?;
            grown.tombstone_places = places.into_iter().flatten().collect();
            if grown.tombstone_places.len() != grown.tombstones.len() {
                let reason = "some of its tombstones are of no sample: take them back with `delete --undo` first";
                return Err(Error::Shard { shard: MANIFEST.into(), reason: reason.into() });
            }
        }
        grown.by_place |= by_place;
        grown.bury(dead);
        Ok((grown, Some(live)))
    }

    /// Publishes `next` in place of this version, which is kept. `new_shards` is how many shards it
    /// has that no version had before.
    ///
    /// Fails with the store's [`Changed`](ErrorKind::Changed) when the head is not this one any more.
    pub(crate) fn replace(
        &self,
        store: &dyn Store,
        (mut next, live): Living,
        event: Event,
        new_shards: u64,
    ) -> Result<Manifest> {
        let before = match self.manifest.live_digest() {
            Some(digest) => digest,
            None => self.live_digest(&Dataset::of(store, self.manifest.clone())?)?,
        };
        let digest = live.unwrap_or(before + next.digest - self.manifest.digest);
        let mut history = self.manifest.versions(before);
        let (samples, shards) = (next.live(), next.shards.len() as u64);
        history.push(Version { event, digest, samples, shards, new_shards });
        next.history = history;
        let bytes = next.to_bytes()?;
        let kept = Manifest::kept_path(self.manifest.number());
        staging::put(store, &kept, &self.bytes, PutMode::Replace)?;
        swap(store, &self.bytes, &bytes)?;
        Ok(next)
    }
}

/// Sum of the digests of the samples at these places.
pub(crate) fn digest_at(dataset: &Dataset<'_>, places: &[Place]) -> Result<Digest> {
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    let shards: Vec<&[Place]> = sorted.chunk_by(|a, b| a.0 == b.0).collect();
    let sums = each(shards.len(), cores(), &Progress::default(), |i| {
        let mut hasher = SampleHasher::default();
        let number = shards[i].first().map_or(0, |place| place.0) as usize;
        let Some(index) = shardpack_dataset::index(dataset, number)? else {
            return Ok(Digest::default());
        };
        let records = shards[i].iter().filter_map(|(_, record)| index.get(*record as usize));
        Ok(records.map(|record| hasher.digest_record(&record)).sum())
    })?;
    Ok(sums.into_iter().sum())
}

/// Puts `new` in place of the manifest `old`. Behind a network it is read back: without a manifest
/// there is no dataset.
fn swap(store: &dyn Store, old: &[u8], new: &[u8]) -> Result<()> {
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
