//! Records back to samples.

use std::io::Read;

use super::{feature, image};
use crate::protobuf::{
    Collector, Malformed, Parsed, Scalar, Span, Value, keep_last, map_entries, numbers, wrong_type,
};
use crate::stream::Stream;
use crate::{
    DecodeOptions, Decoder, Label, Position, Record, Result, Sample, Schema, crc32c, mask, sniff,
};

/// Reads TFRecord files.
pub(super) struct TfRecordDecoder<'r> {
    stream: Stream<'r>,
    schema: Schema,
    max_record: u64,
    keep_damaged: bool,
}

impl<'r> TfRecordDecoder<'r> {
    pub(super) fn new(input: Box<dyn Read + 'r>, schema: Schema, options: &DecodeOptions) -> Self {
        let DecodeOptions { max_record, keep_damaged, .. } = *options;
        Self { stream: Stream::new(input), schema, max_record, keep_damaged }
    }
}

impl Decoder for TfRecordDecoder<'_> {
    fn read(&mut self, record: &mut Record) -> Result<bool> {
        let Self { schema, max_record, keep_damaged, .. } = *self;
        self.stream.record(|stream| {
            record.sample.clear();
            record.damage = None;
            let Some(footer) = read_payload(stream, max_record, &mut record.sample.bytes)? else {
                return Ok(false);
            };
            record.sample.payload = record.sample.bytes.len();
            let position = stream.position();
            record.offset = position.offset;
            (record.len, record.crc32c) = stream.measure();
            let read = verify("payload", crc32c(&record.sample.bytes), footer).and_then(|()| {
                read_sample(schema, position, &mut record.sample).map_err(|e| {
                    Malformed(format!("no tf.train.Example: {e}; schema raw reads any payload"))
                })
            });
            match read {
                Ok(()) => {}
                Err(e) if keep_damaged => record.damaged(e.to_string()),
                Err(e) => return Err(stream.corrupt(e.to_string())),
            }
            Ok(true)
        })
    }

    fn position(&self) -> Position {
        self.stream.position()
    }
}

/// Reads one record's framing; returns the payload's checksum, not compared yet. The length is trusted once its own checksum has proved it.
fn read_payload(
    stream: &mut Stream<'_>,
    max_record: u64,
    payload: &mut Vec<u8>,
) -> Result<Option<[u8; 4]>> {
    let mut header = [0; 12];
    if !stream.header(&mut header, "the record header")? {
        return Ok(None);
    }
    let [a, b, c, d, e, f, g, h, crc @ ..] = header;
    let len = [a, b, c, d, e, f, g, h];
    verify("length", crc32c(&len), crc).map_err(|e| stream.corrupt(e.to_string()))?;
    let len = u64::from_le_bytes(len);
    stream.check_len(len, max_record)?;
    stream.body(len, payload, "the payload")?;
    let mut footer = [0; 4];
    if !stream.header(&mut footer, "the payload checksum")? {
        return Err(stream.truncated("the payload checksum"));
    }
    Ok(Some(footer))
}

fn verify(what: &str, computed: u32, stored: [u8; 4]) -> Parsed<()> {
    let (computed, stored) = (mask(computed), u32::from_le_bytes(stored));
    if computed != stored {
        return Err(Malformed(format!(
            "{what} checksum is {computed:#010x}, the record states {stored:#010x}"
        )));
    }
    Ok(())
}

/// Takes the payload in `sample.bytes` apart.
fn read_sample(schema: Schema, position: Position, sample: &mut Sample) -> Parsed<()> {
    let Sample { key, fields, label, bytes, .. } = sample;
    let payload = Span::payload(bytes);
    let mut out = Collector::new(fields, bytes.len(), Some(position.offset + super::HEADER));
    let found = match schema {
        Schema::Raw => {
            out.body("data", payload)?;
            None
        }
        schema => {
            let mut entries = entries(payload)?;
            let found = match schema {
                Schema::Image => take_image(&mut entries, label, &mut out)?,
                _ => take_key_and_label(&mut entries, label)?,
            };
            for (name, value) in entries {
                match list(value)? {
                    List::Bytes(list) => out.bodies(name, list)?,
                    List::Floats(list) => out.numbers(name, list, 1, Scalar::F32)?,
                    List::Ints(list) => out.numbers(name, list, 1, Scalar::I64)?,
                    List::Unset => {}
                }
            }
            found
        }
    };
    *key = found.map_or_else(|| position.record.to_string(), str::to_owned);
    let text = out.finish();
    bytes.extend_from_slice(text.as_bytes());
    Ok(())
}

type Entries<'a> = Vec<(&'a str, Span<'a>)>;

/// The features of an `Example`. Stricter than protobuf, which skips unknown fields: nearly any
/// bytes would parse as an `Example` of unknown fields, and a `SequenceExample` would lose its
/// lists.
fn entries(payload: Span<'_>) -> Parsed<Entries<'_>> {
    let mut entries = Vec::new();
    for field in payload.fields() {
        match field? {
            (1, Value::Span(features)) => map_entries(features, 1, &mut entries)?,
            (2, Value::Span(_)) => return Err(Malformed("it is a SequenceExample".into())),
            (tag, _) => return Err(Malformed(format!("it has a field {tag}"))),
        }
    }
    keep_last(&mut entries);
    Ok(entries)
}

/// The list of a feature.
#[derive(Clone, Copy)]
enum List<'a> {
    Bytes(Span<'a>),
    Floats(Span<'a>),
    Ints(Span<'a>),
    Unset,
}

fn list(feature: Span<'_>) -> Parsed<List<'_>> {
    let mut list = List::Unset;
    for field in feature.fields() {
        let found = match field? {
            (1, Value::Span(span)) => List::Bytes(span),
            (2, Value::Span(span)) => List::Floats(span),
            (3, Value::Span(span)) => List::Ints(span),
            (tag @ 1..=3, _) => return Err(wrong_type(tag)),
            _ => continue,
        };
        if !matches!(list, List::Unset) {
            return Err(Malformed("a feature has two lists".into()));
        }
        list = found;
    }
    Ok(list)
}

/// Removes the feature called `name` if `read` makes something of it.
fn take<'a, T>(
    entries: &mut Entries<'a>,
    name: &str,
    read: impl FnOnce(List<'a>) -> Parsed<Option<T>>,
) -> Parsed<Option<T>> {
    let Some(i) = entries.iter().position(|(found, _)| *found == name) else { return Ok(None) };
    let value = read(list(entries[i].1)?)?;
    if value.is_some() {
        entries.remove(i);
    }
    Ok(value)
}

fn one_bytes(list: List<'_>) -> Parsed<Option<Span<'_>>> {
    let List::Bytes(list) = list else { return Ok(None) };
    let mut spans = list.spans(1);
    match (spans.next().transpose()?, spans.next().transpose()?) {
        (Some(one), None) => Ok(Some(one)),
        _ => Ok(None),
    }
}

fn one_text(list: List<'_>) -> Parsed<Option<&str>> {
    Ok(one_bytes(list)?.and_then(|span| span.text().ok()))
}

/// The numbers of a list, if f64 holds every one of them.
fn exact_numbers(list: List<'_>) -> Parsed<Option<Vec<f64>>> {
    let (list, scalar) = match list {
        List::Floats(list) => (list, Scalar::F32),
        List::Ints(list) => (list, Scalar::I64),
        _ => return Ok(None),
    };
    let mut values = Some(Vec::new());
    numbers(list, 1, scalar, |number| match (&mut values, number.exact()) {
        (Some(values), Some(value)) => values.push(value),
        _ => values = None,
    })?;
    Ok(values)
}

fn doubles(list: List<'_>) -> Parsed<Option<Vec<f64>>> {
    let Some(span) = one_bytes(list)? else { return Ok(None) };
    let (chunks, rest) = span.bytes.as_chunks::<8>();
    Ok(rest.is_empty().then(|| chunks.iter().map(|c| f64::from_le_bytes(*c)).collect()))
}

/// What [`Schema::Fields`] keeps beside the fields. Returns the key.
fn take_key_and_label<'a>(entries: &mut Entries<'a>, label: &mut Label) -> Parsed<Option<&'a str>> {
    let rounded = take(entries, feature::LABEL, exact_numbers)?;
    let exact = take(entries, feature::LABEL_F64, doubles)?;
    label.values = exact.or(rounded).unwrap_or_default();
    label.text = take(entries, feature::LABEL_TEXT, one_text)?.map(str::to_owned);
    take(entries, feature::KEY, one_text)
}

/// What [`Schema::Image`] keeps under `image/`. Returns the key.
fn take_image<'a>(
    entries: &mut Entries<'a>,
    label: &mut Label,
    out: &mut Collector<'_>,
) -> Parsed<Option<&'a str>> {
    label.values = take(entries, image::LABEL, exact_numbers)?.unwrap_or_default();
    label.text = take(entries, image::TEXT, one_text)?.map(str::to_owned);
    let Some(body) = take(entries, image::ENCODED, one_bytes)? else { return Ok(None) };
    let stored =
        take(entries, image::FORMAT, |list| Ok(one_text(list)?.and_then(image::extension)))?;
    let filename = take(entries, image::FILENAME, one_text)?.filter(|name| !name.is_empty());
    let split = filename.and_then(image::split_filename);
    match (split, stored) {
        (Some((_, extension)), _) => out.body(extension.to_ascii_lowercase(), body)?,
        (None, Some(extension)) => out.body(extension, body)?,
        (None, None) => out.body(sniff::extension(body.bytes), body)?,
    }
    Ok(split.map(|(key, _)| key).or(filename))
}
