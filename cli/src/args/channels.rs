//! `shardpack channels`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use shardpack_channel::InputMode;

use super::{OutputArgs, ProgressArg, ReportArgs, S3Args};
use crate::size::ByteSize;

/// Play SageMaker's input modes: File, FastFile and Pipe channels, anywhere
#[derive(Debug, Args)]
#[command(after_help = crate::exit::HELP)]
pub(crate) struct ChannelsArgs {
    #[command(subcommand)]
    pub(crate) command: ChannelsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelsCommand {
    /// Look at a job before it is paid for: every rule that it breaks, and where the rule stands
    Check {
        #[command(flatten)]
        job: ChannelJobArgs,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Bring a job's channels up, print the container's environment, and serve until a signal
    ///
    /// They also go down by `channels down`, and when the root is removed.
    Up {
        #[command(flatten)]
        job: ChannelJobArgs,
        #[command(flatten)]
        serve: ServeArgs,
        /// Return when the channels are up; a process of its own serves them until `channels down`,
        /// and tells of trouble in ROOT/.shardpack-agent/log
        #[arg(long)]
        detach: bool,
        /// What --detach starts
        #[arg(long, hide = true, conflicts_with = "detach")]
        detached: bool,
        /// Write the environment to a file, as NAME=VALUE lines, instead of stdout
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        env_file: Option<PathBuf>,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Take down what `channels up` or `channels run` serves at a root
    ///
    /// A training command gets SIGTERM, as by a signal to `channels run`. Where an agent was killed
    /// together with its watchdog, what they left is removed.
    Down {
        /// The folder that plays /opt/ml
        #[arg(long, value_name = "DIR", default_value = "/opt/ml", value_hint = ValueHint::DirPath)]
        root: PathBuf,
        /// Seconds to wait for the end
        #[arg(long, value_name = "SECONDS", default_value_t = 150)]
        timeout: u32,
        #[command(flatten)]
        output: ReportArgs,
    },
    /// Run a training command among its channels, and take them down after it
    ///
    /// Signals are passed on. The exit code is the command's, or 128 and the number of the signal
    /// that ended it; 2 when the channels could not be brought up.
    Run {
        #[command(flatten)]
        job: ChannelJobArgs,
        #[command(flatten)]
        serve: ServeArgs,
        /// Seconds that the command has to end after a signal, before it is killed
        #[arg(long, value_name = "SECONDS", default_value_t = 120)]
        grace: u64,
        #[command(flatten)]
        output: OutputArgs,
        /// The command and its arguments, after --
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<String>,
    },
    /// Print the channels of a packed dataset, as JSON and for the SageMaker SDK
    Emit(EmitArgs),
    #[command(hide = true)]
    Watch { root: PathBuf },
    #[command(hide = true)]
    Launch {
        /// Tells why the command cannot be run as JSON
        #[arg(long)]
        json: bool,
        parent: u32,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
}

impl ChannelsArgs {
    pub(crate) fn output(&self) -> OutputArgs {
        match &self.command {
            ChannelsCommand::Check { output, .. }
            | ChannelsCommand::Up { output, .. }
            | ChannelsCommand::Run { output, .. } => *output,
            ChannelsCommand::Down { output, .. } => output.output(),
            ChannelsCommand::Emit(_) | ChannelsCommand::Watch { .. } => plain(false),
            ChannelsCommand::Launch { json, .. } => plain(*json),
        }
    }
}

fn plain(json: bool) -> OutputArgs {
    OutputArgs { json, quiet: false, progress: ProgressArg::None }
}

/// The job.
#[derive(Debug, Args)]
pub(crate) struct ChannelJobArgs {
    /// A description like that of CreateTrainingJob, whole or in part: JSON or YAML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) job: Option<PathBuf>,
    /// `NAME=SOURCE[,mode=Pipe][,dist=ShardedByS3Key][,type=ManifestFile][,compression=Gzip]`
    /// `[,wrapper=RecordIO][,seed=N][,attributes=A+B][,groups=A+B][,content-type=T]`; a source is
    /// s3://bucket/prefix/ or a path
    #[arg(long = "channel", value_name = "SPEC")]
    pub(crate) channels: Vec<String>,
    /// A hyperparameter
    #[arg(long = "hyperparameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) hyperparameters: Vec<(String, String)>,
    /// Hosts of the job, joined by commas [default: algo-1, ... as many as the job has]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) hosts: Vec<String>,
    /// The host to play [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) current_host: Option<String>,
    /// Who gets which objects of a ShardedByS3Key channel: round-robin or contiguous. AWS does not
    /// tell how it does that
    #[arg(long, value_name = "HOW", default_value = "round-robin")]
    pub(crate) assign: shardpack_channel::Assign,
    /// Call files of a ManifestFile channel by what follows the manifest's prefix [default: by the
    /// whole key, as was seen in jobs]
    #[arg(long)]
    pub(crate) suffix_names: bool,
    /// Where a file system is mounted here; a DirectoryPath is looked for below [default: a
    /// DirectoryPath is a path of this machine]. What a job may only read is read-only here, where
    /// root runs this
    #[arg(long = "file-system", value_name = "ID=PATH", value_parser = pair)]
    pub(crate) file_systems: Vec<(String, String)>,
    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// How channels are served.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// The folder that plays /opt/ml
    #[arg(long, value_name = "DIR", default_value = "/opt/ml", value_hint = ValueHint::DirPath)]
    pub(crate) root: PathBuf,
    /// Most bytes that wait for a reader
    #[arg(long, value_name = "SIZE", default_value_t = ByteSize(256 << 20))]
    pub(crate) memory: ByteSize,
    /// Most requests under way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) io_depth: u16,
    /// Milliseconds before the first byte of each request, in Pipe and FastFile
    #[arg(
        long,
        value_name = "MS",
        default_value_t = 0,
        allow_negative_numbers = true,
        help_heading = "Trouble on demand"
    )]
    pub(crate) latency: u64,
    /// Most bytes a second of all Pipe and FastFile channels together
    #[arg(long, value_name = "SIZE", value_parser = above_zero, help_heading = "Trouble on demand")]
    pub(crate) bandwidth: Option<ByteSize>,
    /// End each FIFO after so many bytes; reads of a file fail beyond
    #[arg(long, value_name = "SIZE", help_heading = "Trouble on demand")]
    pub(crate) drop_after: Option<ByteSize>,
    /// Seconds that each FIFO and open file once falls silent, after 1 MiB
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds, allow_negative_numbers = true, help_heading = "Trouble on demand")]
    pub(crate) stall: f64,
}

/// A packed dataset as SageMaker is told of it.
#[derive(Debug, Args)]
pub(crate) struct EmitArgs {
    /// The dataset: a path or s3://...
    #[arg(value_name = "DST", value_hint = ValueHint::DirPath)]
    pub(crate) path: PathBuf,
    /// Where the dataset is for the job [default: DST, when that is on S3]
    #[arg(long, value_name = "URI")]
    pub(crate) uri: Option<String>,
    /// An input mode alone: File, FastFile or Pipe [default: each]
    #[arg(long, value_name = "MODE")]
    pub(crate) mode: Option<InputMode>,
    /// Give each host a part of the shards: ShardedByS3Key
    #[arg(long)]
    pub(crate) sharded: bool,
    #[command(flatten)]
    pub(crate) s3: S3Args,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("write NAME=VALUE".into()),
    }
}

fn above_zero(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>()? {
        ByteSize(0) => Err("nothing would ever come: write a size above 0".into()),
        size => Ok(size),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("write a number of seconds: 2.5".into()),
    }
}
