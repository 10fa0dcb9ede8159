//! Files below a folder, as a source.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::list::List;
use super::pinned::Folders;
use super::walk::{Symlinks, WalkOptions, walk};
use crate::{Error, FileId, Listing, Result, Sink, Source};

/// Files below a folder of the local file system.
///
/// ```
/// use shardpack_store::{LocalTree, Source, WalkOptions};
///
/// let folder = tempfile::tempdir()?;
/// std::fs::write(folder.path().join("cat.jpg"), b"meow")?;
/// let tree = LocalTree::open(folder.path(), &WalkOptions::default())?;
/// let file = tree.listing().file(0);
/// assert_eq!((file.name, file.len), (&b"cat.jpg"[..], 4));
///
/// let mut bytes = Vec::new();
/// tree.fetch(0, 0, file.len, &mut shardpack_store::Bytes::new(&mut bytes))?;
/// assert_eq!(bytes, b"meow");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LocalTree {
    path: PathBuf,
    folders: Folders,
    listing: Listing,
}

impl LocalTree {
    /// Lists every file below `root`, sorted by folder and then by name, bytewise: the same on
    /// every machine.
    pub fn open(root: impl Into<PathBuf>, options: &WalkOptions<'_>) -> Result<Self> {
        let path = root.into();
        let name = path.display().to_string();
        let mut folders = Folders::open(&path, options.symlinks == Symlinks::Follow)?;
        let pool = crew(options.io_depth)?;
        let listing = pool.install(|| {
            let (builder, skipped) = walk(folders.root(), &name, options)?;
            let mut listing = builder.finish(skipped);
            folders.cache(&listing);
            listing.measure(|_, file| folders.measure(file))?;
            Ok::<_, Error>(listing)
        })?;
        Ok(Self { path, folders, listing })
    }

    /// Takes the files that `list` names, in its order: one path after each `separator` (newline
    /// or NUL; empty lines are passed over), relative to `root` or absolute and below it. Links
    /// are followed. A path that is missing, named twice or leads out of `root` is an error that
    /// names its line, counted from 1.
    pub fn from_list(
        root: impl Into<PathBuf>,
        list: &[u8],
        separator: u8,
        io_depth: usize,
    ) -> Result<Self> {
        let path = root.into();
        let mut folders = Folders::open(&path, true)?;
        let list = List { root: path.as_os_str().as_bytes(), bytes: list, separator };
        let listing = crew(io_depth)?.install(|| {
            let mut listing = list.parse()?;
            folders.cache(&listing);
            listing.measure(|id, file| {
                folders.measure(file).map_err(|error| list.name_line(id, error))
            })?;
            Ok::<_, Error>(listing)
        })?;
        Ok(Self { path, folders, listing })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.path
    }
}

/// Threads that wait for the file system: a pool of their own and as many as calls may be under
/// way, whatever the number of cores. Waiting in rayon's global pool would stop its computing.
fn crew(io_depth: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(io_depth.max(1))
        .thread_name(|i| format!("walk-{i}"))
        .build()
        .map_err(|e| Error::io(std::io::Error::other(e), "threads"))
}

impl Source for LocalTree {
    fn listing(&self) -> &Listing {
        &self.listing
    }

    fn fetch(&self, file: FileId, start: u64, len: u64, sink: &mut dyn Sink) -> Result<()> {
        self.folders.fetch(self.listing.file(file), start, len, sink)
    }

    fn describe(&self) -> String {
        self.path.display().to_string()
    }
}
