//! `shardpack advise`, and what it shares with `simulate`.

mod units;

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::{ReportArgs, S3Args, SourceArgs};
use crate::size::ByteSize;
pub(crate) use units::{Seconds, Speed};

/// Say which storage, input mode and shard size a training job should use, and why
///
/// Lists SRC and holds what it finds, and what you tell of the job, against the rules of AWS's
/// guide. The answer names each rule with its threshold, its value and its source, what each way
/// would cost, and the runner-up with the reason it lost. What you do not tell is named, not guessed.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct AdviseArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    #[command(flatten)]
    pub(crate) job: JobArgs,
    /// Prices, as a JSON object: region, date, source, and any of s3_get_1000, s3_list_1000,
    /// fsx_gb_month, efs_read_gb and instance_hour, in dollars
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) prices: Option<PathBuf>,
    /// Also write the answer as a page to this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) files: SourceArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}

/// The data that is asked about.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// What pack takes as SRC, or a packed dataset
    #[arg(value_name = "SRC", value_hint = ValueHint::AnyPath)]
    pub(crate) source: PathBuf,
    /// Where the data will live when training starts [default: S3 for s3://..., else by the file
    /// system it is on]
    #[arg(long, value_name = "WHERE", value_enum)]
    pub(crate) storage: Option<StorageArg>,
}

/// Where data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StorageArg {
    /// S3
    S3,
    /// EFS
    Efs,
    /// FSx for Lustre
    Fsx,
    /// A disk that training hosts do not see
    Local,
}

/// The order in which training reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessArg {
    /// Each file from front to end
    Sequential,
    /// Here and there
    Random,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    /// Yes
    Yes,
    /// No
    No,
}

/// What is known of the training job.
#[derive(Debug, Args)]
#[command(next_help_heading = "Training job")]
pub(crate) struct JobArgs {
    /// The order in which it reads
    #[arg(long, value_enum, value_name = "ORDER")]
    pub(crate) access: Option<AccessArg>,
    /// Instances
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) hosts: u64,
    /// Processes that read, on each
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: u64,
    /// Bytes a second that the model takes on each host: 500MB/s
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) consume: Option<Speed>,
    /// Disk on each host that data may fill
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) disk: Option<ByteSize>,
    /// Memory on each host that may keep data
    #[arg(long, value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) memory: Option<ByteSize>,
    /// May the job run in a VPC? Mounts of EFS and FSx for Lustre need one
    #[arg(long, value_enum, value_name = "ANSWER")]
    pub(crate) vpc: Option<YesNo>,
    /// Hours of training, without downloads
    #[arg(long, value_name = "HOURS", allow_negative_numbers = true, value_parser = hours)]
    pub(crate) hours: Option<f64>,
    /// Epochs
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) epochs: u64,
    /// The files must stay as they are: their reader cannot be changed
    #[arg(long)]
    pub(crate) keep_files: bool,
    /// Largest shard
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(150_000_000))]
    pub(crate) target: ByteSize,
}

fn hours(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "write a number of hours: 2.5".into())
}
