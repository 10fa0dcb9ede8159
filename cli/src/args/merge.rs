//! `shardpack merge`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use shardpack_pack::ForeignIndex;

use super::pack::index;
use super::{DuplicatesArg, OutputArgs, S3Args};

/// Put datasets together without rewriting their shards
///
/// Shards are copied as they are, under names that go through, and nothing is decoded. The datasets
/// must be of one format, schema and compression, and number their classes alike; `shardpack
/// reshard` takes any others.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct MergeArgs {
    /// Datasets, in this order: paths or s3://...
    #[arg(value_name = "SRC", required = true, num_args = 1.., value_hint = ValueHint::DirPath)]
    pub(crate) sources: Vec<PathBuf>,
    /// A folder, or s3://bucket/prefix, that is new or empty, or holds the unfinished work of this
    /// very command
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,
    /// Samples with the same key: first and last mark all others as deleted
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = DuplicatesArg::Error)]
    pub(crate) duplicates: DuplicatesArg,
    /// Names of shards: slim, tfds or a template [default: that of the first SRC]
    #[arg(long, value_name = "TEMPLATE")]
    pub(crate) name: Option<String>,
    /// Write indexes for other tools
    #[arg(long, value_name = "TOOL,...", value_delimiter = ',', value_parser = index)]
    pub(crate) index: Vec<ForeignIndex>,
    /// Where the shards will be on S3, for the SageMaker files [default: DST, if it is there]
    #[arg(long, value_name = "URI")]
    pub(crate) s3_prefix: Option<String>,
    /// Look at everything, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Throw away what another unfinished run left at DST
    #[arg(long)]
    pub(crate) restart: bool,
    /// Shards that are copied at a time [default: the cores]
    #[arg(long, short, value_name = "N")]
    pub(crate) jobs: Option<usize>,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
