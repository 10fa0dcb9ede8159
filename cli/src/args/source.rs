//! Which files of a source take part.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What becomes of symbolic links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SymlinksArg {
    /// Pack what they point to
    Follow,
    /// Leave them out and count them
    Skip,
    /// Stop at the first
    Error,
}

/// What becomes of names that start with a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HiddenArg {
    /// Leave them out and count them
    Skip,
    /// Treat them as any other
    Include,
}

/// Which files of the source take part.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Which files")]
pub(crate) struct SourceArgs {
    /// Take only files that match; repeatable
    ///
    /// A glob with a / is held against the path below the source, one without against the file's
    /// name: `*.jpg`, `train/**`, `n0[1-3]*/*.jpg`.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out files and folders that match; repeatable, stronger than --include
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Symbolic links; those in archives are always left out and counted
    #[arg(long, value_name = "HOW", value_enum, default_value_t = SymlinksArg::Follow)]
    pub(crate) symlinks: SymlinksArg,
    /// Names that start with a dot
    #[arg(long, value_name = "HOW", value_enum, default_value_t = HiddenArg::Skip)]
    pub(crate) hidden: HiddenArg,
    /// Take the files that a list names, one a line, relative to SRC; - is stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["include", "exclude", "symlinks", "hidden"]
    )]
    pub(crate) files_from: Option<PathBuf>,
    /// The list has a NUL byte after each name, as `find -print0` writes it
    #[arg(long, short = '0', requires = "files_from")]
    pub(crate) null: bool,
}
