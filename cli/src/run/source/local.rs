//! Folders and archives.

use std::path::Path;

use shardpack_store::{LocalTree, Rule, Source, Symlinks, WalkOptions};

use super::super::globs::Globs;
use super::super::selected::Selected;
use super::read_list;
use super::rules::Rules;
use crate::args::{HiddenArg, SourceArgs, SymlinksArg};
use crate::exit::{Failure, Result};

/// An archive's files, less what the rules leave out.
pub(super) fn archive<S: Source>(source: S, args: &SourceArgs) -> Result<Selected<S>> {
    if args.files_from.is_some() {
        return Err(Failure::new(
            "--files-from: a list names files of a folder, SRC is an archive",
        )
        .hint("choose members with --include and --exclude"));
    }
    let rules = Rules::new(args)?;
    Ok(Selected::new(source, |file| rules.leave_out(&file.path())))
}

/// A folder's files, less what the rules leave out.
pub(super) fn walk(source: &Path, args: &SourceArgs, io_depth: usize) -> Result<LocalTree> {
    let globs = Globs::new(&args.include, &args.exclude)?;
    let (enter, keep) = (|path: &[u8]| globs.enter(path), |path: &[u8]| globs.keep(path));
    let rules: Option<(Rule<'_>, Rule<'_>)> = (!globs.is_empty()).then_some((&enter, &keep));
    let options = WalkOptions {
        symlinks: match args.symlinks {
            SymlinksArg::Follow => Symlinks::Follow,
            SymlinksArg::Skip => Symlinks::Skip,
            SymlinksArg::Error => Symlinks::Error,
        },
        hidden: args.hidden == HiddenArg::Include,
        enter: rules.map(|(enter, _)| enter),
        keep: rules.map(|(_, keep)| keep),
        io_depth,
    };
    Ok(LocalTree::open(source, &options)?)
}

/// The files that a list names, absolute or relative to the source.
pub(super) fn from_list(
    source: &Path,
    list: &Path,
    null: bool,
    io_depth: usize,
) -> Result<LocalTree> {
    let (names, flag) = read_list(list)?;
    let separator = if null { 0 } else { b'\n' };
    LocalTree::from_list(source, &names, separator, io_depth).map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("{flag}, {}", failure.message), ..failure }
    })
}
