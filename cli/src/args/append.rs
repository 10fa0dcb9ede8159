//! `shardpack append`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{LabelsArg, OutputArgs, RunArgs, S3Args, SourceArgs};

/// Add the new samples of SRC to the dataset at DST, in new shards
///
/// Samples are packed as the dataset was: format, compression, grouping, labels, order, size and
/// names of shards are those of its manifest. Shards that are there stay as they are, byte for
/// byte; a sample that DST has already must be equal, unless --sync says to replace it. The new
/// manifest takes the old one's place in one step, when all new shards are sealed: a run that was
/// killed changed nothing, and is finished by the same command. The old manifest is kept, so a
/// reader that is pinned to a digest goes on with what it had.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct AppendArgs {
    /// A dataset that was packed: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,
    /// A folder, a .tar, a .zip, or s3://bucket/prefix; or what --source-type says
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(crate) source: PathBuf,

    /// Make DST hold what SRC holds: replace samples that differ, bring deleted ones back, mark those
    /// that SRC has no more as deleted
    #[arg(long)]
    pub(crate) sync: bool,
    /// Where labels come from, for a dataset whose labels came from a table: csv:FILE, jsonl:FILE
    /// or lst:FILE, of all samples of SRC [default: folder, where DST was packed so]
    #[arg(long, value_name = "FROM", conflicts_with = "label_attribute")]
    pub(crate) labels: Option<LabelsArg>,

    #[command(flatten)]
    pub(crate) files: SourceArgs,
    #[command(flatten)]
    pub(crate) run: RunArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
