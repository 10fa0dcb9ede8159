//! `shardpack clean`.

use clap::{Args, ValueHint};
use std::path::PathBuf;

use super::S3Args;

/// Remove what killed runs left unfinished at DST
///
/// Parts of uploads that never ended, which S3 keeps and bills out of sight, and unfinished files.
/// Sealed shards stay: the command that began them finishes the dataset. Only while no run is at
/// work there.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct CleanArgs {
    /// A dataset or the unfinished work of one
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// List, and remove nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) s3: S3Args,
}
