//! Which dataset is read, and how.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueHint};
use shardpack_formats::{Compression, NAMES};
use shardpack_manifest::Digest;

use super::{S3Args, SchemaArg};
use crate::size::ByteSize;

/// The dataset of a command that reads one.
#[derive(Clone, Debug, Args)]
pub(crate) struct DatasetArgs {
    /// A dataset, a folder of shards that something else wrote, or one shard: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::AnyPath)]
    pub(crate) path: PathBuf,
    /// The version of the dataset that has this digest, whatever was done to it since
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Digest>,
    #[command(flatten)]
    pub(crate) foreign: ForeignArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// How shards without a manifest are read; a manifest knows better.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Shards without a manifest")]
pub(crate) struct ForeignArgs {
    /// Their format [default: by name and first bytes]
    #[arg(long, value_parser = PossibleValuesParser::new(NAMES))]
    pub(crate) format: Option<String>,
    /// Their compression [default: by name and first bytes]
    #[arg(
        long,
        value_name = "HOW",
        value_parser = PossibleValuesParser::new(Compression::ALL.map(Compression::name))
    )]
    pub(crate) compress: Option<String>,
    /// TFRecord: what a payload is [default: by the first record]
    #[arg(long, value_enum)]
    pub(crate) schema: Option<SchemaArg>,
    /// recordio-protobuf: join the parts of a split record as MXNet does
    #[arg(long)]
    pub(crate) dmlc_parts: bool,
    /// A tar may go on after its end blocks
    #[arg(long)]
    pub(crate) concatenated: bool,
    /// A tar may lack its end blocks
    #[arg(long)]
    pub(crate) missing_end: bool,
}

/// What the work may take.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct WorkArgs {
    /// Shards that are read at a time [default: the cores]
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    /// Memory for buffers
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(512 << 20))]
    pub(crate) memory: ByteSize,
}
