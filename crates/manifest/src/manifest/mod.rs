//! The head of a dataset: what is in it, in which shards, and how it came to be. `SPEC.md` beside
//! this file has the JSON.

mod base;
mod check;
mod grow;
mod history;
mod json;
mod parts;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use shardpack_formats::Compression;
use xxhash_rust::xxh3::xxh3_128;

pub use base::Base;
pub use grow::Row;
pub use history::{Event, Version};
pub use parts::{
    FieldTotals, Fingerprint, Labels, Order, RecordFormat, Shard, Sidecar, Split, Summary, Tool,
    Totals,
};

use crate::{Digest, Error, Result};

/// A whole dataset. Equal datasets have equal manifests: there is no time in it, no host, no path
/// outside the dataset.
///
/// ```
/// use shardpack_manifest::{Manifest, Order, RecordFormat, Shard, Sidecar, Summary};
///
/// let mut manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Shuffle(42));
/// let shard = Shard {
///     path: "shards/d-00000-of-00001.tar".into(),
///     split: None,
///     samples: 0,
///     files: 0,
///     body_bytes: 0,
///     bytes: 1024,
///     stream_bytes: 1024,
///     crc64nvme: 7,
///     digest: Default::default(),
///     index: Sidecar::of("index/d-00000-of-00001.index", b"the bytes of the index"),
///     sources: None,
/// };
/// manifest.push(shard, &Summary::default().fields)?;
/// let bytes = manifest.to_bytes()?;
/// assert_eq!(Manifest::parse(&bytes)?, manifest);
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// What wrote the dataset.
    pub tool: Tool,
    /// The record format and the choices that belong to it.
    pub format: RecordFormat,
    /// How the shards are compressed.
    pub compression: Compression,
    /// In which order samples stand in the shards.
    pub order: Order,
    /// Digest of all samples: the sum of the shards'.
    pub digest: Digest,
    /// Sums over all shards.
    pub totals: Totals,
    /// Sums over all shards, by field.
    pub fields: BTreeMap<String, FieldTotals>,
    /// The splits, each a run of shards; empty when the dataset is not split.
    pub splits: Vec<Split>,
    /// The classes, where labels are class ids with names.
    pub labels: Option<Labels>,
    /// The options that decide the bytes, as they were given or defaulted: where the dataset comes
    /// from, and what a resumed run must agree with.
    pub options: BTreeMap<String, String>,
    /// Fingerprint of the plan that was packed; none for shards that were found, not packed.
    pub plan: Option<Fingerprint>,
    /// What the dataset lies over, where it is an overlay.
    pub base: Option<Base>,
    /// The shards in reading order.
    pub shards: Vec<Shard>,
    /// Keys of samples that are still in the shards and the sums but are to be skipped, sorted.
    pub tombstones: Vec<String>,
    /// Where those samples are: number of the shard and of the record in it, from 0, of each key.
    /// Empty where nobody looked; then a reader looks into the indexes.
    pub tombstone_places: Vec<(u64, u64)>,
    /// Whether places alone say what is skipped: the key of a tombstone may be that of a sample
    /// elsewhere that is read, and stand several times. Such a manifest is of schema version 2.
    pub by_place: bool,
    /// The versions of the dataset, the first one first; the last is this one. Empty for a dataset
    /// that was never changed.
    pub history: Vec<Version>,
}

impl Manifest {
    /// The newest schema version that this release reads. It writes 1 where that is enough.
    pub const VERSION: u64 = 2;

    /// Largest manifest in bytes that is parsed: about 600,000 shards.
    pub const MAX_BYTES: usize = 256 << 20;

    /// A dataset without shards.
    pub fn new(format: RecordFormat, order: Order) -> Self {
        Self {
            tool: Tool::default(),
            format,
            compression: Compression::None,
            order,
            digest: Digest::default(),
            totals: Totals::default(),
            fields: BTreeMap::new(),
            splits: Vec::new(),
            labels: None,
            options: BTreeMap::new(),
            plan: None,
            base: None,
            shards: Vec::new(),
            tombstones: Vec::new(),
            tombstone_places: Vec::new(),
            by_place: false,
            history: Vec::new(),
        }
    }

    /// Appends a shard and adds it to every sum; `fields` is what its index's
    /// [`summary`](crate::Index::summary) says. A new split starts with the first shard of its name.
    pub fn push(&mut self, shard: Shard, fields: &BTreeMap<String, FieldTotals>) -> Result<()> {
        let shard_totals = shard.totals();
        self.totals = self.totals.plus(&shard_totals)?;
        for (name, totals) in fields {
            let sum = self.fields.entry(name.clone()).or_default();
            *sum = sum.plus(totals)?;
        }
        if let Some(name) = &shard.split {
            match self.splits.last_mut().filter(|split| split.name == *name) {
                Some(split) => {
                    split.shards += 1;
                    split.totals = split.totals.plus(&shard_totals)?;
                }
                None => self.splits.push(Split {
                    name: name.clone(),
                    first_shard: self.shards.len() as u64,
                    shards: 1,
                    totals: shard_totals,
                }),
            }
        }
        self.digest += shard.digest;
        self.shards.push(shard);
        Ok(())
    }

    /// Changes with the shards and their order, which [`Manifest::digest`] does not: a place in a
    /// shard means something only with this.
    pub fn sharding(&self) -> Digest {
        let mut text = Vec::new();
        for shard in &self.shards {
            text.extend_from_slice(&shard.samples.to_le_bytes());
            text.extend_from_slice(&shard.crc64nvme.to_le_bytes());
            text.extend_from_slice(&shard.digest.to_u128().to_le_bytes());
        }
        Digest::from_u128(xxh3_128(&text))
    }

    /// The shards of `split`; none when there is no such split.
    pub fn shards_of(&self, split: &str) -> Option<&[Shard]> {
        let split = self.splits.iter().find(|s| s.name == split)?;
        let start = usize::try_from(split.first_shard).ok()?;
        self.shards.get(start..start.checked_add(usize::try_from(split.shards).ok()?)?)
    }

    /// Checks and parses `manifest.json`.
    ///
    /// Fails with [`NotThis`](crate::ErrorKind::NotThis) for other JSON,
    /// [`Version`](crate::ErrorKind::Version) for a later schema,
    /// [`Unsupported`](crate::ErrorKind::Unsupported) for a format this release does not know, and
    /// as damage when it is cut, does not match its checksum, or its sums do not add up. Fields of
    /// unknown names are ignored.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let manifest = json::parse(bytes)?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The bytes of `manifest.json`. Fails where [`Manifest::parse`] of them would fail.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check()?;
        let bytes = json::to_bytes(self)?;
        match bytes.len() <= Self::MAX_BYTES {
            true => Ok(bytes),
            false => Err(json::too_large(bytes.len())),
        }
    }

    /// Checks everything that can be checked without shards: sums, paths, names, ranges.
    pub fn check(&self) -> Result<()> {
        check::manifest(self)
    }
}

fn add(a: u64, b: u64) -> Result<u64> {
    a.checked_add(b).ok_or_else(|| Error::corrupt("a sum does not fit in 64 bits"))
}
