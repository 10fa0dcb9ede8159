//! `shardpack audit`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::order::PartArgs;
use super::{ReportArgs, S3Args};

/// Prove that a training job saw every sample exactly once an epoch
///
/// Reads the coverage logs that the ranks wrote, from the first start of the job to the last, and
/// counts every sample: through crashes, restarts from checkpoints and changes of the number of
/// ranks, in every input mode. Names the first ten samples that are missing or that were seen too
/// often, and the ranks.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct AuditArgs {
    /// The dataset that was read: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// Coverage logs, or folders of them: those of all ranks and all starts
    #[arg(value_name = "LOG", required = true, value_hint = ValueHint::AnyPath)]
    pub(crate) logs: Vec<PathBuf>,
    /// How often each sample should be seen in an epoch
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..255))]
    pub(crate) times: u8,
    /// Epochs that must be complete [default: those that were begun; the last may be unfinished]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) epochs: Option<u64>,
    #[command(flatten)]
    pub(crate) part: PartArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
