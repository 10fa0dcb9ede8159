//! File mode: objects become files before the container starts.
//!
//! A file appears under its name when it is whole and proved. What is there already is told by a
//! journal that lies outside of the container's folders, so a run that was killed goes on.

mod journal;

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use shardpack_formats::{Crc64Nvme, combine_crc64};
use shardpack_store::Sink;

use crate::crew::{PIECE, nobody_waits};
use crate::objects::Objects;
use crate::survey::{Contents, Surveyed};
use crate::{Error, Progress, Result, Stop};
use journal::{Entry, Journal};

/// Ends the name of a file that is not whole yet.
const UNFINISHED: &str = ".shardpack-unfinished";
/// The checksum that S3 keeps is asked for from this length on, where parts were put together: a
/// request for each small file would double their price.
const PROVED: u64 = PIECE;

/// Where the files go, and what is known of those that are there.
pub(crate) struct Target<'t> {
    pub(crate) folder: &'t Path,
    pub(crate) journal: &'t Path,
}

/// Files whose parts are fetched by turns. More would have more of them unfinished when the run is
/// killed.
const SIDE_BY_SIDE: usize = 16;
/// Bytes that wait to be written, for each thread: they stay in its core's cache.
const CHUNK: usize = 256 << 10;

/// What waits to be fetched.
struct Job {
    path: PathBuf,
    entry: Entry,
    object: usize,
    file: Mutex<Option<Arc<File>>>,
    /// Parts that are not written yet.
    left: AtomicU64,
    /// Start, length and checksum of parts that are.
    sums: Mutex<Vec<(u64, u64, u64)>>,
}

/// Makes the channel's folder hold this host's objects and nothing else.
///
/// Fails before the first byte with [`Error::Space`], and with [`Error::InTheWay`] for a file
/// that no agent put there.
pub(crate) fn fetch(
    channel: &Surveyed,
    target: &Target<'_>,
    threads: usize,
    stop: &Stop,
    progress: &Progress,
) -> Result<()> {
    let Contents::Objects { objects, files, .. } = &channel.contents else { return Ok(()) };
    let wanted: Vec<(usize, Entry)> = (channel.order(0).into_iter())
        .filter_map(|place| files.get(place))
        .map(|(i, path)| {
            let (len, stamp) = (objects.size(*i), objects.stamp(*i));
            (*i, Entry { path: path.clone(), len, stamp })
        })
        .collect();
    fs::create_dir_all(target.folder).map_err(|error| Error::io(error, target.folder))?;
    let journal = Journal::open(target.journal)?;
    let kept = journal.keep(target.folder, wanted.iter().map(|(_, entry)| entry))?;
    let jobs: Vec<Job> = wanted
        .into_iter()
        .filter(|(_, entry)| !kept.contains(entry))
        .map(|(object, entry)| Job {
            path: target.folder.join(&entry.path),
            left: AtomicU64::new(entry.len.div_ceil(PIECE).max(1)),
            entry,
            object,
            file: Mutex::default(),
            sums: Mutex::default(),
        })
        .collect();
    let bytes = jobs.iter().map(|job| job.entry.len).sum();
    room_for(bytes, target.folder)?;
    progress.plan(jobs.len() as u64, bytes);
    let run = Run { objects: &**objects, jobs: &jobs, journal, stop, progress };
    run.all(threads)
}

/// Removes what was fetched into the channel's folder, and the folder: the channel comes another way
/// now. Files of others stay, and so does their folder.
pub(crate) fn forget(target: &Target<'_>) -> Result<()> {
    if !target.journal.exists() {
        return Ok(());
    }
    if target.folder.is_dir() {
        Journal::open(target.journal)?.keep(target.folder, std::iter::empty())?;
        fs::remove_dir_all(target.folder).map_err(|error| Error::io(error, target.folder))?;
    }
    fs::remove_file(target.journal).map_err(|error| Error::io(error, target.journal))
}

/// Fails when the file system has not so many bytes free.
fn room_for(needed: u64, folder: &Path) -> Result<()> {
    let found = rustix::fs::statvfs(folder).map_err(|errno| Error::io(errno, folder))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    match needed <= free {
        true => Ok(()),
        false => Err(Error::Space { needed, free, path: folder.display().to_string() }),
    }
}

impl Job {
    /// The file that its parts are written to; the first one makes it.
    fn file(&self, temporary: &Path) -> Result<Arc<File>> {
        let mut slot = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*slot {
            return Ok(Arc::clone(file));
        }
        let file = create(temporary)?;
        shardpack_store::reserve(&file, self.entry.len);
        Ok(Arc::clone(slot.insert(Arc::new(file))))
    }
}

struct Run<'r> {
    objects: &'r dyn Objects,
    jobs: &'r [Job],
    journal: Journal,
    stop: &'r Stop,
    progress: &'r Progress,
}

impl Run<'_> {
    /// Each part is one request by one thread; parts of several files are under way side by side.
    fn all(&self, threads: usize) -> Result<()> {
        // File systems let one thread at a time write into a file, so parts of several take turns.
        let parts = self.jobs.chunks(SIDE_BY_SIDE).flat_map(|jobs| {
            let longest = jobs.iter().map(|job| job.entry.len).max().unwrap_or_default();
            let starts = (0..longest.max(1)).step_by(PIECE as usize);
            let has = |job: &&Job, start: u64| start < job.entry.len.max(1);
            starts.flat_map(move |start| {
                jobs.iter().filter(move |job| has(job, start)).map(move |job| (job, start))
            })
        });
        let (parts, failed) = (Mutex::new(parts), Mutex::new(None));
        let over = Stop::default();
        let next = || match over.is_set() || self.stop.is_set() {
            true => None,
            false => parts.lock().unwrap_or_else(PoisonError::into_inner).next(),
        };
        thread::scope(|scope| {
            for _ in 0..threads.clamp(1, self.jobs.len().max(1) * 8) {
                scope.spawn(|| {
                    let mut buffer = vec![0; CHUNK];
                    while let Some((job, start)) = next() {
                        if let Err(error) = self.part(job, start, &mut buffer) {
                            over.set();
                            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                            failed.get_or_insert(error);
                        }
                    }
                });
            }
        });
        match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            _ if self.stop.is_set() => Err(Error::Stopped),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn part(&self, job: &Job, start: u64, buffer: &mut [u8]) -> Result<()> {
        // A file of this machine is copied by the kernel, where it can without moving a byte. Never
        // linked: the container could write to the source.
        if let Some(file) = self.objects.file(job.object) {
            return if start == 0 { self.copy(job, file?) } else { Ok(()) };
        }
        let len = job.entry.len.saturating_sub(start).min(PIECE);
        let temporary = temporary(&job.path);
        let file = job.file(&temporary)?;
        let mut part = Part::new(&file, &temporary, start, buffer, self.stop);
        if len > 0 {
            self.objects.fetch(job.object, start, len, &mut part)?;
        }
        let sum = (start, len, part.end()?);
        self.progress.bytes(len);
        job.sums.lock().unwrap_or_else(PoisonError::into_inner).push(sum);
        match job.left.fetch_sub(1, Relaxed) {
            1 => self.finish(job, &temporary),
            _ => Ok(()),
        }
    }

    fn copy(&self, job: &Job, from: crate::objects::Pinned) -> Result<()> {
        let temporary = temporary(&job.path);
        drop(create(&temporary)?);
        let mut to = OpenOptions::new().write(true).open(&temporary);
        let to = to.as_mut().map_err(|error| {
            Error::io(std::mem::replace(error, ErrorKind::Other.into()), &temporary)
        })?;
        // A clone where the file system has them, copy_file_range elsewhere.
        if rustix::fs::ioctl_ficlone(&*to, &from.file).is_err() {
            std::io::copy(&mut &from.file, to).map_err(|error| Error::io(error, &temporary))?;
        }
        from.check()?;
        self.progress.bytes(job.entry.len);
        self.publish(job, &temporary)
    }

    /// The last part is there: proves the whole and gives it its name.
    fn finish(&self, job: &Job, temporary: &Path) -> Result<()> {
        let mut sums =
            std::mem::take(&mut *job.sums.lock().unwrap_or_else(PoisonError::into_inner));
        sums.sort_unstable();
        let sum = sums.iter().fold(0, |all, (_, len, sum)| combine_crc64(all, *sum, *len));
        *job.file.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if job.entry.len > PROVED {
            self.objects.prove(job.object, sum)?;
        }
        self.publish(job, temporary)
    }

    fn publish(&self, job: &Job, temporary: &Path) -> Result<()> {
        // Noted first: a file without a note would be somebody else's. A note without its file, as
        // after a kill between the two, tells nothing.
        self.journal.note(&job.entry)?;
        fs::rename(temporary, &job.path).map_err(|error| Error::io(error, &job.path))?;
        self.progress.file();
        Ok(())
    }
}

/// Where a part goes as it comes: through a buffer that stays in the cache, checked and written from
/// there. Parts that were held whole cost half a gigabyte of memory, and twice the time.
struct Part<'p> {
    file: &'p File,
    path: &'p Path,
    /// Where the buffer's first byte belongs.
    at: u64,
    buffer: &'p mut [u8],
    filled: usize,
    sum: Crc64Nvme,
    stop: &'p Stop,
}

impl<'p> Part<'p> {
    fn new(file: &'p File, path: &'p Path, at: u64, buffer: &'p mut [u8], stop: &'p Stop) -> Self {
        Self { file, path, at, buffer, filled: 0, sum: Crc64Nvme::default(), stop }
    }

    fn flush(&mut self) -> shardpack_store::Result<()> {
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        self.sum.update(bytes);
        let failed = |error| shardpack_store::Error::io(error, self.path.display().to_string());
        self.file.write_all_at(bytes, self.at).map_err(failed)?;
        (self.at, self.filled) = (self.at + self.filled as u64, 0);
        Ok(())
    }

    /// Writes what is left; the checksum of all.
    fn end(mut self) -> Result<u64> {
        self.flush()?;
        Ok(self.sum.value())
    }
}

impl Sink for Part<'_> {
    fn space(&mut self) -> shardpack_store::Result<&mut [u8]> {
        if self.stop.is_set() {
            return Err(nobody_waits());
        }
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(self.buffer.get_mut(self.filled..).unwrap_or_default())
    }

    fn advance(&mut self, n: usize) -> shardpack_store::Result<()> {
        self.filled = self.buffer.len().min(self.filled + n);
        Ok(())
    }
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    name.into()
}

/// A new file, and the folders that lead to it.
fn create(path: &Path) -> Result<File> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let opened = match (open(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder).and_then(|()| open())
        }
        (opened, _) => opened,
    };
    opened.map_err(|error| Error::io(error, path))
}

#[cfg(test)]
mod tests;
