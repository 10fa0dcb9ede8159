//! One process's log: its lines, and reading it back.

use std::fmt::{self, Write};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use shardpack_formats::crc32c;

use crate::plan::{Cursor, MAX_SAMPLES, Part, PlanOptions, State};
use crate::{Error, ReadOptions, Result};

/// The version that this release writes, and the newest it reads.
pub(super) const VERSION: u64 = 1;
/// Longest line in bytes: a state has at most 4,096, a line of lost positions is cut before.
pub(super) const MAX_LINE: usize = 16 << 10;
/// Most passes of one log: a line each, so a longer log is another thing.
const MAX_PASSES: usize = 1 << 20;
/// Most lost positions of one log: the reader's report of them has outgrown memory before.
const MAX_LOST: usize = 1 << 24;

/// What one process wrote down.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// The file.
    pub name: String,
    /// Rank, world and replicas of the process.
    pub part: Part,
    /// Dataset and order that it read.
    pub state: State,
    /// When it started, in microseconds since 1970.
    pub started: u64,
    /// When it wrote its last line.
    pub ended: u64,
    /// True when its last line was cut or damaged, and left out.
    pub torn: bool,
    pub(super) passes: Vec<Pass>,
}

/// A walk through an epoch, as far as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) start: Cursor,
    /// Steps of the rank.
    pub(super) steps: u64,
    pub(super) worker: Worker,
    /// Steps of this process that it took.
    pub(super) took: u64,
    /// Positions whose sample was damaged.
    pub(super) lost: Vec<u64>,
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

/// A line with its checksum and end.
pub(super) fn sealed(text: &str) -> String {
    format!("{text},crc32c={:08x}\n", crc32c(text.as_bytes()))
}

/// A line without its checksum, which holds.
fn unsealed(line: &[u8]) -> std::result::Result<&str, String> {
    let Some(line) = line.strip_suffix(b"\n") else {
        return Err(format!("a line of {} bytes without an end", line.len()));
    };
    let text = std::str::from_utf8(line).map_err(|e| e.to_string())?;
    let (text, digits) = text.rsplit_once(",crc32c=").ok_or("a line without a checksum")?;
    let found = format!("{:08x}", crc32c(text.as_bytes()));
    match found == digits {
        true => Ok(text),
        false => Err(format!("the line has crc32c {found}, not {digits}")),
    }
}

/// What the first line says.
pub(super) struct Head<'a> {
    pub(super) part: Part,
    pub(super) started: u64,
    pub(super) state: &'a State,
}

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Part { rank, world, replicas } = self.part;
        write!(f, "coverage={VERSION},rank={rank},world={world},replicas={replicas},")?;
        write!(f, "started={},{}", self.started, self.state)
    }
}

/// The line that a pass begins with.
impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worker { worker, workers, batch } = self.worker;
        let Cursor { epoch, consumed } = self.start;
        write!(f, "pass={epoch},from={consumed},steps={},", self.steps)?;
        write!(f, "worker={worker},workers={workers},batch={batch}")
    }
}

/// A line of progress.
pub(super) fn took(took: u64, at: u64, lost: &[u64]) -> String {
    let mut text = format!("took={took},at={at}");
    for (i, position) in lost.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{position}", if i == 0 { ",lost=" } else { "+" });
    }
    text
}

/// Takes one line. Errors about its content are [`Error::State`].
fn take(name: &str, log: &mut Option<Log>, text: &str) -> Result<()> {
    let kind = text.split_once('=').map_or(text, |(kind, _)| kind);
    match (kind, log) {
        ("coverage", log @ None) => *log = Some(head(name, text)?),
        ("pass", Some(log)) if log.passes.len() < MAX_PASSES => {
            log.passes.push(pass(text, log.part.group()?.world)?);
        }
        ("took", Some(log)) => progress(log, text)?,
        (kind, _) => return Err(Error::state(format!("a line {kind:?} is out of place here"))),
    }
    Ok(())
}

fn head(name: &str, text: &str) -> Result<Log> {
    let mut values = Values(text);
    let version = values.number("coverage")?;
    if version != VERSION {
        return Err(Error::Version { found: version, newest: VERSION });
    }
    let (rank, world) = (values.number("rank")?, values.number("world")?);
    let part = Part { rank, world, replicas: values.number("replicas")? };
    part.group().map_err(|e| Error::state(e.to_string()))?;
    let started = values.number("started")?;
    Ok(Log {
        name: name.to_owned(),
        part,
        state: State::from_str(values.0)?,
        started,
        ended: started,
        torn: false,
        passes: Vec::new(),
    })
}

fn pass(text: &str, world: u64) -> Result<Pass> {
    let mut values = Values(text);
    let (epoch, consumed) =
        (values.below("pass", MAX_SAMPLES)?, values.below("from", MAX_SAMPLES)?);
    let steps = values.below("steps", MAX_SAMPLES)?;
    let (worker, workers) = (values.number("worker")?, values.number("workers")?);
    let batch = values.number("batch")?;
    values.end()?;
    let turn = workers.checked_mul(batch).filter(|&turn| turn > 0 && turn <= MAX_SAMPLES);
    if worker >= workers || turn.is_none() {
        let what = format!("worker {worker} of {workers} with batch {batch}");
        return Err(Error::state(what));
    }
    // Padding fills up to one batch of each rank.
    if steps.checked_mul(world).is_none_or(|all| all > 2 * MAX_SAMPLES) {
        return Err(Error::state(format!("{steps} steps of {world} ranks")));
    }
    let (start, worker) = (Cursor { epoch, consumed }, Worker { worker, workers, batch });
    Ok(Pass { start, steps, worker, took: 0, lost: Vec::new() })
}

fn progress(log: &mut Log, text: &str) -> Result<()> {
    let (text, lost) = text.split_once(",lost=").map_or((text, None), |(t, l)| (t, Some(l)));
    let mut values = Values(text);
    let (took, at) = (values.number("took")?, values.number("at")?);
    values.end()?;
    let held: usize = log.passes.iter().map(|pass| pass.lost.len()).sum();
    let Some(pass) = log.passes.last_mut() else {
        return Err(Error::state("steps before a pass begins"));
    };
    let most = pass.worker.steps(pass.steps);
    if took < pass.took || took > most {
        let what = format!("{took} steps taken, after {} and of {most}", pass.took);
        return Err(Error::state(what));
    }
    for position in lost.into_iter().flat_map(|list| list.split('+')) {
        pass.lost.push(number("lost", position)?);
    }
    if held + pass.lost.len() > MAX_LOST {
        return Err(Error::state(format!("more than {MAX_LOST} lost positions")));
    }
    pass.took = took;
    log.ended = log.ended.max(at);
    Ok(())
}

/// The rest of a line, value by value.
struct Values<'a>(&'a str);

impl Values<'_> {
    fn number(&mut self, name: &str) -> Result<u64> {
        let (value, rest) = self.0.split_once(',').unwrap_or((self.0, ""));
        let text = value.strip_prefix(name).and_then(|value| value.strip_prefix('='));
        let text =
            text.ok_or_else(|| Error::state(format!("`{name}=` is not where it belongs")))?;
        self.0 = rest;
        number(name, text)
    }

    fn below(&mut self, name: &str, most: u64) -> Result<u64> {
        let value = self.number(name)?;
        match value <= most {
            true => Ok(value),
            false => Err(Error::state(format!("{name} {value}: at most {most}"))),
        }
    }

    fn end(&self) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Error::state(format!("{:?} after its end", self.0))),
        }
    }
}

/// One spelling for each number.
fn number(name: &str, text: &str) -> Result<u64> {
    let value = text.parse::<u64>().ok().filter(|value| value.to_string() == text);
    value.ok_or_else(|| Error::state(format!("{name} {text:?} is not a number")))
}
