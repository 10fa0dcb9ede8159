//! What a training loop gets.

use std::fmt;
use std::sync::Arc;

use shardpack_manifest::{Digest, LabelRef, SampleHasher};

use crate::plan::{Item, SampleId};
use crate::segment::Segment;

/// Samples that were read together, in the order of handing out.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) segments: Vec<Segment>,
    /// For each sample: its segment, and its number in the shard.
    pub(crate) rows: Vec<(u32, u64)>,
}

/// One sample: a key and named fields. Cloning it is free, and so is keeping it: its bytes stay
/// where they were read, together with those that were read with it.
#[derive(Clone)]
pub struct Sample {
    pub(crate) batch: Arc<Batch>,
    pub(crate) row: u32,
    pub(crate) item: Item,
}

impl Sample {
    fn segment(&self) -> (&Segment, u64) {
        let (segment, ordinal) = self.batch.rows[self.row as usize];
        (&self.batch.segments[segment as usize], ordinal)
    }

    /// Its name, unique in the dataset.
    pub fn key(&self) -> &str {
        let (segment, ordinal) = self.segment();
        segment.record(ordinal).map_or("", |record| record.key)
    }

    /// Its number in the dataset as it was packed.
    pub fn id(&self) -> u64 {
        let (segment, ordinal) = self.segment();
        segment.record(ordinal).map_or(0, |record| record.id)
    }

    /// Its label, where the dataset keeps one outside the fields.
    pub fn label(&self) -> LabelRef<'_> {
        let (segment, ordinal) = self.segment();
        segment.record(ordinal).map_or_else(LabelRef::default, |record| record.label)
    }

    /// The bytes of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(field, _)| *field == name).map(|(_, bytes)| bytes)
    }

    /// Names and bytes of its fields, in stored order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let (segment, ordinal) = self.segment();
        let fields = segment.record(ordinal).map(|record| record.fields);
        fields.into_iter().flatten().enumerate().map(move |(place, field)| {
            (field.name, segment.body(ordinal, place, field.offset, field.len))
        })
    }

    /// Path of its shard in the dataset.
    pub fn shard(&self) -> &str {
        &self.segment().0.shard.path
    }

    /// Its place among the shards of the plan.
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

    /// Its digest: those of an epoch's real samples, on all ranks, add up to the manifest's.
    pub fn digest(&self, hasher: &mut SampleHasher) -> Digest {
        let (segment, ordinal) = self.segment();
        segment.record(ordinal).map_or_else(Digest::default, |record| hasher.digest_record(&record))
    }
}

/// Without the bytes.
impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<(&str, usize)> = self.fields().map(|(name, b)| (name, b.len())).collect();
        f.debug_struct("Sample").field("key", &self.key()).field("fields", &fields).finish()
    }
}
