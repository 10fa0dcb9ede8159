//! A stretch of a shard in memory, checked.

use std::sync::Arc;

use shardpack_formats::{DecodeOptions, Format, Record, Sample as Decoded, crc32c};
use shardpack_manifest::{Digest, Fields, IndexRecord, SampleHasher};

use tracing::field::Empty;

use crate::plan::Run;
use crate::pool::Buffer;
use crate::set::{Indexed, Set};
use crate::{Error, Result};

/// A payload, or why there is none.
pub(crate) type Payload<'a> = std::result::Result<&'a [u8], &'static str>;

/// Samples of one shard that were read together.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) shard: Arc<Indexed>,
    /// Its number in the plan.
    pub(crate) number: u32,
    /// Offset in the shard of the first byte.
    base: u64,
    bytes: Buffer,
    /// The samples that were asked for, in stored order.
    samples: Vec<Checked>,
    /// Samples whose bytes do not lie in the shard as they are: split, or transformed. By ordinal.
    decoded: Vec<(u64, Decoded)>,
    /// Samples that failed their check, and why. By ordinal.
    bad: Vec<(u64, String)>,
}

/// A sample that was looked at while it was in the core's cache.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) ordinal: u64,
    pub(crate) digest: Digest,
}

impl Segment {
    /// Reads and checks the samples of `runs`, which rise within one shard.
    pub(crate) fn load(set: &Set, runs: &[Run]) -> Result<Self> {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
            return Err(Error::usage("nothing to read"));
        };
        let span = tracing::debug_span!("read", shard = Empty, record = first.first, bytes = Empty);
        let _read = span.enter();
        let open = set.open(first.shard)?;
        let shard = &open.indexed;
        let ends = (
            shard.index.get(first.first as usize),
            shard.index.get((last.first + last.count - 1) as usize),
        );
        let (Some(head), Some(tail)) = ends else {
            let reason = format!("no sample {}", last.first + last.count - 1);
            return Err(Error::Shard { shard: shard.path.clone(), reason });
        };
        let (base, len) = (head.offset, tail.offset + tail.len - head.offset);
        span.record("shard", &*shard.path).record("bytes", len);
        let bytes = set.pool().take(len as usize);
        let mut segment = Self::new(Arc::clone(shard), first.shard, base, bytes);
        segment.samples.reserve(runs.iter().map(|run| run.count as usize).sum());
        let mut samples = runs.iter().flat_map(|run| run.first..run.first + run.count).peekable();
        let mut stream = set.stream(&open, first, base)?;
        let mut hasher = SampleHasher::default();
        let mut filled = 0;
        while filled < len as usize {
            let end = filled.saturating_add(set.piece()).min(len as usize);
            let piece = &mut segment.bytes.as_mut()[filled..end];
            let read = match &mut stream {
                None => open.object.read_at(base + filled as u64, piece)?,
                Some(stream) => stream.read_at(base + filled as u64, piece)?,
            };
            if read < piece.len() {
                let reason = format!("ends at byte {}, in a record", base + (filled + read) as u64);
                return Err(Error::Shard { shard: shard.path.clone(), reason });
            }
            filled = end;
            while let Some(&ordinal) = samples.peek()
                && let Some(record) = shard.index.get(ordinal as usize)
                && record.offset + record.len <= base + filled as u64
            {
                segment.check(ordinal, &record);
                segment.keep(ordinal, &record, &mut hasher);
                samples.next();
            }
        }
        set.keep(first, stream);
        Ok(segment)
    }

    /// A stretch of a shard from byte `base` on, of which nothing is kept yet.
    pub(crate) fn new(shard: Arc<Indexed>, number: u32, base: u64, bytes: Buffer) -> Self {
        let (samples, decoded, bad) = (Vec::new(), Vec::new(), Vec::new());
        Self { shard, number, base, bytes, samples, decoded, bad }
    }

    /// Adds a sample to those that are handed out.
    pub(crate) fn keep(&mut self, ordinal: u64, record: &IndexRecord<'_>, by: &mut SampleHasher) {
        self.samples.push(Checked { ordinal, digest: by.digest_record(record) });
    }

    /// Checks one sample against the index; decodes what cannot be taken as it lies.
    fn check(&mut self, ordinal: u64, record: &IndexRecord<'_>) {
        let mut whole = true;
        for field in record.fields.clone() {
            match field.offset {
                None => whole = false,
                Some(offset) => {
                    if crc32c(self.range(offset, field.len)) != field.crc32c {
                        self.bad.push((ordinal, format!("field {}: wrong crc32c", field.name)));
                        return;
                    }
                }
            }
        }
        if whole {
            return;
        }
        self.decode(ordinal, record);
    }

    /// Decodes a sample whose bytes do not lie in the shard as they are.
    fn decode(&mut self, ordinal: u64, record: &IndexRecord<'_>) {
        match decoded(&*self.shard.format, self.range(record.offset, record.len)) {
            Ok(sample) => match disagreement(&sample, record) {
                None => self.decoded.push((ordinal, sample)),
                Some(reason) => self.bad.push((ordinal, reason)),
            },
            Err(error) => self.bad.push((ordinal, error.to_string())),
        }
    }

    /// Whether the bytes of a record are those of the index, its frame included: what comes in a
    /// stream may be of another length, or another shard.
    pub(crate) fn is_record(&self, record: &IndexRecord<'_>) -> bool {
        crc32c(self.range(record.offset, record.len)) == record.crc32c
    }

    /// Keeps a sample whose record is that of the index. False when it cannot be decoded.
    pub(crate) fn keep_record(
        &mut self,
        ordinal: u64,
        record: &IndexRecord<'_>,
        by: &mut SampleHasher,
    ) -> bool {
        if record.fields.clone().any(|field| field.offset.is_none()) {
            self.decode(ordinal, record);
        }
        self.keep(ordinal, record, by);
        self.bad.is_empty()
    }

    /// Sample `number` of those that are kept, in memory of its own.
    pub(crate) fn alone(&self, number: u32) -> Option<Self> {
        let sample = self.sample(number)?;
        let record = self.record(sample.ordinal)?;
        let bytes = Buffer::from(self.range(record.offset, record.len).to_vec());
        let mut alone = Self::new(Arc::clone(&self.shard), self.number, record.offset, bytes);
        alone.samples.push(sample);
        if let Some(decoded) = by_ordinal(&self.decoded, sample.ordinal) {
            alone.decoded.push((sample.ordinal, decoded.clone()));
        }
        Some(alone)
    }

    /// Bytes of the shard; empty outside of what was read.
    fn range(&self, offset: u64, len: u64) -> &[u8] {
        let start = offset.checked_sub(self.base).map(|start| start as usize);
        start
            .and_then(|start| self.bytes.as_ref().get(start..start.checked_add(len as usize)?))
            .unwrap_or_default()
    }

    /// Sample `number` of those that were asked for.
    pub(crate) fn sample(&self, number: u32) -> Option<Checked> {
        self.samples.get(number as usize).copied()
    }

    pub(crate) fn record(&self, ordinal: u64) -> Option<IndexRecord<'_>> {
        self.shard.index.get(ordinal as usize)
    }

    pub(crate) fn fields(&self, ordinal: u64) -> Option<Fields<'_>> {
        self.shard.index.fields(ordinal as usize)
    }

    /// The payload of a record, as it is stored; an error says why there is none.
    ///
    /// What was checked when the record came in are its fields. What stands around them is compared
    /// here: only who asks for it pays.
    pub(crate) fn payload(&self, ordinal: u64) -> Payload<'_> {
        if let Some(decoded) = by_ordinal(&self.decoded, ordinal) {
            return Ok(decoded.payload());
        }
        let record = self.record(ordinal).ok_or("it is not in the index")?;
        let stored = self.range(record.offset, record.len);
        if crc32c(stored) != record.crc32c {
            return Err("the record has another crc32c than in the index");
        }
        self.shard.format.payload(stored).ok_or("its framing is damaged")
    }

    /// The body of a field.
    ///
    /// `place` is its place among the fields: formats that keep no names decode to others.
    pub(crate) fn body(&self, ordinal: u64, place: usize, offset: Option<u64>, len: u64) -> &[u8] {
        match offset {
            Some(offset) => self.range(offset, len),
            None => {
                let sample = by_ordinal(&self.decoded, ordinal);
                let field = sample.and_then(|sample| Some((sample, sample.fields.get(place)?)));
                field.map_or(&[], |(sample, field)| sample.body(field))
            }
        }
    }

    /// Why a sample must not be used.
    pub(crate) fn damage(&self, ordinal: u64) -> Option<&str> {
        by_ordinal(&self.bad, ordinal).map(|reason| &**reason)
    }

    /// Samples that failed their check.
    pub(crate) fn is_whole(&self) -> bool {
        self.bad.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Leaves the first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.as_ref().len()
    }
}

fn by_ordinal<T>(sorted: &[(u64, T)], ordinal: u64) -> Option<&T> {
    let found = sorted.binary_search_by_key(&ordinal, |(ordinal, _)| *ordinal).ok()?;
    Some(&sorted.get(found)?.1)
}

/// Decodes the only record in `bytes`.
fn decoded(format: &dyn Format, bytes: &[u8]) -> Result<Decoded> {
    let mut options = DecodeOptions::default();
    options.missing_end = true;
    options.max_record = bytes.len() as u64;
    let mut record = Record::default();
    match format.decoder(Box::new(bytes), &options).read(&mut record)? {
        true => Ok(record.sample),
        false => Err(Error::usage("no record where the index has one")),
    }
}

/// How a decoded sample differs from what the index says.
fn disagreement(sample: &Decoded, record: &IndexRecord<'_>) -> Option<String> {
    if sample.fields.len() != record.fields.len() {
        let (there, said) = (sample.fields.len(), record.fields.len());
        return Some(format!("{there} fields, the index says {said}"));
    }
    let mut pairs = sample.fields.iter().zip(record.fields.clone());
    let wrong = pairs.find(|(field, said)| crc32c(sample.body(field)) != said.crc32c);
    wrong.map(|(_, said)| format!("field {}: wrong crc32c", said.name))
}
