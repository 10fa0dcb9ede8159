//! One shard in the making: cut into units that any thread can write to their place, then sealed.

use std::collections::VecDeque;
use std::sync::Arc;

use shardpack_formats::{Compression, SampleShape, combine_crc64};
use shardpack_manifest::{IndexBuilder, IndexEntry, ShardFile};
use shardpack_store::{PutMode, Upload};

use crate::context::Context;
use crate::plan::Shaper;
use crate::reshard::Span;
use crate::sources::sources_path;
use crate::staging::{index_path, put, staged};
use crate::unit::{Splits, Unit, UnitDone};
use crate::{Error, Result};

/// A shard that hands out units and gathers what they left.
pub(crate) struct ShardWork {
    shard: usize,
    upload: Arc<Box<dyn Upload>>,
    lens: Vec<u64>,
    splits: Arc<Splits>,
    /// What the store may copy, as far as it is not handed out.
    spans: VecDeque<Span>,
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
        // Where places moved, or a store will not, everything is written.
        let spans = match context.copies.filter(|_| splits.is_empty()) {
            Some(copies) => copies.spans(context, shard)?,
            None => Vec::new(),
        };
        let copied: Vec<_> = spans.iter().map(|span| span.bytes.clone()).collect();
        let path = staged(context.store, &plan.path);
        let upload = match (context.options.compression, copied.is_empty()) {
            (Compression::None, true) => context.store.create(&path, Some(len))?,
            (Compression::None, false) => context.store.create_around(&path, len, &copied)?,
            _ => context.store.create(&path, None)?,
        };
        Ok(Self {
            shard,
            upload: Arc::new(upload),
            lens,
            splits: Arc::new(splits),
            spans: spans.into(),
            next: 0,
            offset: 0,
            units: Vec::new(),
            waiting: 0,
        })
    }

    /// The next unit, until all are handed out. A compressed shard is one unit, and so is a span.
    pub(crate) fn unit(&mut self, context: &Context<'_>, size: UnitSize) -> Option<Unit> {
        if self.next == self.lens.len() {
            return None;
        }
        let start = context.plan.shards[self.shard].start;
        let (first, offset) = (self.next, self.offset);
        let span = self.spans.pop_front_if(|span| span.places.start == start + first);
        let end = match (&span, self.spans.front()) {
            (Some(span), _) => span.places.end - start,
            (None, Some(next)) => next.places.start - start,
            (None, None) => self.lens.len(),
        };
        let whole = context.options.compression != Compression::None || span.is_some();
        while self.next < end {
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
            places: start + first..start + self.next,
            offset,
            bytes: self.offset - offset,
            upload: Arc::clone(&self.upload),
            splits: Arc::clone(&self.splits),
            span,
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
        let index = build_index(context, &units, &file)?;
        let upload = Arc::into_inner(self.upload).ok_or_else(|| Error::Shard {
            shard: plan.path.clone(),
            reason: "a unit is still being written".into(),
        })?;
        upload.seal(file.bytes, Some(file.crc64nvme))?;
        let sources: Vec<u8> = units.iter().flat_map(|u| u.sources.iter().copied()).collect();
        if !sources.is_empty() {
            let path = staged(context.store, &sources_path(&plan.path));
            put(context.store, &path, &sources, PutMode::Replace)?;
        }
        // The index is what makes a shard count as sealed: last.
        let path = staged(context.store, &index_path(&plan.path));
        put(context.store, &path, &index, PutMode::Replace)
    }
}

/// The index of a shard, from what its units noted.
fn build_index(context: &Context<'_>, units: &[UnitDone], file: &ShardFile) -> Result<Vec<u8>> {
    let sum = |count: fn(&UnitDone) -> usize| units.iter().map(count).sum();
    let (records, fields) = (sum(UnitDone::samples), sum(UnitDone::fields));
    let mut builder = IndexBuilder::with_capacity(records, fields, sum(UnitDone::key_bytes));
    let mut offset = 0;
    let mut fields = Vec::new();
    for record in units.iter().flat_map(UnitDone::records) {
        fields.clear();
        fields.extend(record.fields());
        builder.push(&IndexEntry {
            key: record.key,
            id: record.done.id,
            label: &context.samples.labels[record.done.label as usize],
            offset,
            len: record.done.len,
            crc32c: record.done.crc32c,
            fields: &fields,
        })?;
        offset += record.done.len;
    }
    Ok(builder.finish(file)?)
}
