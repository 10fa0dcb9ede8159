//! Writing an index.

use shardpack_formats::{Label, crc32c};

use super::interner::Interner;
use super::{
    Counts, FORMAT_NAME, IndexField, MAGIC, Sections, ShardFile, VERSION, compression_code,
};
use crate::{Digest, Error, ErrorKind, FieldTotals, Result, SampleHasher, Summary, label};

/// One record as it was written to the shard.
#[derive(Clone, Copy, Debug)]
pub struct IndexEntry<'a> {
    /// Name of the sample.
    pub key: &'a str,
    /// Number of the sample in its dataset.
    pub id: u64,
    /// Its label.
    pub label: &'a Label,
    /// Offset of the record's first byte in the uncompressed shard.
    pub offset: u64,
    /// Length of the encoded record in bytes, framing and padding included.
    pub len: u64,
    /// crc32c of the encoded record.
    pub crc32c: u32,
    /// Its fields, in stored order.
    pub fields: &'a [IndexField<'a>],
}

/// Collects the records of one shard, in stored order.
///
/// It needs about 80 bytes a record of one field, and the key.
///
/// ```
/// use shardpack_formats::{Compression, Label};
/// use shardpack_manifest::{Index, IndexBuilder, IndexEntry, IndexField, ShardFile};
///
/// let mut builder = IndexBuilder::default();
/// let jpg = IndexField { name: "jpg", offset: Some(512), len: 3, crc32c: 0x364b_3fb7 };
/// builder.push(&IndexEntry {
///     key: "cat/1", id: 0, label: Label::NONE, offset: 0, len: 1024, crc32c: 7, fields: &[jpg],
/// })?;
/// let shard = ShardFile {
///     format: "webdataset".into(),
///     compression: Compression::None,
///     stream_bytes: 2048,
///     bytes: 2048,
///     crc64nvme: 9,
/// };
/// let bytes = builder.finish(&shard)?;
///
/// let index = Index::parse(bytes)?;
/// let record = index.find("cat/1").unwrap();
/// assert_eq!((record.offset, record.len), (0, 1024));
/// assert_eq!(record.fields.collect::<Vec<_>>(), [jpg]);
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct IndexBuilder {
    records: Vec<RecordRow>,
    fields: Vec<FieldRow>,
    keys: Vec<u8>,
    names: Interner,
    labels: Interner,
    per_name: Vec<FieldTotals>,
    hasher: SampleHasher,
    digest: Digest,
    body_bytes: u64,
    end: u64,
    label_bytes: Vec<u8>,
}

#[derive(Debug)]
struct RecordRow {
    offset: u64,
    len: u64,
    id: u64,
    crc32c: u32,
    key_end: u32,
    field_end: u32,
    label: u32,
}

#[derive(Debug)]
struct FieldRow {
    offset: Option<u64>,
    len: u64,
    crc32c: u32,
    name: u32,
}

impl IndexBuilder {
    /// With room for so many records, fields and bytes of keys: more may come.
    pub fn with_capacity(records: usize, fields: usize, keys: usize) -> Self {
        Self {
            records: Vec::with_capacity(records),
            fields: Vec::with_capacity(fields),
            keys: Vec::with_capacity(keys),
            ..Self::default()
        }
    }

    /// Adds the next record.
    ///
    /// Fails when records overlap or a body lies outside its record (the caller's sums are wrong),
    /// and when a table would need more than 32 bits, after which the builder is of no use.
    pub fn push(&mut self, entry: &IndexEntry<'_>) -> Result<()> {
        let end = end_of(entry.offset, entry.len)?;
        if entry.offset < self.end {
            return Err(Error::corrupt(format!(
                "record {:?} starts at {}, before its predecessor's end at {}",
                entry.key, entry.offset, self.end
            )));
        }
        for field in entry.fields {
            let body = field.offset.unwrap_or(entry.offset);
            if body < entry.offset || (field.offset.is_some() && end_of(body, field.len)? > end) {
                return Err(Error::corrupt(format!(
                    "field {:?} of {:?}: {} bytes at {body} lie outside the record",
                    field.name, entry.key, field.len
                )));
            }
        }
        self.digest += self.hasher.digest(entry.key, entry.label, entry.fields);
        self.keys.extend_from_slice(entry.key.as_bytes());
        self.label_bytes.clear();
        label::encode(entry.label, &mut self.label_bytes);
        let label = match self.label_bytes.is_empty() {
            true => 0,
            false => self.labels.number(&self.label_bytes)? + 1,
        };
        for field in entry.fields {
            self.push_field(field)?;
        }
        self.records.push(RecordRow {
            offset: entry.offset,
            len: entry.len,
            id: entry.id,
            crc32c: entry.crc32c,
            key_end: narrow("bytes of keys", self.keys.len())?,
            field_end: narrow("fields", self.fields.len())?,
            label,
        });
        self.end = end;
        Ok(())
    }

    fn push_field(&mut self, field: &IndexField<'_>) -> Result<()> {
        let name = self.names.number(field.name.as_bytes())?;
        if self.per_name.len() <= name as usize {
            self.per_name.push(FieldTotals::default());
        }
        if let Some(totals) = self.per_name.get_mut(name as usize) {
            totals.files += 1;
            totals.bytes = totals.bytes.saturating_add(field.len);
        }
        self.body_bytes = self.body_bytes.saturating_add(field.len);
        let IndexField { offset, len, crc32c, .. } = *field;
        self.fields.push(FieldRow { offset, len, crc32c, name });
        Ok(())
    }

    /// Number of records so far.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// What the records so far add up to.
    pub fn summary(&self) -> Summary {
        let names = self.names.iter().map(|n| String::from_utf8_lossy(n).into_owned());
        Summary {
            samples: self.records.len() as u64,
            files: self.fields.len() as u64,
            body_bytes: self.body_bytes,
            digest: self.digest,
            fields: names.zip(self.per_name.iter().copied()).collect(),
        }
    }

    /// The bytes of the index. The same records and shard give the same bytes.
    ///
    /// Fails when the records reach beyond `shard.stream_bytes`, or its format's name is too long.
    pub fn finish(self, shard: &ShardFile) -> Result<Vec<u8>> {
        if self.end > shard.stream_bytes || shard.stream_bytes == u64::MAX {
            return Err(Error::corrupt(format!(
                "records end at {}, the shard at {}",
                self.end, shard.stream_bytes
            )));
        }
        let counts = Counts {
            records: narrow("records", self.records.len())?.into(),
            fields: self.fields.len() as u64,
            names: self.names.ends.len() as u64,
            labels: self.labels.ends.len() as u64,
            key_bytes: self.keys.len() as u64,
            name_bytes: self.names.heap.len() as u64,
            label_bytes: self.labels.heap.len() as u64,
        };
        let sections = Sections::new(Sections::word_for(shard.stream_bytes), counts);
        let mut out =
            Out { bytes: Vec::with_capacity(sections.end as usize + 4), word: sections.word };
        self.write_header(shard, &counts, &mut out)?;
        self.write_tables(&mut out);
        for heap in [&self.keys, &self.names.heap, &self.labels.heap] {
            out.bytes.extend_from_slice(heap);
        }
        debug_assert_eq!(out.bytes.len() as u64, sections.end);
        let crc = crc32c(&out.bytes);
        out.u32(crc);
        Ok(out.bytes)
    }

    fn write_header(&self, shard: &ShardFile, counts: &Counts, out: &mut Out) -> Result<()> {
        let mut format = [0; FORMAT_NAME];
        let name = shard.format.as_bytes();
        match format.get_mut(..name.len()) {
            Some(room) if name.iter().all(u8::is_ascii_graphic) && !name.is_empty() => {
                room.copy_from_slice(name);
            }
            _ => return Err(Error::name(&shard.format, "is no format's name")),
        }
        out.bytes.extend_from_slice(&MAGIC);
        out.bytes.extend_from_slice(&VERSION.to_le_bytes());
        out.bytes.push(out.word as u8);
        out.bytes.push(compression_code(shard.compression));
        for count in [counts.records, counts.fields, counts.names, counts.labels] {
            out.u32(count as u32);
        }
        for heap in [counts.key_bytes, counts.name_bytes, counts.label_bytes] {
            out.u32(heap as u32);
        }
        for value in [shard.stream_bytes, shard.bytes, shard.crc64nvme] {
            out.bytes.extend_from_slice(&value.to_le_bytes());
        }
        out.bytes.extend_from_slice(&self.digest.to_u128().to_le_bytes());
        out.bytes.extend_from_slice(&format);
        Ok(())
    }

    fn write_tables(&self, out: &mut Out) {
        for row in &self.records {
            out.word(row.offset);
            out.word(row.len);
            out.bytes.extend_from_slice(&row.id.to_le_bytes());
            for value in [row.crc32c, row.key_end, row.field_end, row.label] {
                out.u32(value);
            }
        }
        for row in &self.fields {
            out.word(row.offset.unwrap_or(u64::MAX));
            out.word(row.len);
            out.u32(row.crc32c);
            out.u32(row.name);
        }
        for number in self.sorted() {
            out.u32(number);
        }
        for end in self.names.ends.iter().chain(&self.labels.ends) {
            out.u32(*end);
        }
    }

    /// Record numbers in order of key, equal keys in stored order.
    fn sorted(&self) -> Vec<u32> {
        let mut start = 0;
        let keys: Vec<&[u8]> = (self.records.iter())
            .map(|row| {
                let key = &self.keys[start..row.key_end as usize];
                start = row.key_end as usize;
                key
            })
            .collect();
        let mut numbers: Vec<u32> = (0..keys.len() as u32).collect();
        numbers.sort_by_key(|&i| keys[i as usize]);
        numbers
    }
}

struct Out {
    bytes: Vec<u8>,
    word: u64,
}

impl Out {
    fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// An offset or a length: the low bytes of it, so that "none" stays all ones.
    fn word(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes()[..self.word as usize]);
    }
}

pub(super) fn narrow(what: &'static str, count: usize) -> Result<u32> {
    // The last value stays free, so that a number and its successor both fit.
    match u32::try_from(count) {
        Ok(small) if small < u32::MAX => Ok(small),
        _ => Err(Error::new(ErrorKind::TooLarge {
            what,
            len: count as u64,
            limit: u64::from(u32::MAX - 1),
        })),
    }
}

fn end_of(offset: u64, len: u64) -> Result<u64> {
    offset.checked_add(len).ok_or_else(|| Error::corrupt(format!("{len} bytes at {offset}")))
}
