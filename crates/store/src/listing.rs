//! A table of files that costs 32 bytes a file beside the name.

use std::collections::HashMap;
use std::ops::Range;

use rayon::prelude::*;

use crate::path::{display, split};
use crate::{Error, Result};

/// Number of a file in its listing.
pub type FileId = u32;

/// Files found by a [`Source`](crate::Source), in source order.
///
/// A path is a folder (kept once) and a name (kept once, in one long string of bytes): a million
/// files under `d0001/` cost their own names and 32 bytes each. Paths are bytes because file
/// systems promise no encoding.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    dirs: Vec<Box<[u8]>>,
    names: Names,
    files: Vec<Row>,
    /// Files left out by a rule (hidden, excluded, special files), by reason.
    pub skipped: Vec<(String, u64)>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    name_end: u64, // the name starts where its predecessor's ends
    len: u64,
    stamp: u64,
    dir: u32,
}

/// Names end to end: text as long as all of them are. Whoever wants text then need not check each
/// name each time, which was a fortieth of the processor time of packing small files.
#[derive(Clone, Debug)]
enum Names {
    Text(String),
    Bytes(Vec<u8>),
}

impl Default for Names {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Names {
    fn push(&mut self, name: &[u8]) {
        if let Self::Text(all) = self {
            match std::str::from_utf8(name) {
                Ok(name) => return all.push_str(name),
                Err(_) => *self = Self::Bytes(std::mem::take(all).into_bytes()),
            }
        }
        if let Self::Bytes(all) = self {
            all.extend_from_slice(name);
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(all) => all.as_bytes(),
            Self::Bytes(all) => all,
        }
    }

    fn text(&self, range: Range<usize>) -> Option<&str> {
        match self {
            Self::Text(all) => all.get(range),
            Self::Bytes(all) => std::str::from_utf8(&all[range]).ok(),
        }
    }

    fn capacity(&self) -> usize {
        match self {
            Self::Text(all) => all.capacity(),
            Self::Bytes(all) => all.capacity(),
        }
    }

    fn reserve_exact(&mut self, bytes: usize) {
        match self {
            Self::Text(all) => all.reserve_exact(bytes),
            Self::Bytes(all) => all.reserve_exact(bytes),
        }
    }
}

/// One file of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File<'a> {
    /// Folder relative to the source's root, `/`-separated, without a final slash; empty at the root.
    pub dir: &'a [u8],
    /// Number of that folder, for caches.
    pub dir_id: u32,
    /// Name without the folder.
    pub name: &'a [u8],
    /// The name as text, where it is UTF-8.
    pub text: Option<&'a str>,
    /// Length in bytes when listed.
    pub len: u64,
    /// Version when listed: modification time in nanoseconds, or a hash of an ETag. Equal stamps
    /// and lengths are taken to mean equal bytes.
    pub stamp: u64,
}

impl Row {
    /// The file of this row, whose name starts at `start`.
    fn file<'a>(&self, start: u64, dirs: &'a [Box<[u8]>], names: &'a Names) -> File<'a> {
        let range = start as usize..self.name_end as usize;
        File {
            dir: &dirs[self.dir as usize],
            dir_id: self.dir,
            name: &names.bytes()[range.clone()],
            text: names.text(range),
            len: self.len,
            stamp: self.stamp,
        }
    }
}

impl File<'_> {
    /// The path relative to the source's root.
    pub fn path(&self) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.dir.len() + 1 + self.name.len());
        if !self.dir.is_empty() {
            path.extend_from_slice(self.dir);
            path.push(b'/');
        }
        path.extend_from_slice(self.name);
        path
    }

    /// True when `path` is this file's path.
    pub fn is_at(&self, path: &[u8]) -> bool {
        match path.strip_suffix(self.name) {
            Some(b"") => self.dir.is_empty(),
            Some([dir @ .., b'/']) => dir == self.dir && !dir.is_empty(),
            _ => false,
        }
    }

    /// Bytes `start` to `start + len`, checked to lie inside.
    pub(crate) fn range(&self, start: u64, len: u64) -> Result<Range<u64>> {
        match start.checked_add(len).filter(|&end| end <= self.len) {
            Some(end) => Ok(start..end),
            None => {
                let reason = format!("no bytes {start}+{len} in a file of {}", self.len);
                Err(Error::invalid(self.display(), reason))
            }
        }
    }

    /// True when the path is `stem.ext`.
    pub fn is_called(&self, stem: &str, ext: &str) -> bool {
        let stem = stem.as_bytes();
        let name = match self.dir {
            b"" => Some(stem),
            dir => stem.strip_prefix(dir).and_then(|rest| rest.strip_prefix(b"/")),
        };
        name.and_then(|name| self.name.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix(b"."))
            .is_some_and(|rest| rest == ext.as_bytes())
    }

    /// The path for messages: control characters and bytes that are no UTF-8 are escaped.
    pub fn display(&self) -> String {
        display(&self.path())
    }
}

/// Refuses more files than a [`FileId`] can number.
pub(crate) fn check_count(files: usize, source: &str) -> Result<()> {
    match FileId::try_from(files) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::invalid(source, "more than 4,294,967,295 files: pack it in parts")),
    }
}

impl Listing {
    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True without files.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Number of folders that hold files.
    pub fn dirs(&self) -> usize {
        self.dirs.len()
    }

    /// Path of folder `dir_id` relative to the root; empty for the root.
    pub fn dir(&self, dir_id: u32) -> &[u8] {
        &self.dirs[dir_id as usize]
    }

    /// File number `id`. Panics when there is none: ids come from this listing.
    pub fn file(&self, id: FileId) -> File<'_> {
        let i = id as usize;
        let row = self.files[i];
        let start = if i == 0 { 0 } else { self.files[i - 1].name_end };
        row.file(start, &self.dirs, &self.names)
    }

    /// All files, in source order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = File<'_>> {
        (0..self.len() as u32).map(|id| self.file(id))
    }

    /// Replaces length and stamp of every file by what `measure` says of it, on all threads of
    /// the current rayon pool: the rows are filled where they stand, so that sizing a million
    /// files holds no second copy of them.
    pub(crate) fn measure(
        &mut self,
        measure: impl Fn(FileId, File<'_>) -> Result<(u64, u64)> + Sync,
    ) -> Result<()> {
        // Small enough that a hundred waiting threads share a few thousand files evenly, large
        // enough to forget the cost of a task where files are many.
        let chunk = (self.len() / (8 * rayon::current_num_threads())).clamp(8, 64);
        let Self { dirs, names, files, .. } = self;
        let starts: Vec<u64> = std::iter::once(0)
            .chain(files.iter().skip(chunk - 1).step_by(chunk).map(|row| row.name_end))
            .collect();
        files.par_chunks_mut(chunk).zip(starts).enumerate().try_for_each(
            |(number, (rows, mut start))| {
                for (i, row) in rows.iter_mut().enumerate() {
                    let file = row.file(start, dirs, names);
                    (row.len, row.stamp) = measure((number * chunk + i) as FileId, file)?;
                    start = row.name_end;
                }
                Ok(())
            },
        )
    }

    /// The first file whose path an earlier one has, after that earlier one.
    pub(crate) fn duplicate(&self) -> Option<(FileId, FileId)> {
        let place = |&id: &FileId| {
            let file = self.file(id);
            (file.dir_id, file.name)
        };
        let mut ids: Vec<FileId> = (0..self.len() as FileId).collect();
        ids.par_sort_unstable_by(|a, b| place(a).cmp(&place(b)).then(a.cmp(b)));
        let pairs = ids.windows(2).filter(|pair| place(&pair[0]) == place(&pair[1]));
        pairs.map(|pair| (pair[0], pair[1])).min_by_key(|&(_, again)| again)
    }

    /// Bytes of memory that the listing holds.
    pub fn memory(&self) -> usize {
        self.names.capacity()
            + self.files.capacity() * size_of::<Row>()
            + self.dirs.iter().map(|d| d.len() + size_of::<Box<[u8]>>()).sum::<usize>()
    }
}

/// Fills a [`Listing`], file by file, in source order.
#[derive(Debug, Default)]
pub struct ListingBuilder {
    listing: Listing,
    folders: HashMap<Box<[u8]>, u32>, // only those of `path`
}

impl ListingBuilder {
    /// Registers a folder and returns its number.
    pub fn dir(&mut self, path: &[u8]) -> u32 {
        self.listing.dirs.push(path.into());
        (self.listing.dirs.len() - 1) as u32
    }

    /// Appends a file; at most 2^32 of them, which a source checks before it starts.
    pub fn file(&mut self, dir: u32, name: &[u8], len: u64, stamp: u64) {
        self.listing.names.push(name);
        let name_end = self.listing.names.bytes().len() as u64;
        self.listing.files.push(Row { name_end, len, stamp, dir });
    }

    /// Appends a file by its path, and its folder where that is new. Not to be mixed with
    /// [`dir`](Self::dir), whose folders this does not know.
    pub fn path(&mut self, path: &[u8], len: u64, stamp: u64) {
        let (folder, name) = split(path);
        let dir = match self.folders.get(folder) {
            Some(&dir) => dir,
            None => {
                let dir = self.dir(folder);
                self.folders.insert(folder.into(), dir);
                dir
            }
        };
        self.file(dir, name, len, stamp);
    }

    /// Makes room for exactly this many files and bytes of names: a doubling vector would hold
    /// half as much again for a moment.
    pub fn reserve(&mut self, files: usize, names: usize) {
        self.listing.files.reserve_exact(files);
        self.listing.names.reserve_exact(names);
    }

    /// The listing, with what was left out and why.
    pub fn finish(mut self, skipped: Vec<(String, u64)>) -> Listing {
        self.listing.skipped = skipped;
        self.listing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_found_in_source_order() {
        let listing = |paths: &[&str]| {
            let mut builder = ListingBuilder::default();
            paths.iter().for_each(|path| builder.path(path.as_bytes(), 0, 0));
            builder.finish(vec![])
        };
        assert_eq!(listing(&["a/x", "x", "b/x"]).duplicate(), None);
        assert_eq!(listing(&["z", "a", "b/a", "z", "a", "z"]).duplicate(), Some((0, 3)));
        assert_eq!(listing(&["a/x", "b/x", "a/y"]).dirs(), 2);
    }

    #[test]
    fn paths_come_back_and_rows_are_small() {
        assert_eq!(size_of::<Row>(), 32);
        let mut b = ListingBuilder::default();
        let root = b.dir(b"");
        let deep = b.dir(b"a/b");
        b.file(root, b"x.jpg", 1, 10);
        b.file(deep, b"y.jpg", 2, 20);
        b.file(root, b"\xff", 3, 30);
        let l = b.finish(vec![]);
        let texts: Vec<_> = l.iter().map(|f| f.text).collect();
        assert_eq!(texts, [Some("x.jpg"), Some("y.jpg"), None]);
        let paths: Vec<_> = l.iter().map(|f| f.display()).collect();
        assert_eq!(paths, ["x.jpg", "a/b/y.jpg", "\\xff"]);
        assert_eq!((l.file(1).len, l.file(1).stamp, l.file(1).dir_id), (2, 20, deep));
        assert_eq!((l.len(), l.dirs()), (3, 2));
        for (id, stem, ext, called) in [
            (0, "x", "jpg", true),
            (0, "x", "png", false),
            (0, "", "jpg", false),
            (1, "a/b/y", "jpg", true),
            (1, "a/by", "jpg", false),
            (1, "y", "jpg", false),
            (2, "a", "b", false),
        ] {
            assert_eq!(l.file(id).is_called(stem, ext), called, "{id} {stem} {ext}");
        }
    }
}
