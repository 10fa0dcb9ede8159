//! Tar archives.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::rc::Rc;

use tar::{Entry, EntryType};

use super::{Archive, Cursor, skipped};
use crate::listing::check_count;
use crate::source::pour;
use crate::{Error, FileId, Listing, ListingBuilder, Object, Result, Sink, Source};

/// A plain tar archive as a tree of files, in the order of the archive.
///
/// Every file carries the archive's modification time as its stamp: headers often say 0, and a
/// member changes only with the archive. Refused, each with a message that says what to do:
/// compressed archives, hard links, sparse members, a path that is there twice, and archives that
/// do not end as tar archives end.
#[derive(Debug)]
pub struct TarTree {
    archive: Archive,
    positions: Vec<u64>, // of each file's first byte
    listing: Listing,
}

/// Headers, long names and extensions of one member may take this much; the parser would
/// otherwise hold whatever a hostile length says.
const HEADERS: u64 = 1 << 20;

const BLOCK: u64 = 512;

const SPARSE: &str = "is sparse: archive without --sparse";

impl TarTree {
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
        refuse_compressed(&archive)?;
        let budget = Rc::new(Cell::new(HEADERS));
        let reader = Metered { cursor: archive.cursor(), budget: Rc::clone(&budget) };
        let mut list = List {
            archive: &archive,
            files: Vec::new(),
            listing: Default::default(),
            links: 0,
            special: 0,
            end: 0,
        };
        let mut reader = tar::Archive::new(reader);
        for entry in reader.entries_with_seek().map_err(|e| archive.error(e))? {
            list.add(entry.map_err(|e| archive.error(e))?)?;
            budget.set(HEADERS);
        }
        let List { files: positions, listing, links, special, end, .. } = list;
        check_end(&archive, end)?;
        let listing = listing.finish(skipped(links, special));
        archive.refuse_duplicates(&listing)?;
        archive.check()?;
        Ok(Self { archive, positions, listing })
    }
}

impl Source for TarTree {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(&self, file: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        let range = self.listing.file(file).range(start, len)?;
        let position = self.positions[file as usize];
        let (start, end) = (position + range.start, position + range.end);
        let read = |buf: &mut [u8], at| self.archive.medium.read_at(buf, at);
        let at = pour((start, end), sink, read, |e| self.archive.error(e))?;
        self.archive.check()?;
        if at < end {
            let what = format!("it ends at byte {at} of {}", self.archive.len);
            return Err(Error::changed(&self.archive.name, what));
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.archive.name.clone()
    }
}

/// A listing that grows member by member.
struct List<'a> {
    archive: &'a Archive,
    listing: ListingBuilder,
    files: Vec<u64>,
    links: u64,
    special: u64,
    end: u64,
}

impl List<'_> {
    fn add<R: Read>(&mut self, mut entry: Entry<'_, R>) -> Result<()> {
        let archive = self.archive;
        let path = entry.path_bytes().into_owned();
        let (position, len) = (entry.raw_file_position(), entry.size());
        let end = position.checked_add(len).filter(|&end| end <= archive.len);
        let end = end.ok_or_else(|| archive.member(&path, "the archive ends inside of it"))?;
        self.end = end.next_multiple_of(BLOCK);
        match entry.header().entry_type() {
            // Version 7 archives mark a folder by its final slash alone.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Ok(()),
            EntryType::Regular | EntryType::Continuous if is_sparse(&mut entry) => {
                Err(archive.member(&path, SPARSE))
            }
            EntryType::GNUSparse => Err(archive.member(&path, SPARSE)),
            EntryType::Regular | EntryType::Continuous => {
                check_count(self.files.len() + 1, &archive.name)?;
                self.files.push(position);
                archive.list(&mut self.listing, &path, len, archive.stamp)
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = crate::path::display(&target);
                let reason = format!("is a hard link to {target}: archive with --hard-dereference");
                Err(archive.member(&path, reason))
            }
            EntryType::Symlink => {
                self.links += 1;
                Ok(())
            }
            EntryType::Directory | EntryType::XGlobalHeader => Ok(()),
            _ => {
                self.special += 1;
                Ok(())
            }
        }
    }
}

/// Extensions that say the stored bytes are not the file's.
fn is_sparse<R: Read>(entry: &mut Entry<'_, R>) -> bool {
    let Ok(Some(extensions)) = entry.pax_extensions() else { return false };
    extensions.flatten().any(|extension| extension.key_bytes().starts_with(b"GNU.sparse."))
}

/// Archives end with zero blocks. Without them the archive may have been cut between two members;
/// with something else behind them it is more than one archive.
fn check_end(archive: &Archive, end: u64) -> Result<()> {
    let mut cursor = archive.cursor();
    cursor.seek(SeekFrom::Start(end)).map_err(|e| archive.error(e))?;
    let mut block = [0; 64 << 10];
    let mut zeros = 0;
    loop {
        match cursor.read(&mut block).map_err(|e| archive.error(e))? {
            0 if zeros < BLOCK => {
                let reason = "has no end mark: it is cut off or was never finished";
                return Err(archive.damaged(reason));
            }
            0 => return Ok(()),
            n if block[..n].iter().any(|&byte| byte != 0) => {
                let reason = "goes on behind its end mark: unpack it, or join archives with tar -A";
                return Err(archive.damaged(reason));
            }
            n => zeros += n as u64,
        }
    }
}

fn refuse_compressed(archive: &Archive) -> Result<()> {
    const MAGICS: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
    ];
    let mut start = [0; 6];
    let n = archive.cursor().read(&mut start).map_err(|e| archive.error(e))?;
    match MAGICS.iter().find(|(magic, _)| start[..n].starts_with(magic)) {
        None => Ok(()),
        Some((_, tool)) => {
            let reason =
                format!("is compressed: its files cannot be found without {tool} -d first");
            Err(archive.damaged(reason))
        }
    }
}

/// Stops a parser that reads more than headers: bodies are skipped by seeking.
struct Metered {
    cursor: Cursor,
    budget: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.cursor.read(buf)?;
        let left = self.budget.get().checked_sub(n as u64);
        self.budget.set(left.ok_or_else(|| io::Error::other("a member's headers exceed 1 MiB"))?);
        Ok(n)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.cursor.seek(to)
    }
}
