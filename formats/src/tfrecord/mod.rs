//! TFRecord: length, checksum, payload, checksum. The payload is a `tf.train.Example` or raw
//! bytes; `SPEC.md` beside this file has the bytes.

mod decode;
mod feature;
mod image;
mod message;
#[cfg(test)]
mod tests;
mod view;

use std::io::Read;

pub use message::{
    BytesList, Example, Feature, FeatureList, FeatureLists, Features, FloatList, Int64List, Kind,
    SequenceExample,
};
pub use view::{Column, ExampleView, SequenceView};

pub use crate::protobuf::{ByteStrings, Element, Numbers, NumbersIter};
use crate::{
    DecodeOptions, Decoder, Error, ErrorKind, Format, Layout, Result, SampleShape, Schema, Segment,
    crc32c, mask,
};

/// Length and checksum before a payload, in bytes.
const HEADER: u64 = 12;
/// Checksum behind it, in bytes.
const FOOTER: u64 = 4;

/// Most bytes of an `Example`: no protobuf implementation parses a message of 2 GiB.
const MAX_EXAMPLE: u64 = (1 << 31) - 1;
/// Most bytes of a raw payload: offsets in files are signed.
const MAX_RAW: u64 = i64::MAX as u64 - HEADER - FOOTER;

/// TFRecord with one of three payloads.
///
/// Hand [`Format::decoder`] a buffered stream: each record is read in three pieces.
///
/// ```
/// use shardpack_formats::{
///     DecodeOptions, FieldShape, Format, Label, Record, SampleShape, Schema, encode,
///     tfrecord::TfRecord,
/// };
///
/// let format = TfRecord::new(Schema::Fields);
/// let fields = [FieldShape { name: "txt", len: 3 }];
/// let sample = SampleShape { key: "a", id: 0, fields: &fields, label: Label::NONE, splits: &[] };
/// let mut shard = Vec::new();
/// encode(&format, &sample, &[b"foo"], &mut shard)?;
/// assert_eq!(shard.len() as u64, format.encoded_len(&sample));
///
/// let mut decoder = format.decoder(Box::new(&shard[..]), &DecodeOptions::default());
/// let mut record = Record::default();
/// assert!(decoder.read(&mut record)?);
/// assert_eq!(record.sample.key, "a");
/// assert_eq!(record.sample.field("txt"), Some(&b"foo"[..]));
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TfRecord {
    schema: Schema,
}

impl TfRecord {
    /// TFRecord with payloads of `schema`.
    pub fn new(schema: Schema) -> Self {
        Self { schema }
    }

    fn payload_len(&self, sample: &SampleShape<'_>) -> u64 {
        match self.schema {
            Schema::Raw => sample.fields.iter().map(|field| field.len).sum(),
            schema => feature::example_len(schema, sample),
        }
    }
}

impl Format for TfRecord {
    fn name(&self) -> &'static str {
        "tfrecord"
    }

    fn extension(&self) -> &'static str {
        "tfrecord"
    }

    fn check(&self, sample: &SampleShape<'_>) -> Result<()> {
        if self.schema == Schema::Raw {
            check_raw(sample)?;
            return check_len(sample, MAX_RAW, |sample| self.payload_len(sample));
        }
        feature::check(self.schema, sample)?;
        check_len(sample, MAX_EXAMPLE, |sample| self.payload_len(sample))
    }

    fn encoded_len(&self, sample: &SampleShape<'_>) -> u64 {
        HEADER + self.payload_len(sample) + FOOTER
    }

    fn layout(&self, sample: &SampleShape<'_>, out: &mut Layout) {
        let len = self.payload_len(sample).to_le_bytes();
        out.literal(&len);
        out.literal(&mask(crc32c(&len)).to_le_bytes());
        out.segments.push(Segment::ChecksumStart);
        match self.schema {
            Schema::Raw => {
                for (i, field) in sample.fields.iter().enumerate() {
                    out.body(i, field.len);
                }
            }
            schema => feature::lay_out(schema, sample, out),
        }
        out.segments.push(Segment::MaskedCrc32c);
    }

    fn payload<'r>(&self, record: &'r [u8]) -> Option<&'r [u8]> {
        let (len, rest) = record.split_first_chunk()?;
        let payload = rest.get(4..rest.len().checked_sub(FOOTER as usize)?)?;
        (u64::from_le_bytes(*len) == payload.len() as u64).then_some(payload)
    }

    fn decoder<'r>(
        &self,
        input: Box<dyn Read + 'r>,
        options: &DecodeOptions,
    ) -> Box<dyn Decoder + 'r> {
        Box::new(decode::TfRecordDecoder::new(input, self.schema, options))
    }
}

/// Refuses a payload over `limit`. Each field is looked at first: their sum may overflow.
fn check_len(
    sample: &SampleShape<'_>,
    limit: u64,
    payload_len: impl FnOnce(&SampleShape<'_>) -> u64,
) -> Result<()> {
    let longest = sample.fields.iter().map(|field| field.len).max().unwrap_or(0);
    let len = if longest > limit { longest } else { payload_len(sample) };
    if len > limit {
        return Err(Error::new(ErrorKind::TooLarge { what: "payload", len, limit }));
    }
    Ok(())
}

fn check_raw(sample: &SampleShape<'_>) -> Result<()> {
    if sample.fields.len() != 1 {
        return Err(Error::new(ErrorKind::Unsupported {
            what: format!(
                "{:?} has {} fields: schema raw keeps exactly one; choose schema fields",
                sample.key,
                sample.fields.len()
            ),
        }));
    }
    if !sample.label.is_empty() {
        let reason = "schema raw keeps no label; choose schema fields or image, or drop it".into();
        return Err(Error::new(ErrorKind::Label { reason }));
    }
    Ok(())
}
