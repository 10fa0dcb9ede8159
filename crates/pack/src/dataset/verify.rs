//! Proving a dataset.

use shardpack_store::Source;

use super::{Dataset, VerifyReport};
use crate::progress::Progress;
use crate::{Error, Result};

/// How a dataset is verified.
#[derive(Clone, Copy)]
pub struct VerifyOptions<'a> {
    /// The files that were packed: every one is read and compared.
    pub against: Option<&'a dyn Source>,
    /// Shards that are read at a time. Default: the cores.
    pub jobs: usize,
    /// Memory for buffers in bytes, over all jobs. Default 512 MiB.
    pub memory: u64,
    /// Check files, lengths, manifest and indexes, and read no shard. Default false.
    pub quick: bool,
}

/// Checks everything that can be checked, and reports everything that is wrong: damage is a row of
/// the report, an error is what kept the check from running.
pub fn verify(
    _dataset: &Dataset<'_>,
    _options: &VerifyOptions<'_>,
    _progress: &Progress,
) -> Result<VerifyReport> {
    Err(Error::Usage("verify is being built".into()))
}

impl Default for VerifyOptions<'_> {
    fn default() -> Self {
        Self { against: None, jobs: super::cores(), memory: super::MEMORY, quick: false }
    }
}

impl std::fmt::Debug for VerifyOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifyOptions")
            .field("against", &self.against.map(Source::describe))
            .field("jobs", &self.jobs)
            .field("memory", &self.memory)
            .field("quick", &self.quick)
            .finish()
    }
}
