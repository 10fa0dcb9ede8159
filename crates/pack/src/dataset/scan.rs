//! Shards without an index: decoded from their start.

use std::io::{self, Read};

use shardpack_formats::{Compression, Error as FormatError, ErrorKind, Position, Record, Skipped};
use shardpack_store::Object;

use super::Dataset;
use super::check::read_failed;
use crate::parallel::check_stopped;
use crate::progress::Progress;
use crate::{Error, Result};
use shardpack_dataset::ShardReader;

/// One decoded record.
pub(super) struct Scanned<'r> {
    /// Number in the shard.
    pub(super) number: u64,
    /// Number at which the decoder started: what it gives for a key counts from there.
    pub(super) from: u64,
    /// The record, at its offset in the shard.
    pub(super) record: &'r Record,
}

/// How a scan ended.
#[derive(Debug)]
pub(super) struct Scan {
    /// What stopped it before the end of the shard.
    pub(super) error: Option<FormatError>,
    /// Number and offset of the next record, or of the damaged one.
    pub(super) position: Position,
    /// Bytes of the file that were read, and their CRC-64/NVME.
    pub(super) bytes: u64,
    pub(super) crc64: u64,
    /// Bytes before compression.
    pub(super) stream_bytes: u64,
    pub(super) skipped: Skipped,
}

/// How far a caller wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Record,
    Stop,
}

/// Memory of a scan in bytes: read at once, and for one record.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanBudget {
    pub(super) piece: usize,
    pub(super) record: u64,
}

impl ScanBudget {
    /// A worker's share of `memory` when there are `jobs` of them.
    pub(super) fn new(memory: u64, jobs: usize) -> Self {
        let share = memory / jobs.max(1) as u64;
        Self {
            piece: (share / 16).clamp(64 << 10, 1 << 20) as usize,
            record: (share / 2).max(64 << 10),
        }
    }
}

/// Calls `each` with every record of shard `number` from `start` on, which must be a record's
/// beginning, and the shard's unless it is uncompressed.
///
/// Damage ends the scan and is told in [`Scan::error`]; errors of the store and of `each` are
/// returned.
pub(super) fn scan(
    dataset: &Dataset<'_>,
    number: usize,
    object: &dyn Object,
    start: Position,
    budget: ScanBudget,
    progress: &Progress,
    each: &mut dyn FnMut(Scanned<'_>) -> Result<Next>,
) -> Result<Scan> {
    let shard = &dataset.shards()[number];
    let mut file = ShardReader::from(object, start.offset, budget.piece);
    let mut stream_bytes = 0;
    let mut end = Scan {
        error: None,
        position: start,
        bytes: 0,
        crc64: 0,
        stream_bytes: 0,
        skipped: Skipped::default(),
    };
    {
        let stream = match shard.compression.reader(Box::new(&mut file)) {
            Ok(stream) => Counting { stream, bytes: &mut stream_bytes },
            Err(error) => {
                end.error = Some(stream_error(error, start, &shard.path)?);
                return Ok(end);
            }
        };
        let mut options = dataset.decode().clone();
        options.max_record = budget.record;
        let mut decoder = dataset.codec().decoder(Box::new(stream), &options);
        let mut record = Record::default();
        let (mut next, mut passed) = (start.record, 0);
        loop {
            check_stopped(progress)?;
            match decoder.read(&mut record) {
                Ok(true) => {
                    progress.add(0, record.offset + record.len - passed);
                    passed = record.offset + record.len;
                    place(&mut record, start.offset);
                    let scanned = Scanned { number: next, from: start.record, record: &record };
                    next += 1;
                    if each(scanned)? == Next::Stop {
                        break;
                    }
                }
                Ok(false) => break,
                Err(error) => {
                    end.error = Some(at_home(error, start, &shard.path)?);
                    break;
                }
            }
        }
        let position = decoder.position();
        end.position = Position { record: next, offset: start.offset + position.offset };
        end.skipped = decoder.skipped();
    }
    (end.bytes, end.crc64, end.stream_bytes) = (file.offset(), file.crc64(), stream_bytes);
    Ok(end)
}

/// Moves a record from where its decoder started to its place in the shard.
fn place(record: &mut Record, base: u64) {
    record.offset += base;
    for field in &mut record.sample.fields {
        field.offset = field.offset.map(|offset| offset + base);
    }
}

/// Damage, at its place in the shard. An error of the store is none.
fn at_home(error: FormatError, start: Position, path: &str) -> Result<FormatError> {
    if matches!(error.kind(), ErrorKind::Io(_)) {
        return Err(match into_io(error) {
            Ok(source) => read_failed(Some(source), path),
            Err(error) => Error::Format(error),
        });
    }
    Ok(match error.position() {
        Some(p) => error.with_position(Position {
            record: start.record + p.record,
            offset: start.offset + p.offset,
        }),
        None => error.with_position(start),
    })
}

/// What a decompressor says of its first bytes.
fn stream_error(error: io::Error, at: Position, path: &str) -> Result<FormatError> {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Ok(FormatError::truncated(error.to_string(), at)),
        io::ErrorKind::InvalidData => Ok(FormatError::corrupt(error.to_string(), at)),
        _ => Err(read_failed(Some(error), path)),
    }
}

/// Damage to a compressed stream reaches some decoders as an error of reading.
fn into_io(error: FormatError) -> std::result::Result<io::Error, FormatError> {
    match error.kind() {
        ErrorKind::Io(source) => Ok(io::Error::new(source.kind(), source.to_string())),
        _ => Err(error),
    }
}

/// Counts what a decompressor gives.
struct Counting<'c, R> {
    stream: R,
    bytes: &'c mut u64,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(out)?;
        *self.bytes += read as u64;
        Ok(read)
    }
}

/// True where decoding may start in the middle: a compressed stream has no middle.
pub(super) fn can_restart(dataset: &Dataset<'_>, number: usize) -> bool {
    dataset.shards().get(number).is_some_and(|s| s.compression == Compression::None)
}
