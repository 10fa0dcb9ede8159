//! Files below a folder, as a source.

use std::path::{Path, PathBuf};

use super::pinned::Folders;
use super::walk::{Symlinks, WalkOptions, walk};
use crate::{Error, FileId, Listing, Result, Sink, Source};

/// Files below a folder of the local file system.
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
