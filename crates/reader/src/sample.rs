//! What a training loop gets.

use std::fmt;
use std::sync::Arc;

use shardpack_formats::Label;
use shardpack_manifest::{Digest, IndexField, IndexRecord, SampleHasher};

use crate::plan::{Item, SampleId};
use crate::segment::{Checked, Segment};
use crate::stats::Skipped;
use crate::stream::StreamRecord;
use crate::{Error, Result};

/// Samples that were read together, in the order of handing out.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) segments: Vec<Segment>,
    /// For each sample, where it is.
    pub(crate) rows: Vec<Row>,
}

/// A sample's place in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) segment: u32,
    /// Its number among those that the segment was read for.
    pub(crate) sample: u32,
}

impl Batch {
    /// Bytes of shards that were read for it.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len() as u64).sum()
    }

    /// Bytes of memory for each sample.
    fn weight(&self) -> usize {
        self.bytes() as usize / self.rows.len().max(1) + size_of::<Sample>()
    }

    /// Where the sample in row `row` is, and what is known of it.
    pub(crate) fn segment(&self, row: u32) -> Option<(&Segment, Checked)> {
        let Row { segment, sample } = self.rows.get(row as usize)?;
        let segment = self.segments.get(*segment as usize)?;
        Some((segment, segment.sample(*sample)?))
    }
}

/// One sample: a key and named fields; of a TFRecord also its [`example`](Self::example), of a
/// RecordIO record its [`labels`](Self::labels). Cloning it is free, and so is keeping it: its bytes stay
/// where they were read, where shards can be sought together with those that were read with it.
#[derive(Clone)]
pub struct Sample {
    bytes: Bytes,
    item: Item,
    /// What overlays add.
    over: Option<Arc<[Sample]>>,
}

/// Where a sample's bytes are.
#[derive(Clone)]
enum Bytes {
    /// In a stretch of a shard, found by its index.
    Row(Arc<Batch>, u32),
    /// In a record that came in a stream.
    Record(Arc<StreamRecord>),
}

impl Sample {
    /// The sample in row `row` of `batch`.
    pub(crate) fn of_row(batch: Arc<Batch>, row: u32, item: Item) -> Self {
        Self { bytes: Bytes::Row(batch, row), item, over: None }
    }

    /// The sample of a record that came in a stream.
    pub(crate) fn of_record(record: Arc<StreamRecord>, item: Item) -> Self {
        Self { bytes: Bytes::Record(record), item, over: None }
    }

    /// The same bytes at another position of the epoch.
    pub(crate) fn at(&self, position: u64, real: bool) -> Self {
        let item = Item { position, real, ..self.item };
        Self { item, ..self.clone() }
    }

    /// The same with the fields of these, which are the records of overlays at its place.
    pub(crate) fn under(self, over: Arc<[Sample]>) -> Self {
        Self { over: Some(over), ..self }
    }

    fn over(&self) -> &[Sample] {
        self.over.as_deref().unwrap_or_default()
    }

    /// Bytes of memory that it takes: of those that were read together, its part.
    pub(crate) fn weight(&self) -> usize {
        let own = match &self.bytes {
            Bytes::Row(batch, _) => batch.weight(),
            Bytes::Record(record) => record.weight(),
        };
        own + self.over().iter().map(Self::weight).sum::<usize>()
    }

    /// What the index says of it, where there is one.
    fn indexed(&self) -> Option<IndexRecord<'_>> {
        match &self.bytes {
            Bytes::Row(batch, row) => {
                let (segment, sample) = batch.segment(*row)?;
                segment.record(sample.ordinal)
            }
            Bytes::Record(record) => record.indexed(),
        }
    }

    /// Its name, unique in the dataset. Of shards without a manifest, what the format keeps as a
    /// name, else the record's number.
    pub fn key(&self) -> &str {
        match (self.indexed(), &self.bytes) {
            (Some(record), _) => record.key,
            (None, Bytes::Record(record)) => &record.sample().key,
            (None, Bytes::Row(..)) => "",
        }
    }

    /// Its number in the dataset as it was packed. Of shards without a manifest, RecordIO's header
    /// id, else 0.
    pub fn id(&self) -> u64 {
        match (self.indexed(), &self.bytes) {
            (Some(record), _) => record.id,
            (None, Bytes::Record(record)) => record.sample().id,
            (None, Bytes::Row(..)) => 0,
        }
    }

    /// Its label, where the dataset keeps one outside the fields.
    pub fn label(&self) -> Label {
        match (self.indexed(), &self.bytes) {
            (Some(record), _) => record.label.to_label(),
            (None, Bytes::Record(record)) => record.sample().label.clone(),
            (None, Bytes::Row(..)) => Label::default(),
        }
    }

    /// Its labels as single-precision numbers, which is what RecordIO keeps of them: one, several or
    /// none. Class ids up to 2^24 are exact. [`id`](Self::id) is the number in RecordIO's header.
    pub fn labels(&self) -> impl Iterator<Item = f32> + '_ {
        let (indexed, decoded) = match (self.indexed(), &self.bytes) {
            (Some(record), _) => (Some(record.label), &[][..]),
            (None, Bytes::Record(record)) => (None, &record.sample().label.values[..]),
            (None, Bytes::Row(..)) => (None, &[][..]),
        };
        let indexed = indexed.into_iter().flat_map(|label| label.values());
        indexed.chain(decoded.iter().copied()).map(|value| value as f32)
    }

    /// The record's payload as it is stored: a serialised `Example`, RecordIO's image header and
    /// what follows it.
    ///
    /// Fails with [`Error::Usage`] for a webdataset, whose samples are several files, and for
    /// records that a service wrapped; with [`Error::Damaged`] where what stands around the fields
    /// is not what was packed.
    pub fn payload(&self) -> Result<&[u8]> {
        if matches!(self.format(), "" | "webdataset") {
            return Err(Error::usage(format!(
                "sample {:?} of {} has no payload, only fields",
                self.key(),
                self.shard()
            )));
        }
        match &self.bytes {
            Bytes::Record(record) => Ok(record.sample().payload()),
            Bytes::Row(batch, row) => {
                let (segment, sample) =
                    batch.segment(*row).ok_or_else(|| Error::usage("a sample of no batch"))?;
                segment.payload(sample.ordinal).map_err(|reason| self.damaged(reason))
            }
        }
    }

    /// Name of its format; empty where there is none.
    pub(crate) fn format(&self) -> &'static str {
        match &self.bytes {
            Bytes::Row(batch, row) => {
                batch.segment(*row).map_or("", |(segment, _)| segment.shard.format.name())
            }
            Bytes::Record(record) => record.format(),
        }
    }

    /// An error that says where it is.
    pub(crate) fn damaged(&self, reason: impl Into<String>) -> Error {
        Error::Damaged(Skipped {
            shard: self.shard().to_owned(),
            record: self.place().ordinal,
            offset: self.indexed().map_or(0, |record| record.offset),
            key: self.key().to_owned(),
            reason: reason.into(),
        })
    }

    /// The bytes of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(field, _)| *field == name).map(|(_, bytes)| bytes)
    }

    /// Names and bytes of its fields, in stored order; those of overlays come behind its own.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.its_own().chain(self.over().iter().flat_map(Self::its_own))
    }

    /// The fields of its own record.
    fn its_own(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let (row, named) = match &self.bytes {
            Bytes::Row(batch, row) => {
                let row = batch.segment(*row);
                (row, row.and_then(|(segment, sample)| segment.fields(sample.ordinal)))
            }
            Bytes::Record(record) => (None, record.indexed().map(|record| record.fields)),
        };
        let named = named.into_iter().flatten().enumerate().map(move |(place, field)| {
            let body = match (&self.bytes, row) {
                (_, Some((segment, sample))) => {
                    segment.body(sample.ordinal, place, field.offset, field.len)
                }
                // Formats that keep no names decode to others than the index has.
                (Bytes::Record(record), None) => record.body(place),
                (Bytes::Row(..), None) => &[],
            };
            (field.name, body)
        });
        let foreign = match &self.bytes {
            Bytes::Record(record) if record.indexed().is_none() => Some(record.sample()),
            _ => None,
        };
        named.chain(foreign.into_iter().flat_map(|sample| {
            sample.fields.iter().map(|field| (field.name.as_str(), sample.body(field)))
        }))
    }

    /// Path of its shard in the dataset. Of records without a manifest, the name of their stream.
    pub fn shard(&self) -> &str {
        match &self.bytes {
            Bytes::Row(batch, row) => {
                batch.segment(*row).map_or("", |(segment, _)| &segment.shard.path)
            }
            Bytes::Record(record) => record.shard(),
        }
    }

    /// Its place among the shards of the plan. Of records without a manifest, the numbers of its
    /// stream and of the record in it.
    pub fn place(&self) -> SampleId {
        self.item.sample
    }

    /// Its position in the epoch.
    pub fn position(&self) -> u64 {
        self.item.position
    }

    /// False for a sample that stands in for another and must not be counted: padding under
    /// [`Tail::Mask`](crate::plan::Tail), or a replacement of a damaged one.
    pub fn is_real(&self) -> bool {
        self.item.real
    }

    /// Its digest: those of an epoch's real samples, on all ranks, add up to the manifest's. With
    /// overlays, to that of a dataset whose samples have all of these fields.
    pub fn digest(&self, hasher: &mut SampleHasher) -> Digest {
        if !self.over().is_empty() {
            return self.digest_of_all(hasher);
        }
        match &self.bytes {
            Bytes::Row(batch, row) => {
                batch.segment(*row).map_or_else(Digest::default, |(_, sample)| sample.digest)
            }
            Bytes::Record(record) => match record.indexed() {
                Some(indexed) => hasher.digest_record(&indexed),
                None => record.digest(hasher),
            },
        }
    }

    /// Its digest with the fields of overlays. Whoever has overlays has indexes.
    fn digest_of_all(&self, hasher: &mut SampleHasher) -> Digest {
        let indexed = std::iter::once(self).chain(self.over()).filter_map(Self::indexed);
        let fields: Vec<IndexField<'_>> = indexed.flat_map(|record| record.fields).collect();
        hasher.digest(self.key(), &self.label(), &fields)
    }
}

/// Without the bytes.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<(&str, usize)> = self.fields().map(|(name, b)| (name, b.len())).collect();
        f.debug_struct("Sample").field("key", &self.key()).field("fields", &fields).finish()
    }
}
