//! One shard without an index: what its format can tell by itself.

use shardpack_formats::{ErrorKind, Position, crc32c};
use shardpack_manifest::{IndexField, SampleHasher};
use shardpack_store::Object;

use super::Dataset;
use super::check::{Outcome, said};
use super::keys::{KeyPlace, hash, of_record};
use super::scan::{Next, Scan, ScanBudget, Scanned, can_restart, scan};
use crate::Result;
use crate::progress::Progress;

/// Decodes shard `number` to its end, or to damage behind which its format finds no record.
/// Returns the CRC-64/NVME of the file where all of it was read in one go.
pub(super) fn shard(
    dataset: &Dataset<'_>,
    number: usize,
    object: &dyn Object,
    budget: ScanBudget,
    progress: &Progress,
) -> Result<(Outcome, Option<u64>)> {
    let mut outcome = Outcome::new(&dataset.shards()[number]);
    outcome.report.bytes = object.len();
    let mut hasher = SampleHasher::default();
    let mut start = Position::default();
    let crc64 = loop {
        let mut each = |scanned: Scanned<'_>| {
            whole(dataset, number, &scanned, &mut hasher, &mut outcome);
            Ok(Next::Record)
        };
        let end = scan(dataset, number, object, start, budget, progress, &mut each)?;
        let Some(error) = &end.error else {
            outcome.skipped = end.skipped;
            break (start == Position::default()).then_some(end.crc64);
        };
        let at = error.position().unwrap_or(end.position);
        let mut reason = said(error);
        if matches!(error.kind(), ErrorKind::TooLarge { .. }) {
            reason.push_str("; if the record is meant to be that large, give more --memory");
        }
        let next = next_record(dataset, number, object, at)?;
        outcome.report.read_to_end = next.is_some();
        if next.is_none() && !is_last(&end, object) {
            reason.push_str("; the format cannot find the records behind it");
        }
        outcome.damaged(Some((at.record, None)), Some(at.offset), reason);
        match next {
            Some(next) => start = next,
            None => break None,
        }
    };
    outcome.report.digest = outcome.digest.to_string();
    Ok((outcome, crc64))
}

/// A truncated shard has nothing behind the damage.
fn is_last(end: &Scan, object: &dyn Object) -> bool {
    let truncated = |e: &shardpack_formats::Error| matches!(e.kind(), ErrorKind::Truncated { .. });
    end.error.as_ref().is_some_and(truncated) && end.bytes >= object.len()
}

fn whole(
    dataset: &Dataset<'_>,
    shard: usize,
    scanned: &Scanned<'_>,
    hasher: &mut SampleHasher,
    outcome: &mut Outcome,
) {
    let sample = &scanned.record.sample;
    let key = of_record(dataset, shard, scanned);
    let fields: Vec<IndexField<'_>> = fields(scanned).collect();
    outcome.report.samples += 1;
    outcome.report.files += fields.len() as u64;
    outcome.report.file_bytes += fields.iter().map(|f| f.len).sum::<u64>();
    outcome.digest += hasher.digest(&key, &sample.label, &fields);
    let record = scanned.number as u32;
    outcome.keys.push(KeyPlace { hash: hash(&key), shard: shard as u32, record });
}

/// The fields of a decoded record as an index has them.
pub(super) fn fields<'r>(scanned: &Scanned<'r>) -> impl Iterator<Item = IndexField<'r>> + use<'r> {
    let sample = &scanned.record.sample;
    sample.fields.iter().map(|field| {
        let body = sample.body(field);
        IndexField {
            name: &field.name,
            offset: field.offset,
            len: body.len() as u64,
            crc32c: crc32c(body),
        }
    })
}

/// Where the record behind a damaged one starts, where the format can tell: a TFRecord's length
/// has a checksum of its own.
fn next_record(
    dataset: &Dataset<'_>,
    number: usize,
    object: &dyn Object,
    damaged: Position,
) -> Result<Option<Position>> {
    const AROUND: u64 = 16; // length, its checksum, the payload's checksum
    if dataset.format() != "tfrecord" || !can_restart(dataset, number) {
        return Ok(None);
    }
    let mut header = [0; 12];
    if object.read_at(damaged.offset, &mut header)? < header.len() {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h, crc @ ..] = header;
    let len = [a, b, c, d, e, f, g, h];
    let end =
        damaged.offset.checked_add(AROUND).and_then(|at| at.checked_add(u64::from_le_bytes(len)));
    let sound = shardpack_formats::mask(crc32c(&len)) == u32::from_le_bytes(crc);
    let next = end.filter(|end| sound && *end <= object.len());
    Ok(next.map(|offset| Position { record: damaged.record + 1, offset }))
}
