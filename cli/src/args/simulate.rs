//! `shardpack simulate`.

use clap::{Args, ValueEnum};
use shardpack_advise::Way;

use super::{DataArgs, ReportArgs, S3Args, Seconds, SourceArgs, Speed};
use crate::size::ByteSize;

/// How data reaches training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeArg {
    /// S3, downloaded before training starts
    #[value(alias = "File")]
    File,
    /// S3, mounted
    #[value(alias = "FastFile")]
    Fastfile,
    /// S3, streamed through a FIFO: one reader a host
    #[value(alias = "Pipe")]
    Pipe,
    /// FSx for Lustre, mounted
    Fsx,
    /// EFS, mounted
    Efs,
}

impl From<ModeArg> for Way {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::File => Self::File,
            ModeArg::Fastfile => Self::FastFile,
            ModeArg::Pipe => Self::Pipe,
            ModeArg::Fsx => Self::Fsx,
            ModeArg::Efs => Self::Efs,
        }
    }
}

/// Play the reading of one epoch through a model of an input mode
///
/// Lists SRC and reads nothing of it. Each object goes to a host and there to a worker in turn;
/// requests wait their latency and share the bandwidth; the model takes bytes from the workers in
/// turn. Without chance: the same set and options give the same figures. Where an option is not
/// given, the figure is the mode's published one.
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// How the data reaches training
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) mode: ModeArg,
    /// Instances
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) hosts: u64,
    /// Processes that read, on each
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) workers: u64,
    /// Bytes a second that the model takes on each host [default: all there are]
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) consume: Option<Speed>,
    /// From a request to its first byte: 20ms
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) latency: Option<Seconds>,
    /// Of one host: 1GB/s
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) bandwidth: Option<Speed>,
    /// Of one request
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) stream: Option<Speed>,
    /// Of the store, all hosts together
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) total: Option<Speed>,
    /// Of the disk that a download is read from
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub(crate) disk: Option<Speed>,
    /// Until the first object can be asked for, listing left out
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) start: Option<Seconds>,
    /// Requests under way at a time, of each worker
    #[arg(long, value_name = "N")]
    pub(crate) in_flight: Option<u64>,
    /// Bytes of a request
    #[arg(long, value_name = "SIZE")]
    pub(crate) request: Option<ByteSize>,
    /// Bytes that a worker may be ahead of the model
    #[arg(long, value_name = "SIZE")]
    pub(crate) ahead: Option<ByteSize>,
    /// File: each host downloads its own objects only (ShardedByS3Key)
    #[arg(long)]
    pub(crate) sharded: bool,
    #[command(flatten)]
    pub(crate) files: SourceArgs,
    #[command(flatten)]
    pub(crate) s3: S3Args,
    #[command(flatten)]
    pub(crate) report: ReportArgs,
}
