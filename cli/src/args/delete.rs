//! `shardpack delete`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{ReportArgs, S3Args};

/// Mark samples as deleted: every command and the training reader pass over them
///
/// The marks are in the manifest, which is replaced in one step; shards and indexes stay as they
/// are, and so do the bytes of the samples, which other tools still see, until `shardpack compact`.
/// A reader that is pinned to an earlier version sees them too. A key that no sample has is an
/// error, and nothing is marked then.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct DeleteArgs {
    /// A dataset: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// Keys of samples, as `shardpack ls` tells them
    #[arg(value_name = "KEY", required_unless_present = "from")]
    pub(crate) keys: Vec<String>,
    /// Also the keys in this file, one a line; - is stdin
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) from: Option<PathBuf>,
    /// Take the marks back
    #[arg(long)]
    pub(crate) undo: bool,
    /// Look up every key, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
