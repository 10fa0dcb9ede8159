//! `shardpack info`.

use clap::Args;

use super::{DatasetArgs, OutputArgs};
use crate::size::ByteSize;

/// Say what is in a dataset: counts, sizes, fields, splits, labels
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// Memory for buffers
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(512 << 20))]
    pub(crate) memory: ByteSize,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
