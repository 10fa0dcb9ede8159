//! One process's log, read back.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use shardpack_channel::Rank;

use super::attempts::Place;
use super::lines::{MAX_LINE, take, unsealed};
use crate::plan::{Cursor, Part, PlanOptions, State};
use crate::{Error, ReadOptions, Result};

/// What one process wrote down.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The file.
    pub name: String,
    /// Rank, world and replicas of the process; those of its host alone where `host` is told.
    pub part: Part,
    /// Which host it ran on, of those that share the shards, each getting other ones
    /// (ShardedByS3Key). None where every host gets all of them.
    pub host: Option<Rank>,
    /// Dataset and order that it read.
    pub state: State,
    /// When it started, in microseconds since 1970.
    pub started: u64,
    /// When it wrote its last line.
    pub ended: u64,
    /// True when its last line was cut or damaged, and left out.
    pub torn: bool,
    /// Whether it tells of streams.
    pub(super) streamed: bool,
    /// Where its plan starts.
    pub(super) begins: Place,
    pub(super) passes: Vec<Pass>,
}

/// A walk through an epoch, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) start: Cursor,
    /// Steps of the rank.
    pub(super) steps: u64,
    pub(super) worker: Worker,
    /// Steps of this process that it took, of a stream those that it passed over included.
    pub(super) took: u64,
    /// Positions whose sample was damaged.
    pub(super) lost: Vec<u64>,
    /// None where shards were sought.
    pub(super) stream: Option<Stream>,
}

/// How a stream brought the samples of a pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stream {
    /// Steps that had been taken before, and were passed over.
    pub(super) skip: u64,
    /// Samples of the shuffle's window.
    pub(super) window: u64,
    /// Shards of the plan, in the order in which they came.
    pub(super) shards: Vec<u32>,
}

/// Which of its rank's batches a process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Worker {
    pub(super) worker: u64,
    pub(super) workers: u64,
    pub(super) batch: u64,
}

/// The only one.
impl Default for Worker {
    fn default() -> Self {
        Self { worker: 0, workers: 1, batch: 1 }
    }
}

impl Log {
    /// Reads a log. None for one without a whole first line: its process was ended before it wrote
    /// any.
    ///
    /// Fails with [`Error::Log`], which names the line, when a line before the last is damaged or
    /// makes no sense, and with [`Error::Version`] for a log of a later release.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        let name = path.display().to_string();
        let io = |e| Error::Store(shardpack_store::Error::io(e, name.clone()));
        let file = File::open(path).map_err(io)?;
        match file.metadata().map_err(io)?.is_file() {
            true => Self::read(&name, BufReader::new(file)),
            false => Err(Error::usage(format!("{name}: is no regular file"))),
        }
    }

    /// Reads a log from anywhere; `name` is for messages.
    pub fn read(name: &str, mut input: impl BufRead) -> Result<Option<Self>> {
        let mut log = None;
        let mut number = 0;
        let mut bad: Option<Error> = None;
        loop {
            let mut line = Vec::new();
            let read = input.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line);
            read.map_err(|e| Error::Store(shardpack_store::Error::io(e, name)))?;
            if line.is_empty() {
                break;
            }
            // Only the last line may be bad.
            if let Some(error) = bad {
                return Err(error);
            }
            number += 1;
            let place = |reason| Error::Log { file: name.into(), line: number, reason };
            match unsealed(&line) {
                Ok(text) => take(name, &mut log, text).map_err(|error| match error {
                    Error::State { reason } => place(reason),
                    error => error,
                })?,
                Err(reason) => bad = Some(place(reason)),
            }
        }
        Ok(log.map(|log| Self { torn: bad.is_some(), ..log }))
    }

    /// How to open the dataset that was read, for an [`audit`](super::audit): the same order. A
    /// split or subset must be named in it as it was then.
    pub fn options(&self) -> ReadOptions {
        let State { seed, shuffle, lanes, length, .. } = self.state;
        let (lanes, length) = (Some(lanes), Some(length));
        let plan = PlanOptions { seed, shuffle, lanes, length, ..PlanOptions::default() };
        ReadOptions { plan, ..ReadOptions::default() }
    }
}
