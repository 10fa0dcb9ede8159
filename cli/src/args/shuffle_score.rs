//! `shardpack shuffle-score`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{ReportArgs, S3Args};

/// Tell how well a dataset's classes are mixed as they are stored
///
/// Counts the distinct labels in windows of consecutive samples, and what a random order would give.
/// A set whose classes lie one after the other trains badly through any shuffle buffer. Reads the
/// indexes, no shard.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct ShuffleScoreArgs {
    /// A dataset: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// Samples of a window: those of a batch
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) window: u32,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
