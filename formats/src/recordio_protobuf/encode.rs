//! Samples as `aialgs.data.Record`: lengths and layout, without building the message.

use super::{LABEL_TEXT, VALUES};
use crate::protobuf::{put_bytes, put_span, span_len};
use crate::{FieldShape, Layout, SampleShape};

/// Media types by the last part of a field's name.
const CONTENT_TYPES: &[(&str, &str)] = &[
    ("bmp", "image/bmp"),
    ("csv", "text/csv"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("txt", "text/plain"),
    ("wav", "audio/wav"),
    ("webp", "image/webp"),
];

/// Media type of a field, where its name tells.
fn content_type(name: &str) -> Option<&'static str> {
    let extension = name.rsplit('.').next()?;
    CONTENT_TYPES.iter().find(|(known, _)| *known == extension).map(|(_, media)| *media)
}

/// Lengths of the nested messages of one feature.
struct Lengths {
    bytes: u64,
    value: u64,
    entry: u64,
}

fn lengths(field: &FieldShape<'_>) -> Lengths {
    let media = content_type(field.name).map_or(0, |media| span_len(media.len() as u64));
    let bytes = span_len(field.len) + media;
    let value = span_len(bytes);
    let entry = span_len(field.name.len() as u64) + span_len(value);
    Lengths { bytes, value, entry }
}

/// The same for the label, a float tensor called `values`: tensor, value, entry.
fn label_lengths(sample: &SampleShape<'_>) -> (u64, u64, u64) {
    let tensor = span_len(4 * sample.label.values.len() as u64);
    let value = span_len(tensor);
    (tensor, value, span_len(VALUES.len() as u64) + span_len(value))
}

/// Length of the sample's message in bytes.
pub(super) fn message_len(sample: &SampleShape<'_>) -> u64 {
    let features: u64 = sample.fields.iter().map(|field| span_len(lengths(field).entry)).sum();
    let label = if sample.label.values.is_empty() { 0 } else { span_len(label_lengths(sample).2) };
    let text = sample.label.text.as_ref();
    let text = text.map_or(0, |text| span_len((LABEL_TEXT.len() + text.len()) as u64));
    features + label + span_len(sample.key.len() as u64) + text
}

/// Appends the sample's message.
pub(super) fn lay_out(sample: &SampleShape<'_>, out: &mut Layout) {
    for (i, field) in sample.fields.iter().enumerate() {
        lay_out_feature(i, field, out);
    }
    let start = out.literals.len();
    if !sample.label.values.is_empty() {
        put_label(sample, &mut out.literals);
    }
    put_bytes(3, sample.key.as_bytes(), &mut out.literals);
    if let Some(text) = &sample.label.text {
        put_span(4, (LABEL_TEXT.len() + text.len()) as u64, &mut out.literals);
        out.literals.extend_from_slice(LABEL_TEXT.as_bytes());
        out.literals.extend_from_slice(text.as_bytes());
    }
    out.seal_literal(start);
}

fn lay_out_feature(index: usize, field: &FieldShape<'_>, out: &mut Layout) {
    let start = out.literals.len();
    let lengths = lengths(field);
    let literals = &mut out.literals;
    put_span(1, lengths.entry, literals);
    put_bytes(1, field.name.as_bytes(), literals);
    put_span(2, lengths.value, literals);
    put_span(9, lengths.bytes, literals);
    put_span(1, field.len, literals);
    out.seal_literal(start);
    out.body(index, field.len);
    if let Some(media) = content_type(field.name) {
        let start = out.literals.len();
        put_bytes(2, media.as_bytes(), &mut out.literals);
        out.seal_literal(start);
    }
}

fn put_label(sample: &SampleShape<'_>, out: &mut Vec<u8>) {
    let values = &sample.label.values;
    let (tensor, value, entry) = label_lengths(sample);
    put_span(2, entry, out);
    put_bytes(1, VALUES.as_bytes(), out);
    put_span(2, value, out);
    put_span(2, tensor, out);
    put_span(1, 4 * values.len() as u64, out);
    values.iter().for_each(|value| out.extend((*value as f32).to_le_bytes()));
}
