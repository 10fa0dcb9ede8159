//! The index of one shard of a source, and the labels that stand in its bodies.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shardpack_dataset::index as proved_index;
use shardpack_formats::{Compression, Error as FormatError, Label, Position, Skipped, crc32c};
use shardpack_manifest::{Digest, Index, IndexRecord, SampleHasher};
use shardpack_store::Object;

use super::labels::{LONGEST, from_fields, is_label_field};
use super::scratch::Scratch;
use super::shards::Shards;
use crate::dataset::{Dataset, indexed, names};
use crate::progress::Progress;
use crate::sources::Names;
use crate::{Error, Result};

/// One SRC.
#[derive(Debug)]
pub(super) struct Input<'s> {
    pub(super) dataset: Dataset<'s>,
    /// As it was typed, for messages.
    pub(super) name: String,
    /// Number of its first shard, over all inputs.
    pub(super) first: u32,
}

/// How shards are looked at.
pub(super) struct Looking<'l> {
    pub(super) jobs: usize,
    /// Bytes for buffers, over all jobs.
    pub(super) memory: u64,
    /// `cls` is a label whoever wrote it.
    pub(super) label_fields: bool,
    pub(super) scratch: Option<&'l Scratch>,
    pub(super) shards: &'l Shards,
    pub(super) bodies: &'l Bodies,
    pub(super) progress: &'l Progress,
}

/// What is known of a shard.
pub(super) struct ShardIndex {
    pub(super) index: Index<'static>,
    /// Names that its files had before they were packed.
    pub(super) names: Names,
    /// Bodies of labels.
    bodies: HashMap<(u64, u32), Vec<u8>>,
    pub(super) skipped: Skipped,
    /// Length of what bodies are read from.
    pub(super) len: u64,
}

/// Bodies of labels by length and crc32c: to an index two bodies that agree in both are one, so the
/// few that a thousand shards share are read once.
#[derive(Debug, Default)]
pub(super) struct Bodies(Mutex<HashMap<(u64, u32), Vec<u8>>>);

/// How many are kept over all shards; the classes of a dataset are fewer.
const KEPT: usize = 1 << 16;

impl Input<'_> {
    /// What messages call shard `number`.
    pub(super) fn shard_name(&self, number: usize) -> String {
        let path = self.dataset.shards().get(number).map_or("", |shard| shard.path.as_str());
        match self.name.ends_with(path) {
            true => self.name.clone(), // the source is this shard
            false => format!("{}/{path}", self.name.trim_end_matches('/')),
        }
    }

    /// Opens what the bodies of shard `number` are read from: the shard, or its decompressed copy.
    pub(super) fn open(
        &self,
        number: usize,
        (shards, scratch): (&Shards, Option<&Scratch>),
        len: u64,
    ) -> shardpack_store::Result<std::sync::Arc<dyn Object>> {
        let (name, global) = (self.shard_name(number), self.first + number as u32);
        let shard = &self.dataset.shards()[number];
        match scratch.filter(|_| shard.compression != Compression::None) {
            Some(scratch) => {
                shards.open(global, (scratch.store(), &Scratch::key(global)), len, &name)
            }
            None => shards.open(global, (self.dataset.store(), &shard.path), len, &name),
        }
    }

    /// Looks at shard `number`.
    pub(super) fn look(&self, number: usize, looking: &Looking<'_>) -> Result<ShardIndex> {
        self.look_inside(number, looking).map_err(|error| match error {
            Error::Shard { reason, .. } => Error::Shard { shard: self.shard_name(number), reason },
            other => other,
        })
    }

    fn look_inside(&self, number: usize, looking: &Looking<'_>) -> Result<ShardIndex> {
        let shard = &self.dataset.shards()[number];
        let mut len = shard.bytes;
        if let Some(scratch) = looking.scratch.filter(|_| shard.compression != Compression::None) {
            let object = self.dataset.store().open(&shard.path)?;
            len = scratch.decompress(self.first + number as u32, &*object, shard.compression)?;
        }
        let open = || self.open(number, (looking.shards, looking.scratch), len);
        let (index, skipped) = match proved_index(&self.dataset, number)? {
            Some(index) => (index, Skipped::default()),
            None => {
                let object = match shard.compression {
                    Compression::None => open()?,
                    _ => self.dataset.store().open(&shard.path)?.into(),
                };
                let budget = (looking.memory, looking.jobs);
                let none = &mut |_: &str, _| {};
                let found =
                    indexed(&self.dataset, number, &*object, budget, looking.progress, none)?;
                (Index::parse(found.bytes)?, found.skipped)
            }
        };
        if len != index.shard().stream_bytes {
            let reason = format!(
                "{len} bytes before compression, the index says {}",
                index.shard().stream_bytes
            );
            return Err(Error::Shard { shard: shard.path.clone(), reason });
        }
        let mut found = ShardIndex {
            names: names(&self.dataset, number)?,
            index,
            bodies: HashMap::new(),
            skipped,
            len,
        };
        if self.dataset.format() == "webdataset" {
            self.read_labels(&mut found, number, looking, &open)?;
        }
        Ok(found)
    }

    /// Reads the bodies of labels, each distinct one once.
    fn read_labels(
        &self,
        found: &mut ShardIndex,
        number: usize,
        looking: &Looking<'_>,
        open: &dyn Fn() -> shardpack_store::Result<std::sync::Arc<dyn Object>>,
    ) -> Result<()> {
        if found.names.is_empty() && !looking.label_fields {
            return Ok(());
        }
        for (i, record) in found.index.iter().enumerate() {
            for field in record.fields.clone() {
                let identity = (field.len, field.crc32c);
                let Some(offset) = field.offset.filter(|_| {
                    is_label(&found.names, i as u64, field.name, looking.label_fields)
                        && field.len <= LONGEST
                        && !found.bodies.contains_key(&identity)
                }) else {
                    continue;
                };
                if let Some(known) = looking.bodies.get(identity) {
                    found.bodies.insert(identity, known);
                    continue;
                }
                let mut body = vec![0; field.len as usize];
                let read = open()?.read_at(offset, &mut body)?;
                if (read as u64, crc32c(&body)) != identity {
                    let position = Position { record: i as u64, offset };
                    let reason = format!(
                        "field {:?} has crc32c {:08x}, the source's index says {:08x}",
                        field.name,
                        crc32c(&body),
                        field.crc32c
                    );
                    return Err(Error::Record {
                        shard: self.shard_name(number),
                        key: record.key.to_owned(),
                        source: FormatError::corrupt(reason, position),
                    });
                }
                looking.bodies.keep(identity, &body);
                found.bodies.insert(identity, body);
            }
        }
        Ok(())
    }
}

impl ShardIndex {
    /// The label that record `i` carries as fields, which then are none.
    pub(super) fn label(&self, i: usize, record: &IndexRecord<'_>, any: bool) -> Option<Label> {
        let mut fields: Vec<(&str, &[u8])> = Vec::new();
        for field in record.fields.clone() {
            if is_label(&self.names, i as u64, field.name, any) {
                fields.push((field.name, self.bodies.get(&(field.len, field.crc32c))?));
            }
        }
        if fields.is_empty() {
            return None;
        }
        fields.sort_by_key(|(name, _)| *name);
        from_fields(&fields)
    }

    /// Digest of the samples that `live` says are there. Fails when rows and digest disagree.
    pub(super) fn digest(&self, name: &str, live: impl Fn(usize, &str) -> bool) -> Result<Digest> {
        let mut hasher = SampleHasher::default();
        let (mut all, mut taken) = (Digest::default(), Digest::default());
        for (i, record) in self.index.iter().enumerate() {
            let digest = hasher.digest_record(&record);
            all += digest;
            if live(i, record.key) {
                taken += digest;
            }
        }
        match all == self.index.digest() {
            true => Ok(taken),
            false => {
                let reason = format!(
                    "the samples of its index add up to digest {all}, it says {}",
                    self.index.digest()
                );
                Err(Error::Shard { shard: name.to_owned(), reason })
            }
        }
    }
}

/// Whether a field is a label: what packing made of one has no file's name.
pub(super) fn is_label(names: &Names, record: u64, field: &str, any: bool) -> bool {
    is_label_field(field)
        && (any || !names.is_empty() && names.get(&(record, field.to_owned())) == Some(&None))
}

impl Bodies {
    fn get(&self, identity: (u64, u32)) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&identity).cloned()
    }

    fn keep(&self, identity: (u64, u32), body: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.insert(identity, body.to_vec());
        }
    }
}
