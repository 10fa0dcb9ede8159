//! Writing a log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::lines::{self, MAX_LINE, sealed};
use super::log::{Pass, Stream, Worker};
use super::progress::{LoggedReader, LoggedSamples, Origin, Progress};
use crate::plan::{Cursor, Part, State};
use crate::{Error, Result};

/// How often a loop that notes every step gets a line.
const EVERY: Duration = Duration::from_secs(1);
/// Numbers of one line, of at most 15 digits each: lost positions, or shards.
const LISTED: usize = MAX_LINE / 16 - 64;

/// The log of what one process consumes: a file of its own, appended to and never read.
///
/// It survives `kill -9` but for the steps since the last line: at most a second's, and none before a
/// checkpoint if [`sync`](Self::sync) is called before it is saved. What is lost so was never part of a
/// checkpoint, and is read again.
#[derive(Debug)]
pub struct Coverage {
    file: File,
    path: PathBuf,
    /// Length of the whole lines.
    len: u64,
    /// The process that writes: a fork must not write into the same file.
    process: u32,
    part: Part,
    state: State,
    streamed: bool,
    now: Option<Now>,
    written: Instant,
}

/// How far the present pass has come.
#[derive(Debug)]
struct Now {
    /// The iterator that it walks.
    pass: u64,
    took: u64,
    /// As far as the file says.
    told: u64,
    /// Positions and shards to tell of, and how many of each the iterator has told in all.
    lost: Vec<u64>,
    shards: Vec<u32>,
    seen: (usize, usize),
}

impl Coverage {
    /// Begins a log in `folder`, which is made if need be, for what comes from `reader`. One for
    /// each process and each reader; give all of a job the same folder, or collect theirs.
    ///
    /// The file is called `rank-R-TIME-PROCESS.coverage`, and `host-H-rank-R-...` where hosts get
    /// other shards each.
    ///
    /// Fails with [`Error::Usage`] for shards without a manifest, of whose samples nothing is known.
    pub fn create(folder: impl AsRef<Path>, reader: &impl LoggedReader) -> Result<Self> {
        let origin = reader.origin()?;
        let started = now();
        let text = sealed(&lines::first(&origin, started));
        let Origin { part, host, state, streamed } = origin;
        let host = host.map_or_else(String::new, |host| format!("host-{}-", host.rank));
        let folder = folder.as_ref();
        let failed = |path: &Path, e| store_error(path, e);
        fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
        let process = std::process::id();
        let mut number = 0;
        let (path, mut file) = loop {
            let again = if number == 0 { String::new() } else { format!("-{number}") };
            let name = format!("{host}rank-{}-{started}-{process}{again}.coverage", part.rank);
            let path = folder.join(name);
            match OpenOptions::new().append(true).create_new(true).open(&path) {
                Ok(file) => break (path, file),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(e) => return Err(failed(&path, e)),
            }
        };
        file.write_all(text.as_bytes()).map_err(|e| failed(&path, e))?;
        let len = text.len() as u64;
        let written = Instant::now();
        // What a state says of streams is how far they came, not which samples they have.
        let state = State { streamed: None, ..state };
        Ok(Self { file, path, len, process, part, state, streamed, now: None, written })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes what was taken from `samples` so far. Call it after a step, or after each sample: it
    /// writes a line when the pass begins and ends, and once a second.
    ///
    /// Fails with [`Error::Usage`] for samples of another plan than the log was begun for, and in a
    /// process that was forked off; with [`Error::Store`] when the line cannot be written, and then
    /// the next call writes it.
    pub fn note(&mut self, samples: &impl LoggedSamples) -> Result<()> {
        let progress = samples.progress()?;
        let begins = self.now.as_ref().is_none_or(|now| now.pass != progress.pass);
        if begins {
            self.begin(&progress)?;
        }
        let Some(now) = &mut self.now else { return Ok(()) };
        now.took = progress.taken;
        let shards = progress.stream.map_or(&[][..], |stream| stream.shards);
        now.lost.extend(progress.lost.iter().skip(now.seen.0));
        now.shards.extend(shards.iter().skip(now.seen.1));
        now.seen = (progress.lost.len(), shards.len());
        match begins || progress.taken >= progress.share.len() || self.written.elapsed() >= EVERY {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// Writes what was noted, through to the disk. Before a checkpoint is saved: what the checkpoint
    /// will not read again must be in the log.
    pub fn sync(&mut self) -> Result<()> {
        self.write()?;
        self.file.sync_data().map_err(|e| store_error(&self.path, e))
    }

    /// Begins a pass, behind what is left to tell of the one before.
    fn begin(&mut self, progress: &Progress<'_>) -> Result<()> {
        let plan = progress.plan;
        if plan.part() != self.part {
            let (then, now) = (self.part, plan.part());
            return Err(Error::usage(format!("a coverage log of {then:?}, not of {now:?}")));
        }
        self.state.same_as(&plan.state(Cursor::default()))?;
        if progress.stream.is_some() != self.streamed {
            return Err(Error::usage("a coverage log is of streams or of shards that are sought"));
        }
        self.write()?;
        let (base, steps, split) = progress.share.extent();
        let worker = split.map_or_else(Worker::default, |(worker, workers, batch)| Worker {
            worker,
            workers,
            batch,
        });
        let start = Cursor { epoch: progress.share.epoch().number(), consumed: base };
        let skip = progress.stream.map_or(0, |stream| stream.skip);
        let stream = progress.stream.map(|stream| {
            let window = stream.window;
            Stream { skip, window, shards: Vec::new() }
        });
        let pass = Pass { start, steps, worker, stream, ..Pass::default() };
        self.append(&pass.to_string())?;
        let (lost, shards) = (Vec::new(), Vec::new());
        let pass = progress.pass;
        self.now = Some(Now { pass, took: skip, told: skip, lost, shards, seen: (0, 0) });
        Ok(())
    }

    /// Writes a line if there is something to tell; the shards that the steps came from before it.
    fn write(&mut self) -> Result<()> {
        while let Some(now) = &mut self.now
            && now.took > now.told
            && !now.shards.is_empty()
        {
            let count = now.shards.len().min(LISTED);
            let text = lines::shards(&now.shards[..count]);
            self.append(&text)?;
            if let Some(now) = &mut self.now {
                now.shards.drain(..count);
            }
        }
        while let Some(now) = &mut self.now
            && (now.took > now.told || !now.lost.is_empty())
        {
            let count = now.lost.len().min(LISTED);
            let (text, told) = (lines::took(now.took, self::now(), &now.lost[..count]), now.took);
            self.append(&text)?;
            if let Some(now) = &mut self.now {
                now.lost.drain(..count);
                now.told = told;
            }
        }
        Ok(())
    }

    fn append(&mut self, text: &str) -> Result<()> {
        if self.process != std::process::id() {
            return Err(Error::usage(format!(
                "{}: is the coverage log of the process that this one was forked off from; begin one after the fork",
                self.path.display()
            )));
        }
        let line = sealed(text);
        // One write: what is killed has written it or not.
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            let _ = self.file.set_len(self.len); // a piece of it would be damage in the middle
            return Err(store_error(&self.path, error));
        }
        self.len += line.len() as u64;
        self.written = Instant::now();
        Ok(())
    }
}

/// Tells what is left to tell. Who must know whether that worked calls [`Coverage::sync`].
impl Drop for Coverage {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            let _ = self.write();
        }
    }
}

/// Microseconds since 1970: ranks and restarts on one machine are told apart.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}

fn store_error(path: &Path, error: io::Error) -> Error {
    Error::Store(shardpack_store::Error::io(error, path.display().to_string()))
}
