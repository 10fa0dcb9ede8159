//! One shard in the making: cut into units that any thread can write to their place, then sealed.

use std::collections::HashMap;
use std::sync::Arc;

use shardpack_formats::{
    Compression, Format, Layout, SampleShape, Segment, SplitScan, combine_crc64,
};
use shardpack_manifest::{IndexBuilder, IndexEntry, IndexField, ShardFile};
use shardpack_store::{PutMode, Source, Store, Upload};

use crate::group::Samples;
use crate::options::PackOptions;
use crate::plan::{Plan, Shaper};
use crate::progress::Progress;
use crate::staging::{index_path, staged};
use crate::stream::Compressed;
use crate::writer::{Output, Writer};
use crate::{Error, Result};

/// What every thread of a run may look at.
pub(crate) struct Context<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) store: &'a dyn Store,
    pub(crate) samples: &'a Samples<'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) format: &'a dyn Format,
    pub(crate) options: &'a PackOptions,
    pub(crate) progress: &'a Progress,
}

/// Where records must be split, by place in the dataset.
type Splits = HashMap<usize, Vec<u64>>;

/// Consecutive records of one shard: the work of one thread at a time.
pub(crate) struct Unit {
    pub(crate) shard: usize,
    /// Number within the shard.
    ordinal: usize,
    /// Places in the dataset.
    first: usize,
    end: usize,
    /// Offset of the first record in the shard.
    offset: u64,
    upload: Arc<Box<dyn Upload>>,
    splits: Arc<Splits>,
}

/// What a unit left behind.
#[derive(Default)]
pub(crate) struct UnitDone {
    ordinal: usize,
    len: u64,
    crc64: u64,
    records: Vec<RecordDone>,
    fields: Vec<FieldDone>,
    splits: Splits,
}

struct RecordDone {
    len: u64,
    crc32c: u32,
}

#[derive(Clone, Copy)]
struct FieldDone {
    offset: Option<u64>,
    crc32c: u32,
}

/// A shard that hands out units and gathers what they left.
pub(crate) struct ShardWork {
    shard: usize,
    upload: Arc<Box<dyn Upload>>,
    lens: Vec<u64>,
    splits: Arc<Splits>,
    next: usize,
    offset: u64,
    units: Vec<Option<UnitDone>>,
    waiting: usize,
}

/// How large a unit may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UnitSize {
    pub(crate) bytes: u64,
    pub(crate) samples: usize,
}

impl ShardWork {
    /// Starts a shard. `splits` are those that an earlier try found.
    pub(crate) fn start(context: &Context<'_>, shard: usize, splits: Splits) -> Result<Self> {
        let plan = &context.plan.shards[shard];
        let mut lens = context.plan.lens[plan.start..plan.end].to_vec();
        let mut shaper = Shaper::default();
        for (&place, at) in &splits {
            lens[place - plan.start] = context.shape(&mut shaper, place, |shape, _, _| {
                context.format.encoded_len(&SampleShape { splits: at, ..*shape })
            });
        }
        let len = lens.iter().sum::<u64>() + context.format.trailer().len() as u64;
        let len = (context.options.compression == Compression::None).then_some(len);
        let upload = context.store.create(&staged(&plan.path), len)?;
        Ok(Self {
            shard,
            upload: Arc::new(upload),
            lens,
            splits: Arc::new(splits),
            next: 0,
            offset: 0,
            units: Vec::new(),
            waiting: 0,
        })
    }

    /// The next unit, until all are handed out. A compressed shard is one unit.
    pub(crate) fn unit(&mut self, context: &Context<'_>, size: UnitSize) -> Option<Unit> {
        if self.next == self.lens.len() {
            return None;
        }
        let start = context.plan.shards[self.shard].start;
        let (first, offset) = (self.next, self.offset);
        let whole = context.options.compression != Compression::None;
        while self.next < self.lens.len() {
            self.offset += self.lens[self.next];
            self.next += 1;
            let full = self.offset - offset >= size.bytes || self.next - first >= size.samples;
            if full && !whole {
                break;
            }
        }
        self.units.push(None);
        self.waiting += 1;
        Some(Unit {
            shard: self.shard,
            ordinal: self.units.len() - 1,
            first: start + first,
            end: start + self.next,
            offset,
            upload: Arc::clone(&self.upload),
            splits: Arc::clone(&self.splits),
        })
    }

    /// Takes back what a unit left. True when the shard is complete.
    pub(crate) fn done(&mut self, unit: UnitDone) -> bool {
        let ordinal = unit.ordinal;
        self.units[ordinal] = Some(unit);
        self.waiting -= 1;
        self.waiting == 0 && self.next == self.lens.len()
    }

    /// Splits that this try found and did not yet know: then the shard must be laid out again.
    pub(crate) fn new_splits(&mut self) -> Option<Splits> {
        if !self.splits.is_empty() {
            return None;
        }
        let found: Splits =
            self.units.iter_mut().flatten().flat_map(|u| u.splits.drain()).collect();
        (!found.is_empty()).then_some(found)
    }

    /// Ends the shard: joins checksums, makes it durable, writes its index.
    pub(crate) fn seal(self, context: &Context<'_>) -> Result<()> {
        let plan = &context.plan.shards[self.shard];
        let units: Vec<UnitDone> = self.units.into_iter().flatten().collect();
        let crc64 = units.iter().fold((0, 0), |(crc, len), unit| match len {
            0 => (unit.crc64, unit.len),
            _ => (combine_crc64(crc, unit.crc64, unit.len), len + unit.len),
        });
        let trailer = context.format.trailer().len() as u64;
        let file = ShardFile {
            format: context.format.name().into(),
            compression: context.options.compression,
            stream_bytes: self.offset + trailer,
            bytes: crc64.1,
            crc64nvme: crc64.0,
        };
        let index = build_index(context, plan.start, &units, &file)?;
        let upload = Arc::into_inner(self.upload).ok_or_else(|| Error::Shard {
            shard: plan.path.clone(),
            reason: "a unit is still being written".into(),
        })?;
        upload.seal(file.bytes)?;
        let sources = crate::sources::of_shard(context, plan);
        if !sources.is_empty() {
            let path = staged(&crate::sources::sources_path(&plan.path));
            context.store.put(&path, &sources, PutMode::Replace)?;
        }
        // The index is what makes a shard count as sealed: last.
        Ok(context.store.put(&staged(&index_path(&plan.path)), &index, PutMode::Replace)?)
    }
}

impl Context<'_> {
    /// The shape of the sample at a place of the dataset.
    pub(crate) fn shape<T>(
        &self,
        shaper: &mut Shaper,
        place: usize,
        use_shape: impl FnOnce(&SampleShape<'_>, &[crate::plan::Body], &[(&'static str, Vec<u8>)]) -> T,
    ) -> T {
        let sample = self.plan.order[place];
        let labels_are_fields = crate::labels_are_fields(self.format);
        shaper.with(self.samples, sample, place as u64, labels_are_fields, use_shape)
    }
}

/// Buffers of one thread.
#[derive(Default)]
pub(crate) struct Scratch {
    shaper: Shaper,
    layout: Layout,
    buffer: Vec<u8>,
}

impl Unit {
    /// Reads the unit's files and writes its records.
    pub(crate) fn write(
        &self,
        context: &Context<'_>,
        capacity: usize,
        scratch: &mut Scratch,
    ) -> Result<UnitDone> {
        let plan = &context.plan.shards[self.shard];
        let upload: &dyn Upload = &**self.upload;
        let output = match context.options.compression {
            Compression::None => Output::Place(upload),
            kind => Output::Stream(Compressed::new(kind, context.options.level, upload)?),
        };
        let buffer = std::mem::take(&mut scratch.buffer);
        let mut writer = Writer::new(output, self.offset, capacity, buffer);
        let mut done = UnitDone { ordinal: self.ordinal, ..UnitDone::default() };
        let mut offset = self.offset;
        let Scratch { shaper, layout, .. } = scratch;
        for place in self.first..self.end {
            if context.progress.stopped() {
                return Err(Error::Interrupted { sealed: 0, shards: context.plan.shards.len() });
            }
            offset = context.shape(shaper, place, |shape, bodies, inline| {
                let splits = self.splits.get(&place).map_or(&[][..], Vec::as_slice);
                let shape = SampleShape { splits, ..*shape };
                layout.clear();
                context.format.layout(&shape, layout);
                let word = context.format.split_word();
                let scan = word
                    .filter(|_| self.splits.is_empty())
                    .map(|word| SplitScan::new(word, context.format.body_offset(&shape)));
                let written = writer
                    .record(layout, bodies, inline, context.source, word.unwrap_or(0), scan)
                    .map_err(|error| name_sample(error, &plan.path, shape.key))?;
                let len = done.add(place, offset, layout, &written);
                if self.splits.is_empty() {
                    context
                        .progress
                        .add(bodies.len() as u64, shape.fields.iter().map(|f| f.len).sum());
                }
                Ok::<u64, Error>(offset + len)
            })?;
        }
        if self.end == plan.end {
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
}

impl UnitDone {
    /// Notes a record that was written at `offset`; gives its length.
    fn add(
        &mut self,
        place: usize,
        offset: u64,
        layout: &Layout,
        written: &crate::writer::Written,
    ) -> u64 {
        let first = self.fields.len();
        self.fields.extend(written.fields.iter().map(|&crc32c| FieldDone { offset: None, crc32c }));
        let mut at = offset;
        for segment in &layout.segments {
            match segment {
                Segment::Literal(range) => at += range.len() as u64,
                Segment::Body { field, start, len } => {
                    // A body that the format split has no single place: later parts clear it.
                    self.fields[first + field].offset = (*start == 0).then_some(at);
                    at += len;
                }
                Segment::ChecksumStart => {}
                Segment::MaskedCrc32c => at += 4,
            }
        }
        if !written.splits.is_empty() {
            self.splits.insert(place, written.splits.clone());
        }
        self.records.push(RecordDone { len: at - offset, crc32c: written.record });
        at - offset
    }
}

/// Errors of the destination say enough; those about a sample name it.
fn name_sample(error: Error, shard: &str, key: &str) -> Error {
    match error {
        Error::Format(source) => Error::Record { shard: shard.into(), key: key.into(), source },
        other => other,
    }
}

fn build_index(
    context: &Context<'_>,
    start: usize,
    units: &[UnitDone],
    file: &ShardFile,
) -> Result<Vec<u8>> {
    let mut builder = IndexBuilder::default();
    let mut shaper = Shaper::default();
    let (mut place, mut offset) = (start, 0);
    for unit in units {
        let mut fields = unit.fields.iter();
        for record in &unit.records {
            context.shape(&mut shaper, place, |shape, _, _| {
                let fields: Vec<IndexField<'_>> = shape
                    .fields
                    .iter()
                    .zip(fields.by_ref())
                    .map(|(f, done)| IndexField {
                        name: f.name,
                        offset: done.offset,
                        len: f.len,
                        crc32c: done.crc32c,
                    })
                    .collect();
                builder.push(&IndexEntry {
                    key: shape.key,
                    id: shape.id,
                    label: shape.label,
                    offset,
                    len: record.len,
                    crc32c: record.crc32c,
                    fields: &fields,
                })
            })?;
            offset += record.len;
            place += 1;
        }
    }
    Ok(builder.finish(file)?)
}
