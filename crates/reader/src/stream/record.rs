//! A record that came in a stream, and the memory it lies in.

use std::sync::{Arc, Mutex, PoisonError};

use shardpack_formats::{Sample as Decoded, crc32c};
use shardpack_manifest::{Digest, IndexField, IndexRecord, SampleHasher};

use crate::set::Indexed;

/// A decoded record.
#[derive(Debug)]
pub(crate) struct StreamRecord {
    sample: Decoded,
    origin: Origin,
    spare: Arc<Spare>,
}

/// Where it comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// A shard of a manifest, and its number there.
    Shard(Arc<Indexed>, u64),
    /// A stream of this name, and the name of its format: empty of records that are wrapped.
    Stream(Arc<str>, &'static str),
}

impl StreamRecord {
    pub(crate) fn new(sample: Decoded, origin: Origin, spare: &Arc<Spare>) -> Self {
        Self { sample, origin, spare: Arc::clone(spare) }
    }

    pub(crate) fn sample(&self) -> &Decoded {
        &self.sample
    }

    /// What the index says of it, where there is one.
    pub(crate) fn indexed(&self) -> Option<IndexRecord<'_>> {
        match &self.origin {
            Origin::Shard(shard, ordinal) => shard.index.get(*ordinal as usize),
            Origin::Stream(..) => None,
        }
    }

    pub(crate) fn shard(&self) -> &str {
        match &self.origin {
            Origin::Shard(shard, _) => &shard.path,
            Origin::Stream(name, _) => name,
        }
    }

    /// Name of the format; empty where there is none.
    pub(crate) fn format(&self) -> &'static str {
        match &self.origin {
            Origin::Shard(shard, _) => shard.format.name(),
            Origin::Stream(_, format) => format,
        }
    }

    /// The body of field number `place`.
    pub(crate) fn body(&self, place: usize) -> &[u8] {
        self.sample.fields.get(place).map_or(&[], |field| self.sample.body(field))
    }

    /// Its digest, made of its bytes.
    pub(crate) fn digest(&self, hasher: &mut SampleHasher) -> Digest {
        let Decoded { key, label, fields, .. } = &self.sample;
        let field = |field| {
            let body = self.sample.body(field);
            let (len, crc32c) = (body.len() as u64, crc32c(body));
            IndexField { name: &field.name, offset: field.offset, len, crc32c }
        };
        let fields: Vec<_> = fields.iter().map(field).collect();
        hasher.digest(key, label, &fields)
    }

    /// Memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        weight(&self.sample)
    }
}

/// Gives its memory back.
impl Drop for StreamRecord {
    fn drop(&mut self) {
        self.spare.put(std::mem::take(&mut self.sample));
    }
}

/// Buffers without use: fresh pages cost as much as the reading itself.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<(Vec<Decoded>, usize)>);

/// Bytes that are kept without use.
const MOST: usize = 16 << 20;

impl Spare {
    /// A sample to decode into. What is in it means nothing.
    pub(crate) fn take(&self) -> Decoded {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(sample) = idle.0.pop() else { return Decoded::default() };
        idle.1 -= weight(&sample);
        sample
    }

    pub(crate) fn put(&self, sample: Decoded) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let weight = weight(&sample);
        if idle.1 + weight <= MOST {
            idle.1 += weight;
            idle.0.push(sample);
        }
    }
}

/// What a small sample takes beside its bytes: itself, its fields, their names.
const BESIDE: usize = 256;

fn weight(sample: &Decoded) -> usize {
    sample.bytes.capacity() + BESIDE
}
