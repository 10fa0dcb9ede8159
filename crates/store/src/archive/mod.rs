//! Archives as trees of files, read where they are.

#[cfg(feature = "tar")]
mod tar;
#[cfg(feature = "zip")]
mod zip;

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(feature = "tar")]
pub use tar::TarTree;
#[cfg(feature = "zip")]
pub use zip::ZipTree;

use crate::path::{clean, display};
use crate::{Error, Listing, ListingBuilder, Result};

/// The file that an archive is, pinned as it was when its members were listed.
#[derive(Debug)]
struct Archive {
    path: PathBuf,
    file: Arc<File>,
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
        let file = Arc::new(file);
        Ok(Self { path, file, len: meta.len(), stamp: stamp(&meta) })
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn cursor(&self) -> Cursor {
        Cursor { file: Arc::clone(&self.file), at: 0, len: self.len }
    }

    /// Fails when the archive was written since it was opened.
    fn check(&self) -> Result<()> {
        let meta = self.file.metadata().map_err(|e| self.error(e))?;
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
        Err(Error::changed(self.name(), what))
    }

    /// The system's errors as they are; a parser's say what is wrong with the archive.
    fn error(&self, e: io::Error) -> Error {
        if e.raw_os_error().is_some() {
            Error::io(e, self.name())
        } else {
            self.damaged(e.to_string())
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::invalid(self.name(), reason)
    }

    /// An error about one member.
    fn member(&self, member: &[u8], reason: impl Into<String>) -> Error {
        Error::invalid(format!("{}: {}", self.name(), display(member)), reason)
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

/// A place in the archive, for parsers. Clones share the file and not the place.
#[derive(Clone, Debug)]
struct Cursor {
    file: Arc<File>,
    at: u64,
    len: u64,
}

impl Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.len {
            return Ok(0); // the system call takes no offset of 2^63 and more
        }
        let n = self.file.read_at(buf, self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Where the archive is, for messages.
fn describe(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
