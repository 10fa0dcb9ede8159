//! A store's objects on a local disk, as far as they were read.
//!
//! Objects are kept in blocks, under a name made of their address and version: an object that was
//! replaced is another one, and nobody reads the old bytes. All processes of a host share a folder
//! and its limit through file locks; a block that several want is fetched by one. Whatever goes
//! wrong with the folder, reading goes on past it.

mod block;
mod folder;
mod store;
mod usage;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use self::block::{Block, BlockId, is_damage};
use self::folder::{Claim, Folder, Part};
pub use self::store::CachedStore;

/// Where a cache is, and how much it may hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheOptions {
    /// A folder on a local disk, which all processes of the host name alike. It is made when the
    /// first block is written, and may be removed at any time. Objects are told apart by address,
    /// length and version: two servers that each have an `s3://bucket` want a folder each, unless
    /// their ETags are checksums, as Amazon's are.
    pub folder: PathBuf,
    /// Most bytes of all files in it, over all processes; of processes that differ the least
    /// counts. Default: half of the file system. In any case 1 GiB of the file system, or a
    /// twentieth of a smaller one, stays free.
    pub most: Option<u64>,
}

impl CacheOptions {
    /// A cache in `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), most: None }
    }

    /// The same with a limit in bytes.
    pub fn most(mut self, bytes: u64) -> Self {
        self.most = Some(bytes);
        self
    }
}

/// A folder of blocks. Clones are the same one.
///
/// Nothing is read or written before the first object is.
#[derive(Clone, Debug)]
pub struct Cache(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: Folder,
    /// Blocks that are open, those used last at the end.
    open: Mutex<VecDeque<Arc<Block>>>,
    trouble: Mutex<Trouble>,
}

/// What went wrong first, and when something did last.
#[derive(Debug, Default)]
struct Trouble {
    first: Option<String>,
    last: Option<Instant>,
}

/// Blocks that stay open: one for each thread that reads. One that is evicted meanwhile keeps its room
/// on the disk until it is closed, beyond the limit.
const MOST_OPEN: usize = 16;
/// After trouble nothing is written for so long: a full disk does not want to be asked for every
/// block.
const PAUSE: Duration = Duration::from_secs(10);

impl Cache {
    /// The cache that `options` names. Whether it can be used shows when it is:
    /// [`Store::traffic`](crate::Store::traffic) of a [`CachedStore`] tells.
    pub fn new(options: &CacheOptions) -> Self {
        Self(Arc::new(Shared {
            folder: Folder::new(&options.folder, options.most),
            open: Mutex::default(),
            trouble: Mutex::default(),
        }))
    }

    /// Fills `out` from byte `at` of a block, if it is there and whole.
    fn read(&self, id: BlockId, at: usize, out: &mut [u8]) -> bool {
        let path = self.0.folder.path(&id);
        let read = match self.opened(id) {
            Some(block) => block.read(at, out),
            None => Block::open(&path, id).and_then(|block| {
                block.read(at, out)?;
                self.keep(block);
                Ok(())
            }),
        };
        match read {
            Ok(()) => return true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if is_damage(&error) => {
                self.forget(id);
                let _ = std::fs::remove_file(path); // fetched again, or read past
            }
            Err(error) => self.failed(&error),
        }
        false
    }

    /// Who fetches a block. None while there is trouble.
    fn claim(&self, id: &BlockId) -> Option<Claim> {
        if self.is_paused() {
            return None;
        }
        self.0.folder.claim(id).map_err(|error| self.failed(&error)).ok()
    }

    /// Keeps a block that was fetched.
    fn commit(&self, part: Part, id: &BlockId, bytes: &[u8]) {
        if let Err(error) = self.0.folder.commit(part, id, bytes) {
            self.failed(&error);
        }
    }

    /// What went wrong first, if anything did. Everything was read all the same.
    fn trouble(&self) -> Option<String> {
        self.0.trouble.try_lock().ok()?.first.clone()
    }

    fn is_paused(&self) -> bool {
        let trouble = self.0.trouble.try_lock();
        trouble.is_ok_and(|trouble| trouble.last.is_some_and(|last| last.elapsed() < PAUSE))
    }

    fn failed(&self, error: &io::Error) {
        // No mutex here is waited for: in a process that was forked off, the thread that holds it
        // may not exist.
        if let Ok(mut trouble) = self.0.trouble.try_lock() {
            let name = self.0.folder.name();
            trouble.first.get_or_insert_with(|| format!("{name}: {error}"));
            trouble.last = Some(Instant::now());
        }
    }

    fn opened(&self, id: BlockId) -> Option<Arc<Block>> {
        let mut open = self.0.open.try_lock().ok()?;
        let at = open.iter().rposition(|block| block.id == id)?;
        let block = open.remove(at)?;
        open.push_back(Arc::clone(&block));
        Some(block)
    }

    fn keep(&self, block: Block) {
        if let Ok(mut open) = self.0.open.try_lock() {
            open.push_back(Arc::new(block));
            if open.len() > MOST_OPEN {
                open.pop_front();
            }
        }
    }

    fn forget(&self, id: BlockId) {
        if let Ok(mut open) = self.0.open.try_lock() {
            open.retain(|block| block.id != id);
        }
    }
}
