//! WebDataset: plain tar, one member a field, named `key.field`; see SPEC.md.
//!
//! This module knows tar as far as samples need it: it writes ustar, reads what tar writers of the
//! last decades wrote, and does not deal in modes, owners, times and links.

mod archive;
mod decode;
mod header;
mod input;
mod name;
mod pax;
#[cfg(test)]
mod tests;

use std::io::Read;

use crate::{
    DecodeOptions, Decoder, Error, ErrorKind, FieldShape, Format, Layout, Result, SampleShape,
};
use header::{BLOCK, MAX_SIZE, padded};
pub use name::{Concern, concerns, split_name};

/// The WebDataset format.
///
/// ```
/// use shardpack_formats::webdataset::WebDataset;
/// use shardpack_formats::{
///     DecodeOptions, FieldShape, Format, Label, Record, SampleShape, encode,
/// };
///
/// let fields = [FieldShape { name: "cls", len: 1 }, FieldShape { name: "jpg", len: 4 }];
/// let sample =
///     SampleShape { key: "cats/1", id: 0, fields: &fields, label: Label::NONE, splits: &[] };
/// let mut shard = Vec::new();
/// encode(&WebDataset, &sample, &[b"7", b"\xff\xd8\xff\xd9"], &mut shard)?;
/// shard.extend_from_slice(WebDataset.trailer());
///
/// let mut decoder = WebDataset.decoder(Box::new(&shard[..]), &DecodeOptions::default());
/// let mut record = Record::default();
/// assert!(decoder.read(&mut record)?);
/// assert_eq!(record.sample.key, "cats/1");
/// assert_eq!(record.sample.field("cls"), Some(&b"7"[..]));
/// assert!(!decoder.read(&mut record)?);
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct WebDataset;

/// Two zero blocks. Not filled up to 10,240 bytes, the size of a tape record: no reader of files
/// needs it, and a record's length could then not be told from its sample alone.
const END: &[u8] = &[0; 2 * BLOCK];

/// Padding is cut from here.
const ZEROES: &[u8] = &[0; BLOCK];

impl Format for WebDataset {
    fn name(&self) -> &'static str {
        "webdataset"
    }

    fn extension(&self) -> &'static str {
        "tar"
    }

    fn check(&self, sample: &SampleShape<'_>) -> Result<()> {
        if let Some(reason) = name::key_fault(sample.key) {
            return Err(refused(sample.key, reason));
        }
        if sample.fields.is_empty() {
            return Err(refused(sample.key, "the sample has no field and would vanish"));
        }
        if !sample.label.is_empty() {
            let reason = "a tar keeps none beside the fields; write it as a field such as `cls`";
            return Err(Error::new(ErrorKind::Label { reason: reason.into() }));
        }
        sample.fields.iter().try_for_each(|field| check_field(sample.key, field))?;
        match sample.fields.windows(2).find(|pair| pair[0].name >= pair[1].name) {
            None => Ok(()),
            Some([a, b]) if a.name == b.name => {
                Err(refused(&full_name(sample.key, a.name), "the sample has this field twice"))
            }
            Some(_) => Err(refused(sample.key, "its fields are not sorted by name")),
        }
    }

    fn encoded_len(&self, sample: &SampleShape<'_>) -> u64 {
        let member = |field: &FieldShape<'_>| padded(field.len).saturating_add(BLOCK as u64);
        sample.fields.iter().map(member).fold(0, u64::saturating_add)
    }

    fn layout(&self, sample: &SampleShape<'_>, out: &mut Layout) {
        for (i, field) in sample.fields.iter().enumerate() {
            let start = out.literals.len();
            header::write(sample.key, field.name, field.len, &mut out.literals);
            out.seal_literal(start);
            out.body(i, field.len);
            let padding = (padded(field.len) - field.len) as usize;
            out.literal(ZEROES.get(..padding).unwrap_or_default());
        }
    }

    fn trailer(&self) -> &'static [u8] {
        END
    }

    fn decoder<'r>(
        &self,
        input: Box<dyn Read + 'r>,
        options: &DecodeOptions,
    ) -> Box<dyn Decoder + 'r> {
        Box::new(decode::TarDecoder::new(input, options))
    }
}

fn check_field(key: &str, field: &FieldShape<'_>) -> Result<()> {
    if let Some(reason) = name::field_fault(field.name) {
        return Err(refused(&full_name(key, field.name), reason));
    }
    if header::cut(key, field.name).is_none() {
        let reason = "no slash cuts it into at most 155 bytes of directories and 100 of the rest, \
                      which is what every tar reader can take; shorten it";
        return Err(refused(&full_name(key, field.name), reason));
    }
    if field.len > MAX_SIZE {
        let name = full_name(key, field.name);
        let what = format!(
            "{name:?} of {} bytes in a tar, whose readers count to {MAX_SIZE}; cut the file up",
            field.len
        );
        return Err(Error::new(ErrorKind::Unsupported { what }));
    }
    Ok(())
}

fn full_name(key: &str, field: &str) -> String {
    format!("{key}.{field}")
}

fn refused(name: &str, reason: &str) -> Error {
    Error::new(ErrorKind::Name { name: name.into(), reason: reason.into() })
}
