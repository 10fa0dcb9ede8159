//! MXNet's RecordIO with the image header: `.rec` files as `im2rec` writes them. `SPEC.md` beside
//! this file has the bytes.

#[cfg_attr(
    not(feature = "recordio-protobuf"),
    allow(dead_code, reason = "only recordio-protobuf reads all of it")
)]
pub(crate) mod frame;
mod header;
pub mod idx;
pub(crate) mod label;
pub mod lst;
mod payloads;
#[cfg(test)]
mod tests;
mod wrap;

use std::io::Read;

use frame::{Dialect, Frames, MAGIC, MAX_PAYLOAD, PART_HEADER};
use header::Header;
pub use payloads::payloads;
pub use wrap::Wrapping;

use crate::{
    DecodeOptions, Decoder, Error, ErrorKind, Field, Format, Layout, Position, Record, Result,
    SampleShape, sniff,
};

/// RecordIO records of one image header and one field.
///
/// Hand [`Format::decoder`] a buffered stream: each record is read in three pieces.
///
/// ```
/// use shardpack_formats::{
///     DecodeOptions, FieldShape, Format, Label, Record, SampleShape, encode, recordio::RecordIo,
/// };
///
/// let fields = [FieldShape { name: "jpg", len: 4 }];
/// let label = Label { values: vec![3.0], text: None };
/// let sample = SampleShape { key: "a", id: 7, fields: &fields, label: &label, splits: &[] };
/// let mut shard = Vec::new();
/// encode(&RecordIo, &sample, &[b"\xff\xd8\xff\xe0"], &mut shard)?;
///
/// let mut decoder = RecordIo.decoder(Box::new(&shard[..]), &DecodeOptions::default());
/// let mut record = Record::default();
/// assert!(decoder.read(&mut record)?);
/// assert_eq!((record.sample.id, record.sample.key.as_str()), (7, "7"));
/// assert_eq!(record.sample.field("jpg"), Some(&b"\xff\xd8\xff\xe0"[..]));
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RecordIo;

/// True when a record with this header id would be split inside its header. MXNet reads such
/// records, DALI does not; give the sample the next id.
pub fn id_holds_magic(id: u64) -> bool {
    id as u32 == MAGIC || (id >> 32) as u32 == MAGIC
}

/// The one field's length.
fn body_len(sample: &SampleShape<'_>) -> u64 {
    sample.fields.iter().map(|field| field.len).sum()
}

impl Format for RecordIo {
    fn name(&self) -> &'static str {
        "recordio"
    }

    fn extension(&self) -> &'static str {
        "rec"
    }

    fn check(&self, sample: &SampleShape<'_>) -> Result<()> {
        let unsupported = |what: String| Err(Error::new(ErrorKind::Unsupported { what }));
        if sample.fields.len() != 1 {
            let names: Vec<&str> = sample.fields.iter().map(|field| field.name).take(10).collect();
            return unsupported(format!(
                "{:?} has {} fields ({}): recordio keeps exactly one; choose one",
                sample.key,
                sample.fields.len(),
                names.join(", ")
            ));
        }
        if id_holds_magic(sample.id) {
            return unsupported(format!(
                "header id {} of {:?} holds RecordIO's magic: DALI cannot read it; leave it out",
                sample.id, sample.key
            ));
        }
        label::check(sample.label)?;
        let len = self.body_offset(sample).saturating_add(body_len(sample));
        if len > MAX_PAYLOAD {
            let kind = ErrorKind::TooLarge { what: "record", len, limit: MAX_PAYLOAD };
            return Err(Error::new(kind));
        }
        Ok(())
    }

    fn encoded_len(&self, sample: &SampleShape<'_>) -> u64 {
        // A split trades the magic's four bytes for another part's header.
        let len = self.body_offset(sample) + body_len(sample);
        PART_HEADER + len.next_multiple_of(4) + (PART_HEADER - 4) * sample.splits.len() as u64
    }

    fn layout(&self, sample: &SampleShape<'_>, out: &mut Layout) {
        let len = self.body_offset(sample) + body_len(sample);
        let mut start = 0;
        for (i, split) in sample.splits.iter().enumerate() {
            lay_out_part(sample, if i == 0 { 1 } else { 2 }, start, *split, out);
            start = split + 4;
        }
        lay_out_part(sample, if start == 0 { 0 } else { 3 }, start, len, out);
        out.literal(frame::padding(len));
    }

    fn split_word(&self) -> Option<u32> {
        Some(MAGIC)
    }

    fn body_offset(&self, sample: &SampleShape<'_>) -> u64 {
        Header::LEN + 4 * header::packed_labels(sample.label).len() as u64
    }

    fn payload<'r>(&self, record: &'r [u8]) -> Option<&'r [u8]> {
        frame::payload(record)
    }

    fn decoder<'r>(
        &self,
        input: Box<dyn Read + 'r>,
        options: &DecodeOptions,
    ) -> Box<dyn Decoder + 'r> {
        Box::new(RecordIoDecoder(Frames::new(input, Dialect::Dmlc, options.max_record)))
    }
}

/// Appends one part: the payload's bytes from `start` to `end`. The image header stands whole in
/// the first part, because nothing in it may be the magic.
fn lay_out_part(sample: &SampleShape<'_>, flag: u32, start: u64, end: u64, out: &mut Layout) {
    let literals = out.literals.len();
    out.literals.extend_from_slice(&frame::part_header(flag, end - start));
    let body_start = RecordIo.body_offset(sample);
    if start == 0 {
        header::put(sample, &mut out.literals);
    }
    out.seal_literal(literals);
    let start = start.max(body_start);
    if end > start {
        let (start, len) = (start - body_start, end - start);
        out.segments.push(crate::Segment::Body { field: 0, start, len });
    }
}

/// Reads `.rec` files, with image headers or without.
struct RecordIoDecoder<'r>(Frames<'r>);

impl Decoder for RecordIoDecoder<'_> {
    fn read(&mut self, record: &mut Record) -> Result<bool> {
        let Some(position) = self.0.read(record)? else { return Ok(false) };
        let sample = &mut record.sample;
        let mut range = 0..sample.bytes.len();
        match Header::parse(&sample.bytes) {
            Some((header, labels)) => {
                range.start = Header::LEN as usize + 4 * labels.len();
                header.labels(labels, &mut sample.label.values);
                sample.id = header.id;
                sample.key = header.id.to_string();
            }
            None => sample.key = position.record.to_string(),
        }
        let name = sniff::extension(sample.bytes.get(range.clone()).unwrap_or_default());
        let offset = self.0.payload_offset().map(|payload| payload + range.start as u64);
        sample.fields.push(Field { name: name.into(), range, offset });
        Ok(true)
    }

    fn position(&self) -> Position {
        self.0.position()
    }
}
