//! A dataset in figures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Dataset;
use crate::progress::Progress;
use crate::{Error, Result};

/// What is in a dataset.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct InfoReport {
    /// Where it is.
    pub dataset: String,
    /// True when there is a manifest.
    pub has_manifest: bool,
    /// Program and version that wrote it, where a manifest says so.
    pub tool: Option<String>,
    /// Name of the record format.
    pub format: String,
    /// TFRecord's schema: `fields`, `image` or `raw`.
    pub schema: Option<String>,
    /// Name of the compression; `mixed` where foreign shards differ.
    pub compression: String,
    /// Order of the samples: `shuffle:SEED`, `key` or `source`; none without a manifest.
    pub order: Option<String>,
    /// Digest of all samples.
    pub digest: String,
    /// Samples.
    pub samples: u64,
    /// Samples that the manifest says are to be skipped; they are in all other figures.
    pub deleted: u64,
    /// Files: fields of all samples.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// The shards' sizes.
    pub shards: ShardSizes,
    /// By field, sorted by name.
    pub fields: Vec<FieldInfo>,
    /// The splits, in dataset order.
    pub splits: Vec<SplitInfo>,
    /// Samples by label, commonest first; at most 1,000.
    pub classes: Vec<ClassCount>,
    /// Number of distinct labels.
    pub distinct_classes: u64,
    /// Samples without a label.
    pub unlabelled: u64,
    /// Samples by the sum of their fields' bytes; only buckets that have samples between the
    /// smallest and the largest, empty ones in between included.
    pub sizes: Vec<SizeBucket>,
    /// The options that decided the bytes.
    pub options: BTreeMap<String, String>,
}

/// Sizes of shards in bytes.
#[derive(Clone, Copy, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct ShardSizes {
    /// Number of shards.
    pub count: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Bytes before compression.
    pub stream_bytes: u64,
    /// Smallest.
    pub min: u64,
    /// Mean.
    pub mean: u64,
    /// Largest.
    pub max: u64,
}

/// One field's name in all samples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FieldInfo {
    /// Name.
    pub name: String,
    /// How many samples have it.
    pub files: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// One split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SplitInfo {
    /// Name.
    pub name: String,
    /// Shards.
    pub shards: u64,
    /// Samples.
    pub samples: u64,
    /// Bytes of its shards.
    pub shard_bytes: u64,
}

/// Samples of one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClassCount {
    /// The class's name, else its numbers.
    pub class: String,
    /// Samples.
    pub samples: u64,
}

/// Samples of at least `from` and below `to` bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SizeBucket {
    /// Least bytes: 0 or a power of two.
    pub from: u64,
    /// First size that is too large for the bucket.
    pub to: u64,
    /// Samples.
    pub samples: u64,
}

/// Counts what is in a dataset: from manifest and indexes where there are, else by decoding.
/// `memory` is for buffers, in bytes.
pub fn info(_dataset: &Dataset<'_>, _memory: u64, _progress: &Progress) -> Result<InfoReport> {
    Err(Error::Usage("info is being built".into()))
}
