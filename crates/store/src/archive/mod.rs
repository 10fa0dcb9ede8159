//! Archives as trees of files, read where they are.

#[cfg(feature = "tar")]
mod tar;
#[cfg(feature = "zip")]
mod zip;

mod medium;

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(feature = "tar")]
pub use tar::TarTree;
#[cfg(feature = "zip")]
pub use zip::ZipTree;

use xxhash_rust::xxh3::xxh3_64;

use crate::path::{clean, display};
use crate::{Error, Listing, ListingBuilder, Object, Result};
use medium::{Cursor, Medium};

/// What an archive is, pinned as it was when its members were listed.
#[derive(Debug)]
struct Archive {
    name: String,
    medium: Medium,
    len: u64,
    stamp: u64,
}

impl Archive {
    fn open(path: PathBuf) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(&path).map_err(|e| Error::io(e, &name))?;
        let meta = file.metadata().map_err(|e| Error::io(e, &name))?;
        if !meta.is_file() {
            return Err(Error::invalid(name, "is no regular file"));
        }
        let medium = Medium::File(Arc::new(file));
        Ok(Self { name, medium, len: meta.len(), stamp: stamp(&meta) })
    }

    /// An object of a store, which is pinned by whoever opened it.
    fn of(object: Box<dyn Object>, name: String) -> Self {
        let stamp = object.version().map_or(0, |version| xxh3_64(version.as_bytes()));
        let len = object.len();
        Self { name, medium: Medium::object(object), len, stamp }
    }

    fn cursor(&self) -> Cursor {
        Cursor::new(self.medium.clone(), self.len)
    }

    /// Fails when the archive was written since it was opened.
    fn check(&self) -> Result<()> {
        let Medium::File(file) = &self.medium else { return Ok(()) };
        let meta = file.metadata().map_err(|e| self.error(e))?;
        if (meta.len(), stamp(&meta)) == (self.len, self.stamp) {
            return Ok(());
        }
        let what = format!(
            "listed with {} bytes and modification time {} ns, now {} and {} ns",
            self.len,
            self.stamp,
            meta.len(),
            stamp(&meta)
        );
        Err(Error::changed(&self.name, what))
    }

    /// The system's errors and the store's as they are; a parser's say what is wrong with the
    /// archive.
    fn error(&self, e: io::Error) -> Error {
        match (self.medium.failure(), e.raw_os_error()) {
            (Some(error), _) => error,
            (None, Some(_)) => Error::io(e, &self.name),
            (None, None) => self.damaged(e.to_string()),
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::invalid(&self.name, reason)
    }

    /// An error about one member.
    fn member(&self, member: &[u8], reason: impl Into<String>) -> Error {
        Error::invalid(format!("{}: {}", self.name, display(member)), reason)
    }

    /// Appends a member to the listing under a path that leads nowhere else.
    fn list(
        &self,
        listing: &mut ListingBuilder,
        member: &[u8],
        len: u64,
        stamp: u64,
    ) -> Result<()> {
        let path = clean(member).map_err(|reason| self.member(member, reason))?;
        listing.path(&path, len, stamp);
        Ok(())
    }

    fn refuse_duplicates(&self, listing: &Listing) -> Result<()> {
        match listing.duplicate() {
            None => Ok(()),
            Some((_, again)) => {
                let path = listing.file(again).path();
                Err(self.member(&path, "is in the archive twice: keep one"))
            }
        }
    }
}

/// Modification time in nanoseconds since 1970.
fn stamp(meta: &Metadata) -> u64 {
    (meta.mtime() as u64).wrapping_mul(1_000_000_000).wrapping_add(meta.mtime_nsec() as u64)
}

/// What was left out, in the form of [`Listing::skipped`].
fn skipped(links: u64, special: u64) -> Vec<(String, u64)> {
    let counts = [("symbolic link", links), ("no file (pipe, socket or device)", special)];
    let some = counts.into_iter().filter(|&(_, count)| count > 0);
    some.map(|(reason, count)| (reason.to_owned(), count)).collect()
}

#[cfg(test)]
mod tests;
