//! MXNet's `.idx` and `.lst`.
//!
//! `.idx`: one line a record, `<key> TAB <offset>`. Python reads one file a shard; the C++ readers
//! and DALI take exactly one file for any number of shards, with offsets into their concatenation.
//! `.lst`: one line a sample, `<id> TAB <label> [TAB <label>…] TAB <path>`.

use std::collections::HashSet;
use std::fmt::Write;

use super::{lines, member, need, number};
use crate::{Error, Index, IndexRecord, Result};

/// What stands before the offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// The sample's id, which is also in the record's header: what im2rec writes.
    Id,
    /// The record's number from 0 on: what rec2idx writes. For shards whose ids repeat.
    Number,
}

/// Writes an index over any number of shards, in the order in which the reader will be given them.
///
/// Keeps the ids seen, to refuse one that comes twice: about 16 bytes a record.
#[derive(Debug)]
pub struct IdxWriter {
    keys: Keys,
    text: String,
    seen: HashSet<u64>,
    records: u64,
    base: u64,
}

impl IdxWriter {
    /// An index without shards.
    pub fn new(keys: Keys) -> Self {
        Self { keys, text: String::new(), seen: HashSet::new(), records: 0, base: 0 }
    }

    /// Adds the next shard.
    pub fn push(&mut self, index: &Index<'_>) -> Result<()> {
        need(index, "recordio", "an MXNet index")?;
        for record in index.iter() {
            let key = match self.keys {
                Keys::Id if !self.seen.insert(record.id) => {
                    return Err(Error::unsupported(format!(
                        "id {} stands twice, at {:?}; key the index by number instead",
                        record.id, record.key
                    )));
                }
                Keys::Id => record.id,
                Keys::Number => self.records,
            };
            let offset = self.base.checked_add(record.offset).ok_or_else(too_long)?;
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "{key}\t{offset}");
            self.records += 1;
        }
        self.base = self.base.checked_add(index.shard().bytes).ok_or_else(too_long)?;
        Ok(())
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

fn too_long() -> Error {
    Error::corrupt("offsets do not fit in 64 bits")
}

/// Writes the index of one shard.
pub fn write(index: &Index<'_>, keys: Keys) -> Result<String> {
    let mut writer = IdxWriter::new(keys);
    writer.push(index)?;
    Ok(writer.finish())
}

/// Parses an `.idx` into keys and offsets, in the file's order. Fails as damage for an offset that
/// is no multiple of four: 18446744073709551615 is what a failed `tell` once left in such files.
pub fn parse(bytes: &[u8]) -> Result<Vec<(u64, u64)>> {
    lines(bytes, "an MXNet index")?
        .map(|(line, text)| {
            let wrong = |reason: String| Error::corrupt(reason).in_line(line);
            let (key, offset) =
                text.split_once('\t').ok_or_else(|| wrong("no key and offset".into()))?;
            let (key, offset) = (number(key, line)?, number(offset, line)?);
            match offset.is_multiple_of(4) {
                true => Ok((key, offset)),
                false => Err(wrong(format!("offset {offset} is no multiple of 4"))),
            }
        })
        .collect()
}

/// One line of a `.lst`.
#[derive(Clone, Debug, PartialEq)]
pub struct LstLine {
    /// Id of the sample.
    pub id: u64,
    /// Its labels, at least one.
    pub labels: Vec<f64>,
    /// Path of its file.
    pub path: String,
}

/// Writes the `.lst` of one shard; the lists of many shards may be joined. A sample without label
/// gets 0, as im2rec's own lists have it.
///
/// Fails with [`Name`](crate::ErrorKind::Name) for a path that the readers, which split at TAB and
/// trim blanks, would change, and with [`Unsupported`](crate::ErrorKind::Unsupported) for samples
/// of several fields and for labels that are no finite numbers.
pub fn write_lst(index: &Index<'_>) -> Result<String> {
    let mut out = String::new();
    for record in index.iter() {
        let line = lst_line(&record)?;
        let _ = write!(out, "{}", line.id);
        for label in &line.labels {
            let _ = write!(out, "\t{label}");
        }
        let _ = writeln!(out, "\t{}", line.path);
    }
    Ok(out)
}

fn lst_line(record: &IndexRecord<'_>) -> Result<LstLine> {
    let mut fields = record.fields.clone();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(Error::unsupported(format!("sample {:?} has not one field", record.key)));
    };
    let path = member(record.key, field.name);
    if path.trim() != path || path.chars().any(char::is_control) {
        let reason = "a .lst cannot keep TABs, line ends or outer blanks; rename the file";
        return Err(Error::name(path, reason));
    }
    let mut labels: Vec<f64> = record.label.values().collect();
    if labels.is_empty() {
        labels.push(0.0);
    }
    match labels.iter().all(|l| l.is_finite()) {
        true => Ok(LstLine { id: record.id, labels, path }),
        false => Err(Error::unsupported(format!("label {labels:?} of {:?}", record.key))),
    }
}

/// Parses a `.lst`. A last line without line end is read too, as im2rec reads it; a line of fewer
/// than three columns, which im2rec skips with a message, is an error.
pub fn parse_lst(bytes: &[u8]) -> Result<Vec<LstLine>> {
    let text = std::str::from_utf8(bytes).map_err(|_| Error::corrupt("a .lst is no UTF-8"))?;
    (1..)
        .zip(text.lines())
        .map(|(number, line)| parse_lst_line(line.trim(), number).map_err(|e| e.in_line(number)))
        .collect()
}

fn parse_lst_line(text: &str, line: u64) -> Result<LstLine> {
    let columns: Vec<_> = text.split('\t').collect();
    let [id, labels @ .., path] = columns.as_slice() else {
        return Err(Error::corrupt("no id, label and path with TABs between them"));
    };
    if labels.is_empty() || path.is_empty() {
        return Err(Error::corrupt("no id, label and path with TABs between them"));
    }
    let label = |text: &&str| match text.trim().parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(Error::corrupt(format!("label {text:?} is no number"))),
    };
    Ok(LstLine {
        id: number(id.trim(), line)?,
        labels: labels.iter().map(label).collect::<Result<_>>()?,
        path: (*path).to_owned(),
    })
}
