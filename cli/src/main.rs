//! The `shardpack` binary: arguments in, calls, messages out.
//!
//! `args` is what was typed, `run` checks it and calls the library. Data goes to stdout, everything
//! else to stderr; errors are printed in one place, here.

mod args;
mod exit;
mod log;
mod output;
mod progress;
mod run;
mod signal;
mod size;

use std::process::ExitCode;

use clap::Parser;

use crate::args::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let log = run::log(&cli.command);
    match run::run(&cli.command, log) {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report(log).into(),
    }
}
