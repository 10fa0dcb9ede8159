//! How a command tells what it does.

use clap::{Args, ValueEnum};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressArg {
    /// A bar on a terminal, lines elsewhere
    Auto,
    /// A bar
    Bar,
    /// A line every 10 s
    Lines,
    /// A JSON object a line, every 10 s and at each stage
    Json,
    /// Nothing
    None,
}

/// Flags of a command that reports and is done too soon for progress.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ReportArgs {
    /// Print one JSON document to stdout; messages become JSON lines on stderr
    #[arg(long)]
    pub(crate) json: bool,
    /// Print errors only
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl ReportArgs {
    /// The same, of a command without progress.
    pub(crate) fn output(self) -> OutputArgs {
        let Self { json, quiet } = self;
        OutputArgs { json, quiet, progress: ProgressArg::None }
    }
}

/// Flags of every command that reports.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print one JSON document to stdout; progress and messages become JSON lines on stderr
    #[arg(long)]
    pub(crate) json: bool,
    /// Print errors only
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Progress on stderr
    #[arg(long, value_name = "HOW", value_enum, default_value_t = ProgressArg::Auto, hide_possible_values = false)]
    pub(crate) progress: ProgressArg,
}
