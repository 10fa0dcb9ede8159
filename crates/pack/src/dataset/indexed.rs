//! The index of a shard that has none: decoded once, from end to end.

use shardpack_formats::{Position, Skipped};
use shardpack_manifest::{IndexBuilder, IndexEntry, IndexField, ShardFile, Summary};
use shardpack_store::Object;

use super::Dataset;
use super::keys::of_record;
use super::ls::unreadable;
use super::scan::{Next, ScanBudget, Scanned, scan};
use super::strict::fields;
use crate::progress::Progress;
use crate::{Error, Result};

/// An index in the making, and what else the shard holds.
pub(crate) struct Indexed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) file: ShardFile,
    pub(crate) summary: Summary,
    pub(crate) skipped: Skipped,
}

/// Indexes shard `number`, which lies in `object`; `note` sees the key and number of each record.
///
/// A record without a key is called by its shard and number. Fails with [`Error::Shard`] at damage,
/// and when anything follows the shard's end.
pub(crate) fn indexed(
    dataset: &Dataset<'_>,
    number: usize,
    object: &dyn Object,
    (memory, jobs): (u64, usize),
    progress: &Progress,
    note: &mut dyn FnMut(&str, u64),
) -> Result<Indexed> {
    let shard = &dataset.shards()[number];
    let mut builder = IndexBuilder::default();
    let mut each = |scanned: Scanned<'_>| {
        let key = of_record(dataset, number, &scanned);
        let fields: Vec<IndexField<'_>> = fields(&scanned).collect();
        let record = scanned.record;
        builder.push(&IndexEntry {
            key: &key,
            id: record.sample.id,
            label: &record.sample.label,
            offset: record.offset,
            len: record.len,
            crc32c: record.crc32c,
            fields: &fields,
        })?;
        note(&key, scanned.number);
        Ok(Next::Record)
    };
    let budget = ScanBudget::new(memory, jobs);
    let start = Position::default();
    let end = scan(dataset, number, object, start, budget, progress, &mut each)?;
    if let Some(error) = &end.error {
        return Err(unreadable(&shard.path, error));
    }
    if end.bytes != object.len() {
        let reason = format!("{} bytes follow its end", object.len() - end.bytes);
        return Err(Error::Shard { shard: shard.path.clone(), reason });
    }
    let summary = builder.summary();
    let file = ShardFile {
        format: dataset.format().into(),
        compression: shard.compression,
        stream_bytes: end.stream_bytes,
        bytes: end.bytes,
        crc64nvme: end.crc64,
    };
    let bytes = builder.finish(&file)?;
    Ok(Indexed { bytes, file, summary, skipped: end.skipped })
}
