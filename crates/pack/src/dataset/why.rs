//! Where one sample is, where it came from, and whether it is still whole.

use std::io::{self, Read};

use serde::Serialize;
use shardpack_formats::Crc32c;
use shardpack_manifest::{Index, IndexRecord, Shard};

use super::cat::{no_such_key, stream};
use super::check::{overlap, read_failed, said};
use super::keys::Nearest;
use super::record::field_damage;
use super::unpack::{body_of, decode};
use super::{Dataset, sidecar};
use crate::{Error, Result};

/// All that is known of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhyReport {
    /// Where the dataset is.
    pub dataset: String,
    /// The sample's key.
    pub key: String,
    /// Its number in the dataset as it was packed.
    pub id: u64,
    /// Path of its shard.
    pub shard: String,
    /// Its shard's split, where the dataset is split.
    pub split: Option<String>,
    /// Number of its record in the shard, from 0.
    pub record: u64,
    /// Offset of the record in the uncompressed shard, in bytes.
    pub offset: u64,
    /// Length of the record in bytes.
    pub bytes: u64,
    /// crc32c of the record.
    pub crc32c: u32,
    /// True when the manifest marks it as deleted.
    pub deleted: bool,
    /// Its fields, in stored order.
    pub fields: Vec<WhyField>,
    /// What is wrong with its shard or its record just now; damage to a field stands there.
    pub damage: Vec<String>,
}

/// A field of a sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhyField {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Offset of its bytes in the uncompressed shard, where they lie in one piece.
    pub offset: Option<u64>,
    /// crc32c of its bytes, as the index has it.
    pub crc32c: u32,
    /// Path of the file that it was, below the source; none for a label.
    pub source: Option<String>,
    /// What is wrong with its bytes just now.
    pub damage: Option<String>,
}

impl WhyReport {
    /// True when its bytes are those that were packed.
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty() && self.fields.iter().all(|field| field.damage.is_none())
    }
}

/// Looks for the sample called `key`, deleted or not, and reads it: damage is part of the report.
/// `memory` bytes are for a record that must be decoded as a whole; others are read in pieces.
///
/// Fails with [`Error::NotFound`] naming the nearest keys, and with [`Error::Shard`] when an index
/// on the way to it is damaged.
pub fn why(dataset: &Dataset<'_>, key: &str, memory: u64) -> Result<WhyReport> {
    let manifest = dataset.manifest();
    let manifest = manifest.ok_or_else(|| Error::NotFound("there is no manifest".into()))?;
    // A key may be deleted in one shard and live in another: that one is meant.
    let mut deleted = None;
    for (number, row) in manifest.shards.iter().enumerate() {
        let Some(index) = shardpack_dataset::index(dataset, number)? else { continue };
        let Some(position) = index.position(key) else { continue };
        let found = (number, row, index, position as u64);
        if !dataset.is_deleted(number, position as u64, key) {
            return report(dataset, found, memory);
        }
        deleted = Some(found);
    }
    match deleted {
        Some(found) => report(dataset, found, memory),
        None => Err(no_such_key(dataset, key, Nearest::new(key))?),
    }
}

fn report(
    dataset: &Dataset<'_>,
    (number, row, index, position): (usize, &Shard, Index<'_>, u64),
    memory: u64,
) -> Result<WhyReport> {
    let sample = Sample { dataset, number, row, index: &index, position };
    match index.get(position as usize) {
        Some(record) => sample.report(&record, memory),
        None => Err(Error::NotFound(format!("{}: no record {position}", row.path))),
    }
}

/// A sample that was found.
struct Sample<'a> {
    dataset: &'a Dataset<'a>,
    number: usize,
    row: &'a Shard,
    index: &'a Index<'a>,
    position: u64,
}

impl Sample<'_> {
    fn report(&self, record: &IndexRecord<'_>, memory: u64) -> Result<WhyReport> {
        let mut damage = Vec::new();
        let names = match sidecar::names(self.dataset, self.number) {
            Ok(names) => Some(names),
            Err(Error::Shard { shard, reason }) => {
                damage.push(format!("{shard}: {reason}"));
                None
            }
            Err(error) => return Err(error),
        };
        let source =
            |field: &str| sidecar::path_of(names.as_ref()?, self.position, record.key, field);
        let fields = record.fields.clone().map(|field| WhyField {
            name: field.name.to_owned(),
            bytes: field.len,
            offset: field.offset,
            crc32c: field.crc32c,
            source: source(field.name),
            damage: None,
        });
        let mut report = WhyReport {
            dataset: self.dataset.describe(),
            key: record.key.to_owned(),
            id: record.id,
            shard: self.row.path.clone(),
            split: self.row.split.clone(),
            record: self.position,
            offset: record.offset,
            bytes: record.len,
            crc32c: record.crc32c,
            deleted: self.dataset.is_deleted(self.number, self.position, record.key),
            fields: fields.collect(),
            damage,
        };
        self.check(record, memory, &mut report)?;
        Ok(report)
    }

    /// Reads the record and compares it with the index.
    fn check(&self, record: &IndexRecord<'_>, memory: u64, report: &mut WhyReport) -> Result<()> {
        let object = match self.dataset.store().open(&self.row.path) {
            Ok(object) => object,
            Err(error) if error.is_not_found() => {
                report.damage.push("the shard is missing".into());
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        if object.len() != self.row.bytes {
            let (there, said) = (object.len(), self.row.bytes);
            report.damage.push(format!("the shard has {there} bytes, the manifest says {said}"));
        }
        let opened = stream(&*object, self.index.shard().compression, record.offset);
        let read = opened.and_then(|stream| read(stream, record, memory));
        let read = match read {
            Ok(read) => read,
            Err(error) if is_damage(&error) => {
                report.damage.push(format!("the compressed shard: {error}"));
                return Ok(());
            }
            Err(error) => return Err(read_failed(Some(error), &self.row.path)),
        };
        if read.len < record.len {
            let end = record.offset + read.len;
            report.damage.push(format!("the shard ends at offset {end}, within the record"));
            return Ok(());
        }
        let decoded = read.bytes.as_deref().map(|bytes| decode(self.dataset, bytes));
        let mut blamed = false;
        for (number, (field, told)) in record.fields.clone().zip(&mut report.fields).enumerate() {
            let found = match (field.offset, &decoded) {
                (Some(at), _) => read.fields.get(number).map(|crc| (at, crc.value())),
                (None, Some(Ok(decoded))) => {
                    let body = body_of(decoded, number, &field);
                    Some((record.offset, shardpack_formats::crc32c(body)))
                }
                (None, _) => None,
            };
            let wrong = found.filter(|(_, crc)| *crc != field.crc32c);
            told.damage = wrong.map(|(at, crc)| field_damage(field.name, at, crc, field.crc32c));
            blamed |= told.damage.is_some();
        }
        if let Some(Err(error)) = &decoded {
            report.damage.push(format!("the record: {}", said(error)));
        } else if read.crc != record.crc32c && !blamed {
            report.damage.push(format!(
                "the record has crc32c {:08x}, not {:08x}: its framing or padding has changed",
                read.crc, record.crc32c
            ));
        }
        Ok(())
    }
}

/// What was read of a record.
struct Checked {
    len: u64,
    crc: u32,
    fields: Vec<Crc32c>,
    /// The whole of it, where some field does not lie in it as it is, and memory allows.
    bytes: Option<Vec<u8>>,
}

/// Reads a record in pieces.
fn read(stream: Box<dyn Read + '_>, record: &IndexRecord<'_>, memory: u64) -> io::Result<Checked> {
    let keep = record.fields.clone().any(|field| field.offset.is_none());
    let mut bytes = (keep && record.len <= memory / 2).then(Vec::new);
    let mut fields = vec![Crc32c::default(); record.fields.len()];
    let (mut stream, mut crc, mut len) = (stream.take(record.len), Crc32c::default(), 0);
    let mut piece = vec![0; 256 << 10];
    loop {
        let filled = match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(filled) => &piece[..filled],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        crc.update(filled);
        for (crc, field) in fields.iter_mut().zip(record.fields.clone()) {
            if let Some(at) = field.offset {
                crc.update(overlap(record.offset + len, filled, at, field.len));
            }
        }
        if let Some(bytes) = &mut bytes {
            bytes.extend_from_slice(filled);
        }
        len += filled.len() as u64;
    }
    Ok(Checked { len, crc: crc.value(), fields, bytes })
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData)
}
