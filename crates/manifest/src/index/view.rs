//! Reading an index where it lies.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use super::{IndexField, Sections, ShardFile, check};
use crate::{Digest, FieldTotals, LabelRef, Result, Summary};

/// The index of one shard.
///
/// [`Index::parse`] reads every byte once (checksum, then every row) and allocates nothing that
/// depends on the input; after that each record is found by arithmetic, nothing is copied.
#[derive(Clone)]
pub struct Index<'a> {
    bytes: Cow<'a, [u8]>,
    pub(super) shard: ShardFile,
    digest: Digest,
    pub(super) at: Sections,
}

/// One record of an index.
#[derive(Clone, Debug)]
pub struct IndexRecord<'a> {
    /// Name of the sample.
    pub key: &'a str,
    /// Number of the sample in its dataset.
    pub id: u64,
    /// Its label.
    pub label: LabelRef<'a>,
    /// Offset of the record's first byte in the uncompressed shard.
    pub offset: u64,
    /// Length of the encoded record in bytes.
    pub len: u64,
    /// crc32c of the encoded record.
    pub crc32c: u32,
    /// Its fields, in stored order.
    pub fields: Fields<'a>,
}

/// The fields of one record. Cloning it is free.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    index: &'a Index<'a>,
    next: u64,
    end: u64,
}

impl<'a> Index<'a> {
    /// Checks the bytes of an index, owned or borrowed (a memory map).
    ///
    /// Reading costs about a nanosecond a byte. Fails with [`NotThis`](crate::ErrorKind::NotThis),
    /// [`Version`](crate::ErrorKind::Version), [`Truncated`](crate::ErrorKind::Truncated) or
    /// [`Corrupt`](crate::ErrorKind::Corrupt).
    pub fn parse(bytes: impl Into<Cow<'a, [u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        let (shard, digest, at) = check::open(&bytes)?;
        let index = Self { bytes, shard, digest, at };
        check::heaps(&index)?;
        check::rows(&index)?;
        Ok(index)
    }

    /// What the index says of its shard.
    pub fn shard(&self) -> &ShardFile {
        &self.shard
    }

    /// Digest of the shard's samples.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.at.counts.records as usize
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Record number `i`, in stored order, in constant time.
    pub fn get(&self, i: usize) -> Option<IndexRecord<'_>> {
        let i = i as u64;
        (i < self.at.counts.records).then(|| self.record(i))
    }

    /// The fields of record number `i`: a part of what [`get`](Self::get) gives, in a third of its
    /// time.
    pub fn fields(&self, i: usize) -> Option<Fields<'_>> {
        let i = i as u64;
        (i < self.at.counts.records).then(|| self.fields_of(i))
    }

    /// All records, in stored order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = IndexRecord<'_>> {
        (0..self.len()).map(|i| self.record(i as u64))
    }

    /// Number of the first record called `key`: a binary search, about `log2(len)` comparisons.
    pub fn position(&self, key: &str) -> Option<usize> {
        let at = |rank: u64| self.u32(self.at.sorted + 4 * rank);
        let (mut low, mut high) = (0, self.at.counts.records);
        while low < high {
            let middle = low.midpoint(high);
            match self.key(at(middle)) < key {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        let found = (low < self.at.counts.records).then(|| at(low))?;
        (self.key(found) == key).then_some(found as usize)
    }

    /// The first record called `key`; costs what [`Index::position`] costs.
    pub fn find(&self, key: &str) -> Option<IndexRecord<'_>> {
        self.get(self.position(key)?)
    }

    /// What the records add up to, counted anew; the digest is the stored one.
    pub fn summary(&self) -> Summary {
        let mut fields: BTreeMap<&str, FieldTotals> = BTreeMap::new();
        for field in (Fields { index: self, next: 0, end: self.at.counts.fields }) {
            let totals = fields.entry(field.name).or_default();
            totals.files += 1;
            totals.bytes = totals.bytes.saturating_add(field.len);
        }
        Summary {
            samples: self.at.counts.records,
            files: self.at.counts.fields,
            body_bytes: fields.values().fold(0, |sum: u64, f| sum.saturating_add(f.bytes)),
            digest: self.digest,
            fields: fields.into_iter().map(|(name, totals)| (name.to_owned(), totals)).collect(),
        }
    }

    fn record(&self, i: u64) -> IndexRecord<'_> {
        let row = self.record_numbers(i);
        let tail = self.record_row(i) + 2 * self.at.word;
        IndexRecord {
            key: self.key(i),
            id: u64::from_le_bytes(self.array(tail)),
            label: self.label(row.label),
            offset: row.offset,
            len: row.len,
            crc32c: self.u32(tail + 8) as u32,
            fields: self.fields_of(i),
        }
    }

    pub(super) fn record_numbers(&self, i: u64) -> RecordNumbers {
        let row = self.record_row(i);
        let tail = row + 2 * self.at.word;
        RecordNumbers {
            offset: self.word(row),
            len: self.word(row + self.at.word),
            field_end: self.u32(tail + 16),
            label: self.u32(tail + 20),
            sorted: self.u32(self.at.sorted + 4 * i),
        }
    }

    fn fields_of(&self, i: u64) -> Fields<'_> {
        let end = |i| self.u32(self.record_row(i) + 2 * self.at.word + 16);
        Fields { index: self, next: i.checked_sub(1).map_or(0, end), end: end(i) }
    }

    fn field(&self, i: u64) -> IndexField<'_> {
        let (name, offset, len) = self.field_numbers(i);
        let crc32c = self.u32(self.field_row(i) + 2 * self.at.word) as u32;
        IndexField { name: self.name(name), offset, len, crc32c }
    }

    /// Number of the name, offset and length of a body.
    pub(super) fn field_numbers(&self, i: u64) -> (u64, Option<u64>, u64) {
        let row = self.field_row(i);
        let none = u64::MAX >> (64 - 8 * self.at.word);
        let offset = Some(self.word(row)).filter(|&offset| offset != none);
        (self.u32(row + 2 * self.at.word + 4), offset, self.word(row + self.at.word))
    }

    fn key(&self, i: u64) -> &str {
        let end = |i| self.u32(self.key_end_at(i));
        self.text(self.at.keys, i.checked_sub(1).map_or(0, end), end(i))
    }

    fn name(&self, i: u64) -> &str {
        let end = |i| self.u32(self.at.name_ends + 4 * i);
        self.text(self.at.names, i.checked_sub(1).map_or(0, end), end(i))
    }

    fn label(&self, number: u64) -> LabelRef<'_> {
        LabelRef::decode(self.label_bytes(number)).unwrap_or_default()
    }

    /// Labels count from 1; 0 is no label.
    fn label_bytes(&self, number: u64) -> &[u8] {
        let end = |i| self.u32(self.at.label_ends + 4 * i);
        match number.checked_sub(1) {
            None => &[],
            Some(i) => self.range(self.at.labels, i.checked_sub(1).map_or(0, end), end(i)),
        }
    }

    fn record_row(&self, i: u64) -> u64 {
        self.at.records + i * (24 + 2 * self.at.word)
    }

    fn field_row(&self, i: u64) -> u64 {
        self.at.fields + i * (8 + 2 * self.at.word)
    }

    pub(super) fn key_end_at(&self, i: u64) -> u64 {
        self.record_row(i) + 2 * self.at.word + 12
    }

    fn text(&self, heap: u64, start: u64, end: u64) -> &str {
        std::str::from_utf8(self.range(heap, start, end)).unwrap_or_default()
    }

    pub(super) fn range(&self, heap: u64, start: u64, end: u64) -> &[u8] {
        self.bytes.get((heap + start) as usize..(heap + end) as usize).unwrap_or_default()
    }

    fn array<const N: usize>(&self, at: u64) -> [u8; N] {
        self.bytes.get(at as usize..).and_then(|b| b.first_chunk()).copied().unwrap_or([0; N])
    }

    pub(super) fn u32(&self, at: u64) -> u64 {
        u32::from_le_bytes(self.array(at)).into()
    }

    fn word(&self, at: u64) -> u64 {
        match self.at.word {
            4 => self.u32(at),
            _ => u64::from_le_bytes(self.array(at)),
        }
    }
}

/// Without the bytes.
impl fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("shard", &self.shard)
            .field("digest", &self.digest)
            .field("records", &self.len())
            .finish_non_exhaustive()
    }
}

/// The numbers of a record's row, and of the row of `sorted` with the same number.
pub(super) struct RecordNumbers {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) field_end: u64,
    pub(super) label: u64,
    pub(super) sorted: u64,
}

impl<'a> Iterator for Fields<'a> {
    type Item = IndexField<'a>;

    fn next(&mut self) -> Option<IndexField<'a>> {
        let field = (self.next < self.end).then(|| self.index.field(self.next))?;
        self.next += 1;
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next) as usize;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Fields<'_> {}
