//! `shardpack verify`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{DatasetArgs, OutputArgs, SourceArgs, WorkArgs};

/// Prove that a dataset is whole, or say exactly what is not
///
/// Reads every byte: lengths, checksums, counts, keys, the digest. Shards that something else
/// wrote are decoded to their end; what their format cannot promise is said.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct VerifyArgs {
    #[command(flatten)]
    pub(crate) dataset: DatasetArgs,
    /// Compare with the files that were packed, byte by byte
    #[arg(long, value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(crate) against: Option<PathBuf>,
    /// Of an overlay: where the dataset is that it lies over [default: where it was]
    ///
    /// Digest and shards must be those that the overlay was made over, and each record must have the
    /// key of the one that it is for.
    #[arg(long, value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(crate) over: Option<PathBuf>,
    /// Check files, lengths, manifest and indexes, but read no shard
    #[arg(long)]
    pub(crate) quick: bool,
    /// Write the damaged samples to this file, or s3://..., for readers to pass over; it is replaced
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "quick")]
    pub(crate) quarantine: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: SourceArgs,
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}
