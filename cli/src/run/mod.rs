//! Commands: checked options, calls, messages.

mod destination;
mod globs;
mod manual;
mod pack;
mod plan;
mod source;

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
        Command::Completions { .. } | Command::Man { .. } => return Log::default(),
    };
    Log { json: output.json || output.progress == ProgressArg::Json, quiet: output.quiet }
}

/// Runs a command to its end.
pub(crate) fn run(command: &Command, log: Log) -> Result<Exit> {
    let mut output = Output::new();
    let exit = match command {
        Command::Pack(args) => pack::run(args, log, &mut output),
        Command::Completions { shell } => manual::completions(*shell, &mut output),
        Command::Man { command } => manual::page(command.as_deref(), &mut output),
    }?;
    output.finish()?;
    Ok(exit)
}

/// Shows `progress` until the result is dropped.
fn display(args: OutputArgs, progress: &Arc<Progress>, log: Log) -> Display {
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
    Display::start(style, Arc::clone(progress), log)
}
