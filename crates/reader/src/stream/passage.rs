//! Shards of a manifest, one after the other in one stream.
//!
//! `decode one record -> which shard is this? -> take its records as they lie -> ... -> next shard`:
//! once it is known which shard the stream is in, the index says where each record ends, and samples
//! stay where they were read. Whatever is not as the index says is decoded, a record at a time, until
//! one is: so what is wrong has a name, and only what is wrong costs.

use std::sync::Arc;

use shardpack_formats::{DecodeOptions, Error as FormatError, Position, Record};
use shardpack_manifest::SampleHasher;

use super::contents::Planned;
use super::deal::Dealer;
use super::known::KnownShard;
use super::queue::Outbox;
use super::record::Origin;
use super::tap::Tap;
use super::track::Tracker;
use super::work::failed;
use crate::plan::SampleId;
use crate::pool::{Buffer, Pool};
use crate::sample::{Batch, Row};
use crate::segment::Segment;
use crate::{Error, Result, Sample};

/// Bytes that are taken at once: still in the core's cache when they are checked, and few enough
/// that a sample which waits in the shuffle's window keeps not many others in memory.
const STRETCH: u64 = 512 << 10;

/// Reads the shards of a dataset.
pub(super) struct Passage<'p, 'o> {
    planned: &'p Planned,
    decode: DecodeOptions,
    tap: Tap,
    tracker: Tracker<'p>,
    dealer: &'p mut Dealer<'o>,
    outbox: &'p Outbox,
    record: Record,
    /// Records that were decoded.
    decoded: u64,
    pool: Arc<Pool>,
    hasher: SampleHasher,
}

/// Records that are taken together.
struct Stretch {
    shard: Arc<KnownShard>,
    /// Where in the shard it begins.
    base: u64,
    bytes: usize,
    /// Numbers of its records.
    first: u64,
    end: u64,
}

impl<'p, 'o> Passage<'p, 'o> {
    pub(super) fn new(
        planned: &'p Planned,
        (name, bytes): super::Stream,
        dealer: &'p mut Dealer<'o>,
        outbox: &'p Arc<Outbox>,
    ) -> Self {
        let mut decode = DecodeOptions::default();
        decode.concatenated = true;
        decode.keep_damaged = true; // the index tells which record it was
        // A tar that was not packed may lack its end; its index says where that is.
        decode.missing_end = planned.known.manifest.plan.is_none();
        Self {
            planned,
            decode,
            tap: Tap::new(bytes, outbox),
            tracker: Tracker::new(&planned.known, &name),
            dealer,
            outbox,
            record: Record::default(),
            decoded: 0,
            pool: Arc::default(),
            hasher: SampleHasher::default(),
        }
    }

    pub(super) fn run(&mut self) -> Result<()> {
        // No shards have no end blocks either.
        while (self.tap.position() > 0 || !self.is_empty()?) && self.decode()? {
            while let Some(stretch) = self.stretch() {
                if !self.take(&stretch)? {
                    break;
                }
            }
        }
        let came = self.tracker.finish()?;
        match &self.planned.host {
            Some((_, hosts)) => hosts.check(came),
            None => self.tracker.none_missing(),
        }
    }

    fn is_empty(&mut self) -> Result<bool> {
        let over = self.tap.is_over();
        over.map_err(|error| self.failed(error.into(), Position::default()))
    }

    /// Decodes the next record, and leaves what follows it. False at the end.
    fn decode(&mut self) -> Result<bool> {
        let known = &self.planned.known;
        let start = self.tap.position();
        self.tap.mark();
        let mut decoder = known.format.decoder(Box::new(&mut self.tap), &self.decode);
        let read = decoder.read(&mut self.record);
        let at = decoder.position();
        drop(decoder);
        match read {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => {
                let Position { record, offset } = error.position().unwrap_or(at);
                let at = Position { record: self.decoded + record, offset: start + offset };
                return Err(self.failed(error, at));
            }
        }
        self.decoded += 1;
        self.record.offset += start;
        let end = self.record.offset + self.record.len;
        self.tap.step_to(end).map_err(|error| self.failed(error.into(), Position::default()))?;
        let found = self.tracker.record(&self.record)?;
        let place = known.place(found.shard.row, found.ordinal);
        if let Some(SampleId { shard, ordinal: 0 }) = place {
            self.outbox.begins(shard);
        }
        let origin = Origin::Shard(Arc::clone(&found.shard.indexed), found.ordinal);
        self.dealer.take(&mut self.record, place, origin, found.damage)?;
        Ok(true)
    }

    /// The next records of the shard that the stream is in. None at its end, and where the next one
    /// is too long to be read in one piece.
    fn stretch(&self) -> Option<Stretch> {
        let (shard, start, first) = self.tracker.inside()?;
        let base = self.tap.position().checked_sub(start)?;
        let mut stretch = Stretch { shard: Arc::clone(shard), base, bytes: 0, first, end: first };
        while let Some(record) = shard.indexed.index.get(stretch.end as usize) {
            let bytes = (record.offset + record.len).checked_sub(base)?;
            let fits = if stretch.bytes == 0 { self.decode.max_record } else { STRETCH };
            if bytes > fits {
                break;
            }
            stretch.bytes = usize::try_from(bytes).ok()?;
            stretch.end += 1;
        }
        (stretch.end > stretch.first).then_some(stretch)
    }

    /// Hands out records as they lie. False when the stream has ended, or a record is not what the
    /// index says: it is the next of the stream then.
    fn take(&mut self, stretch: &Stretch) -> Result<bool> {
        let Stretch { shard, base, first, .. } = stretch;
        let (bytes, filled, whole) = self.fill(stretch)?;
        let known = &self.planned.known;
        let number = known.place(shard.row, 0).map_or(0, |place| place.shard);
        let mut segment = Segment::new(Arc::clone(&shard.indexed), number, *base, bytes);
        let (mut done, mut used, mut own) = (0, 0, 0);
        let mut claims = Vec::new();
        for ordinal in *first..whole {
            let Some(record) = shard.indexed.index.get(ordinal as usize) else { break };
            let place = known.place(shard.row, ordinal);
            // What no rank gets, as it is damaged perhaps, is passed by.
            if !segment.is_record(&record) && self.dealer.is_wanted(place) {
                break;
            }
            if let Some(claim) = self.dealer.claim(place) {
                if !segment.keep_record(ordinal, &record, &mut self.hasher) {
                    let reason = format!("record {ordinal} is not what its index says");
                    return Err(Error::Shard { shard: shard.indexed.path.clone(), reason });
                }
                own += record.len;
                claims.push((place, claim));
            }
            done += 1;
            used = (record.offset + record.len - base) as usize;
        }
        self.tracker.pass(done);
        self.tap.put_back(segment.bytes().get(used..filled).unwrap_or_default());
        segment.truncate(used);
        self.give(segment, own, claims);
        Ok(first + done == whole && done > 0)
    }

    /// Bytes of a stretch, as many as came with its first record; how many they are, and the number
    /// behind the last record that is whole.
    fn fill(&mut self, stretch: &Stretch) -> Result<(Buffer, usize, u64)> {
        let Stretch { shard, base, first, end, .. } = stretch;
        let mut bytes = self.pool.take(stretch.bytes);
        let (mut filled, mut whole) = (0, *first);
        loop {
            let room = bytes.as_mut().get_mut(filled..).unwrap_or_default();
            let read = self.tap.take_some(room);
            let read = read.map_err(|error| self.failed(error.into(), Position::default()))?;
            filled += read;
            let is_there = |ordinal: u64| {
                let record = shard.indexed.index.get(ordinal as usize);
                record.is_some_and(|record| record.offset + record.len - base <= filled as u64)
            };
            while whole < *end && is_there(whole) {
                whole += 1;
            }
            if read == 0 || whole > *first {
                return Ok((bytes, filled, whole));
            }
        }
    }

    /// Hands out the samples of a segment that were claimed, which have `own` bytes.
    fn give(&mut self, segment: Segment, own: u64, claims: Vec<super::deal::Claimed>) {
        let rows = 0..claims.len() as u32;
        // Few of many: the others would stay in memory as long as they do.
        let batch = match 2 * own < segment.len() as u64 {
            true => Batch {
                segments: rows.clone().filter_map(|row| segment.alone(row)).collect(),
                rows: rows.map(|row| Row { segment: row, sample: 0 }).collect(),
            },
            false => Batch {
                segments: vec![segment],
                rows: rows.map(|row| Row { segment: 0, sample: row }).collect(),
            },
        };
        let batch = Arc::new(batch);
        for (row, (place, claim)) in (0..).zip(claims) {
            let make = |item| Sample::of_row(Arc::clone(&batch), row, item);
            self.dealer.give(place, claim, make);
        }
    }

    fn failed(&self, error: FormatError, at: Position) -> Error {
        failed(error, self.tracker.locate(at))
    }
}
