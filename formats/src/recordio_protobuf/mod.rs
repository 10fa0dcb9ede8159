//! SageMaker's RecordIO-protobuf: `aialgs.data.Record` messages in RecordIO parts that are never
//! split. `SPEC.md` beside this file has the bytes.

mod decode;
mod encode;
mod message;
#[cfg(test)]
mod tests;
mod view;

use std::io::Read;

pub use message::{
    BytesValue, Float32Tensor, Float64Tensor, Int32Tensor, Kind, RecordMessage, Value,
};
pub use view::{RecordView, Tensor, Values};

pub use crate::protobuf::{ByteStrings, Element, Numbers, NumbersIter};
use crate::recordio::frame::{self, Dialect, MAX_PAYLOAD, PART_HEADER};
use crate::recordio::label;
use crate::{DecodeOptions, Decoder, Error, ErrorKind, Format, Layout, Result, SampleShape};

/// What `metadata` begins with when it holds the class's name.
const LABEL_TEXT: &str = "label_text=";
/// Name of a plain feature vector and of a plain label.
const VALUES: &str = "values";

/// RecordIO-protobuf.
///
/// Hand [`Format::decoder`] a buffered stream: each record is read in three pieces.
///
/// ```
/// use shardpack_formats::{
///     DecodeOptions, FieldShape, Format, Label, Record, SampleShape, encode,
///     recordio_protobuf::RecordIoProtobuf,
/// };
///
/// let format = RecordIoProtobuf::new(false);
/// let fields = [FieldShape { name: "jpg", len: 3 }];
/// let label = Label { values: vec![7.0], text: None };
/// let sample = SampleShape { key: "k", id: 0, fields: &fields, label: &label, splits: &[] };
/// let mut shard = Vec::new();
/// encode(&format, &sample, &[b"JPG"], &mut shard)?;
///
/// let mut decoder = format.decoder(Box::new(&shard[..]), &DecodeOptions::default());
/// let mut record = Record::default();
/// assert!(decoder.read(&mut record)?);
/// assert_eq!((record.sample.key.as_str(), record.sample.label), ("k", label));
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RecordIoProtobuf {
    dialect: Dialect,
}

impl RecordIoProtobuf {
    /// The format. `dmlc_parts`: read split records as MXNet does, with the magic put back between
    /// parts, instead of SageMaker's plain concatenation. Writing never splits.
    pub fn new(dmlc_parts: bool) -> Self {
        Self { dialect: if dmlc_parts { Dialect::Dmlc } else { Dialect::SageMaker } }
    }
}

impl Format for RecordIoProtobuf {
    fn name(&self) -> &'static str {
        "recordio-protobuf"
    }

    fn extension(&self) -> &'static str {
        "pbr"
    }

    fn check(&self, sample: &SampleShape<'_>) -> Result<()> {
        check_names(sample)?;
        label::check(sample.label)?;
        // Each field is looked at first: their sum may overflow.
        let longest = sample.fields.iter().map(|field| field.len).max().unwrap_or(0);
        let len = if longest > MAX_PAYLOAD { longest } else { encode::message_len(sample) };
        if len > MAX_PAYLOAD {
            let kind = ErrorKind::TooLarge { what: "record", len, limit: MAX_PAYLOAD };
            return Err(Error::new(kind));
        }
        Ok(())
    }

    fn encoded_len(&self, sample: &SampleShape<'_>) -> u64 {
        PART_HEADER + encode::message_len(sample).next_multiple_of(4)
    }

    fn layout(&self, sample: &SampleShape<'_>, out: &mut Layout) {
        let len = encode::message_len(sample);
        let start = out.literals.len();
        out.literals.extend_from_slice(&frame::part_header(0, len));
        out.seal_literal(start);
        encode::lay_out(sample, out);
        out.literal(frame::padding(len));
    }

    fn payload<'r>(&self, record: &'r [u8]) -> Option<&'r [u8]> {
        frame::payload(record)
    }

    fn decoder<'r>(
        &self,
        input: Box<dyn Read + 'r>,
        options: &DecodeOptions,
    ) -> Box<dyn Decoder + 'r> {
        Box::new(decode::ProtobufDecoder::new(input, self.dialect, options))
    }
}

fn check_names(sample: &SampleShape<'_>) -> Result<()> {
    let refuse = |name: &str, reason: &str| {
        Err(Error::new(ErrorKind::Name { name: name.into(), reason: reason.into() }))
    };
    if sample.key.is_empty() {
        return refuse("", "a sample needs a key");
    }
    if sample.fields.iter().any(|field| field.name.is_empty()) {
        return refuse("", "a field needs a name");
    }
    match sample.fields.windows(2).find(|pair| pair[0].name >= pair[1].name) {
        Some(pair) => {
            refuse(pair[1].name, "fields must have different names and be sorted by them")
        }
        None => Ok(()),
    }
}
