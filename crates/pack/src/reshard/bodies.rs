//! Bodies that are looked into before anything is planned: they say which samples are taken, and in
//! which order.

use std::collections::HashMap;

use shardpack_formats::{Error as FormatError, ErrorKind, crc32c};
use shardpack_store::{Bytes, FileId, Source};

use super::catalog::{Catalog, Place};
use super::source::DatasetSource;
use crate::parallel::each;
use crate::progress::Progress;
use crate::{Error, Result};

/// How they are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'r> {
    /// Most reads in flight.
    pub(super) depth: usize,
    /// Bytes of bodies that are held at a time.
    pub(super) memory: u64,
    pub(super) progress: &'r Progress,
}

/// Bodies by file.
pub(super) type Bodies = HashMap<FileId, Vec<u8>>;

/// Longest body that is looked into, in bytes.
const LONGEST: u64 = 16 << 20;
/// Most samples whose bodies one thread reads at a time, and the fewest tasks that a thread should
/// get: reads wait, so few samples are better spread over many threads.
const MOST: usize = 256;
const TASKS: usize = 4;
/// What lies between two bodies is read with them up to here: 16 KiB from a disk cost less than the
/// call for another read, and far less than another request.
const GAP: u64 = 16 << 10;
/// Longest read.
const STRETCH: u64 = 1 << 20;

/// Reads the bodies that `wanted` gives for each of `samples`, which are in the order of the sources,
/// and calls `look` with them, on many threads. Returns what it gave, in order.
///
/// Every body is compared with its crc32c. Fails with [`Error::Record`] where it is another one, or
/// longer than 16 MiB.
pub(super) fn look_into<T: Send>(
    source: &DatasetSource<'_>,
    samples: &[usize],
    reading: Reading<'_>,
    wanted: impl Fn(usize) -> Vec<FileId> + Sync,
    look: impl Fn(usize, &Bodies) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let depth = reading.depth.max(1);
    let room = (reading.memory / depth as u64).max(STRETCH);
    let most = (samples.len() / (depth * TASKS)).clamp(1, MOST);
    let listing = source.listing();
    let bytes = |sample: usize| wanted(sample).iter().map(|file| listing.file(*file).len).sum();
    let tasks = cut(samples, most, room, bytes);
    let work = |task: usize| {
        let samples = tasks.get(task).copied().unwrap_or_default();
        let files: Vec<FileId> = samples.iter().flat_map(|sample| wanted(*sample)).collect();
        let bodies = source.bodies(&files)?;
        samples.iter().map(|sample| look(*sample, &bodies)).collect::<Result<Vec<T>>>()
    };
    let found = each(tasks.len(), depth, reading.progress, work).map_err(|error| match error {
        Error::Stopped { .. } => Error::Stopped { done: 0, shards: source.shard_count() },
        error => error,
    });
    reading.progress.reset();
    Ok(found?.into_iter().flatten().collect())
}

/// Runs of samples, each of at most `most` and of `room` bytes unless one alone has more.
fn cut(samples: &[usize], most: usize, room: u64, bytes: impl Fn(usize) -> u64) -> Vec<&[usize]> {
    let (mut runs, mut start, mut sum) = (Vec::new(), 0, 0u64);
    for (i, &sample) in samples.iter().enumerate() {
        let more = bytes(sample);
        if i > start && (i - start == most || sum.saturating_add(more) > room) {
            runs.push(&samples[start..i]);
            (start, sum) = (i, 0);
        }
        sum = sum.saturating_add(more);
    }
    runs.push(&samples[start..]);
    runs
}

/// A part of a shard that is read at once: where, and the bodies in it.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    shard: u32,
    start: u64,
    end: u64,
    /// Bodies with their offsets in the shard, and their lengths.
    bodies: Vec<(FileId, u64, u64)>,
}

impl DatasetSource<'_> {
    /// Reads bodies, neighbours at once, and compares each with its crc32c.
    pub(super) fn bodies(&self, files: &[FileId]) -> Result<Bodies> {
        let catalog = self.catalog();
        let mut found = Bodies::with_capacity(files.len());
        let mut placed = Vec::with_capacity(files.len());
        for &file in files {
            let len = catalog.listing().file(file).len;
            if len > LONGEST {
                let kind = ErrorKind::TooLarge { what: "field", len, limit: LONGEST };
                let position = catalog.broken(file, String::new()).position;
                return Err(self.record(file, FormatError::at(kind, position)));
            }
            match catalog.place(file) {
                Place::At(offset) => placed.push((catalog.shard(file), offset, len, file)),
                Place::In(..) => {
                    let mut body = Vec::new();
                    let read = self.fetch(file, 0, len, &mut Bytes::new(&mut body));
                    read.map_err(|error| super::Broken::told(error, &key(catalog, file)))?;
                    found.insert(file, body);
                }
            }
        }
        placed.sort_unstable();
        for stretch in stretches(&placed) {
            self.read(&stretch, &mut found)?;
        }
        Ok(found)
    }

    fn read(&self, stretch: &Stretch, found: &mut Bodies) -> Result<()> {
        let mut bytes = vec![0; (stretch.end - stretch.start) as usize];
        let read = self.object(stretch.shard)?.read_at(stretch.start, &mut bytes)?;
        bytes.truncate(read);
        for &(file, offset, len) in &stretch.bodies {
            let at = (offset - stretch.start) as usize;
            let Some(body) = bytes.get(at..at + len as usize) else {
                let reason = "the shard ends before the body does".to_owned();
                let broken = self.catalog().broken(file, reason);
                return Err(broken.into_error(&key(self.catalog(), file)));
            };
            self.catalog().check(file, crc32c(body))?;
            found.insert(file, body.to_vec());
        }
        Ok(())
    }

    /// An error about the record that holds a file.
    pub(super) fn record(&self, file: FileId, source: FormatError) -> Error {
        let catalog = self.catalog();
        let shard = catalog.name(catalog.shard(file)).to_owned();
        Error::Record { shard, key: key(catalog, file), source }
    }
}

fn key(catalog: &Catalog, file: FileId) -> String {
    let mut key = String::new();
    catalog.key_of(file, &mut key);
    key
}

/// Bodies that lie close together, of `placed` in the order of shards and offsets: shard, offset,
/// length and file.
fn stretches(placed: &[(u32, u64, u64, FileId)]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for &(shard, offset, len, file) in placed {
        let end = offset + len;
        match stretches.last_mut() {
            Some(last)
                if last.shard == shard
                    && offset.saturating_sub(last.end) <= GAP
                    && end.saturating_sub(last.start) <= STRETCH =>
            {
                last.end = last.end.max(end);
                last.bodies.push((file, offset, len));
            }
            _ => stretches.push(Stretch {
                shard,
                start: offset,
                end,
                bodies: vec![(file, offset, len)],
            }),
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_read_at_once() {
        let placed = [
            (0, 0, 10, 0),
            (0, 500, 10, 1),
            (0, 510 + GAP, 5, 2),
            (0, 516 + 2 * GAP, 5, 3), // a byte too far
            (1, 530 + 2 * GAP, 7, 4),
            (1, 600 + 2 * GAP, STRETCH, 5), // too long together
        ];
        let found: Vec<_> =
            stretches(&placed).iter().map(|s| (s.shard, s.start, s.end, s.bodies.len())).collect();
        let far = 516 + 2 * GAP;
        assert_eq!(
            found,
            [
                (0, 0, 515 + GAP, 3),
                (0, far, far + 5, 1),
                (1, far + 14, far + 21, 1),
                (1, far + 84, far + 84 + STRETCH, 1)
            ]
        );
    }

    #[test]
    fn runs_are_short_and_fit_the_room() {
        let samples: Vec<usize> = (0..7).collect();
        let runs = |most, room, bytes: fn(usize) -> u64| {
            cut(&samples, most, room, bytes).iter().map(|run| run.len()).collect::<Vec<_>>()
        };
        assert_eq!(runs(3, 100, |_| 1), [3, 3, 1]);
        assert_eq!(runs(9, 2, |_| 1), [2, 2, 2, 1]);
        assert_eq!(runs(9, 4, |i| if i == 2 { 9 } else { 1 }), [2, 1, 4]);
    }
}
