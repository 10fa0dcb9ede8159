//! `shardpack bench-read`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{OrderArgs, ReportArgs, S3Args};
use crate::size::ByteSize;

/// Measure how fast a training job would get its samples
///
/// Reads epochs as one rank of the job does, in the same order and with every check, and tells for
/// each: time to the first sample, samples and bytes a second, the share of the time that the loop
/// stood still for samples, and the peak memory. Then reads the same shards from front to back with
/// one thread, for comparison. What the page cache holds makes the first epoch slower than the
/// others.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct BenchReadArgs {
    /// A dataset: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// Epochs to read
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) epochs: u64,
    /// This rank, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) rank: u64,
    /// Reads under way at a time, each by a thread; 0 reads between samples [default: the cores, at
    /// most 4; 16 on S3]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Bytes that are read ahead
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(64 << 20))]
    pub(crate) memory: ByteSize,
    /// Keep what is read in this folder on a local disk, as a job with a cache does
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) cache: Option<PathBuf>,
    /// Most bytes of the cache, over all processes that use the folder [default: half of its file
    /// system]
    #[arg(long, value_name = "SIZE", requires = "cache")]
    pub(crate) cache_size: Option<ByteSize>,
    /// Stop each epoch after so many samples
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) samples: Option<u64>,
    /// Wait so many milliseconds after each batch, as a training step on an accelerator does
    #[arg(long, value_name = "MS", default_value_t = 0, requires = "batch")]
    pub(crate) compute: u64,
    /// Write a log of what was consumed to this folder, for `shardpack audit`
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    pub(crate) coverage: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
