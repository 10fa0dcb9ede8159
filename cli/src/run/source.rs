//! Opens what `SRC` names.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shardpack_store::{LocalTree, Rule, Source, Symlinks, TarTree, WalkOptions, ZipTree};

use super::globs::Globs;
use super::selected::Selected;
use crate::args::{HiddenArg, SourceArgs, SymlinksArg};
use crate::exit::{Failure, Result};

/// What a path of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Tar,
    Zip,
}

/// Looks at the source before any work is done.
pub(super) fn kind(source: &Path) -> Result<Kind> {
    super::destination::refuse_uri(source)?;
    let name = source.display();
    let meta = fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(format!("{name}: no such file or folder"))
            .hint("SRC is a folder, a .tar or a .zip; check the path, and that it is mounted"),
        _ => Failure::from(shardpack_store::Error::io(error, name.to_string())),
    })?;
    if meta.is_dir() {
        return Ok(Kind::Folder);
    }
    let file_name = source.file_name().map(|name| name.as_bytes().to_ascii_lowercase());
    let ends = |ending: &str| file_name.as_ref().is_some_and(|n| n.ends_with(ending.as_bytes()));
    if [".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz"].into_iter().any(ends) {
        return Err(Failure::new(format!(
            "{name}: a compressed tar cannot be read in the order of the plan"
        ))
        .hint("decompress it first, or unpack it and pack the folder"));
    }
    match (meta.is_file(), ends(".tar"), ends(".zip")) {
        (true, true, _) => Ok(Kind::Tar),
        (true, _, true) => Ok(Kind::Zip),
        _ => Err(Failure::new(format!("{name}: neither a folder nor a .tar nor a .zip"))
            .hint("for a list of files, give the folder they lie in and --files-from LIST")),
    }
}

/// Lists the source.
///
/// Its path is made absolute: a killed run is known again whatever folder it is finished from.
pub(super) fn open(source: &Path, args: &SourceArgs, io_depth: usize) -> Result<Box<dyn Source>> {
    let kind = kind(source)?;
    let absolute = std::path::absolute(source).map_err(|e| Failure::of(&e))?;
    let source: &Path = &absolute.components().collect::<PathBuf>(); // without a final slash
    match kind {
        Kind::Folder => match &args.files_from {
            Some(list) => from_list(source, list, args.null, io_depth),
            None => walk(source, args, io_depth),
        },
        Kind::Tar => archive(TarTree::open(source)?, args),
        Kind::Zip => archive(ZipTree::open(source)?, args),
    }
}

/// An archive's files, less what the rules leave out.
fn archive(source: impl Source + 'static, args: &SourceArgs) -> Result<Box<dyn Source>> {
    if args.files_from.is_some() {
        return Err(Failure::new(
            "--files-from: a list names files of a folder, SRC is an archive",
        )
        .hint("choose members with --include and --exclude"));
    }
    let globs = Globs::new(&args.include, &args.exclude)?;
    let hidden = args.hidden == HiddenArg::Include;
    let is_hidden = |path: &[u8]| path.split(|&b| b == b'/').any(|part| part.starts_with(b"."));
    Ok(Box::new(Selected::new(source, |file| {
        let path = file.path();
        let folders = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        match () {
            () if !hidden && is_hidden(&path) => Some("hidden"),
            () if !globs.keep(&path) => Some("excluded"),
            () if !folders.map(|(end, _)| &path[..end]).all(|dir| globs.enter(dir)) => {
                Some("excluded")
            }
            () => None,
        }
    })))
}

fn walk(source: &Path, args: &SourceArgs, io_depth: usize) -> Result<Box<dyn Source>> {
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
    Ok(Box::new(LocalTree::open(source, &options)?))
}

/// The files that a list names, absolute or relative to the source.
fn from_list(source: &Path, list: &Path, null: bool, io_depth: usize) -> Result<Box<dyn Source>> {
    let names = if list == Path::new("-") { read_stdin() } else { fs::read(list) };
    let flag = format!("--files-from {}", list.display());
    let names = names.map_err(|e| Failure::from(shardpack_store::Error::io(e, flag.clone())))?;
    let separator = if null { 0 } else { b'\n' };
    let tree = LocalTree::from_list(source, &names, separator, io_depth).map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("{flag}, {}", failure.message), ..failure }
    })?;
    Ok(Box::new(tree))
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut names = Vec::new();
    io::stdin().lock().read_to_end(&mut names)?;
    Ok(names)
}
