//! What a verify found.

use std::fmt;

use serde::Serialize;

/// The outcome of [`verify`](super::verify). Shards, records and names stand in dataset order,
/// whatever the number of threads.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Where the dataset is.
    pub dataset: String,
    /// Name of the record format.
    pub format: String,
    /// Name of the compression; `mixed` where foreign shards differ.
    pub compression: String,
    /// True when a manifest says what should be there.
    pub has_manifest: bool,
    /// True when shards were not read: only files, lengths and indexes were checked.
    pub quick: bool,
    /// Number of shards.
    pub shards: u64,
    /// Samples that are whole.
    pub samples: u64,
    /// Fields of those samples.
    pub files: u64,
    /// Bytes of those fields.
    pub file_bytes: u64,
    /// Bytes of the shards.
    pub shard_bytes: u64,
    /// Samples that the manifest marks as deleted. They are checked like all others, and are in all
    /// other figures: their bytes are still part of the shards.
    pub deleted: u64,
    /// Digest of the samples that are whole: that of the manifest when nothing is damaged.
    pub digest: String,
    /// Each shard.
    pub shard_reports: Vec<ShardReport>,
    /// Everything that is wrong, in order of shard and offset.
    pub damage: Vec<Damage>,
    /// Damage beyond what [`VerifyReport::damage`] holds: a shard lists its first 10,000.
    pub damage_not_listed: u64,
    /// Keys of more than one sample.
    pub duplicates: Vec<Duplicate>,
    /// Objects among the shards that the manifest does not know: a SageMaker channel would read
    /// them. They make a dataset not whole.
    pub extra: Vec<String>,
    /// The comparison with the files that were packed, where asked for and not kept off by damage,
    /// of which a caveat tells.
    pub against: Option<AgainstReport>,
    /// Of an overlay that was compared with what it lies over: records of the same key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<u64>,
    /// What could not be promised, and why: a dataset may be whole as far as one can see.
    pub caveats: Vec<String>,
}

impl VerifyReport {
    /// Notes what is wrong with the overlay that a dataset is.
    pub(crate) fn damaged(&mut self, shard: &str, record: Option<u64>, reason: String) {
        let (shard, key, offset) = (shard.to_owned(), None, None);
        self.damage.push(Damage { shard, record, key, offset, reason });
    }

    /// True when everything that could be checked holds. Read [`VerifyReport::caveats`] with it.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
            && self.damage_not_listed == 0
            && self.duplicates.is_empty()
            && self.extra.is_empty()
            && self.against.as_ref().is_none_or(AgainstReport::is_equal)
    }
}

/// One shard of a [`VerifyReport`].
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ShardReport {
    /// Path under the dataset's root.
    pub path: String,
    /// Length of the file in bytes; 0 when it is missing.
    pub bytes: u64,
    /// Samples that are whole.
    pub samples: u64,
    /// Fields of those samples.
    pub files: u64,
    /// Bytes of those fields.
    pub file_bytes: u64,
    /// Digest of those samples.
    pub digest: String,
    /// Number of damaged places.
    pub damaged: u64,
    /// False when reading ended at damage, because the format has no way to find the next record.
    pub read_to_end: bool,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Damage {
    /// Path of the shard, or of the index, under the dataset's root.
    pub shard: String,
    /// Number of the record in its shard, from 0; none when no record is hit.
    pub record: Option<u64>,
    /// Key of the sample, where it is known.
    pub key: Option<String>,
    /// Offset in bytes in the uncompressed shard, where it is known.
    pub offset: Option<u64>,
    /// What is wrong, with the values.
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.shard)?;
        if let Some(record) = self.record {
            write!(f, ", record {record}")?;
        }
        if let Some(key) = &self.key {
            write!(f, " ({key:?})")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// A key that more than one sample has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Duplicate {
    /// The key.
    pub key: String,
    /// Shard and record of each sample that has it, in dataset order.
    pub places: Vec<(String, u64)>,
}

/// Samples against the files that they were packed from.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AgainstReport {
    /// Where the files are.
    pub source: String,
    /// Files whose bytes are those of their sample.
    pub equal: u64,
    /// Files that are in no sample.
    pub missing: Sightings,
    /// Fields whose file is not in the source.
    pub extra: Sightings,
    /// Files whose bytes are others.
    pub different: Sightings,
    /// Files that the options of the pack leave out, or whose sample is deleted: they are not
    /// missing, and not compared.
    pub left_out: u64,
}

impl AgainstReport {
    /// True when every file is in the dataset with its very bytes, and nothing else is.
    pub fn is_equal(&self) -> bool {
        [&self.missing, &self.extra, &self.different].iter().all(|s| s.count == 0)
    }
}

/// The first ten of many, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Sightings {
    /// How many.
    pub count: u64,
    /// The first ten, sorted.
    pub first: Vec<String>,
}

/// How many [`Sightings::first`] holds.
const FIRST: usize = 10;

impl Sightings {
    /// Notes one. The first ten in order of name stay, whoever comes first.
    pub(crate) fn add(&mut self, name: String) {
        self.count += 1;
        let at = self.first.partition_point(|seen| *seen <= name);
        if at < FIRST {
            self.first.insert(at, name);
            self.first.truncate(FIRST);
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        let unnamed = other.count - other.first.len() as u64;
        other.first.into_iter().for_each(|name| self.add(name));
        self.count += unnamed;
    }
}
