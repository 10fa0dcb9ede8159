//! The folder that the processes of a host share: who fetches which block, and what has to go.
//!
//! ```text
//! DIR/usage                      bytes in all files, and the lock for changing it
//! DIR/blocks/AB/OBJECT-NUMBER    a block; read without any lock
//! DIR/blocks/AB/...NUMBER.part   one that is being fetched, locked by who does
//! ```
//!
//! A part has its final length from the start, under the lock of `usage`, so the limit counts what
//! is on its way. The part of a process that died is locked by nobody: the next that wants the
//! block takes it over, and eviction removes it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::io::Errno;

use super::block::BlockId;
use super::usage::{Usage, boot, is_at, open};

/// Of the limit, what eviction makes free at once: counting the files of a large cache takes a
/// second, and must not be needed for every block.
const SLACK: u64 = 16;
/// Bytes of the file system that stay free for others, or a twentieth of it where that is less.
const SPARE: u64 = 1 << 30;
const PART: &str = ".part";

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    most: Option<u64>,
    /// The limit, once it is known.
    limit: OnceLock<u64>,
    boot: [u8; 16],
}

/// Who fetches a block.
#[derive(Debug)]
pub(super) enum Claim {
    /// The caller, who then commits it.
    Mine(Part),
    /// Another thread or process, right now.
    Theirs,
    /// Nobody: it is there.
    There,
    /// Nobody: it is longer than the limit.
    TooLong,
}

impl Folder {
    pub(super) fn new(root: &Path, most: Option<u64>) -> Self {
        Self { root: root.to_owned(), most, limit: OnceLock::new(), boot: boot() }
    }

    pub(super) fn path(&self, id: &BlockId) -> PathBuf {
        let BlockId { object, number, .. } = id;
        self.blocks().join(format!("{:02x}/{object:032x}-{number:x}", object >> 120))
    }

    /// For messages.
    pub(super) fn name(&self) -> std::path::Display<'_> {
        self.root.display()
    }

    fn blocks(&self) -> PathBuf {
        self.root.join("blocks")
    }

    /// Decides who fetches a block, and keeps room for it.
    pub(super) fn claim(&self, id: &BlockId) -> io::Result<Claim> {
        let path = self.path(id);
        fs::create_dir_all(path.parent().unwrap_or(&self.root))?;
        let limit = self.limit()?;
        let len = id.file_len();
        if len > limit {
            return Ok(Claim::TooLong);
        }
        let Some(part) = Part::take(&path)? else { return Ok(Claim::Theirs) };
        if path.exists() {
            return Ok(Claim::There);
        }
        // Whoever has this lock waits for no part's, so these two never wait for each other.
        let mut usage = self.usage()?;
        let held = part.file.metadata()?.len(); // of a process that died
        let need = len.saturating_sub(held);
        self.check_free(need)?;
        let mut total = match usage.total {
            Some(total) if total.saturating_add(need) <= limit => total,
            _ => self.evict(limit, need)?,
        };
        if total.saturating_add(need) > limit {
            return Ok(Claim::TooLong); // for now: the rest is on its way
        }
        total += need;
        // First the number, then the file: a process that dies in between makes it too high, which
        // the next count mends, and never too low.
        usage.set(total)?;
        part.file.set_len(len)?;
        crate::reserve(&part.file, len);
        Ok(Claim::Mine(part))
    }

    /// Gives a block its bytes and its name.
    pub(super) fn commit(&self, mut part: Part, id: &BlockId, bytes: &[u8]) -> io::Result<()> {
        part.file.write_all_at(bytes, 0)?;
        // No sync: the trailer tells after a power failure whether the bytes had been written.
        part.file.write_all_at(&id.trailer(bytes), bytes.len() as u64)?;
        // Whoever counts the files may miss one that changes its name meanwhile.
        let _usage = self.usage()?;
        fs::rename(&part.path, part.path.with_extension(""))?;
        part.done = true;
        Ok(())
    }

    fn usage(&self) -> io::Result<Usage> {
        Usage::take(&self.root.join("usage"), self.boot)
    }

    /// Most bytes of all files. By default half of the file system.
    fn limit(&self) -> io::Result<u64> {
        if let Some(limit) = self.limit.get() {
            return Ok(*limit);
        }
        let limit = match self.most {
            Some(most) => most,
            None => {
                let system = statvfs(&self.root)?;
                system.f_blocks.saturating_mul(system.f_frsize) / 2
            }
        };
        Ok(*self.limit.get_or_init(|| limit))
    }

    fn check_free(&self, need: u64) -> io::Result<()> {
        let system = statvfs(&self.root)?;
        let all = system.f_blocks.saturating_mul(system.f_frsize);
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        match free < need.saturating_add(SPARE.min(all / 20)) {
            true => Err(Errno::NOSPC.into()),
            false => Ok(()),
        }
    }

    /// Makes room for `need` bytes: what was not used for the longest goes first. What is left,
    /// counted.
    fn evict(&self, limit: u64, need: u64) -> io::Result<u64> {
        let mut found = Vec::new();
        let mut total = 0u64;
        for shelf in fs::read_dir(self.blocks())? {
            let shelf = shelf?.path();
            for entry in fs::read_dir(&shelf).into_iter().flatten() {
                let entry = entry?;
                let Ok(meta) = entry.metadata() else { continue }; // removed or renamed meanwhile
                let path = entry.path();
                if !meta.is_file() || !is_ours(&path) || sweep(&path) {
                    continue;
                }
                total += meta.len();
                if path.extension().is_none() {
                    let used = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((used, meta.len(), path));
                }
            }
        }
        if total.saturating_add(need) <= limit {
            return Ok(total);
        }
        found.sort_unstable();
        let target = (limit - limit / SLACK).saturating_sub(need);
        for (_, len, path) in found {
            if total <= target {
                break;
            }
            match fs::remove_file(&path) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
                _ => total = total.saturating_sub(len),
            }
        }
        Ok(total)
    }
}

/// A name that this cache gives: nothing else in the folder is counted or removed.
fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let parts = name.strip_suffix(PART).unwrap_or(name).split_once('-');
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    parts.is_some_and(|(object, number)| object.len() == 32 && hex(object) && hex(number))
}

/// Removes the part of a process that died. False for anything else.
fn sweep(path: &Path) -> bool {
    path.extension().is_some() && matches!(Part::of(path), Ok(Some(_))) // dropped, so removed
}

/// A block that is being fetched; removed unless it is committed.
#[derive(Debug)]
pub(super) struct Part {
    file: File,
    path: PathBuf,
    done: bool,
}

impl Part {
    /// The part of the block at `path`; none when somebody has it.
    fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut name = path.as_os_str().to_owned();
        name.push(PART);
        Self::of(Path::new(&name))
    }

    fn of(path: &Path) -> io::Result<Option<Self>> {
        loop {
            let file = open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Its holder may have renamed or removed it after it was opened here.
                Ok(()) if is_at(&file, path)? => {
                    return Ok(Some(Self { file, path: path.to_owned(), done: false }));
                }
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Drop for Part {
    /// While it is still locked, so that it is nobody else's.
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path);
        }
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}
