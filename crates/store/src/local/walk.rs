//! Finds the files below a folder: names only, folder by folder, on every thread of a pool.
//!
//! Sizes come later, from [`Listing::measure`](crate::Listing): a walk that also asks for sizes
//! would hold names and sizes twice while it sorts. Reading folders with `getdents` into one
//! buffer, and not with walkdir, is what keeps a million names at one copy and no allocation each.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::lock;
use crate::listing::check_count;
use crate::path::display;
use crate::{Error, ListingBuilder, Result};

/// What a walk does with symbolic links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Symlinks {
    /// Takes what they point to, file or folder. A link that points nowhere is an error. A link to
    /// a folder that holds it is skipped and counted: its files are listed already.
    #[default]
    Follow,
    /// Leaves them out and counts them.
    Skip,
    /// Fails at the first.
    Error,
}

/// Chooses paths, given relative to the root. Called from many threads.
pub type Rule<'a> = &'a (dyn Fn(&[u8]) -> bool + Sync);

/// Which files a walk takes.
#[derive(Clone, Copy)]
pub struct WalkOptions<'a> {
    /// What becomes of symbolic links. Default: followed.
    pub symlinks: Symlinks,
    /// Whether names that start with a dot are taken. Default: no, they are counted.
    pub hidden: bool,
    /// Which folders are entered. Default: all.
    pub enter: Option<Rule<'a>>,
    /// Which files are taken; the others are counted as excluded. Default: all.
    pub keep: Option<Rule<'a>>,
    /// How many calls to the file system are under way at a time. Default: 32, which costs a
    /// local disk nothing and divides the milliseconds of a file system behind a network.
    pub io_depth: usize,
}

impl Default for WalkOptions<'_> {
    fn default() -> Self {
        Self { symlinks: Symlinks::Follow, hidden: false, enter: None, keep: None, io_depth: 32 }
    }
}

impl fmt::Debug for WalkOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WalkOptions")
            .field("symlinks", &self.symlinks)
            .field("hidden", &self.hidden)
            .field("enter", &self.enter.is_some())
            .field("keep", &self.keep.is_some())
            .field("io_depth", &self.io_depth)
            .finish()
    }
}

/// The files below `root`, sorted by folder and then by name, bytewise; lengths are still 0.
/// Runs on the current rayon pool.
pub(super) fn walk(
    root: &OwnedFd,
    name: &str,
    options: &WalkOptions<'_>,
) -> Result<(ListingBuilder, Vec<(String, u64)>)> {
    let walk = Walk {
        root,
        options,
        found: Mutex::default(),
        error: Mutex::default(),
        failed: AtomicBool::new(false),
        skipped: Skipped::default(),
    };
    rayon::scope(|scope| walk.visit(scope, Vec::new()));
    if let Some(error) = into_inner(walk.error) {
        return Err(error);
    }
    let mut found = into_inner(walk.found);
    found.par_sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let files = found.iter().map(|folder| folder.count).sum();
    check_count(files, name)?;

    let mut listing = ListingBuilder::default();
    listing.reserve(files, found.iter().map(|folder| folder.names.len() - folder.count).sum());
    for folder in found {
        let dir = listing.dir(&folder.path);
        for name in folder.names.split(|&byte| byte == 0).take(folder.count) {
            listing.file(dir, name, 0, 0);
        }
    }
    Ok((listing, walk.skipped.report()))
}

struct Walk<'a> {
    root: &'a OwnedFd,
    options: &'a WalkOptions<'a>,
    found: Mutex<Vec<Folder>>,
    error: Mutex<Option<Error>>,
    failed: AtomicBool,
    skipped: Skipped,
}

/// A folder that was read.
struct Folder {
    path: Vec<u8>,
    names: Vec<u8>, // of its files, sorted, a NUL after each
    count: usize,
}

/// What one folder holds, as read.
#[derive(Default)]
struct Entries {
    files: Names,
    folders: Names,
    unclear: Names, // links to follow, and entries of file systems that tell no types
}

impl Walk<'_> {
    fn visit<'scope>(&'scope self, scope: &rayon::Scope<'scope>, path: Vec<u8>) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        match self.read(&path) {
            Ok(entries) => {
                for name in entries.folders.iter() {
                    let folder = join(&path, name);
                    scope.spawn(move |scope| self.visit(scope, folder));
                }
                self.take(path, entries.files);
            }
            Err(error) => {
                self.failed.store(true, Ordering::Relaxed);
                lock(&self.error).get_or_insert(error);
            }
        }
    }

    /// Reads one folder and sorts out what is not wanted.
    fn read(&self, path: &[u8]) -> Result<Entries> {
        let fail = |errno: Errno| Error::io(errno, display(or_dot(path)));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder =
            rustix::fs::openat(self.root, or_dot(path), flags, Mode::empty()).map_err(fail)?;
        let mut entries = Entries::default();
        let mut buffer = Vec::with_capacity(32 << 10); // getdents answers no more at a time
        let mut reader = RawDir::new(&folder, buffer.spare_capacity_mut());
        while let Some(entry) = reader.next() {
            let entry = entry.map_err(fail)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            if !self.options.hidden && name.starts_with(b".") {
                self.skipped.hidden.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            self.classify(path, name, entry.file_type(), &mut entries)?;
        }
        self.resolve(path, &folder, &mut entries)?;
        Ok(entries)
    }

    fn classify(
        &self,
        path: &[u8],
        name: &[u8],
        kind: FileType,
        entries: &mut Entries,
    ) -> Result<()> {
        let (names, skipped) = match (kind, self.options.symlinks) {
            (FileType::RegularFile, _) => (Some(&mut entries.files), None),
            (FileType::Directory, _) => match self.options.enter {
                Some(enter) if !enter(&join(path, name)) => (None, Some(&self.skipped.excluded)),
                _ => (Some(&mut entries.folders), None),
            },
            (FileType::Unknown, _) | (FileType::Symlink, Symlinks::Follow) => {
                (Some(&mut entries.unclear), None)
            }
            (FileType::Symlink, Symlinks::Skip) => (None, Some(&self.skipped.links)),
            (FileType::Symlink, Symlinks::Error) => {
                return Err(Error::invalid(display(&join(path, name)), "is a symbolic link"));
            }
            _ => (None, Some(&self.skipped.special)),
        };
        if let Some(skipped) = skipped {
            skipped.fetch_add(1, Ordering::Relaxed);
        }
        names.map_or(Ok(()), |names| names.push(path, name))
    }

    /// Asks the file system what the unclear entries are, in parallel: a folder may be a farm of
    /// a million links.
    fn resolve(&self, path: &[u8], folder: &OwnedFd, entries: &mut Entries) -> Result<()> {
        let flags = match self.options.symlinks {
            Symlinks::Follow => AtFlags::empty(),
            Symlinks::Skip | Symlinks::Error => AtFlags::SYMLINK_NOFOLLOW,
        };
        let unclear = std::mem::take(&mut entries.unclear);
        let stats: Vec<Stat> = unclear
            .places
            .par_iter()
            .map(|&place| {
                let name = unclear.get(place);
                rustix::fs::statat(folder, name, flags).map_err(|e| unresolved(path, name, e))
            })
            .collect::<Result<_>>()?;
        for (name, stat) in unclear.iter().zip(&stats) {
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory if self.is_loop(path, stat)? => {
                    self.skipped.loops.fetch_add(1, Ordering::Relaxed);
                }
                FileType::Unknown => {
                    self.skipped.special.fetch_add(1, Ordering::Relaxed);
                }
                kind => self.classify(path, name, kind, entries)?,
            }
        }
        Ok(())
    }

    /// True when `folder`, found in the folder at `path`, is one of those that lead to it. They
    /// are asked again, because links to folders are too few to keep identities for them.
    fn is_loop(&self, path: &[u8], folder: &Stat) -> Result<bool> {
        let slashes = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/').map(|(i, _)| i);
        for end in std::iter::once(0).chain(slashes).chain(std::iter::once(path.len())) {
            let above = or_dot(&path[..end]);
            let stat = rustix::fs::statat(self.root, above, AtFlags::empty())
                .map_err(|e| Error::io(e, display(above)))?;
            if (stat.st_dev, stat.st_ino) == (folder.st_dev, folder.st_ino) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sorts and files what a folder holds.
    fn take(&self, path: Vec<u8>, mut files: Names) {
        if let Some(keep) = self.options.keep {
            let before = files.places.len();
            files.retain(|name| keep(&join(&path, name)));
            let excluded = before - files.places.len();
            self.skipped.excluded.fetch_add(excluded as u64, Ordering::Relaxed);
        }
        if !files.places.is_empty() {
            let count = files.places.len();
            lock(&self.found).push(Folder { path, names: files.sorted(), count });
        }
    }
}

/// Names in one buffer.
#[derive(Default)]
struct Names {
    bytes: Vec<u8>,
    places: Vec<(u32, u32)>, // start and end
}

impl Names {
    fn push(&mut self, folder: &[u8], name: &[u8]) -> Result<()> {
        let end = self.bytes.len() + name.len();
        let Ok(end) = u32::try_from(end) else {
            return Err(Error::invalid(display(or_dot(folder)), "holds over 4 GiB of names"));
        };
        self.places.push((self.bytes.len() as u32, end));
        self.bytes.extend_from_slice(name);
        Ok(())
    }

    fn get(&self, (start, end): (u32, u32)) -> &[u8] {
        &self.bytes[start as usize..end as usize]
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.places.iter().map(|&place| self.get(place))
    }

    fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let Self { bytes, places } = self;
        places.retain(|&(start, end)| keep(&bytes[start as usize..end as usize]));
    }

    /// The names in order, a NUL after each, in a buffer of exactly their size.
    fn sorted(mut self) -> Vec<u8> {
        // Short lists are sorted where they are: handing them to other threads costs more.
        const PARALLEL: usize = 20_000;
        let Self { bytes, places } = &mut self;
        let name = |&(start, end): &(u32, u32)| &bytes[start as usize..end as usize];
        if places.len() < PARALLEL {
            places.sort_unstable_by(|a, b| name(a).cmp(name(b)));
        } else {
            places.par_sort_unstable_by(|a, b| name(a).cmp(name(b)));
        }
        let len: usize = places.iter().map(|place| name(place).len() + 1).sum();
        let mut sorted = Vec::with_capacity(len);
        for place in places.iter() {
            sorted.extend_from_slice(name(place));
            sorted.push(0);
        }
        sorted
    }
}

/// Entries left out, by reason.
#[derive(Default)]
struct Skipped {
    hidden: AtomicU64,
    excluded: AtomicU64,
    links: AtomicU64,
    loops: AtomicU64,
    special: AtomicU64,
}

impl Skipped {
    fn report(self) -> Vec<(String, u64)> {
        let counts = [
            ("hidden", self.hidden),
            ("excluded", self.excluded),
            ("symbolic link", self.links),
            ("symbolic link to a folder above it", self.loops),
            ("no file (pipe, socket or device)", self.special),
        ];
        counts
            .into_iter()
            .map(|(reason, count)| (reason.to_owned(), count.into_inner()))
            .filter(|&(_, count)| count > 0)
            .collect()
    }
}

fn unresolved(path: &[u8], name: &[u8], errno: Errno) -> Error {
    let path = display(&join(path, name));
    match errno {
        Errno::NOENT => Error::invalid(path, "is a symbolic link that points nowhere"),
        Errno::LOOP => Error::invalid(path, "is a symbolic link that leads back to itself"),
        _ => Error::io(errno, path),
    }
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}

/// What the system calls want for the root.
fn or_dot(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
