//! `shardpack cat`.

use clap::Args;

use super::DatasetArgs;
use crate::size::ByteSize;

/// Write one field of one sample to stdout
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// KEY.FIELD, or KEY alone where the sample has one field
    #[arg(value_name = "KEY[.FIELD]")]
    pub(crate) name: String,
    /// Memory for buffers; a body that fits is checked before its first byte is written
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(512 << 20))]
    pub(crate) memory: ByteSize,
}
