//! `shardpack warm`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::ReportArgs;

/// Bring a tree's bytes to where they are read from, before training asks for them
///
/// A file of FSx for Lustre that came from S3 has no bytes until it is first read, and whoever reads
/// it waits. This reads the first byte of every file, which has Lustre fetch all of the file, or
/// with --hsm asks Lustre for it in batches. What is there already costs next to nothing, so a run
/// that was stopped is simply run again.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct WarmArgs {
    /// A folder or a file, on a mount
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// Files that are warmed at a time
    #[arg(long, short, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) jobs: u64,
    /// Read every byte, not the first of each file: for caches that fetch no more than what is read
    #[arg(long, conflicts_with = "hsm")]
    pub(crate) whole: bool,
    /// Ask for files by `lfs hsm_restore`, which waits for none of them; needs lfs, and root
    #[arg(long)]
    pub(crate) hsm: bool,
    /// With --hsm: files that may be on their way at a time
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "hsm", value_parser = clap::value_parser!(u64).range(1..=5000))]
    pub(crate) batch: u64,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
