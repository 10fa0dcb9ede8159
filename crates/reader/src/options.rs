//! How a dataset is read.

use crate::plan::{Part, PlanOptions};

/// How a dataset is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Seed, shuffle, tail, subset. The default window is shortened for large samples, so that the
    /// windows of eight lanes hold about 16 MiB; a window that is set stays as it is.
    pub plan: PlanOptions,
    /// Which part of the job this process is. Default: the only one.
    pub part: Part,
    /// The split to read. Default: all of the dataset.
    pub split: Option<String>,
    /// Reads under way at the same time, each by a thread; 0 reads on the caller's thread. Default:
    /// as many as cores, at most 4, on local paths; 16 on S3.
    pub threads: Option<usize>,
    /// Bytes that are read ahead of the loop; what the loop holds comes on top, and one window is
    /// read whatever its size. Default 64 MiB.
    pub memory: u64,
    /// What to do with a sample that fails its check. Default [`Damage::Fail`].
    pub damage: Damage,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            plan: PlanOptions::default(),
            part: Part::default(),
            split: None,
            threads: None,
            memory: 64 << 20,
            damage: Damage::default(),
        }
    }
}

/// What to do with a sample that fails its check. A shard that is missing, truncated or of another
/// length than the manifest says is an error in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damage {
    /// Stops with an error that names it.
    #[default]
    Fail,
    /// Hands out a neighbour in its place, marked as not real, so that all ranks keep equally many
    /// steps; more than `most` in an epoch are an error. Each is in the report.
    Skip {
        /// Most in an epoch.
        most: u64,
    },
}
