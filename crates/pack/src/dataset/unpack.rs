//! From shards back to files.

use std::path::Path;

use serde::Serialize;

use super::Dataset;
use crate::progress::Progress;
use crate::{Error, Result};

/// What is unpacked, and how.
#[derive(Clone, Debug)]
pub struct UnpackOptions {
    /// Only these splits; empty unpacks all.
    pub splits: Vec<String>,
    /// Only shards whose path this glob matches.
    pub shards: Option<String>,
    /// Shards that are read at a time. Default: the cores.
    pub jobs: usize,
    /// Memory for buffers in bytes, over all jobs. Default 512 MiB.
    pub memory: u64,
    /// Whether the files are on the disk, not only in memory, at the end. Default true.
    pub durable: bool,
}

/// What an unpack wrote.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct UnpackReport {
    /// Where the files are.
    pub destination: String,
    /// Shards that were read.
    pub shards: u64,
    /// Samples that were unpacked.
    pub samples: u64,
    /// Files that were written.
    pub files: u64,
    /// Bytes of those files.
    pub file_bytes: u64,
    /// Fields that were no files: labels that pack wrote as fields.
    pub label_fields: u64,
}

/// Writes every field of every sample as a file below `out`, under the name that it had when it
/// was packed, else `KEY.FIELD`. `out` must be new or empty.
///
/// Every body is checked against the index while it is written, a file appears whole or not at
/// all, no name leads out of `out`, and two samples with one name are refused.
pub fn unpack(
    _dataset: &Dataset<'_>,
    _out: &Path,
    _options: &UnpackOptions,
    _progress: &Progress,
) -> Result<UnpackReport> {
    Err(Error::Usage("unpack is being built".into()))
}

impl Default for UnpackOptions {
    fn default() -> Self {
        Self {
            splits: Vec::new(),
            shards: None,
            jobs: super::cores(),
            memory: super::MEMORY,
            durable: true,
        }
    }
}
