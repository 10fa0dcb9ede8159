//! Commands: checked options, calls, messages.

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
mod destination;
mod diff;
mod globs;
mod index;
mod info;
mod join;
mod ls;
mod manual;
mod map;
mod merge;
mod overlay;
mod pack;
mod plan;
mod quarantine;
mod reshard;
mod s3;
mod selected;
mod shuffle_score;
mod simulate;
mod source;
mod unpack;
mod verify;
mod warm;
mod why;

use std::io::IsTerminal;
use std::sync::Arc;

use shardpack_pack::Progress;

use crate::args::{Command, OutputArgs, ProgressArg};
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::progress::{Display, Style};

/// How a command tells what it does.
pub(crate) fn log(command: &Command) -> Log {
    let output = match command {
        Command::Pack(args) => args.output,
        Command::Append(args) => args.output,
        Command::Merge(args) => args.output,
        Command::Compact(args) => args.output,
        Command::Reshard(args) => args.anew.output,
        Command::Join(args) => args.anew.output,
        Command::Verify(args) => args.output,
        Command::Info(args) => args.output,
        Command::Unpack(args) => args.output,
        Command::Index(args) => args.output,
        Command::Delete(args) => args.report.output(),
        Command::Diff(args) => args.report.output(),
        Command::Why(args) => args.report.output(),
        Command::BenchRead(args) => args.report.output(),
        Command::Audit(args) => args.report.output(),
        Command::Advise(args) => args.report.output(),
        Command::Simulate(args) => args.report.output(),
        Command::Warm(args) => args.report.output(),
        Command::ShuffleScore(args) => args.report.output(),
        Command::Channels(args) => args.output(),
        Command::Ls(args) => return Log { json: args.json, quiet: false },
        Command::Cat(_) | Command::Clean(_) | Command::Completions { .. } | Command::Man { .. } => {
            return Log::default();
        }
    };
    Log { json: output.json || output.progress == ProgressArg::Json, quiet: output.quiet }
}

/// Runs a command to its end.
pub(crate) fn run(command: &Command, log: Log) -> Result<Exit> {
    let mut output = Output::new();
    let exit = match command {
        Command::Pack(args) => pack::run(args, log, &mut output),
        Command::Append(args) => append::run(args, log, &mut output),
        Command::Merge(args) => merge::run(args, log, &mut output),
        Command::Compact(args) => compact::run(args, log, &mut output),
        Command::Reshard(args) => reshard::run(args, log, &mut output),
        Command::Join(args) => join::run(args, log, &mut output),
        Command::Verify(args) => verify::run(args, log, &mut output),
        Command::Ls(args) => ls::run(args, log, &mut output),
        Command::Cat(args) => cat::run(args, log, &mut output),
        Command::Info(args) => info::run(args, log, &mut output),
        Command::Unpack(args) => unpack::run(args, log, &mut output),
        Command::Delete(args) => delete::run(args, log, &mut output),
        Command::Diff(args) => diff::run(args, log, &mut output),
        Command::Why(args) => why::run(args, log, &mut output),
        Command::BenchRead(args) => bench_read::run(args, log, &mut output),
        Command::Audit(args) => audit::run(args, log, &mut output),
        Command::Advise(args) => advise::run(args, log, &mut output),
        Command::Simulate(args) => simulate::run(args, log, &mut output),
        Command::Warm(args) => warm::run(args, log, &mut output),
        Command::ShuffleScore(args) => shuffle_score::run(args, log, &mut output),
        Command::Index(args) => index::run(args, log, &mut output),
        Command::Clean(args) => clean::run(args, log, &mut output),
        Command::Channels(args) => channels::run(args, log, &mut output),
        Command::Completions { shell } => manual::completions(*shell, &mut output),
        Command::Man { command } => manual::page(command.as_deref(), &mut output),
    }?;
    output.finish()?;
    Ok(exit)
}

/// Shows `progress` until the result is dropped; `work` says what is done.
fn display(args: OutputArgs, work: &'static str, progress: &Arc<Progress>, log: Log) -> Display {
    let style = match args.progress {
        _ if args.quiet => Style::None,
        ProgressArg::Bar => Style::Bar,
        ProgressArg::Lines => Style::Lines,
        ProgressArg::Json => Style::Json,
        ProgressArg::None => Style::None,
        ProgressArg::Auto if args.json => Style::Json,
        ProgressArg::Auto if std::io::stderr().is_terminal() => Style::Bar,
        ProgressArg::Auto => Style::Lines,
    };
    Display::start(style, work, Arc::clone(progress), log)
}
