//! Which record comes next: shards arrive whole and one after the other, in any order.

use std::sync::Arc;

use shardpack_formats::{Position, Record};

use super::known::{By, Known, KnownShard};
use crate::stats::Skipped;
use crate::{Error, Result};

/// Follows a stream through the indexes of its shards.
#[derive(Debug)]
pub(crate) struct Tracker<'k> {
    known: &'k Known,
    /// Name of the stream, for messages.
    stream: String,
    /// For each shard of the manifest, whether it came.
    seen: Vec<bool>,
    current: Option<Current>,
    /// Row of the shard that came last: the next one is looked for behind it.
    last_row: Option<usize>,
    /// Where in the stream the next shard starts.
    next_start: u64,
    /// Shards without samples may stand anywhere, unseen.
    may_have_gaps: bool,
}

/// The shard that the stream is in.
#[derive(Debug)]
struct Current {
    shard: Arc<KnownShard>,
    /// Where in the stream it starts.
    start: u64,
    /// Number of its next record.
    next: u64,
}

/// A record of a known shard.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) shard: Arc<KnownShard>,
    pub(crate) ordinal: u64,
    /// What is wrong with it.
    pub(crate) damage: Option<Skipped>,
}

impl<'k> Tracker<'k> {
    pub(crate) fn new(known: &'k Known, stream: &str) -> Self {
        let shards = &known.manifest.shards;
        Self {
            known,
            stream: stream.to_owned(),
            seen: vec![false; shards.len()],
            current: None,
            last_row: None,
            next_start: 0,
            may_have_gaps: shards.iter().any(|shard| shard.samples == 0),
        }
    }

    /// Says which one `record`, the next of the stream, is. An error when it is none that may come
    /// here.
    pub(crate) fn record(&mut self, record: &Record) -> Result<Found> {
        let mut current = match self.current.take() {
            Some(current) if current.next < current.shard.indexed.index.len() as u64 => current,
            _ => self.enter(record)?,
        };
        let ordinal = current.next;
        let damage = self.check(&current, record)?;
        current.next += 1;
        let shard = Arc::clone(&current.shard);
        self.current = Some(current);
        Ok(Found { shard, ordinal, damage })
    }

    /// The shard that the stream is in, where in the stream it starts, and the number of its next
    /// record; none before the first record of a shard.
    pub(crate) fn inside(&self) -> Option<(&Arc<KnownShard>, u64, u64)> {
        self.current.as_ref().map(|Current { shard, start, next }| (shard, *start, *next))
    }

    /// Says that so many records more came, each as the index says.
    pub(crate) fn pass(&mut self, records: u64) {
        if let Some(current) = &mut self.current {
            current.next += records;
        }
    }

    /// The shard that begins with `record`.
    fn enter(&mut self, record: &Record) -> Result<Current> {
        let from = self.last_row.map_or(0, |row| row + 1);
        let seen = |row: usize| self.seen.get(row).is_some_and(|seen| *seen);
        let mut found = self.known.beginning_with(record, By::Bytes, from, seen)?;
        if found.is_none() {
            found = self.known.beginning_with(record, By::Name, from, seen)?;
        }
        if found.is_none() && record.damage.is_some() {
            found = self.known.beginning_with(record, By::Length, from, seen)?;
        }
        let Some(row) = found else {
            let key = &record.sample.key;
            let reason = format!(
                "byte {}: the sample {key:?} begins no shard of the manifest: the channel holds \
                 something else too, or a shard lacks its start",
                record.offset
            );
            return Err(Error::Shard { shard: self.stream.clone(), reason });
        };
        let shard = self.known.open(row)?;
        if seen(row) {
            let reason =
                format!("comes a second time, at byte {} of {}", record.offset, self.stream);
            return Err(Error::Shard { shard: shard.indexed.path.clone(), reason });
        }
        let before = shard.indexed.index.get(0).map_or(0, |first| first.offset);
        let start = record.offset.checked_sub(before).filter(|&start| match self.may_have_gaps {
            true => start >= self.next_start,
            false => start == self.next_start,
        });
        let Some(start) = start else {
            let reason = format!(
                "begins at byte {} of {}, where byte {} is its turn: bytes were added or lost",
                record.offset,
                self.stream,
                self.next_start + before
            );
            return Err(Error::Shard { shard: shard.indexed.path.clone(), reason });
        };
        tracing::debug!(shard = &*shard.indexed.path, byte = start, "shard");
        self.seen[row] = true;
        self.last_row = Some(row);
        self.next_start = start.saturating_add(self.known.manifest.shards[row].stream_bytes);
        Ok(Current { shard, start, next: 0 })
    }

    /// Compares a record with what the index has in its place: what is damaged in it.
    fn check(&self, current: &Current, record: &Record) -> Result<Option<Skipped>> {
        let Current { shard, start, next } = current;
        let Some(said) = shard.indexed.index.get(*next as usize) else { return Ok(None) };
        let wrong = |reason: String| Error::Shard { shard: shard.indexed.path.clone(), reason };
        if (said.len, said.crc32c) != (record.len, record.crc32c) {
            if let Some(row) = self.begins_another(current, record)? {
                let other = &self.known.manifest.shards[row].path;
                let len = shard.indexed.index.len();
                return Err(wrong(format!("ends before record {next} of {len}: {other} follows")));
            }
            if record.damage.is_none() && !self.known.may_be(record, &said) {
                let (key, said) = (&record.sample.key, said.key);
                return Err(wrong(format!("record {next} is {key:?}, the index says {said:?}")));
            }
        }
        if record.offset != start.saturating_add(said.offset) {
            let found = record.offset.saturating_sub(*start);
            let offset = said.offset;
            return Err(wrong(format!(
                "record {next} starts at byte {found}, the index says {offset}"
            )));
        }
        let same = (said.len == record.len, said.crc32c == record.crc32c);
        let reason = match (same, &record.damage) {
            (_, Some(damage)) => damage.clone(),
            ((true, true), None) => return Ok(None),
            ((true, false), None) => "wrong crc32c".to_owned(),
            ((false, _), None) => format!("{} bytes, the index says {}", record.len, said.len),
        };
        Ok(Some(Skipped {
            shard: shard.indexed.path.clone(),
            record: *next,
            offset: said.offset,
            key: said.key.to_owned(),
            reason,
        }))
    }

    /// The shard that begins with a record in the middle of another.
    fn begins_another(&self, current: &Current, record: &Record) -> Result<Option<usize>> {
        if current.next == 0 {
            return Ok(None);
        }
        let seen = |row: usize| self.seen.get(row).is_some_and(|seen| *seen);
        let found = self.known.beginning_with(record, By::Bytes, current.shard.row + 1, seen)?;
        Ok(found.filter(|row| *row != current.shard.row))
    }

    /// Where in its shard the stream is: the shard, and the place of `position` in it.
    pub(crate) fn locate(&self, position: Position) -> (String, Position) {
        match &self.current {
            Some(Current { shard, start, next }) if *next < shard.indexed.index.len() as u64 => {
                let offset = position.offset.saturating_sub(*start);
                (shard.indexed.path.clone(), Position { record: *next, offset })
            }
            _ => (self.stream.clone(), position),
        }
    }

    /// How many shards of the plan came, all of them whole.
    pub(crate) fn finish(&self) -> Result<u64> {
        if let Some(Current { shard, next, .. }) = &self.current
            && *next < shard.indexed.index.len() as u64
        {
            let reason = format!("ends before record {next} of {}", shard.indexed.index.len());
            return Err(Error::Shard { shard: shard.indexed.path.clone(), reason });
        }
        Ok(self.known.wanted().iter().filter(|&&row| self.came(row)).count() as u64)
    }

    /// An error that names the first shard of the plan that did not come.
    pub(crate) fn none_missing(&self) -> Result<()> {
        let mut missing = self.known.wanted().iter().filter(|&&row| !self.came(row));
        let Some(&first) = missing.next() else { return Ok(()) };
        let shard = self.known.manifest.shards[first].path.clone();
        let (stream, others) = (&self.stream, missing.count());
        let reason = match others {
            0 => format!("did not come in {stream}"),
            others => format!("did not come in {stream}, nor did {others} others"),
        };
        Err(Error::Shard { shard, reason })
    }

    /// Whether a shard came, or has nothing in it that could.
    fn came(&self, row: usize) -> bool {
        let empty = self.known.manifest.shards.get(row).is_some_and(|shard| shard.samples == 0);
        empty || self.seen.get(row).is_some_and(|seen| *seen)
    }
}
