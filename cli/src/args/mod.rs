//! What was typed, and nothing else: checking it is `run`'s business.

mod advise;
mod append;
mod audit;
mod bench_read;
mod cat;
mod channels;
mod clean;
mod compact;
mod dataset;
mod delete;
mod diff;
mod index;
mod info;
mod join;
mod ls;
mod map;
mod merge;
mod order;
mod output;
mod pack;
mod reshard;
mod s3;
mod shuffle_score;
mod simulate;
mod source;
mod unpack;
mod verify;
mod warm;
mod why;

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub(crate) use advise::{
    AccessArg, AdviseArgs, DataArgs, JobArgs, Seconds, Speed, StorageArg, YesNo,
};
pub(crate) use append::AppendArgs;
pub(crate) use audit::AuditArgs;
pub(crate) use bench_read::BenchReadArgs;
pub(crate) use cat::CatArgs;
pub(crate) use channels::{ChannelJobArgs, ChannelsArgs, ChannelsCommand, EmitArgs, ServeArgs};
pub(crate) use clean::CleanArgs;
pub(crate) use compact::CompactArgs;
pub(crate) use dataset::{DatasetArgs, WorkArgs};
pub(crate) use delete::DeleteArgs;
pub(crate) use diff::DiffArgs;
pub(crate) use index::IndexArgs;
pub(crate) use info::InfoArgs;
pub(crate) use join::{JoinArgs, MissingArg, UnusedArg, WithArgs};
pub(crate) use ls::LsArgs;
pub(crate) use map::MapArgs;
#[cfg(feature = "image")]
pub(crate) use map::{ColourArg, EncodingArg};
pub(crate) use merge::MergeArgs;
pub(crate) use order::OrderArgs;
pub(crate) use output::{OutputArgs, ProgressArg, ReportArgs};
pub(crate) use pack::{
    LabelsArg, PackArgs, PolicyArg, RefusalArg, RunArgs, SampleOrder, SchemaArg, ShardArgs,
};
pub(crate) use reshard::{AnewArgs, DuplicatesArg, FieldArgs, ReshardArgs, SelectArgs};
pub(crate) use s3::S3Args;
pub(crate) use shuffle_score::ShuffleScoreArgs;
pub(crate) use simulate::SimulateArgs;
pub(crate) use source::{HiddenArg, SourceArgs, SourceTypeArg, SymlinksArg};
pub(crate) use unpack::UnpackArgs;
pub(crate) use verify::VerifyArgs;
pub(crate) use warm::WarmArgs;
pub(crate) use why::WhyArgs;

/// Packs many small files into a few large shards, proves what is in them, and reads them back
#[derive(Debug, Parser)]
#[command(name = "shardpack", version, after_help = crate::exit::HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Pack(Box<PackArgs>),
    Append(Box<AppendArgs>),
    Merge(Box<MergeArgs>),
    Compact(Box<CompactArgs>),
    Reshard(Box<ReshardArgs>),
    Join(Box<JoinArgs>),
    Verify(Box<VerifyArgs>),
    Ls(LsArgs),
    Cat(CatArgs),
    Info(InfoArgs),
    Unpack(UnpackArgs),
    Delete(DeleteArgs),
    Diff(DiffArgs),
    Why(Box<WhyArgs>),
    BenchRead(Box<BenchReadArgs>),
    Audit(AuditArgs),
    Advise(Box<AdviseArgs>),
    Simulate(Box<SimulateArgs>),
    Warm(WarmArgs),
    ShuffleScore(ShuffleScoreArgs),
    Index(IndexArgs),
    Clean(CleanArgs),
    Channels(Box<ChannelsArgs>),
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints a manual page: of shardpack, or of one command
    Man {
        /// The command
        command: Option<String>,
    },
}
