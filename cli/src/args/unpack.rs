//! `shardpack unpack`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{DatasetArgs, OutputArgs, WorkArgs};

/// Turn a dataset back into files, with their names and bytes
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct UnpackArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// A folder, or s3://bucket/prefix, that is new or empty
    #[arg(value_name = "OUT", value_hint = ValueHint::DirPath)]
    pub(crate) out: PathBuf,
    /// Only these splits
    #[arg(long, value_name = "NAME,...", value_delimiter = ',')]
    pub(crate) split: Vec<String>,
    /// Only shards whose path matches
    #[arg(long, value_name = "GLOB")]
    pub(crate) shards: Option<String>,
    /// Do not wait for the disk
    #[arg(long)]
    pub(crate) no_fsync: bool,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
