//! The kernel's calls, answered.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crossbeam_channel::Sender;
use fuser::{
    Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus,
    ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, Request,
};

use super::open::OpenFile;
use super::tree::{Kind, Node, ROOT, Tree};
use crate::objects::Objects;
use crate::pipe::Shared;

/// The kernel may keep names and attributes for ever: the tree is a snapshot.
const TTL: Duration = Duration::from_secs(3600);
/// Bytes of a block, for `statfs` and `st_blocks`.
const BLOCK: u32 = 512;

/// A channel as a file system.
pub(super) struct Channel {
    tree: Tree,
    objects: Arc<dyn Objects>,
    shared: Shared,
    open: Mutex<HashMap<u64, Arc<OpenFile>>>,
    opened: AtomicU64,
    /// When the channel was mounted: times of folders, which S3 does not have.
    time: SystemTime,
    owner: (u32, u32),
    /// Told, by its end, that the session is over.
    _alive: Sender<()>,
}

impl Channel {
    pub(super) fn new(
        tree: Tree,
        objects: Arc<dyn Objects>,
        shared: Shared,
        alive: Sender<()>,
    ) -> Self {
        let owner = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        let (open, opened, time) = (Mutex::default(), AtomicU64::new(0), SystemTime::now());
        Self { tree, objects, shared, open, opened, time, owner, _alive: alive }
    }

    fn attributes(&self, number: u64) -> Option<FileAttr> {
        let (kind, perm, size, time) = match self.tree.node(number)?.kind {
            Kind::Folder(_) => (FileType::Directory, 0o555, 0, self.time),
            Kind::File { len, object } => {
                let time = self.objects.modified(object).unwrap_or(self.time);
                (FileType::RegularFile, 0o444, len, time)
            }
        };
        Some(FileAttr {
            ino: INodeNo(number),
            size,
            blocks: size.div_ceil(BLOCK.into()),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind,
            perm,
            nlink: 1,
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        })
    }

    /// `.`, `..` and what is in a folder, from a place on: place, number, name.
    fn entries(
        &self,
        folder: u64,
        from: u64,
    ) -> Option<impl Iterator<Item = (u64, u64, &str)> + use<'_>> {
        let above = self.tree.node(folder)?.parent;
        let children =
            self.tree.children(folder)?.iter().filter_map(|child| {
                self.tree.node(*child).map(|node: &Node| (*child, &*node.name))
            });
        let all = [(folder, "."), (above, "..")].into_iter().chain(children);
        let skipped = usize::try_from(from).unwrap_or(usize::MAX);
        Some((1..).zip(all).skip(skipped).map(|(place, (number, name))| (place, number, name)))
    }

    fn file(&self, handle: FileHandle) -> Option<Arc<OpenFile>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&handle.0).cloned()
    }
}

impl Filesystem for Channel {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        // Each is a wish; an older kernel has its own ways.
        let _ = config.add_capabilities(InitFlags::FUSE_DO_READDIRPLUS);
        let _ = config.add_capabilities(InitFlags::FUSE_READDIRPLUS_AUTO);
        let _ = config.set_max_readahead(1 << 20);
        let _ = config.set_max_background(64);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = name.to_str().and_then(|name| self.tree.find(parent.0, name));
        match found.and_then(|number| self.attributes(number)) {
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
        let Some(node) = self.tree.node(number.0) else { return reply.error(Errno::ENOENT) };
        let Kind::File { object, len } = node.kind else { return reply.error(Errno::EISDIR) };
        let handle = self.opened.fetch_add(1, Relaxed);
        let file = OpenFile::new(object, len, Arc::clone(&self.objects), self.shared.clone());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.insert(handle, file);
        drop(open);
        // Nothing is kept from one open to the next: FastFile promises no cache, and a second epoch
        // that is served from memory would look better here than it is there.
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(file) = self.file(handle) else { return reply.error(Errno::EBADF) };
        let answer = move |bytes: Result<&[u8], Errno>| match bytes {
            Ok(bytes) => reply.data(bytes),
            Err(errno) => reply.error(errno),
        };
        file.read(offset, u64::from(size), Box::new(answer));
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&handle.0);
        reply.ok();
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(entries) = self.entries(number.0, offset) else {
            return reply.error(Errno::ENOTDIR);
        };
        for (place, number, name) in entries {
            let Some(found) = self.attributes(number) else { continue };
            if reply.add(INodeNo(number), place, found.kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn readdirplus(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let Some(entries) = self.entries(number.0, offset) else {
            return reply.error(Errno::ENOTDIR);
        };
        for (place, number, name) in entries {
            let Some(found) = self.attributes(number) else { continue };
            if reply.add(INodeNo(number), place, name, &TTL, &found, Generation(0)) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let (blocks, files) = (self.tree.bytes.div_ceil(BLOCK.into()), self.tree.len() as u64);
        reply.statfs(blocks, 0, 0, files - ROOT, 0, BLOCK, 255, BLOCK);
    }
}
