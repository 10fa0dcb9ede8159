//! In which order a training job reads.

use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use shardpack_reader::plan::{PlanOptions, Shuffle, Subset, Tail};

/// The order of samples, and how ranks share them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Order of samples, as in the training job")]
pub(crate) struct OrderArgs {
    /// Seed of every epoch's order
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
    /// off, exact, window:SAMPLES:shard or window:SAMPLES:BLOCK [default: window:256:shard, with
    /// fewer samples where they are large]
    #[arg(long, value_name = "HOW", value_parser = shuffle)]
    pub(crate) shuffle: Option<Shuffle>,
    /// All ranks
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) world: u64,
    /// Samples of a rank's batch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch: Option<u64>,
    /// What to do with samples that do not divide by ranks and batches
    #[arg(long, value_name = "HOW", value_enum, default_value_t = TailArg::Pad)]
    pub(crate) tail: TailArg,
    /// Rows that are read side by side [default: of shards and world]
    #[arg(long, value_name = "N")]
    pub(crate) lanes: Option<u64>,
    #[command(flatten)]
    pub(crate) part: PartArgs,
}

/// Which part of a dataset is read.
#[derive(Clone, Debug, Args)]
pub(crate) struct PartArgs {
    /// Only this split
    #[arg(long, value_name = "NAME")]
    pub(crate) split: Option<String>,
    /// Only so many samples, or this fraction of them: 1000, 0.1
    #[arg(long, value_name = "N", value_parser = subset)]
    pub(crate) subset: Option<Subset>,
    /// Leave out the samples of this quarantine, which `verify --quarantine` wrote: a file or s3://...
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) quarantine: Option<String>,
}

/// What to do with samples that do not divide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TailArg {
    /// The last steps begin the epoch again
    Pad,
    /// Left out
    Drop,
    /// As pad, and marked as not real
    Mask,
}

impl OrderArgs {
    pub(crate) fn options(&self) -> PlanOptions {
        PlanOptions {
            seed: self.seed,
            shuffle: self.shuffle.unwrap_or_default(),
            tail: match self.tail {
                TailArg::Pad => Tail::Pad,
                TailArg::Drop => Tail::Drop,
                TailArg::Mask => Tail::Mask,
            },
            batch: self.batch,
            subset: self.part.subset.unwrap_or_default(),
            lanes: self.lanes,
            length: None,
        }
    }
}

fn shuffle(text: &str) -> Result<Shuffle, String> {
    Shuffle::from_str(text).map_err(|error| error.to_string())
}

fn subset(text: &str) -> Result<Subset, String> {
    let wrong = || "write a number of samples, or a fraction above 0 and at most 1: 0.1".to_owned();
    if text.contains('.') {
        let fraction: f64 = text.parse().map_err(|_| wrong())?;
        return (fraction > 0.0 && fraction <= 1.0)
            .then_some(Subset::Fraction(fraction))
            .ok_or_else(wrong);
    }
    text.parse().map(Subset::Count).map_err(|_| wrong())
}
