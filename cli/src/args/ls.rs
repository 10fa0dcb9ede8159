//! `shardpack ls`.

use clap::Args;

use super::DatasetArgs;
use crate::size::ByteSize;

/// List the samples of a dataset
///
/// A line a sample, in dataset order, with tabs between: key, bytes of its fields, field names.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// Only keys that match: `cats/*`, `**/0001*`
    #[arg(value_name = "GLOB")]
    pub(crate) filter: Option<String>,
    /// Only shards whose path matches
    #[arg(long, value_name = "GLOB")]
    pub(crate) shards: Option<String>,
    /// Also tell shard, record number, offset, and each field's bytes and crc32c
    #[arg(long, short)]
    pub(crate) long: bool,
    /// Print one JSON document: an array with an object a sample
    #[arg(long)]
    pub(crate) json: bool,
    /// Memory for buffers
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(512 << 20))]
    pub(crate) memory: ByteSize,
}
