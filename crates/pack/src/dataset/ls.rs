//! What is in a dataset, sample by sample.

use serde::Serialize;

use super::Dataset;
use crate::{Error, Result};

/// Which samples are listed.
#[derive(Clone, Debug)]
pub struct LsOptions {
    /// Glob over keys (`cats/*`; `*` crosses no slash, `**` does); none lists all.
    pub filter: Option<String>,
    /// Only shards whose path this glob matches.
    pub shards: Option<String>,
    /// Memory for buffers in bytes, where shards must be decoded. Default 512 MiB.
    pub memory: u64,
}

/// One sample.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Entry<'a> {
    /// Path of its shard.
    pub shard: &'a str,
    /// Number of its record in the shard, from 0.
    pub record: u64,
    /// Offset of the record in the uncompressed shard, in bytes.
    pub offset: u64,
    /// Length of the record in bytes.
    pub bytes: u64,
    /// Its key.
    pub key: &'a str,
    /// Its fields, in stored order.
    pub fields: &'a [EntryField<'a>],
}

/// One field of a sample.
#[derive(Clone, Copy, Debug, Serialize)]
#[non_exhaustive]
pub struct EntryField<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its length in bytes.
    pub bytes: u64,
    /// crc32c of its bytes.
    pub crc32c: u32,
    /// Offset of its bytes in the uncompressed shard, where they lie in one piece.
    pub offset: Option<u64>,
}

/// Calls `each` with every sample, in dataset order, until it fails.
pub fn ls(
    _dataset: &Dataset<'_>,
    _options: &LsOptions,
    _each: &mut dyn FnMut(&Entry<'_>) -> Result<()>,
) -> Result<()> {
    Err(Error::Usage("ls is being built".into()))
}

impl Default for LsOptions {
    fn default() -> Self {
        Self { filter: None, shards: None, memory: super::MEMORY }
    }
}
