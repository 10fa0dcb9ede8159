//! `shardpack diff`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{ReportArgs, S3Args};

/// Compare two datasets by sample: keys, labels, fields and their bytes
///
/// Reads manifests and indexes, no shard: `verify` proves that shards are what these say. How samples
/// are spread over shards, in which order and format, is no difference. Exits with 1 when they differ.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct DiffArgs {
    /// A dataset: a path or s3://...
    #[arg(value_name = "A", value_hint = ValueHint::DirPath)]
    pub(crate) a: PathBuf,
    /// Another
    #[arg(value_name = "B", value_hint = ValueHint::DirPath)]
    pub(crate) b: PathBuf,
    /// Differences that are listed; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
