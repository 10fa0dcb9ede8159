//! A manifest and indexes for shards that something else wrote.

use serde::Serialize;

use super::Dataset;
use crate::progress::Progress;
use crate::{Error, Result};

/// How shards are adopted.
#[derive(Clone, Copy, Debug)]
pub struct AdoptOptions {
    /// Shards that are read at a time. Default: the cores.
    pub jobs: usize,
    /// Memory for buffers in bytes, over all jobs. Default 512 MiB.
    pub memory: u64,
}

/// What an adoption wrote.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct AdoptReport {
    /// Where the dataset is.
    pub dataset: String,
    /// Name of the record format.
    pub format: String,
    /// Shards.
    pub shards: u64,
    /// Samples.
    pub samples: u64,
    /// Fields of those samples.
    pub files: u64,
    /// Bytes of those fields.
    pub file_bytes: u64,
    /// Digest of all samples.
    pub digest: String,
    /// What the shards hold beside samples: reason and count.
    pub skipped: Vec<(String, u64)>,
}

/// Writes `manifest.json` and `index/` beside foreign shards, which stay as and where they are.
///
/// Refuses a place that has a manifest already, damaged shards (all of them are named), and keys
/// that two samples share.
pub fn adopt(
    _dataset: &Dataset<'_>,
    _options: &AdoptOptions,
    _progress: &Progress,
) -> Result<AdoptReport> {
    Err(Error::Usage("index is being built".into()))
}

impl Default for AdoptOptions {
    fn default() -> Self {
        Self { jobs: super::cores(), memory: super::MEMORY }
    }
}
