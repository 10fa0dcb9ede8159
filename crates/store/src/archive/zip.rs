//! Zip archives.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use zip::result::ZipError;
use zip::{CompressionMethod, ZipArchive};

use super::{Archive, Cursor, skipped};
use crate::listing::check_count;
use crate::source::pour;
use crate::{Error, File, FileId, Listing, ListingBuilder, Object, Result, Sink, Source};

/// A zip archive as a tree of files, in the order of its directory; stored and deflated members.
///
/// Every file carries the CRC-32 of its bytes as its stamp, and reading one to its end checks it.
/// Part of a stored member is read where it lies; part of a deflated one costs the inflating of
/// everything before it. Encrypted members, other compressions and a path that is there twice are
/// refused.
#[derive(Debug)]
pub struct ZipTree {
    archive: Archive,
    zip: ZipArchive<Cursor>,
    members: Vec<u32>, // of each file, its number in the archive
    listing: Listing,
}

impl ZipTree {
    /// Lists the members of the archive at `path`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::list(Archive::open(path.into())?)
    }

    /// Lists the members of an archive in a store; `name` is what messages call it. The object must
    /// fail to be read once it is another one, as objects of S3 do.
    pub fn of(object: Box<dyn Object>, name: impl Into<String>) -> Result<Self> {
        Self::list(Archive::of(object, name.into()))
    }

    fn list(archive: Archive) -> Result<Self> {
        let zip = ZipArchive::new(archive.cursor()).map_err(|e| fail(&archive, e))?;
        if zip.has_duplicate_names() {
            return Err(archive.damaged("holds two files of the same name"));
        }
        check_count(zip.len(), &archive.name)?;
        let mut listing = ListingBuilder::default();
        let (mut members, mut links) = (Vec::new(), 0);
        for number in 0..zip.len() as u32 {
            let entry = zip.by_index_data(number as usize).map_err(|e| fail(&archive, e))?;
            let name = entry.name().map_err(|e| fail(&archive, e))?;
            if entry.is_dir() {
                continue;
            }
            if entry.is_symlink() {
                links += 1;
                continue;
            }
            if entry.encrypted() {
                return Err(archive.member(name.as_bytes(), "is encrypted: decrypt it first"));
            }
            let method = entry.compression();
            if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
                let reason = format!("is compressed by {method}: only deflate can be read");
                return Err(archive.member(name.as_bytes(), reason));
            }
            archive.list(&mut listing, name.as_bytes(), entry.size(), entry.crc32().into())?;
            members.push(number);
        }
        let listing = listing.finish(skipped(links, 0));
        archive.refuse_duplicates(&listing)?;
        archive.check()?;
        Ok(Self { archive, zip, members, listing })
    }

    fn read(&self, id: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        let file = self.listing.file(id);
        let range = file.range(start, len)?;
        let number = self.members[id as usize] as usize;
        let mut zip = self.zip.clone(); // shares everything but the place
        let stored = zip.by_index_data(number).map_err(|e| fail(&self.archive, e))?.compression()
            == CompressionMethod::Stored;
        if stored && len < file.len {
            let mut member = zip.by_index_seek(number).map_err(|e| fail(&self.archive, e))?;
            member.seek(SeekFrom::Start(range.start)).map_err(|e| self.archive.error(e))?;
            return self.pour(file, (range.start, range.end), &mut member, sink);
        }
        let mut member = zip.by_index(number).map_err(|e| fail(&self.archive, e))?;
        io::copy(&mut (&mut member).take(range.start), &mut io::sink())
            .map_err(|e| self.fault(file, e))?;
        self.pour(file, (range.start, range.end), &mut member, sink)?;
        if range.end == file.len {
            // The end is where the CRC is compared and surplus bytes show.
            let surplus = member.read(&mut [0]).map_err(|e| self.fault(file, e))?;
            if surplus > 0 {
                return Err(self.archive.member(&file.path(), "is longer than it says"));
            }
        }
        Ok(())
    }

    fn pour(
        &self,
        file: File<'_>,
        (start, end): (u64, u64),
        member: &mut dyn Read,
        sink: &mut dyn Sink,
    ) -> Result<()> {
        let read = |buf: &mut [u8], _| member.read(buf);
        let at = pour((start, end), sink, read, |e| self.fault(file, e))?;
        if at < end {
            return Err(self.archive.member(&file.path(), "is shorter than it says"));
        }
        Ok(())
    }

    /// The system's errors and the store's as they are; the parser's name the member.
    fn fault(&self, file: File<'_>, e: io::Error) -> Error {
        match (self.archive.medium.failure(), e.raw_os_error()) {
            (Some(error), _) => error,
            (None, Some(_)) => self.archive.error(e),
            (None, None) => self.archive.member(&file.path(), format!("is damaged: {e}")),
        }
    }
}

impl Source for ZipTree {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(&self, file: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        let read = self.read(file, start, len, sink);
        // An archive that was written since looks damaged; that it changed is the better word.
        self.archive.check()?;
        read
    }

    fn describe(&self) -> String {
        self.archive.name.clone()
    }
}

fn fail(archive: &Archive, e: ZipError) -> Error {
    match e {
        ZipError::Io(e) => archive.error(e),
        e => archive.damaged(e.to_string()),
    }
}
