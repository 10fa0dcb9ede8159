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

use shardpack_formats::{combine_crc64, crc64nvme};

use crate::crew::{Memory, PIECE};
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

/// What waits to be fetched.
struct Job {
    path: PathBuf,
    entry: Entry,
    object: usize,
    file: Mutex<Option<File>>,
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
    memory: &Arc<Memory>,
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
    let run = Run { objects: &**objects, jobs: &jobs, journal, memory, stop, progress };
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

struct Run<'r> {
    objects: &'r dyn Objects,
    jobs: &'r [Job],
    journal: Journal,
    memory: &'r Arc<Memory>,
    stop: &'r Stop,
    progress: &'r Progress,
}

impl Run<'_> {
    /// Each part is one request by one thread; parts of several files are under way side by side.
    fn all(&self, threads: usize) -> Result<()> {
        let parts = self.jobs.iter().flat_map(|job| {
            let starts = (0..job.entry.len.max(1)).step_by(PIECE as usize);
            starts.map(move |start| (job, start))
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
                    while let Some((job, start)) = next() {
                        if let Err(error) = self.part(job, start) {
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

    fn part(&self, job: &Job, start: u64) -> Result<()> {
        // A file of this machine is copied by the kernel, where it can without moving a byte. Never
        // linked: the container could write to the source.
        if let Some(file) = self.objects.file(job.object) {
            return if start == 0 { self.copy(job, file?) } else { Ok(()) };
        }
        let len = job.entry.len.saturating_sub(start).min(PIECE);
        let Some(buffer) = self.memory.take(len, true, self.stop) else { return Ok(()) };
        let buffer = match len {
            0 => buffer,
            _ => buffer.fill(self.objects, job.object, start)?,
        };
        let temporary = temporary(&job.path);
        let failed = |error| Error::io(error, &temporary);
        let file = {
            let mut slot = job.file.lock().unwrap_or_else(PoisonError::into_inner);
            match &*slot {
                Some(file) => file.try_clone().map_err(failed)?,
                None => {
                    let file = create(&temporary)?;
                    slot.insert(file).try_clone().map_err(failed)?
                }
            }
        };
        file.write_all_at(buffer.bytes(), start).map_err(failed)?;
        self.progress.bytes(len);
        let sum = (start, len, crc64nvme(buffer.bytes()));
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
        fs::rename(temporary, &job.path).map_err(|error| Error::io(error, &job.path))?;
        self.journal.note(&job.entry)?;
        self.progress.file();
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
