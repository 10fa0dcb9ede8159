//! `shardpack index`.

use clap::Args;

use super::{DatasetArgs, OutputArgs, WorkArgs};

/// Adopt shards that something else wrote: a manifest and an index beside them
///
/// The shards stay as and where they are. Damaged shards and keys that two samples share are
/// refused.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct IndexArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
