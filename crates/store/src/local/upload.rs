//! Objects on their way: written under a name of their own, renamed when whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::direct::DirectWriter;
use super::reserve;
use crate::key::UNFINISHED;
use crate::{Error, Result, Upload};

/// A file that removes itself, unless it got its final name.
#[derive(Debug)]
pub(super) struct Unfinished {
    pub(super) file: File,
    pub(super) path: PathBuf,
    done: bool,
}

impl Unfinished {
    /// A new file in `folder`. Falls back to the page cache where O_DIRECT is refused; tells
    /// which it got.
    pub(super) fn create(folder: &Path, direct: bool) -> io::Result<(Self, bool)> {
        // The name tells apart the runs of one machine (process) and of several that share the
        // folder (time); of one process, the uploads (number).
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = now.map_or(0, |now| now.as_nanos() as u64);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let process = std::process::id();
            let path = folder.join(format!("{UNFINISHED}{process:x}-{nanos:x}-{number:x}"));
            match open(&path, direct) {
                Ok((file, direct)) => return Ok((Self { file, path, done: false }, direct)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Says that the file has its final name.
    pub(super) fn keep(mut self) {
        self.done = true;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.path); // swept later if not now
        }
    }
}

fn open(path: &Path, direct: bool) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    if !direct {
        return options.open(path).map(|file| (file, false));
    }
    match options.clone().custom_flags(OFlags::DIRECT.bits() as i32).open(path) {
        Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            let _ = fs::remove_file(path); // it may be there although opening it failed
            options.open(path).map(|file| (file, false))
        }
        done => done.map(|file| (file, true)),
    }
}

/// One object that is being written to a local file system.
#[derive(Debug)]
pub(super) struct LocalUpload {
    unfinished: Unfinished,
    direct: Option<DirectWriter>,
    target: PathBuf,
    key: String,
    len: Option<u64>,
    written: AtomicU64,
    durable: bool,
}

impl LocalUpload {
    pub(super) fn create(
        key: &str,
        target: PathBuf,
        len: Option<u64>,
        direct: bool,
        durable: bool,
    ) -> Result<Self> {
        let io = |e: io::Error| Error::io(e, key);
        let folder = target.parent().unwrap_or(Path::new("."));
        let (unfinished, direct) = Unfinished::create(folder, direct).map_err(io)?;
        if let (Some(len), false) = (len, direct) {
            reserve(&unfinished.file, len);
        }
        Ok(Self {
            unfinished,
            direct: direct.then(DirectWriter::default),
            target,
            key: key.to_owned(),
            len,
            written: AtomicU64::new(0),
            durable,
        })
    }
}

impl Upload for LocalUpload {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| self.len.is_some_and(|len| end > len)) {
            let reason = format!("bytes {offset}+{} lie beyond its end", bytes.len());
            return Err(Error::invalid(&self.key, reason));
        }
        let file = &self.unfinished.file;
        match &self.direct {
            Some(direct) => direct.write_at(file, offset, bytes),
            None => file.write_all_at(bytes, offset),
        }
        .map_err(|e| Error::io(e, &self.key))?;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    fn seal(self: Box<Self>, len: u64, _crc64nvme: Option<u64>) -> Result<()> {
        let written = self.written.load(Ordering::Relaxed);
        if written != len || self.len.is_some_and(|expected| expected != len) {
            let reason = format!("{written} bytes were written, {len} sealed");
            return Err(Error::invalid(&self.key, reason));
        }
        let io = |e: io::Error| Error::io(e, &self.key);
        let Self { unfinished, direct, .. } = *self;
        if let Some(direct) = direct {
            direct.finish(&unfinished.file).map_err(io)?;
            unfinished.file.set_len(len).map_err(io)?;
        }
        if self.durable {
            unfinished.file.sync_data().map_err(io)?;
        }
        fs::rename(&unfinished.path, &self.target).map_err(io)?;
        unfinished.keep();
        if self.durable { sync_parent(&self.target).map_err(io) } else { Ok(()) }
    }
}

/// Makes the names in a path's folder durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
