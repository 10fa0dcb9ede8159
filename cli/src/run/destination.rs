//! Where a dataset may go.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use shardpack_store::S3Uri;

use super::s3;
use crate::exit::{Failure, Result};

/// Refuses a destination that is no folder, or that is in the way of the source.
///
/// `walked` says that the source is a folder whose every file is taken: a list of files may well
/// lie below the same root as the dataset.
pub(super) fn check(source: &Path, destination: &Path, walked: bool) -> Result<()> {
    match (s3::uri(source)?, s3::uri(destination)?) {
        (None, None) => {}
        (Some(source), Some(destination)) if walked => return apart(&source, &destination),
        _ => return Ok(()),
    }
    let name = destination.display();
    if destination.as_os_str().is_empty() {
        return Err(Failure::new("DST is empty").hint("name a folder"));
    }
    if fs::metadata(destination).is_ok_and(|meta| !meta.is_dir()) {
        return Err(Failure::new(format!("{name}: is a file, not a folder"))
            .hint("choose a new folder for the dataset"));
    }
    let (from, to) = (real(source)?, real(destination)?);
    let from_name = source.display();
    if walked && from == to {
        return Err(Failure::new(format!("{name}: source and destination are the same folder"))
            .hint("choose a folder beside the source"));
    }
    if walked && to.starts_with(&from) {
        return Err(Failure::new(format!("{name} lies inside of the source {from_name}")).hint(
            "a second run would pack the shards of the first; choose a folder beside the source",
        ));
    }
    if from.starts_with(&to) {
        return Err(Failure::new(format!("the source {from_name} lies inside of {name}"))
            .hint("a dataset's folder holds the dataset and nothing else; choose a folder beside the source"));
    }
    Ok(())
}

/// The same for two prefixes. Keys are texts: every key that starts with the source's is packed.
fn apart(source: &S3Uri, destination: &S3Uri) -> Result<()> {
    let to = destination.clone().folder();
    if source.bucket() == to.bucket() && to.key().starts_with(source.key()) {
        return Err(Failure::new(format!("{to} lies inside of the source {source}")).hint(
            "a second run would pack the shards of the first; choose a prefix beside the source",
        ));
    }
    if source.bucket() == to.bucket() && source.key().starts_with(to.key()) {
        return Err(Failure::new(format!("the source {source} lies inside of {to}")).hint(
            "a dataset's prefix holds the dataset and nothing else; choose one beside the source",
        ));
    }
    Ok(())
}

/// The path without links, whether or not its last parts are there.
fn real(path: &Path) -> Result<PathBuf> {
    let absolute = std::path::absolute(path).map_err(|e| Failure::of(&e))?;
    let mut there = absolute.as_path();
    let mut rest: Vec<OsString> = Vec::new();
    loop {
        match fs::canonicalize(there) {
            Ok(real) => {
                return Ok(rest.into_iter().rev().fold(real, |path, part| {
                    if part == ".." {
                        path.parent().map_or_else(PathBuf::new, Path::to_owned)
                    } else {
                        path.join(part)
                    }
                }));
            }
            Err(error) => match (there.components().next_back(), there.parent()) {
                (Some(part), Some(parent)) => {
                    rest.push(part.as_os_str().to_owned());
                    there = parent;
                }
                _ => return Err(Failure::of(&error)),
            },
        }
    }
}
