//! Opens what `SRC` names.

mod entries;
mod local;
mod manifest;
mod remote;
mod rules;

use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use shardpack_pack::Labels;
use shardpack_store::{Source, TarTree, ZipTree};

use super::s3;
use crate::args::{HiddenArg, S3Args, SourceArgs, SourceTypeArg, SymlinksArg};
use crate::exit::{Failure, Result};
use crate::log::Log;

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Tar,
    Zip,
    S3,
    /// A list or manifest, here or on S3.
    Manifest,
}

/// How a source is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening<'a> {
    pub(super) files: &'a SourceArgs,
    pub(super) s3: &'a S3Args,
    pub(super) limits: s3::Limits,
    pub(super) log: Log,
}

/// A source, and the labels that came with it.
pub(super) struct Opened {
    pub(super) source: Box<dyn Source>,
    pub(super) labels: Option<Labels>,
}

impl<S: Source + 'static> From<S> for Opened {
    fn from(source: S) -> Self {
        Self { source: Box::new(source), labels: None }
    }
}

/// Looks at the source before any work is done.
pub(super) fn kind(source: &Path, args: &SourceArgs) -> Result<Kind> {
    check(args)?;
    let name = source.display();
    if let Some(uri) = s3::uri(source)? {
        if args.source_type != SourceTypeArg::Prefix {
            return Ok(Kind::Manifest);
        }
        return Ok(archive_kind(Path::new(uri.key()))?.unwrap_or(Kind::S3));
    }
    let meta = fs::metadata(source).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::new(format!("{name}: no such file or folder"))
            .hint("SRC is a folder, a .tar or a .zip; check the path, and that it is mounted"),
        _ => Failure::from(shardpack_store::Error::io(error, name.to_string())),
    })?;
    match (args.source_type, meta.is_dir(), meta.is_file()) {
        (SourceTypeArg::Prefix, true, _) => Ok(Kind::Folder),
        (SourceTypeArg::Prefix, _, is_file) => file_kind(source, is_file),
        (_, _, true) => Ok(Kind::Manifest),
        _ => Err(Failure::new(format!("{name}: no file, so neither a list nor a manifest"))
            .hint("leave --source-type out to pack a folder")),
    }
}

fn file_kind(source: &Path, is_file: bool) -> Result<Kind> {
    match (is_file, archive_kind(source)?) {
        (true, Some(kind)) => Ok(kind),
        _ => Err(Failure::new(format!(
            "{}: neither a folder nor a .tar nor a .zip",
            source.display()
        ))
        .hint(
            "for a list or a manifest say --source-type list, manifest or augmented; for names \
             relative to a folder, give the folder and --files-from LIST",
        )),
    }
}

/// The archive that a name tells of.
fn archive_kind(source: &Path) -> Result<Option<Kind>> {
    let file_name = source.file_name().map(|name| name.as_bytes().to_ascii_lowercase());
    let ends = |ending: &str| file_name.as_ref().is_some_and(|n| n.ends_with(ending.as_bytes()));
    if [".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tar.xz"].into_iter().any(ends) {
        return Err(Failure::new(format!(
            "{}: a compressed tar cannot be read in the order of the plan",
            source.display()
        ))
        .hint("decompress it first, or unpack it and pack the folder"));
    }
    Ok(match (ends(".tar"), ends(".zip")) {
        (true, _) => Some(Kind::Tar),
        (_, true) => Some(Kind::Zip),
        _ => None,
    })
}

/// Refuses options that another type of source has.
fn check(args: &SourceArgs) -> Result<()> {
    use SourceTypeArg::{Augmented, List, Manifest, Prefix};
    let chosen = !args.include.is_empty()
        || !args.exclude.is_empty()
        || args.symlinks != SymlinksArg::Follow
        || args.hidden != HiddenArg::Skip;
    let kind = args.source_type;
    for (given, fits, option, hint) in [
        (
            !args.attributes.is_empty(),
            kind == Augmented,
            "--attributes",
            "attributes are an augmented manifest's: --source-type augmented",
        ),
        (
            !args.label_attribute.is_empty(),
            kind == Augmented,
            "--label-attribute",
            "attributes are an augmented manifest's: --source-type augmented",
        ),
        (
            args.strip_prefix,
            kind == Manifest,
            "--strip-prefix",
            "a manifest has a prefix: --source-type manifest",
        ),
        (
            args.null,
            kind == List || args.files_from.is_some(),
            "--null",
            "it says how a list ends its names: --files-from, or --source-type list",
        ),
        (
            args.files_from.is_some(),
            kind == Prefix,
            "--files-from",
            "SRC says itself which files there are",
        ),
        (
            chosen,
            kind == Prefix,
            "--include, --exclude, --symlinks and --hidden",
            "SRC says itself which files there are; links are followed",
        ),
    ] {
        if given && !fits {
            let name = match kind {
                Prefix => "prefix",
                List => "list",
                Manifest => "manifest",
                Augmented => "augmented",
            };
            let message = format!("{option}: not for a source of type {name}");
            return Err(Failure::new(message).hint(hint));
        }
    }
    Ok(())
}

/// Lists the source.
///
/// Its path is made absolute: a killed run is known again whatever folder it is finished from.
pub(super) fn open(source: &Path, opening: Opening<'_>) -> Result<Opened> {
    let kind = kind(source, opening.files)?;
    let (args, io_depth) = (opening.files, opening.limits.io_depth);
    if let Some(uri) = s3::uri(source)? {
        return match kind {
            Kind::Manifest => manifest::remote(&uri, opening),
            Kind::Tar => {
                let (object, name) = remote::object(&uri, opening)?;
                local::archive(TarTree::of(object, name)?, args).map(Opened::from)
            }
            Kind::Zip => {
                let (object, name) = remote::object(&uri, opening)?;
                local::archive(ZipTree::of(object, name)?, args).map(Opened::from)
            }
            _ => remote::open(&uri, opening).map(Opened::from),
        };
    }
    let absolute = std::path::absolute(source).map_err(|e| Failure::of(&e))?;
    let source: &Path = &absolute.components().collect::<PathBuf>(); // without a final slash
    match kind {
        Kind::Folder => match &args.files_from {
            Some(list) => local::from_list(source, list, args.null, io_depth),
            None => local::walk(source, args, io_depth),
        }
        .map(Opened::from),
        Kind::Tar => local::archive(TarTree::open(source)?, args).map(Opened::from),
        Kind::Zip => local::archive(ZipTree::open(source)?, args).map(Opened::from),
        Kind::Manifest => manifest::local(source, opening),
        Kind::S3 => Err(Failure::new("an address on S3 is no path")),
    }
}

/// The bytes of `--files-from`, and what messages call it.
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
