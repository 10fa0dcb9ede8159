//! What a manifest is made of.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use shardpack_formats::{Format, FormatOptions, crc64nvme};

use super::add;
use crate::hex::{hex64, hex128};
use crate::{Digest, Error, Result};

/// A program and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name of the program.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// This release.
impl Default for Tool {
    fn default() -> Self {
        Self { name: "shardpack".into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

/// A record format with the choices that its bytes do not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordFormat {
    /// Its name: one of [`shardpack_formats::NAMES`].
    pub name: String,
    /// TFRecord's schema, RecordIO-protobuf's dialect. Must be the default for other formats.
    pub options: FormatOptions,
}

impl RecordFormat {
    /// The format called `name` with default options.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), options: FormatOptions::default() }
    }

    /// The codec.
    pub fn open(&self) -> shardpack_formats::Result<Box<dyn Format>> {
        shardpack_formats::open(&self.name, &self.options)
    }
}

/// In which order samples were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Shuffled over the whole dataset with this seed.
    Shuffle(u64),
    /// Sorted by key.
    Key,
    /// Sorted by label, equal ones by key.
    Label,
    /// As the source lists them, or as found in shards that were not packed.
    Source,
    /// Sorted by a value of their fields, equal ones by key.
    Field,
    /// As keys were listed in a file.
    Map,
}

/// `shuffle:SEED`, `key`, `label`, `source`, `field` or `map`.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shuffle(seed) => write!(f, "shuffle:{seed}"),
            Self::Key => f.write_str("key"),
            Self::Label => f.write_str("label"),
            Self::Source => f.write_str("source"),
            Self::Field => f.write_str("field"),
            Self::Map => f.write_str("map"),
        }
    }
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "key" => return Ok(Self::Key),
            "label" => return Ok(Self::Label),
            "source" => return Ok(Self::Source),
            "field" => return Ok(Self::Field),
            "map" => return Ok(Self::Map),
            _ => {}
        }
        text.strip_prefix("shuffle:")
            .and_then(|seed| seed.parse().ok())
            .map(Self::Shuffle)
            .filter(|order| order.to_string() == text)
            .ok_or_else(|| {
                Error::unsupported(format!(
                    "order {text:?}; known: shuffle:SEED, key, label, source, field, map"
                ))
            })
    }
}

/// Sums over samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Number of samples.
    pub samples: u64,
    /// Number of files that were packed: fields of all samples.
    pub files: u64,
    /// Bytes of those files.
    pub body_bytes: u64,
    /// Bytes of the shards that hold them.
    pub shard_bytes: u64,
}

impl Totals {
    pub(super) fn plus(&self, other: &Self) -> Result<Self> {
        Ok(Self {
            samples: add(self.samples, other.samples)?,
            files: add(self.files, other.files)?,
            body_bytes: add(self.body_bytes, other.body_bytes)?,
            shard_bytes: add(self.shard_bytes, other.shard_bytes)?,
        })
    }
}

/// Sums over the fields of one name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldTotals {
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FieldTotals {
    pub(super) fn plus(&self, other: &Self) -> Result<Self> {
        Ok(Self { files: add(self.files, other.files)?, bytes: add(self.bytes, other.bytes)? })
    }
}

/// What the records of one index add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of samples.
    pub samples: u64,
    /// Number of fields of all samples.
    pub files: u64,
    /// Bytes of those fields.
    pub body_bytes: u64,
    /// Digest of the samples.
    pub digest: Digest,
    /// Sums by field.
    pub fields: BTreeMap<String, FieldTotals>,
}

/// A part of the dataset that training keeps apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Its name: `train`.
    pub name: String,
    /// Number of its first shard.
    pub first_shard: u64,
    /// Number of its shards, which follow each other.
    pub shards: u64,
    /// Sums over its shards.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Classes and their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// Path of the map from name to id, under the dataset's root, where one was written.
    pub map: Option<String>,
    /// Id of each class; no two classes share one.
    pub classes: BTreeMap<String, u64>,
}

/// One shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Path under the dataset's root: `shards/train/name.tar`.
    pub path: String,
    /// Its split; none when the dataset is not split.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<String>,
    /// Number of samples.
    pub samples: u64,
    /// Number of fields of all samples.
    pub files: u64,
    /// Bytes of those fields.
    pub body_bytes: u64,
    /// Length of the shard in bytes.
    pub bytes: u64,
    /// Length before compression; the same when the dataset is not compressed.
    pub stream_bytes: u64,
    /// CRC-64/NVME of the shard's file: what S3 computes for it.
    #[serde(with = "hex64")]
    pub crc64nvme: u64,
    /// Digest of its samples.
    pub digest: Digest,
    /// The file that holds its [`Index`](crate::Index).
    pub index: Sidecar,
    /// The file of its files' original names; none where key and field tell every name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sources: Option<Sidecar>,
}

impl Shard {
    /// The shard's part in the sums.
    pub fn totals(&self) -> Totals {
        Totals {
            samples: self.samples,
            files: self.files,
            body_bytes: self.body_bytes,
            shard_bytes: self.bytes,
        }
    }
}

/// A file beside a shard, and what proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sidecar {
    /// Path under the dataset's root.
    pub path: String,
    /// Length in bytes.
    pub bytes: u64,
    /// CRC-64/NVME of the whole file. Not its crc32c: an index ends in its own, and the crc32c of
    /// any bytes followed by theirs is the same constant.
    #[serde(with = "hex64")]
    pub crc64nvme: u64,
}

impl Sidecar {
    /// The file of these bytes at `path`.
    pub fn of(path: impl Into<String>, bytes: &[u8]) -> Self {
        Self { path: path.into(), bytes: bytes.len() as u64, crc64nvme: crc64nvme(bytes) }
    }
}

/// Hash of a plan: which samples go to which shard. What is hashed is the planner's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(#[serde(with = "hex128")] pub u128);

/// 32 lower-case hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
