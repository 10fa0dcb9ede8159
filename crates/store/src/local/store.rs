//! A folder as a store.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;
use walkdir::WalkDir;

use super::guard::LocalLock;
use super::pressure::direct_pays;
use super::upload::{LocalUpload, Unfinished, sync_parent};
use crate::key::{self, LOCK, UNFINISHED};
use crate::{
    Address, Copied, Error, ErrorKind, Lock, Object, ObjectMeta, PutMode, Result, Store, Upload,
};

/// How a [`LocalStore`] writes.
#[derive(Clone, Copy, Debug)]
pub struct LocalOptions {
    /// Whether an object is on the disk, and not only in memory, when it is sealed or put.
    /// Default: yes.
    pub durable: bool,
    /// Whether uploads pass the page cache by. Default: [`Direct::Auto`].
    pub direct: Direct,
    /// Bytes that the run is going to write, for [`Direct::Auto`]. Default: unknown, 0.
    pub expected_bytes: u64,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { durable: true, direct: Direct::Auto, expected_bytes: 0 }
    }
}

/// Whether uploads pass the page cache by. Where the file system cannot, they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direct {
    /// On a disk, when the run is durable or writes more than the kernel keeps unwritten without
    /// holding writers back: `vm.dirty_background_bytes`, or `vm.dirty_background_ratio` percent
    /// of the available memory. Below that the cache takes objects at memory speed. Never on a
    /// file system behind a network, whose client gathers writes better.
    #[default]
    Auto,
    /// Every upload.
    Always,
    /// None.
    Never,
}

/// A folder of a local file system.
///
/// ```
/// use shardpack_store::{LocalOptions, LocalStore, PutMode, Store};
///
/// let folder = tempfile::tempdir()?;
/// let store = LocalStore::open(folder.path(), &LocalOptions::default());
/// let upload = store.create("shards/a.tar", Some(5))?;
/// upload.write_at(2, b"llo")?;
/// upload.write_at(0, b"he")?;
/// upload.seal(5, None)?;
/// store.put("manifest.json", b"{}", PutMode::Create)?;
///
/// let keys: Vec<String> = store.list("")?.into_iter().map(|object| object.key).collect();
/// assert_eq!(keys, ["manifest.json", "shards/a.tar"]);
/// let mut bytes = [0; 4];
/// assert_eq!(store.open("shards/a.tar")?.read_at(1, &mut bytes)?, 4);
/// assert_eq!(&bytes, b"ello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    durable: bool,
    direct: bool,
}

/// Shorter uploads go through the cache: direct writes of a few blocks each wait for the disk.
const SHORTEST_DIRECT: u64 = 1 << 20;

impl LocalStore {
    /// The tree at `root`, which need not be there yet: the first object makes it.
    pub fn open(root: impl Into<PathBuf>, options: &LocalOptions) -> Self {
        let root = root.into();
        let direct = match options.direct {
            Direct::Always => true,
            Direct::Never => false,
            Direct::Auto => direct_pays(&root, options.durable, options.expected_bytes),
        };
        Self { root, durable: options.durable, direct }
    }

    /// Whether uploads are to pass the page cache by.
    pub fn is_direct(&self) -> bool {
        self.direct
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        key::check(key)?;
        Ok(self.root.join(key))
    }

    /// Makes the folders above `path`; durable ones when asked.
    fn make_folders(&self, path: &Path) -> io::Result<()> {
        let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
            return Ok(());
        };
        if folder.is_dir() {
            return Ok(());
        }
        self.make_folders(folder)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            Err(e) => Err(e),
            Ok(()) if self.durable => sync_parent(folder),
            Ok(()) => Ok(()),
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        if self.durable { sync_parent(path) } else { Ok(()) }
    }

    /// Objects and unfinished files below a prefix, with their paths, in no order.
    fn walk(&self, prefix: &str) -> Result<Vec<(PathBuf, u64)>> {
        let path = key::prefix(prefix)?.map_or(self.root.clone(), |key| self.root.join(key));
        if matches!(fs::metadata(&path), Err(e) if is_missing(&e)) {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for entry in WalkDir::new(&path).follow_links(true) {
            let meta = entry.and_then(|entry| Ok((entry.metadata()?, entry.into_path())));
            match meta {
                Ok((meta, path)) if meta.is_file() => files.push((path, meta.len())),
                Ok(_) => {}
                // Sealed, removed or swept by someone while the walk was on its way; a link that
                // points nowhere is still there.
                Err(e) if e.io_error().is_some_and(is_missing) && !is_there(e.path()) => {}
                Err(e) => {
                    let name = e.path().unwrap_or(&path).display().to_string();
                    return Err(Error::io(e, name));
                }
            }
        }
        Ok(files)
    }

    /// The same files by their kinds alone, as folders tell them; none where that is not enough:
    /// below links, on file systems that do not tell, and while files come and go.
    fn names(&self, prefix: &str) -> Result<Option<Vec<PathBuf>>> {
        let path = key::prefix(prefix)?.map_or(self.root.clone(), |key| self.root.join(key));
        let mut files = Vec::new();
        for entry in WalkDir::new(&path).follow_root_links(true) {
            match entry {
                Ok(entry) if entry.file_type().is_dir() => {}
                Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
                _ => return Ok(None),
            }
        }
        Ok(Some(files))
    }

    fn key(&self, path: &Path) -> Result<String> {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.to_str().map(str::to_owned).ok_or_else(|| {
            Error::invalid(below.display().to_string(), "the name is no UTF-8: rename the file")
        })
    }
}

impl Store for LocalStore {
    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let mut objects = Vec::new();
        for (path, len) in self.walk(prefix)? {
            if is_object(&path) {
                objects.push(ObjectMeta { key: self.key(&path)?, len });
            }
        }
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let Some(paths) = self.names(prefix)? else {
            return Ok(self.list(prefix)?.into_iter().map(|object| object.key).collect());
        };
        let keys = paths.iter().filter(|path| is_object(path)).map(|path| self.key(path));
        let mut keys = keys.collect::<Result<Vec<_>>>()?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        let io = |e: io::Error| missing_is_not_found(e, key);
        // NONBLOCK: opening a pipe must not wait for its writer.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
        let mut options = fs::OpenOptions::new();
        let file = options.read(true).custom_flags(flags).open(self.path(key)?).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        if !meta.is_file() {
            return Err(Error::invalid(key, "is no regular file"));
        }
        Ok(Box::new(LocalObject { file, len: meta.len(), key: key.to_owned() }))
    }

    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>> {
        let target = self.path(key)?;
        self.make_folders(&target).map_err(|e| Error::io(e, key))?;
        let direct = self.direct && len.is_none_or(|len| len >= SHORTEST_DIRECT);
        Ok(Box::new(LocalUpload::create(key, target, len, direct, self.durable)?))
    }

    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
        let target = self.path(key)?;
        let put = || -> io::Result<()> {
            self.make_folders(&target)?;
            let folder = target.parent().unwrap_or(Path::new("."));
            let (mut unfinished, _) = Unfinished::create(folder, false)?;
            unfinished.file.write_all(bytes)?;
            if self.durable {
                unfinished.file.sync_data()?;
            }
            match mode {
                PutMode::Replace => {
                    fs::rename(&unfinished.path, &target)?;
                    unfinished.keep();
                }
                PutMode::Create => link(unfinished, &target)?,
            }
            self.sync(&target)
        };
        put().map_err(|e| Error::io(e, key))
    }

    /// The kernel copies; file systems that can (XFS, Btrfs) let both files share their blocks.
    fn copy(&self, key: &str, from: &Address) -> Result<Option<Copied>> {
        let Address::File(source) = from else { return Ok(None) };
        let target = self.path(key)?;
        let mut source = File::open(source)
            .map_err(|e| missing_is_not_found(e, &source.display().to_string()))?;
        let mut copy = || -> io::Result<()> {
            self.make_folders(&target)?;
            let folder = target.parent().unwrap_or(Path::new("."));
            let (mut unfinished, _) = Unfinished::create(folder, false)?;
            io::copy(&mut source, &mut unfinished.file)?;
            if self.durable {
                unfinished.file.sync_data()?;
            }
            fs::rename(&unfinished.path, &target)?;
            unfinished.keep();
            self.sync(&target)
        };
        copy().map_err(|e| Error::io(e, key))?;
        Ok(Some(Copied::Unchecked))
    }

    fn address(&self, key: &str) -> Option<Address> {
        self.path(key).ok().map(Address::File)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (old, new) = (self.path(key::folder(from)?)?, self.path(key::folder(to)?)?);
        if let Err(e) = fs::symlink_metadata(&old) {
            return Err(missing_is_not_found(e, from));
        }
        let io = |e: io::Error| Error::io(e, to);
        self.make_folders(&new).map_err(io)?;
        rename_new(&old, &new).map_err(io)?;
        self.sync(&new).and_then(|()| self.sync(&old)).map_err(io)
    }

    fn remove(&self, key: &str) -> Result<()> {
        let path = self.path(key::folder(key)?)?;
        let removed = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(e) => Err(e),
        };
        match removed.and_then(|()| self.sync(&path)) {
            Err(e) if is_missing(&e) => Ok(()),
            done => done.map_err(|e| Error::io(e, key)),
        }
    }

    fn sweep(&self, prefix: &str) -> Result<u64> {
        let mut swept = 0;
        for (path, _) in self.walk(prefix)? {
            if is_unfinished(&path) {
                match fs::remove_file(&path) {
                    Err(e) if !is_missing(&e) => {
                        return Err(Error::io(e, path.display().to_string()));
                    }
                    _ => swept += 1,
                }
            }
        }
        Ok(swept)
    }

    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>> {
        let folder = key::prefix(prefix)?.map_or(self.root.clone(), |key| self.root.join(key));
        let path = folder.join(LOCK);
        let name = folder.display().to_string();
        let lock = match self.make_folders(&path).and_then(|()| LocalLock::take(path)) {
            Ok(lock) => lock,
            Err(e) => return Err(Error::io(e, format!("{name}/{LOCK}"))),
        };
        match lock {
            Some(lock) => Ok(Box::new(lock)),
            None => Err(Error::new(ErrorKind::Busy, name)),
        }
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}

/// Gives a file its name unless the name is taken.
fn link(unfinished: Unfinished, target: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, &unfinished.path, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => unfinished.keep(),
        // NFS has no such rename. It has links; one that seems refused may be a repeated answer,
        // the number of names tells.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::hard_link(&unfinished.path, target) {
            Err(_) if unfinished.file.metadata()?.nlink() == 2 => {}
            done => done?,
        },
        Err(e) => return Err(e.into()),
    }
    Ok(())
}

/// Renames unless the new name is taken. Where the file system cannot do both in one step, the
/// name is looked up first: a folder that is not empty is refused by the rename itself.
fn rename_new(old: &Path, new: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS) if fs::symlink_metadata(new).is_ok() => {
            Err(Errno::EXIST.into())
        }
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(old, new),
        done => done.map_err(io::Error::from),
    }
}

/// Neither on its way to being one, nor a lock.
fn is_object(path: &Path) -> bool {
    !is_unfinished(path) && path.file_name() != Some(OsStr::new(LOCK))
}

fn is_unfinished(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()))
}

fn is_there(path: Option<&Path>) -> bool {
    path.is_some_and(|path| fs::symlink_metadata(path).is_ok())
}

/// Nothing is there, also when a part of the path is a file.
fn is_missing(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn missing_is_not_found(e: io::Error, key: &str) -> Error {
    if is_missing(&e) { Error::new(ErrorKind::NotFound, key) } else { Error::io(e, key) }
}

#[derive(Debug)]
struct LocalObject {
    file: File,
    len: u64,
    key: String,
}

/// A file that was changed since may be changed again without a clock showing it: they tick in
/// seconds on some file systems.
const TICK: Duration = Duration::from_secs(2);

impl Object for LocalObject {
    fn len(&self) -> u64 {
        self.len
    }

    /// The times of the last write and change. Not the inode: a mount of S3 numbers its files anew
    /// each time.
    fn version(&self) -> Option<String> {
        let meta = self.file.metadata().ok()?;
        let changed = (meta.mtime(), meta.mtime_nsec()).max((meta.ctime(), meta.ctime_nsec()));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let settled = i64::try_from(now.checked_sub(TICK)?.as_secs()).ok()?;
        (changed.0 < settled).then(|| {
            let (mtime, ctime) = (meta.mtime_nsec(), meta.ctime_nsec());
            format!("{}.{mtime:09} {}.{ctime:09}", meta.mtime(), meta.ctime())
        })
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if offset >= self.len {
            return Ok(0); // the system call takes no offset of 2^63 and more
        }
        let mut filled = 0;
        while filled < buf.len() {
            match self.file.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(e, &self.key)),
            }
        }
        Ok(filled)
    }
}
