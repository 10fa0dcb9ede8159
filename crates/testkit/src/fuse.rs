//! A read-only FUSE mount of a folder: what FastFile is to a container.
//!
//! The tree is looked at once, when it is mounted, as FastFile lists a channel's objects at the
//! start. Every call may be made slow. How often each kind of call was made stands in a file
//! `.calls` that no listing shows. Writing is refused.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory,
    ReplyEntry, ReplyOpen, Request,
};

/// The kernel may keep what it was told so long.
const TTL: Duration = Duration::from_secs(60);
/// Calls that are answered at the same time.
const THREADS: usize = 32;
/// The file that tells how often each call was made.
const CALLS: &str = ".calls";

/// Mounts `folder`, read-only, at `at`; every open and every read takes `latency`. It is unmounted
/// when the session is dropped and no file is open any more.
pub fn mount(folder: &Path, at: &Path, latency: Duration) -> io::Result<BackgroundSession> {
    let mut tree = Tree { latency, ..Tree::default() };
    tree.add(1, folder)?;
    let mut config = Config::default();
    config.mount_options = vec![MountOption::RO, MountOption::FSName("channel".into())];
    config.n_threads = Some(THREADS);
    fuser::spawn_mount(tree, at, &config)
}

/// One file or folder. The root has number 1.
#[derive(Debug)]
struct Node {
    name: OsString,
    path: PathBuf,
    /// None for a folder.
    len: Option<u64>,
}

#[derive(Debug, Default)]
struct Tree {
    nodes: BTreeMap<u64, Node>,
    children: BTreeMap<u64, Vec<u64>>,
    open: Mutex<HashMap<u64, File>>,
    calls: Mutex<BTreeMap<&'static str, u64>>,
    latency: Duration,
}

impl Tree {
    fn add(&mut self, number: u64, path: &Path) -> io::Result<()> {
        let found = fs::metadata(path)?;
        let len = found.is_file().then_some(found.len());
        let name = path.file_name().unwrap_or_default().to_owned();
        self.nodes.insert(number, Node { name, path: path.to_owned(), len });
        if len.is_none() {
            let mut entries: Vec<PathBuf> =
                fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            entries.sort();
            for entry in entries {
                let child = self.nodes.len() as u64 + 1;
                self.children.entry(number).or_default().push(child);
                self.add(child, &entry)?;
            }
        }
        Ok(())
    }

    /// Counts a call and takes the time that it is to take.
    fn call(&self, name: &'static str) {
        *self.calls.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += 1;
        std::thread::sleep(self.latency);
    }

    /// What `.calls` holds.
    fn told(&self) -> String {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.iter().map(|(name, count)| format!("{name} {count}\n")).collect()
    }

    fn attributes(&self, number: u64) -> Option<FileAttr> {
        let len = match number {
            u64::MAX => Some(self.told().len() as u64),
            _ => self.nodes.get(&number)?.len,
        };
        Some(FileAttr {
            ino: INodeNo(number),
            size: len.unwrap_or(0),
            blocks: len.unwrap_or(0).div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind: if len.is_none() { FileType::Directory } else { FileType::RegularFile },
            perm: if len.is_none() { 0o555 } else { 0o444 },
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        })
    }

    fn read_at(&self, number: u64, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; size];
        let mut files = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.nodes.get(&number).map(|node| &node.path).ok_or(io::ErrorKind::NotFound)?;
        let file = match files.entry(number) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.get().try_clone()?,
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(File::open(path)?).try_clone()?
            }
        };
        drop(files);
        let mut filled = 0;
        while filled < size {
            match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl Filesystem for Tree {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let children = self.children.get(&parent.0).map_or(&[][..], Vec::as_slice);
        let found = match name == CALLS && parent.0 == 1 {
            true => Some(&u64::MAX),
            false => children.iter().find(|child| self.nodes[child].name == name),
        };
        match found.and_then(|number| self.attributes(*number)) {
            // What is told changes, so the kernel is to ask again.
            Some(found) if name == CALLS => reply.entry(&Duration::ZERO, &found, Generation(0)),
            Some(found) => reply.entry(&TTL, &found, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number.0) {
            Some(found) => reply.attr(&TTL, &found),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        if number.0 == u64::MAX {
            return reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
        }
        self.call("open");
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        if number.0 == u64::MAX {
            let text = self.told();
            return reply.data(text.as_bytes().get(offset as usize..).unwrap_or_default());
        }
        self.call("read");
        match self.read_at(number.0, offset, size as usize) {
            Ok(bytes) => reply.data(&bytes),
            Err(_) => reply.error(Errno::EIO),
        }
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        if offset == 0 {
            self.call("list");
        }
        let children = self.children.get(&number.0).map_or(&[][..], Vec::as_slice);
        let dots = [(number.0, OsStr::new(".")), (1, OsStr::new(".."))];
        let entries = children.iter().map(|child| (*child, &*self.nodes[child].name));
        for (place, (child, name)) in
            dots.into_iter().chain(entries).enumerate().skip(offset as usize)
        {
            let kind = match self.nodes.get(&child).and_then(|node| node.len) {
                None => FileType::Directory,
                Some(_) => FileType::RegularFile,
            };
            if reply.add(INodeNo(child), place as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
