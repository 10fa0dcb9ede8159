//! `shardpack why`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{OrderArgs, ReportArgs, S3Args};

/// Tell all that is known of one sample: file, shard, offset, checks, and who reads it when
///
/// Reads the sample and compares it with the index; damage exits with 1. The rank and step are
/// those of an epoch that a job with the same options reads from its beginning.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct WhyArgs {
    /// A dataset: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// Key of the sample, as `shardpack ls` tells it
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    /// Epoch, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) epoch: u64,
    #[command(flatten)]
    pub(crate) order: OrderArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
