//! The index of a TFRecord shard that DALI and the PyPI package `tfrecord` read.
//!
//! Text: one line a record, `<offset> <length>`, framing included. Both tools read the same
//! text; DALI takes any name, PyPI's default is `<stem>.tfindex`.

use std::fmt::Write;

use super::{lines, need, number};
use crate::{Error, Index, Result};

/// Bytes of framing around a payload: the shortest record.
const FRAMING: u64 = 16;

/// Writes the index of one shard.
pub fn write(index: &Index<'_>) -> Result<String> {
    need(index, "tfrecord", "a TFRecord index")?;
    let mut out = String::new();
    for record in index.iter() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{} {}", record.offset, record.len);
    }
    Ok(out)
}

/// False for a shard that PyPI's `tfrecord` cannot open by its index: up to 1.14.6 it fails with an
/// IndexError on an index of one line. Say so, or pack so that no shard has one record.
pub fn pypi_reads(index: &Index<'_>) -> bool {
    index.len() > 1
}

/// Parses an index into offsets and lengths of records. Fails as damage where records do not
/// follow each other without a gap from the start, as they do in every TFRecord file.
pub fn parse(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    let mut end = 0;
    lines(bytes, "a TFRecord index")?
        .map(|(line, text)| {
            let wrong = |reason: String| Error::corrupt(reason).in_line(line);
            let (offset, len) =
                text.split_once(' ').ok_or_else(|| wrong("no offset and length".into()))?;
            let (offset, len) = (number(offset, line)?, number(len, line)?);
            if offset != end || len < FRAMING {
                return Err(wrong(format!("{len} bytes at {offset}, after an end at {end}")));
            }
            end = offset.checked_add(len).ok_or_else(|| wrong(format!("{len} bytes")))?;
            Ok((offset, len))
        })
        .collect()
}
