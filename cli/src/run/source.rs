//! Opens what `SRC` names.

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shardpack_store::{
    LocalTree, Rule, S3Tree, S3Uri, Source, Symlinks, TarTree, WalkOptions, ZipTree,
};

use super::globs::Globs;
use super::s3;
use super::selected::Selected;
use crate::args::{HiddenArg, S3Args, SourceArgs, SymlinksArg};
use crate::exit::{Failure, Result};
use crate::log::Log;

/// What a path of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Tar,
    Zip,
    S3,
}

/// How a source is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    pub(super) files: &'a SourceArgs,
    pub(super) s3: &'a S3Args,
    pub(super) limits: s3::Limits,
    pub(super) log: Log,
}

/// Looks at the source before any work is done.
pub(super) fn kind(source: &Path) -> Result<Kind> {
    let name = source.display();
    if let Some(uri) = s3::uri(source)? {
        return match [".tar", ".zip", ".tgz", ".tar.gz"].iter().any(|end| uri.key().ends_with(end))
        {
            true => {
                Err(Failure::new(format!("{name}: archives are read from a file, not from S3"))
                    .hint("download it, or give the prefix that holds its files"))
            }
            false => Ok(Kind::S3),
        };
    }
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
pub(super) fn open(source: &Path, opening: Opening<'_>) -> Result<Box<dyn Source>> {
    let kind = kind(source)?;
    let (args, io_depth) = (opening.files, opening.limits.io_depth);
    if let Some(uri) = s3::uri(source)? {
        return remote(&uri, opening);
    }
    let absolute = std::path::absolute(source).map_err(|e| Failure::of(&e))?;
    let source: &Path = &absolute.components().collect::<PathBuf>(); // without a final slash
    match kind {
        Kind::Folder => match &args.files_from {
            Some(list) => from_list(source, list, args.null, io_depth),
            None => walk(source, args, io_depth),
        },
        Kind::Tar => archive(TarTree::open(source)?, args),
        Kind::Zip => archive(ZipTree::open(source)?, args),
        Kind::S3 => Err(Failure::new("an address on S3 is no path")),
    }
}

/// Objects below a prefix, less what the rules leave out, or those that a list names.
fn remote(uri: &S3Uri, opening: Opening<'_>) -> Result<Box<dyn Source>> {
    let args = opening.files;
    let s3 = s3::connect(uri, opening.s3, opening.limits, opening.log)?;
    let Some(list) = &args.files_from else {
        let rules = Rules::new(args)?;
        return Ok(Box::new(S3Tree::open(s3, uri, &|path| rules.leave_out(path))?));
    };
    let (names, flag) = read_list(list)?;
    let separator = if args.null { 0 } else { b'\n' };
    let folder = uri.clone().folder();
    let lines = names.split(|byte| *byte == separator).filter(|line| !line.is_empty());
    let uris: Result<Vec<S3Uri>> = (1..)
        .zip(lines)
        .map(|(number, line)| {
            let line = std::str::from_utf8(line).map_err(|_| {
                Failure::new(format!("{flag}, entry {number}: the name is no UTF-8"))
            })?;
            let address = match S3Uri::is_one(line) {
                true => line.to_owned(),
                false => format!("{folder}{line}"),
            };
            address.parse().map_err(|error| {
                let failure = Failure::from(error);
                Failure {
                    message: format!("{flag}, entry {number}: {}", failure.message),
                    ..failure
                }
            })
        })
        .collect();
    Ok(Box::new(S3Tree::from_uris(s3, uris?, folder.to_string())?))
}

/// What is left out, by path.
struct Rules {
    globs: Globs,
    hidden: bool,
}

impl Rules {
    fn new(args: &SourceArgs) -> Result<Self> {
        let globs = Globs::new(&args.include, &args.exclude)?;
        Ok(Self { globs, hidden: args.hidden == HiddenArg::Include })
    }

    fn leave_out(&self, path: &[u8]) -> Option<&'static str> {
        let is_hidden = |path: &[u8]| path.split(|&b| b == b'/').any(|part| part.starts_with(b"."));
        let folders = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
        match () {
            () if !self.hidden && is_hidden(path) => Some("hidden"),
            () if !self.globs.keep(path) => Some("excluded"),
            () if !folders.map(|(end, _)| &path[..end]).all(|dir| self.globs.enter(dir)) => {
                Some("excluded")
            }
            () => None,
        }
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
    let rules = Rules::new(args)?;
    Ok(Box::new(Selected::new(source, |file| rules.leave_out(&file.path()))))
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
    let (names, flag) = read_list(list)?;
    let separator = if null { 0 } else { b'\n' };
    let tree = LocalTree::from_list(source, &names, separator, io_depth).map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("{flag}, {}", failure.message), ..failure }
    })?;
    Ok(Box::new(tree))
}

/// A list's bytes, and what messages call it.
fn read_list(list: &Path) -> Result<(Vec<u8>, String)> {
    let names = if list == Path::new("-") { read_stdin() } else { fs::read(list) };
    let flag = format!("--files-from {}", list.display());
    let names = names.map_err(|e| Failure::from(shardpack_store::Error::io(e, flag.clone())))?;
    Ok((names, flag))
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut names = Vec::new();
    io::stdin().lock().read_to_end(&mut names)?;
    Ok(names)
}
