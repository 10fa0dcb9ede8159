//! `shardpack compact`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{OutputArgs, RunArgs, S3Args};

/// Rewrite the shards that hold deleted samples, without those
///
/// All other shards stay as they are, byte for byte, and so does the digest of the live samples. On
/// S3, runs of 5 MiB and more of live samples are copied by S3 itself.
/// Readers that are pinned to a version need its manifest and its shards: --keep says how many
/// versions keep them, so that what is running can end. What no kept version needs is removed.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct CompactArgs {
    /// A dataset: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,
    /// Also rewrite shards of less than half of the target, where there are several
    #[arg(long)]
    pub(crate) merge_small: bool,
    /// Versions before the new one that stay readable; 0 frees the most
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) keep: u64,
    /// Folder for decompressed copies of compressed shards [default: $TMPDIR, or /tmp]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) scratch: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
