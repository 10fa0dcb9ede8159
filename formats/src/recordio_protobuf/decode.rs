//! Records back to samples.

use std::io::Read;

use super::{LABEL_TEXT, VALUES};
use crate::protobuf::{
    Collector, Malformed, Parsed, Scalar, Span, Value, keep_last, map_entries, numbers, wrong_type,
};
use crate::recordio::frame::{Dialect, Frames};
use crate::{DecodeOptions, Decoder, Position, Record, Result, Sample};

/// Reads RecordIO-protobuf files.
pub(super) struct ProtobufDecoder<'r> {
    frames: Frames<'r>,
    keep_damaged: bool,
}

impl<'r> ProtobufDecoder<'r> {
    pub(super) fn new(
        input: Box<dyn Read + 'r>,
        dialect: Dialect,
        options: &DecodeOptions,
    ) -> Self {
        let frames = Frames::new(input, dialect, options.max_record);
        Self { frames, keep_damaged: options.keep_damaged }
    }
}

impl Decoder for ProtobufDecoder<'_> {
    fn read(&mut self, record: &mut Record) -> Result<bool> {
        record.damage = None;
        let Some(position) = self.frames.read(record)? else { return Ok(false) };
        let offset = self.frames.payload_offset();
        if let Err(e) = read_sample(position, offset, &mut record.sample) {
            let reason = format!("no aialgs.data.Record: {e}");
            match self.keep_damaged {
                true => record.damaged(reason),
                false => return Err(self.frames.reject(position, reason)),
            }
        }
        Ok(true)
    }

    fn position(&self) -> Position {
        self.frames.position()
    }
}

/// A message taken to its fields. Repeated text fields: the last one counts.
#[derive(Default)]
struct Parts<'a> {
    features: Vec<(&'a str, Span<'a>)>,
    label: Vec<(&'a str, Span<'a>)>,
    uid: Option<&'a str>,
    metadata: Option<&'a str>,
    configuration: Option<&'a str>,
}

/// Stricter than protobuf, which skips unknown fields: nearly any bytes would parse as a `Record`
/// of unknown fields, messages of the older schema among them.
fn parts(payload: Span<'_>) -> Parsed<Parts<'_>> {
    let mut parts = Parts::default();
    for field in payload.fields() {
        let (tag, value) = field?;
        if !(1..=5).contains(&tag) {
            return Err(Malformed(format!("it has a field {tag}")));
        }
        let Value::Span(span) = value else { return Err(wrong_type(tag)) };
        match tag {
            3 => parts.uid = Some(span.text()?),
            4 => parts.metadata = Some(span.text()?),
            5 => parts.configuration = Some(span.text()?),
            _ => {}
        }
    }
    map_entries(payload, 1, &mut parts.features)?;
    map_entries(payload, 2, &mut parts.label)?;
    keep_last(&mut parts.features);
    keep_last(&mut parts.label);
    Ok(parts)
}

/// Takes the payload in `sample.bytes`, which starts at `offset` of the shard, apart.
fn read_sample(position: Position, offset: Option<u64>, sample: &mut Sample) -> Parsed<()> {
    let Sample { key, fields, label, bytes, .. } = sample;
    let parts = parts(Span::payload(bytes))?;
    let mut out = Collector::new(fields, bytes.len(), offset);
    *key = parts.uid.map_or_else(|| position.record.to_string(), str::to_owned);
    for (name, value) in parts.features {
        collect(name, kind(value)?, &mut out)?;
    }
    for (name, value) in parts.label {
        let kind = kind(value)?;
        match (name == VALUES).then(|| exact_label(kind)).transpose()?.flatten() {
            Some(values) => label.values = values,
            None => collect(&format!("label_{name}"), kind, &mut out)?,
        }
    }
    match parts.metadata.map(|text| text.strip_prefix(LABEL_TEXT).ok_or(text)) {
        Some(Ok(text)) => label.text = Some(text.to_owned()),
        Some(Err(text)) => out.text("metadata", text)?,
        None => {}
    }
    if let Some(text) = parts.configuration {
        out.text("configuration", text)?;
    }
    let text = out.finish();
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

/// What a value holds.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Tensor(Scalar, Span<'a>),
    Bytes(Span<'a>),
    Unset,
}

fn kind(value: Span<'_>) -> Parsed<Kind<'_>> {
    let mut kind = Kind::Unset;
    for field in value.fields() {
        let found = match field? {
            (2, Value::Span(span)) => Kind::Tensor(Scalar::F32, span),
            (3, Value::Span(span)) => Kind::Tensor(Scalar::F64, span),
            (7, Value::Span(span)) => Kind::Tensor(Scalar::I32, span),
            (9, Value::Span(span)) => Kind::Bytes(span),
            (tag @ (2 | 3 | 7 | 9), _) => return Err(wrong_type(tag)),
            _ => continue,
        };
        if !matches!(kind, Kind::Unset) {
            return Err(Malformed("a value holds two things".into()));
        }
        kind = found;
    }
    Ok(kind)
}

/// Makes fields of a value: its bytes, or its numbers as text and, where they are stored, the keys
/// and the shape as `name.keys` and `name.shape`.
fn collect(name: &str, kind: Kind<'_>, out: &mut Collector<'_>) -> Parsed<()> {
    match kind {
        Kind::Unset => Ok(()),
        Kind::Bytes(list) => {
            // The content type follows from the name; it need only be text.
            list.spans(2).try_for_each(|media| media?.text().map(drop))?;
            out.bodies(name, list)
        }
        Kind::Tensor(scalar, tensor) => {
            out.numbers(name, tensor, 1, scalar)?;
            for (tag, part) in [(2, "keys"), (3, "shape")] {
                if has(tensor, tag)? {
                    out.numbers(format!("{name}.{part}"), tensor, tag, Scalar::U64)?;
                }
            }
            Ok(())
        }
    }
}

fn has(message: Span<'_>, tag: u32) -> Parsed<bool> {
    for field in message.fields() {
        if field?.0 == tag {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The numbers of a dense tensor, which is what a label is.
fn exact_label(kind: Kind<'_>) -> Parsed<Option<Vec<f64>>> {
    let Kind::Tensor(scalar, tensor) = kind else { return Ok(None) };
    if has(tensor, 2)? || has(tensor, 3)? {
        return Ok(None);
    }
    let mut values = Vec::new();
    numbers(tensor, 1, scalar, |number| values.extend(number.exact()))?;
    Ok(Some(values))
}
