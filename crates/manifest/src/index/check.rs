//! What an index must satisfy before anybody asks it anything.

use shardpack_formats::crc32c;

use super::compression_of;
use super::{Counts, FORMAT_NAME, HEADER, Index, MAGIC, Sections, ShardFile, VERSION};
use crate::{Digest, Error, ErrorKind, LabelRef, Result};

/// Reads the header, then checks the file's length and checksum against it.
pub(super) fn open(bytes: &[u8]) -> Result<(ShardFile, Digest, Sections)> {
    let mut input = Input(bytes);
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(magic) {
        return Err(Error::new(ErrorKind::NotThis {
            reason: "not a shardpack index: the magic bytes are missing".into(),
        }));
    }
    input.array::<8>()?;
    let version = u16::from_le_bytes(input.array()?);
    if version != VERSION {
        return Err(match version {
            0 => Error::corrupt("version 0"),
            _ => Error::new(ErrorKind::Version { found: version.into(), newest: VERSION.into() }),
        });
    }
    let [word, compression] = input.array()?;
    if word != 4 && word != 8 {
        return Err(Error::corrupt(format!("offsets of {word} bytes")));
    }
    let sections = Sections::new(word.into(), input.counts()?);
    let shard = ShardFile {
        stream_bytes: input.u64()?,
        bytes: input.u64()?,
        crc64nvme: input.u64()?,
        compression: compression_of(compression)
            .ok_or_else(|| Error::unsupported(format!("compression number {compression}")))?,
        format: String::new(),
    };
    let digest = Digest::from_u128(u128::from_le_bytes(input.array()?));
    let format = input.array::<FORMAT_NAME>()?;
    debug_assert_eq!(bytes.len() - input.0.len(), HEADER as usize);
    check_sum(bytes, sections.end)?;
    if Sections::word_for(shard.stream_bytes) != sections.word {
        return Err(Error::corrupt("offsets are wider or narrower than the shard needs"));
    }
    Ok((ShardFile { format: format_name(&format)?, ..shard }, digest, sections))
}

fn check_sum(bytes: &[u8], end: u64) -> Result<()> {
    let (found, wanted) = (bytes.len() as u64, end + 4);
    if found < wanted {
        return Err(Error::truncated(format!("the index: {found} of {wanted} bytes")));
    }
    let stored = bytes.get(end as usize..).and_then(|b| b.first_chunk());
    match stored.copied().map(u32::from_le_bytes) {
        Some(crc) if found == wanted && crc == crc32c(&bytes[..end as usize]) => Ok(()),
        _ if found > wanted => {
            Err(Error::corrupt(format!("{} bytes after the end", found - wanted)))
        }
        _ => Err(Error::corrupt("the checksum does not match")),
    }
}

fn format_name(bytes: &[u8; FORMAT_NAME]) -> Result<String> {
    let len = bytes.iter().position(|&b| b == 0).unwrap_or(FORMAT_NAME);
    let (name, padding) = bytes.split_at(len);
    match std::str::from_utf8(name) {
        Ok(name)
            if !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_graphic())
                && padding.iter().all(|&b| b == 0) =>
        {
            Ok(name.to_owned())
        }
        _ => Err(Error::corrupt("the format's name is no name")),
    }
}

/// Texts are texts, labels are labels, and the ends that delimit them go up to their heap's end.
pub(super) fn heaps(index: &Index<'_>) -> Result<()> {
    let at = &index.at;
    let ends = |from: u64, count: u64| (0..count).map(move |i| index.u32(from + 4 * i));
    let keys = (0..at.counts.records).map(|i| index.u32(index.key_end_at(i)));
    for (what, heap, len, mut ends) in [
        ("key", at.keys, at.counts.key_bytes, Box::new(keys) as Box<dyn Iterator<Item = u64>>),
        ("name", at.names, at.counts.name_bytes, Box::new(ends(at.name_ends, at.counts.names))),
    ] {
        let mut start = 0;
        let good = ends.try_for_each(|end| {
            let text = (start <= end && end <= len).then(|| index.range(heap, start, end))?;
            start = end;
            std::str::from_utf8(text).ok().map(|_| ())
        });
        if good.is_none() || start != len {
            return Err(Error::corrupt(format!("a {what} lies outside its heap or is no UTF-8")));
        }
    }
    let mut start = 0;
    let good = ends(at.label_ends, at.counts.labels).try_for_each(|end| {
        let bytes = (start < end && end <= at.counts.label_bytes)
            .then(|| index.range(at.labels, start, end))?;
        start = end;
        LabelRef::decode(bytes).map(|_| ())
    });
    match good.is_some() && start == at.counts.label_bytes {
        true => Ok(()),
        false => Err(Error::corrupt("a label lies outside its heap or is no label")),
    }
}

/// Records follow each other inside the shard, bodies lie inside their record, numbers point to
/// rows. The order of `sorted` is not checked: it would cost a comparison of keys a record, and a
/// wrong order can only make a search miss.
pub(super) fn rows(index: &Index<'_>) -> Result<()> {
    let counts = &index.at.counts;
    let (mut end, mut field_end) = (0, 0);
    for i in 0..counts.records {
        let wrong = |what: &str| Error::corrupt(what).in_field(format!("record {i}"));
        let record = index.record_numbers(i);
        if record.offset < end {
            return Err(wrong("overlaps its predecessor"));
        }
        end = match record.offset.checked_add(record.len) {
            Some(end) if end <= index.shard.stream_bytes => end,
            _ => return Err(wrong("reaches beyond the shard")),
        };
        if record.label > counts.labels {
            return Err(wrong("has a label that is not there"));
        }
        if record.sorted >= counts.records {
            return Err(wrong("has a sorted row that points nowhere"));
        }
        if record.field_end < field_end || record.field_end > counts.fields {
            return Err(wrong("has fields that are not there"));
        }
        for field in field_end..record.field_end {
            if !field_fits(index, field, record.offset, end) {
                return Err(wrong("has a field without name or outside of it"));
            }
        }
        field_end = record.field_end;
    }
    match field_end == counts.fields {
        true => Ok(()),
        false => Err(Error::corrupt("fields without record")),
    }
}

fn field_fits(index: &Index<'_>, i: u64, start: u64, end: u64) -> bool {
    let (name, offset, len) = index.field_numbers(i);
    let inside = match offset {
        None => true,
        Some(offset) => offset >= start && offset.checked_add(len).is_some_and(|e| e <= end),
    };
    name < index.at.counts.names && inside
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) =
            self.0.split_first_chunk().ok_or_else(|| Error::truncated("the index's header"))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u64> {
        self.array().map(|b| u32::from_le_bytes(b).into())
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn counts(&mut self) -> Result<Counts> {
        Ok(Counts {
            records: self.u32()?,
            fields: self.u32()?,
            names: self.u32()?,
            labels: self.u32()?,
            key_bytes: self.u32()?,
            name_bytes: self.u32()?,
            label_bytes: self.u32()?,
        })
    }
}
