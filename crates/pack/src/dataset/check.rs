//! One shard against its index: every byte, every record.

use std::io::Read;

use shardpack_formats::{Crc32c, Record, crc32c};
use shardpack_manifest::{Digest, Index, IndexRecord, SampleHasher, Shard};
use shardpack_store::Object;

use super::keys::{KeyPlace, hash};
use super::record::{Rules, blame, field_damage};
use super::report::{Damage, ShardReport};
use super::runs::{Budget, Cut, Runs, Step};
use super::{Dataset, DatasetShard};
use crate::parallel::check_stopped;
use crate::progress::Progress;
use crate::{Error, Result};
use shardpack_dataset::ShardReader;

/// What checking one shard found.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) report: ShardReport,
    pub(super) damage: Vec<Damage>,
    pub(super) not_listed: u64,
    pub(super) digest: Digest,
    pub(super) keys: Vec<KeyPlace>,
    /// Records that were too large to be decoded: only their checksums were compared.
    pub(super) undecoded: u64,
    /// What the stream held that is in no sample.
    pub(super) skipped: shardpack_formats::Skipped,
}

/// Most rows of damage that one shard adds to a report.
const MOST_DAMAGE: usize = 10_000;

impl Outcome {
    pub(super) fn new(shard: &DatasetShard) -> Self {
        let report =
            ShardReport { path: shard.path.clone(), read_to_end: true, ..ShardReport::default() };
        Self { report, ..Self::default() }
    }

    /// Notes damage. `record` is its number and key, where one is hit.
    pub(super) fn damaged(
        &mut self,
        record: Option<(u64, Option<&str>)>,
        offset: Option<u64>,
        reason: impl Into<String>,
    ) {
        self.report.damaged += 1;
        if self.damage.len() == MOST_DAMAGE {
            self.not_listed += 1;
            return;
        }
        self.damage.push(Damage {
            shard: self.report.path.clone(),
            record: record.map(|(number, _)| number),
            key: record.and_then(|(_, key)| key).map(str::to_owned),
            offset,
            reason: reason.into(),
        });
    }
}

/// Reads a shard once and checks it.
pub(super) struct Check<'a> {
    dataset: &'a Dataset<'a>,
    number: usize,
    index: &'a Index<'a>,
    rules: Rules,
    hasher: SampleHasher,
    record: Record,
    large: Option<Large>,
    /// First byte outside of records that is not the format's.
    stray: Option<u64>,
    /// End of the last record.
    end: u64,
    outcome: Outcome,
}

/// Checksums of a record that passes in pieces.
struct Large {
    record: Crc32c,
    fields: Vec<Crc32c>,
}

/// Checks shard `number`, whose file is `object` and whose row in the manifest is `row`.
pub(super) fn shard(
    dataset: &Dataset<'_>,
    number: usize,
    row: &Shard,
    index: &Index<'_>,
    object: &dyn Object,
    budget: Budget,
    progress: &Progress,
) -> Result<Outcome> {
    let shard = &dataset.shards()[number];
    let last = index.len().checked_sub(1).and_then(|i| index.get(i));
    let mut check = Check {
        dataset,
        number,
        index,
        rules: Rules::of(dataset),
        hasher: SampleHasher::default(),
        record: Record::default(),
        large: None,
        stray: None,
        end: last.map_or(0, |r| r.offset + r.len),
        outcome: Outcome::new(shard),
    };
    check.outcome.report.bytes = object.len();
    let mut reader = ShardReader::new(object, budget.piece);
    let cut = match shard.compression.reader(Box::new(&mut reader)) {
        Ok(stream) => check.read(stream, budget, progress)?,
        Err(error) => Some(Cut { record: 0, offset: 0, error: Some(error) }),
    };
    if let Some(cut) = cut {
        check.cut(cut, row)?;
    }
    check.file(&reader, row);
    check.mistaken(&reader, row);
    check.outcome.report.digest = check.outcome.digest.to_string();
    Ok(check.outcome)
}

impl Check<'_> {
    fn read(
        &mut self,
        stream: impl Read,
        budget: Budget,
        progress: &Progress,
    ) -> Result<Option<Cut>> {
        let mut runs = Runs::new(self.index, stream, budget);
        loop {
            check_stopped(progress)?;
            let passed = match runs.next() {
                Ok(Some(Step::Records { first, end, offset, bytes })) => {
                    self.records(first, end, offset, bytes);
                    bytes.len()
                }
                Ok(Some(Step::Large { record, offset, bytes, last })) => {
                    self.large(record, offset, bytes, last);
                    bytes.len()
                }
                Ok(Some(Step::Outside { offset, bytes })) => {
                    self.outside(offset, bytes);
                    bytes.len()
                }
                Ok(None) => return Ok(None),
                Err(cut) => return Ok(Some(cut)),
            };
            progress.add(0, passed as u64);
        }
    }

    /// Compares checksums, then decodes what is between damaged records.
    fn records(&mut self, first: usize, end: usize, offset: u64, bytes: &[u8]) {
        let mut good = first;
        for (i, record) in (first..end).map_while(|i| Some((i, self.index.get(i)?))) {
            let start = (record.offset - offset) as usize;
            let body = bytes.get(start..start + record.len as usize).unwrap_or_default();
            if crc32c(body) != record.crc32c {
                self.damaged(i, &record, blame(&record, body));
                self.decode(good, i, offset, bytes);
                good = i + 1;
            }
        }
        self.decode(good, end, offset, bytes);
    }

    /// Decodes records whose bytes are those of the index. A record that contradicts the index
    /// costs a fresh decoder behind it.
    fn decode(&mut self, mut first: usize, end: usize, offset: u64, bytes: &[u8]) {
        while first < end {
            let Some(start) = self.index.get(first).map(|r| r.offset) else { return };
            let Some(last) = self.index.get(end - 1) else { return };
            let range = (start - offset) as usize..(last.offset + last.len - offset) as usize;
            let mut options = self.dataset.decode().clone();
            options.max_record = range.len() as u64;
            options.missing_end = true;
            let stream = Box::new(bytes.get(range).unwrap_or_default());
            let mut decoder = self.dataset.codec().decoder(stream, &options);
            let from = first;
            while first < end {
                let Some(record) = self.index.get(first) else { return };
                let number = (first - from) as u64;
                let reason = match decoder.read(&mut self.record) {
                    Ok(true) => self.rules.contradiction(&record, &self.record, start, number),
                    Ok(false) => Some("the shard has no record here, the index says one".into()),
                    Err(error) => Some(format!("the index says a record here: {}", said(&error))),
                };
                first += 1;
                match reason {
                    None => self.whole(first - 1, &record),
                    Some(reason) => {
                        self.damaged(first - 1, &record, reason);
                        break;
                    }
                }
            }
        }
    }

    fn large(&mut self, number: usize, offset: u64, bytes: &[u8], last: bool) {
        let Some(record) = self.index.get(number) else { return };
        let large = self.large.get_or_insert_with(|| Large {
            record: Crc32c::default(),
            fields: vec![Crc32c::default(); record.fields.len()],
        });
        large.record.update(bytes);
        for (crc, field) in large.fields.iter_mut().zip(record.fields.clone()) {
            if let Some(at) = field.offset {
                crc.update(overlap(offset, bytes, at, field.len));
            }
        }
        if !last {
            return;
        }
        let Some(large) = self.large.take() else { return };
        self.outcome.undecoded += 1;
        let mut fields = large.fields.iter().zip(record.fields.clone());
        let wrong = fields.find_map(|(crc, field)| {
            let at = field.offset.filter(|_| crc.value() != field.crc32c)?;
            Some(field_damage(field.name, at, crc.value(), field.crc32c))
        });
        match (wrong, large.record.value() == record.crc32c) {
            (None, true) => self.whole(number, &record),
            (Some(reason), _) => self.damaged(number, &record, reason),
            (None, false) => {
                let reason = "the record around its fields has changed: its crc32c does not match";
                self.damaged(number, &record, reason.into());
            }
        }
    }

    /// Between records nothing may stand, behind them the trailer. Shards that were adopted have
    /// other things there, which only the checksum of the file covers.
    fn outside(&mut self, offset: u64, bytes: &[u8]) {
        let packed = self.dataset.manifest().is_some_and(|m| m.plan.is_some());
        if self.stray.is_some() || !packed {
            return;
        }
        let trailer = self.dataset.codec().trailer();
        let wanted = |at: u64| {
            let at = at.checked_sub(self.end)?;
            trailer.get(usize::try_from(at).ok()?).copied()
        };
        self.stray =
            (offset..).zip(bytes).find(|(at, b)| wanted(*at) != Some(**b)).map(|(at, _)| at);
    }

    fn whole(&mut self, number: usize, record: &IndexRecord<'_>) {
        let report = &mut self.outcome.report;
        report.samples += 1;
        report.files += record.fields.len() as u64;
        report.file_bytes += record.fields.clone().map(|f| f.len).sum::<u64>();
        self.outcome.digest += self.hasher.digest_record(record);
        self.outcome.keys.push(KeyPlace {
            hash: hash(record.key),
            shard: self.number as u32,
            record: number as u32,
        });
    }

    fn damaged(&mut self, number: usize, record: &IndexRecord<'_>, reason: String) {
        self.outcome.damaged(Some((number as u64, Some(record.key))), Some(record.offset), reason);
    }

    /// The stream ended, or could not be read on.
    fn cut(&mut self, cut: Cut, row: &Shard) -> Result<()> {
        let reason = match &cut.error {
            None => {
                let found = self.outcome.report.bytes;
                format!("truncated: the file has {found} bytes, the manifest says {}", row.bytes)
            }
            Some(error) => match error.kind() {
                std::io::ErrorKind::UnexpectedEof => format!("truncated: {error}"),
                std::io::ErrorKind::InvalidData => {
                    format!("the compressed stream is damaged: {error}")
                }
                _ => return Err(read_failed(cut.error, &row.path)),
            },
        };
        self.outcome.report.read_to_end = false;
        let Some(record) = self.index.get(cut.record) else {
            self.outcome.damaged(
                None,
                Some(cut.offset),
                format!("{reason}; every record is whole"),
            );
            return Ok(());
        };
        let lost = self.index.len() - cut.record - 1;
        let more = match lost {
            0 => String::new(),
            lost => format!("; {lost} more records behind it are lost"),
        };
        self.damaged(
            cut.record,
            &record,
            format!("{reason}; it ends at offset {}{more}", cut.offset),
        );
        Ok(())
    }

    /// What the whole file must be. Damage that was found already explains a wrong checksum.
    fn file(&mut self, reader: &ShardReader<'_>, row: &Shard) {
        if !self.outcome.report.read_to_end {
            return;
        }
        if let Some(at) = self.stray {
            let reason = match at < self.end {
                true => "bytes between records that belong to none of them",
                false => "what follows the last record is not the end of a shard",
            };
            self.outcome.damaged(None, Some(at), reason);
        }
        let (found, bytes) = (reader.crc64(), reader.offset());
        if self.outcome.damage.is_empty() && (found, bytes) != (row.crc64nvme, row.bytes) {
            let reason = format!(
                "the file has {bytes} bytes with CRC-64/NVME {found:016x}, the manifest says {} with {:016x}; every record is whole, so the damage is outside of them",
                row.bytes, row.crc64nvme
            );
            self.outcome.damaged(None, Some(self.end), reason);
        }
    }
}

impl Check<'_> {
    /// A file that is another shard is one mistake, not damage to every record.
    fn mistaken(&mut self, reader: &ShardReader<'_>, row: &Shard) {
        let found = (reader.offset(), reader.crc64());
        if self.outcome.damage.is_empty() || found == (row.bytes, row.crc64nvme) {
            return;
        }
        let shards = self.dataset.manifest().map_or(&[][..], |m| &m.shards);
        if let Some(other) = shards.iter().find(|s| (s.bytes, s.crc64nvme) == found) {
            self.outcome = Outcome::new(&self.dataset.shards()[self.number]);
            self.outcome.report.bytes = found.0;
            let reason = format!("the file holds the bytes of {}", other.path);
            self.outcome.damaged(None, None, reason);
        }
    }
}

/// The part of `bytes`, which stand at `offset`, that belongs to the `len` bytes at `at`.
pub(super) fn overlap(offset: u64, bytes: &[u8], at: u64, len: u64) -> &[u8] {
    let inside = |place: u64| place.saturating_sub(offset).min(bytes.len() as u64) as usize;
    bytes.get(inside(at)..inside(at + len)).unwrap_or_default()
}

/// An error without its position, which a row of damage has already.
pub(super) fn said(error: &shardpack_formats::Error) -> String {
    let text = error.to_string();
    let place = error.position().map(|position| format!("{position}: ")).unwrap_or_default();
    text.strip_prefix(&place).unwrap_or(&text).to_owned()
}

/// An error of the disk or network that came out of a stream.
pub(super) fn read_failed(error: Option<std::io::Error>, name: &str) -> Error {
    let error = error.unwrap_or_else(|| std::io::ErrorKind::Other.into());
    Error::Store(match error.downcast::<shardpack_store::Error>() {
        Ok(error) => error,
        Err(error) => shardpack_store::Error::io(error, name),
    })
}
