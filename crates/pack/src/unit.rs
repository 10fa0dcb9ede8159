//! Consecutive records of one shard: the work of one thread at a time.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use shardpack_formats::{Compression, Layout, SampleShape, Segment, SplitScan};
use shardpack_manifest::IndexField;
use shardpack_store::Upload;

use crate::context::Context;
use crate::execute::interrupted;
use crate::plan::{Body, Shaper};
use crate::reshard::{Broken, Span};
use crate::stream::Compressed;
use crate::sums::sums;
use crate::writer::{Bodies, Output, Writer, Written};
use crate::{Error, Result, sources};

/// Where records must be split, by place in the dataset.
pub(crate) type Splits = HashMap<usize, Vec<u64>>;

/// Records to be written.
pub(crate) struct Unit {
    /// Number of the shard in the plan.
    pub(crate) shard: usize,
    /// Number of the unit in the shard.
    pub(crate) ordinal: usize,
    /// Places of its samples in the dataset.
    pub(crate) places: Range<usize>,
    /// Offset of its first record in the shard.
    pub(crate) offset: u64,
    /// Length of its records before compression.
    pub(crate) bytes: u64,
    pub(crate) upload: Arc<Box<dyn Upload>>,
    /// Splits found by an earlier try.
    pub(crate) splits: Arc<Splits>,
    /// Where all of it lies already, if the store may copy it from there.
    pub(crate) span: Option<Span>,
}

/// What a unit left behind: all that the shard's index needs, so that sealing looks at no sample
/// again (in shuffled order that is a cache miss each).
#[derive(Default)]
pub(crate) struct UnitDone {
    pub(crate) ordinal: usize,
    /// Bytes written, the trailer included; of a compressed shard, the length of the file.
    pub(crate) len: u64,
    /// CRC-64/NVME of those bytes.
    pub(crate) crc64: u64,
    /// Splits found just now.
    pub(crate) splits: Splits,
    /// Lines for the shard's file of names.
    pub(crate) sources: Vec<u8>,
    records: Vec<RecordDone>,
    fields: Vec<FieldDone>,
    keys: String,
    names: Vec<String>,
}

/// One record as it was written.
#[derive(Clone, Copy)]
pub(crate) struct RecordDone {
    pub(crate) id: u64,
    pub(crate) len: u64,
    pub(crate) crc32c: u32,
    /// Number in the samples' table of labels.
    pub(crate) label: u32,
    key_end: u32,
    fields_end: u32,
}

#[derive(Clone, Copy)]
struct FieldDone {
    name: u32,
    offset: Option<u64>,
    len: u64,
    crc32c: u32,
}

/// A record with its key and fields.
pub(crate) struct DoneRecord<'a> {
    pub(crate) key: &'a str,
    pub(crate) done: RecordDone,
    unit: &'a UnitDone,
    fields: Range<usize>,
}

/// Samples looked up together. Their rows and names are a few cache misses each, which overlap; of
/// many more, the bodies read in between would push them out again.
const AHEAD: usize = 64;

/// Buffers of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    shaper: Shaper,
    layout: Layout,
    written: Written,
    buffer: Vec<u8>,
    /// Files and their bytes that are packed and not told yet.
    packed: (u64, u64),
}

impl Unit {
    /// Reads the unit's files and writes its records, through a buffer of `capacity` bytes, unless the
    /// store copies them.
    pub(crate) fn write(
        &self,
        context: &Context<'_>,
        capacity: usize,
        scratch: &mut Scratch,
    ) -> Result<UnitDone> {
        let upload: &dyn Upload = &**self.upload;
        if let (Some(span), Some(copies)) = (&self.span, context.copies)
            && let Some(crc64) = copies.copy(span, upload)?
        {
            let mut done = self.records(context, None, scratch)?;
            (done.len, done.crc64) = (self.bytes, crc64);
            return Ok(done);
        }
        let output = match context.options.compression {
            Compression::None => Output::Place(upload),
            kind => {
                let level = context.options.level;
                Output::Stream(Box::new(Compressed::new(kind, level, upload)?))
            }
        };
        let plan = &context.plan.shards[self.shard];
        let buffer = std::mem::take(&mut scratch.buffer);
        let mut writer = Writer::new(output, self.offset, capacity, buffer);
        let mut done = self.records(context, Some(&mut writer), scratch)?;
        if self.places.end == plan.end {
            writer.raw(context.format.trailer())?;
        }
        let (buffer, end, crc64) = writer.finish()?;
        scratch.buffer = buffer;
        done.crc64 = crc64;
        done.len = match context.options.compression {
            Compression::None => end - self.offset,
            _ => end,
        };
        Ok(done)
    }

    /// Writes the records, or, without a writer, notes those that were copied.
    fn records(
        &self,
        context: &Context<'_>,
        mut writer: Option<&mut Writer<'_>>,
        scratch: &mut Scratch,
    ) -> Result<UnitDone> {
        let mut done = UnitDone::new(self.ordinal, self.places.len());
        let mut offset = self.offset;
        for first in self.places.clone().step_by(AHEAD) {
            let places = first..self.places.end.min(first + AHEAD);
            context.samples.touch(&context.plan.order[places.clone()]);
            for place in places {
                if context.progress.stopped() {
                    return Err(interrupted(context));
                }
                let writer = writer.as_deref_mut();
                offset += self.record(context, place, offset, writer, scratch, &mut done)?;
            }
            // Not one by one: every thread would wait for the others' counters.
            let (files, bytes) = std::mem::take(&mut scratch.packed);
            context.progress.add(files, bytes);
        }
        Ok(done)
    }

    /// Writes or notes one record at `offset`; gives its length.
    fn record(
        &self,
        context: &Context<'_>,
        place: usize,
        offset: u64,
        writer: Option<&mut Writer<'_>>,
        scratch: &mut Scratch,
        done: &mut UnitDone,
    ) -> Result<u64> {
        let plan = &context.plan.shards[self.shard];
        let Scratch { shaper, layout, written, packed, .. } = scratch;
        context.shape(shaper, place, |shape, bodies, inline| {
            let splits = self.splits.get(&place).map_or(&[][..], Vec::as_slice);
            let shape = SampleShape { splits, ..*shape };
            layout.clear();
            context.format.layout(&shape, layout);
            let first_try = self.splits.is_empty();
            match writer {
                Some(writer) => {
                    let word = context.format.split_word();
                    let scan = word
                        .filter(|_| first_try)
                        .map(|word| SplitScan::new(word, context.format.body_offset(&shape)));
                    let from = Bodies { source: context.source, bodies, inline };
                    writer
                        .record(layout, &shape, from, word.unwrap_or(0), scan, written)
                        .map_err(|error| name_sample(error, &plan.path, shape.key))?;
                    if let Some(catalog) = context.samples.catalog {
                        catalog.prove(shape.key, bodies, &written.fields)?;
                    }
                }
                None => {
                    sums(layout, &shape, (bodies, inline), context.samples.listing(), written);
                }
            }
            if !written.splits.is_empty() {
                done.splits.insert(place, std::mem::take(&mut written.splits));
            }
            if first_try {
                let from_files = shape.fields.iter().zip(bodies);
                let lens =
                    from_files.filter(|(_, b)| matches!(b, Body::File(_))).map(|(f, _)| f.len);
                *packed = lens.fold(*packed, |(files, bytes), len| (files + 1, bytes + len));
            }
            sources::note(context, place - plan.start, &shape, bodies, &mut done.sources);
            let label = context.label(place);
            Ok(done.note(&shape, bodies, label, offset, layout, written))
        })
    }
}

impl UnitDone {
    /// With room for so many records of a field each: growing would copy them several times.
    fn new(ordinal: usize, records: usize) -> Self {
        const KEY: usize = 24;
        Self {
            ordinal,
            records: Vec::with_capacity(records),
            fields: Vec::with_capacity(records),
            keys: String::with_capacity(records * KEY),
            ..Self::default()
        }
    }

    /// Notes a record that was written at `offset`; gives its length.
    fn note(
        &mut self,
        shape: &SampleShape<'_>,
        bodies: &[Body],
        label: u32,
        offset: u64,
        layout: &Layout,
        written: &Written,
    ) -> u64 {
        debug_assert_eq!(bodies.len(), written.fields.len());
        let first = self.fields.len();
        for (field, &crc32c) in shape.fields.iter().zip(&written.fields) {
            let name = self.name(field.name);
            self.fields.push(FieldDone { name, offset: None, len: field.len, crc32c });
        }
        let mut at = offset;
        for segment in &layout.segments {
            match segment {
                Segment::Literal(range) => at += range.len() as u64,
                Segment::Body { field, start, len } => {
                    // A body that the format split has no single place.
                    let body = &mut self.fields[first + field];
                    body.offset = (*start == 0 && *len == body.len).then_some(at);
                    at += len;
                }
                Segment::ChecksumStart => {}
                Segment::MaskedCrc32c => at += 4,
            }
        }
        self.keys.push_str(shape.key);
        self.records.push(RecordDone {
            id: shape.id,
            len: at - offset,
            crc32c: written.record,
            label,
            key_end: self.keys.len() as u32,
            fields_end: self.fields.len() as u32,
        });
        at - offset
    }

    /// Number of a field's name; a unit has few.
    fn name(&mut self, name: &str) -> u32 {
        let known = self.names.iter().position(|n| n == name);
        known.unwrap_or_else(|| {
            self.names.push(name.to_string());
            self.names.len() - 1
        }) as u32
    }

    /// Number of records.
    pub(crate) fn samples(&self) -> usize {
        self.records.len()
    }

    /// Number of their fields.
    pub(crate) fn fields(&self) -> usize {
        self.fields.len()
    }

    /// Length of their keys.
    pub(crate) fn key_bytes(&self) -> usize {
        self.keys.len()
    }

    /// The records, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = DoneRecord<'_>> {
        let (mut key_start, mut fields_start) = (0, 0);
        self.records.iter().map(move |&done| {
            let record = DoneRecord {
                key: &self.keys[key_start..done.key_end as usize],
                done,
                unit: self,
                fields: fields_start..done.fields_end as usize,
            };
            (key_start, fields_start) = (done.key_end as usize, done.fields_end as usize);
            record
        })
    }
}

impl<'a> DoneRecord<'a> {
    /// Its fields, in stored order.
    pub(crate) fn fields(&self) -> impl Iterator<Item = IndexField<'a>> + use<'a> {
        let unit = self.unit;
        unit.fields[self.fields.clone()].iter().map(|field| IndexField {
            name: &unit.names[field.name as usize],
            offset: field.offset,
            len: field.len,
            crc32c: field.crc32c,
        })
    }
}

/// Errors of the destination say enough; those about a sample name it, or the record it is from.
fn name_sample(error: Error, shard: &str, key: &str) -> Error {
    match error {
        Error::Store(error) => Broken::told(error, key),
        Error::Format(source) => Error::Record { shard: shard.into(), key: key.into(), source },
        other => other,
    }
}
