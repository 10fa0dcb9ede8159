//! The lines of a log, written and read. SPEC.md beside this file has them.

use std::fmt::{self, Write};
use std::str::FromStr;

use shardpack_channel::Rank;
use shardpack_formats::crc32c;

use super::attempts::Place;
use super::log::{Log, Pass, Stream, Worker};
use super::progress::Origin;
use crate::plan::{Cursor, MAX_LANES, MAX_SAMPLES, MAX_WINDOW, Part, State};
use crate::{Error, Result};

/// Version of a log of shards that are sought, and of one of streams.
const SOUGHT: u64 = 1;
const STREAMED: u64 = 2;
/// Longest line in bytes: a state has at most 4,096, a list of numbers is cut before.
pub(super) const MAX_LINE: usize = 16 << 10;
/// Most passes of one log: a line each, so a longer log is another thing.
const MAX_PASSES: usize = 1 << 20;
/// Most lost positions of one log, and most shards: the reader's report of so much damage has
/// outgrown memory before.
const MAX_LISTED: usize = 1 << 24;

/// A line with its checksum and end.
pub(super) fn sealed(text: &str) -> String {
    format!("{text},crc32c={:08x}\n", crc32c(text.as_bytes()))
}

/// A line without its checksum, which holds.
pub(super) fn unsealed(line: &[u8]) -> std::result::Result<&str, String> {
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

/// The first line.
pub(super) fn first(origin: &Origin, started: u64) -> String {
    let Origin { part: Part { rank, world, replicas }, host, state, streamed } = origin;
    let version = if *streamed { STREAMED } else { SOUGHT };
    let host =
        host.map_or_else(String::new, |Rank { rank, world }| format!("host={rank},hosts={world},"));
    let part = format!("rank={rank},world={world},replicas={replicas}");
    format!("coverage={version},{part},{host}started={started},{state}")
}

/// The line that a pass begins with.
impl fmt::Display for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worker { worker, workers, batch } = self.worker;
        let Cursor { epoch, consumed } = self.start;
        let steps = self.steps;
        match &self.stream {
            None => {
                write!(f, "pass={epoch},from={consumed},steps={steps},")?;
                write!(f, "worker={worker},workers={workers},batch={batch}")
            }
            Some(Stream { skip, window, .. }) => {
                write!(f, "stream={epoch},from={consumed},steps={steps},")?;
                write!(f, "skip={skip},window={window}")
            }
        }
    }
}

/// A line of shards.
pub(super) fn shards(shards: &[u32]) -> String {
    listed("shards=".to_owned(), shards)
}

/// A line of progress.
pub(super) fn took(took: u64, at: u64, lost: &[u64]) -> String {
    let text = format!("took={took},at={at}");
    match lost {
        [] => text,
        _ => listed(text + ",lost=", lost),
    }
}

fn listed<N: fmt::Display>(mut text: String, numbers: &[N]) -> String {
    for (i, number) in numbers.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{number}", if i == 0 { "" } else { "+" });
    }
    text
}

/// Takes one line. Errors about its content are [`Error::State`].
pub(super) fn take(name: &str, log: &mut Option<Log>, text: &str) -> Result<()> {
    let kind = text.split_once('=').map_or(text, |(kind, _)| kind);
    match (kind, log) {
        ("coverage", log @ None) => *log = Some(head(name, text)?),
        ("pass", Some(log)) if log.passes.len() < MAX_PASSES && !log.streamed => {
            log.passes.push(pass(text, log.part.group()?.world)?);
        }
        ("stream", Some(log)) if log.passes.len() < MAX_PASSES && log.streamed => {
            log.passes.push(stream(text, log.part.group()?.world)?);
        }
        ("shards", Some(log)) if log.streamed => came(log, text)?,
        ("took", Some(log)) => progress(log, text)?,
        (kind, _) => return Err(Error::state(format!("a line {kind:?} is out of place here"))),
    }
    Ok(())
}

fn head(name: &str, text: &str) -> Result<Log> {
    let mut values = Values(text);
    let version = values.number("coverage")?;
    if !(SOUGHT..=STREAMED).contains(&version) {
        return Err(Error::Version { found: version, newest: STREAMED });
    }
    let streamed = version == STREAMED;
    let (rank, world) = (values.number("rank")?, values.number("world")?);
    let part = Part { rank, world, replicas: values.number("replicas")? };
    part.group().map_err(|e| Error::state(e.to_string()))?;
    let host = match streamed && values.0.starts_with("host=") {
        true => Some(host(&mut values)?),
        false => None,
    };
    let started = values.number("started")?;
    let mut state = State::from_str(values.0)?;
    let base = state.streamed.take().map_or(state.consumed, |streamed| streamed.base);
    Ok(Log {
        name: name.to_owned(),
        part,
        host,
        begins: Place { cursor: state.cursor(), base },
        state,
        started,
        ended: started,
        torn: false,
        streamed,
        passes: Vec::new(),
    })
}

fn host(values: &mut Values<'_>) -> Result<Rank> {
    let (rank, world) = (values.below("host", MAX_LANES)?, values.below("hosts", MAX_LANES)?);
    match rank < world {
        true => Ok(Rank { rank: rank as u32, world: world as u32 }),
        false => Err(Error::state(format!("host {rank} of {world}"))),
    }
}

fn pass(text: &str, world: u64) -> Result<Pass> {
    let mut values = Values(text);
    let (start, steps) = values.extent("pass", world)?;
    let (worker, workers) = (values.number("worker")?, values.number("workers")?);
    let batch = values.number("batch")?;
    values.end()?;
    let turn = workers.checked_mul(batch).filter(|&turn| turn > 0 && turn <= MAX_SAMPLES);
    if worker >= workers || turn.is_none() {
        let what = format!("worker {worker} of {workers} with batch {batch}");
        return Err(Error::state(what));
    }
    let worker = Worker { worker, workers, batch };
    Ok(Pass { start, steps, worker, ..Pass::default() })
}

fn stream(text: &str, world: u64) -> Result<Pass> {
    let mut values = Values(text);
    let (start, steps) = values.extent("stream", world)?;
    let (skip, window) = (values.below("skip", steps)?, values.below("window", MAX_WINDOW)?);
    values.end()?;
    let stream = Some(Stream { skip, window, shards: Vec::new() });
    Ok(Pass { start, steps, took: skip, stream, ..Pass::default() })
}

/// Shards of the stream that the log is in.
fn came(log: &mut Log, text: &str) -> Result<()> {
    let streams = log.passes.iter().filter_map(|pass| pass.stream.as_ref());
    let held: usize = streams.map(|stream| stream.shards.len()).sum();
    let Some(stream) = log.passes.last_mut().and_then(|pass| pass.stream.as_mut()) else {
        return Err(Error::state("shards before a stream begins"));
    };
    for shard in text.strip_prefix("shards=").unwrap_or_default().split('+') {
        let number = number("shards", shard)?;
        let shard = u32::try_from(number).map_err(|_| Error::state(format!("shard {number}")))?;
        stream.shards.push(shard);
    }
    match held + stream.shards.len() > MAX_LISTED {
        true => Err(Error::state(format!("more than {MAX_LISTED} shards"))),
        false => Ok(()),
    }
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
    if held + pass.lost.len() > MAX_LISTED {
        return Err(Error::state(format!("more than {MAX_LISTED} lost positions")));
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

    /// Where a walk of this kind begins, and how many steps each rank has.
    fn extent(&mut self, kind: &str, world: u64) -> Result<(Cursor, u64)> {
        let (epoch, consumed) = (self.below(kind, MAX_SAMPLES)?, self.below("from", MAX_SAMPLES)?);
        let steps = self.below("steps", MAX_SAMPLES)?;
        // Padding fills up to one batch of each rank.
        match steps.checked_mul(world).is_none_or(|all| all > 2 * MAX_SAMPLES) {
            true => Err(Error::state(format!("{steps} steps of {world} ranks"))),
            false => Ok((Cursor { epoch, consumed }, steps)),
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
