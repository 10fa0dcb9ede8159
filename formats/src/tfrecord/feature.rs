//! Samples as `tf.train.Example`: lengths and layout, without building the message.
//!
//! Every level of the message states its length first, so lengths are computed bottom-up from
//! names and body sizes alone. Features go out sorted by name, as deterministic protobuf does.

use prost::encoding::{encode_varint, encoded_len_varint};

use super::image;
use crate::protobuf::{put_bytes, put_span, span_len};
use crate::{Error, ErrorKind, Label, Layout, Result, SampleShape, Schema};

/// Names under which [`Schema::Fields`] keeps what is not a field.
pub(super) const KEY: &str = "__key__";
pub(super) const LABEL: &str = "__label__";
/// The label's exact values, 8 bytes each, little-endian, where a float list would round them.
pub(super) const LABEL_F64: &str = "__label_f64__";
pub(super) const LABEL_TEXT: &str = "__label_text__";

/// A feature to be written.
#[derive(Debug)]
pub(super) struct Feature<'a> {
    pub(super) name: &'a str,
    pub(super) value: Value<'a>,
}

/// Where its values come from.
#[derive(Debug)]
pub(super) enum Value<'a> {
    /// The body of a field of the sample.
    Body { field: usize, len: u64 },
    /// One byte string.
    Bytes(&'a [u8]),
    /// One byte string, `key.extension`.
    FileName { key: &'a str, extension: &'a str },
    /// Whole numbers.
    Ints(&'a [f64]),
    /// Numbers rounded to single precision.
    Floats(&'a [f64]),
    /// One byte string of little-endian doubles.
    Doubles(&'a [f64]),
}

impl Value<'_> {
    /// Field number of the list in `Feature`.
    fn tag(&self) -> u8 {
        match self {
            Self::Floats(_) => 2,
            Self::Ints(_) => 3,
            _ => 1,
        }
    }

    /// Length of the list's one field, its key and length prefix not included.
    fn content_len(&self) -> u64 {
        match self {
            Self::Body { len, .. } => *len,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::FileName { key, extension } => (key.len() + 1 + extension.len()) as u64,
            Self::Ints(values) => {
                values.iter().map(|v| encoded_len_varint(*v as i64 as u64) as u64).sum()
            }
            Self::Floats(values) => 4 * values.len() as u64,
            Self::Doubles(values) => 8 * values.len() as u64,
        }
    }

    fn put(&self, out: &mut Layout) {
        let start = out.literals.len();
        match self {
            Self::Body { field, len } => return out.body(*field, *len),
            Self::Bytes(bytes) => out.literals.extend_from_slice(bytes),
            Self::FileName { key, extension } => {
                for part in [key, ".", extension] {
                    out.literals.extend_from_slice(part.as_bytes());
                }
            }
            Self::Ints(values) => {
                values.iter().for_each(|v| encode_varint(*v as i64 as u64, &mut out.literals));
            }
            Self::Floats(values) => {
                values.iter().for_each(|v| out.literals.extend((*v as f32).to_le_bytes()));
            }
            Self::Doubles(values) => {
                values.iter().for_each(|v| out.literals.extend(v.to_le_bytes()));
            }
        }
        out.seal_literal(start);
    }
}

/// Lengths of the nested messages of one map entry.
#[derive(Debug)]
struct Lengths {
    content: u64,
    list: u64,
    feature: u64,
    entry: u64,
}

impl Feature<'_> {
    fn lengths(&self) -> Lengths {
        let content = self.value.content_len();
        let list = span_len(content);
        let feature = span_len(list);
        let entry = span_len(self.name.len() as u64) + span_len(feature);
        Lengths { content, list, feature, entry }
    }

    fn put(&self, out: &mut Layout) {
        let start = out.literals.len();
        let lengths = self.lengths();
        let literals = &mut out.literals;
        put_span(1, lengths.entry, literals);
        put_bytes(1, self.name.as_bytes(), literals);
        put_span(2, lengths.feature, literals);
        put_span(self.value.tag(), lengths.list, literals);
        put_span(1, lengths.content, literals);
        out.seal_literal(start);
        self.value.put(out);
    }
}

/// Length of the sample's `Example` in bytes.
pub(super) fn example_len(schema: Schema, sample: &SampleShape<'_>) -> u64 {
    span_len(features_len(schema, sample))
}

/// Appends the sample's `Example`.
pub(super) fn lay_out(schema: Schema, sample: &SampleShape<'_>, out: &mut Layout) {
    let start = out.literals.len();
    put_span(1, features_len(schema, sample), &mut out.literals);
    out.seal_literal(start);
    features(schema, sample).for_each(|feature| feature.put(out));
}

fn features_len(schema: Schema, sample: &SampleShape<'_>) -> u64 {
    features(schema, sample).map(|feature| span_len(feature.lengths().entry)).sum()
}

/// The features of a sample, sorted by name: two sorted lists, merged.
fn features<'a>(
    schema: Schema,
    sample: &SampleShape<'a>,
) -> impl Iterator<Item = Feature<'a>> + use<'a> {
    let image = match schema {
        Schema::Image => image::field(sample),
        _ => None,
    };
    let own = match image {
        Some(index) => image::features(sample, index),
        None => key_and_label(sample),
    };
    let mut own = own.into_iter().flatten().peekable();
    let fields = sample.fields.iter().enumerate().filter(move |(i, _)| Some(*i) != image);
    let mut fields = fields
        .map(|(i, field)| Feature {
            name: field.name,
            value: Value::Body { field: i, len: field.len },
        })
        .peekable();
    std::iter::from_fn(move || match (own.peek(), fields.peek()) {
        (Some(own), Some(field)) if field.name < own.name => fields.next(),
        (Some(_), _) => own.next(),
        (None, _) => fields.next(),
    })
}

fn key_and_label<'a>(sample: &SampleShape<'a>) -> [Option<Feature<'a>>; 5] {
    let Label { values, text } = sample.label;
    let whole = values.iter().copied().all(is_int64);
    let rounded = !whole && values.iter().any(|v| f64::from(*v as f32) != *v);
    let label = if whole { Value::Ints(values) } else { Value::Floats(values) };
    [
        Some(Feature { name: KEY, value: Value::Bytes(sample.key.as_bytes()) }),
        (!values.is_empty()).then_some(Feature { name: LABEL, value: label }),
        rounded.then_some(Feature { name: LABEL_F64, value: Value::Doubles(values) }),
        text.as_ref().map(|t| Feature { name: LABEL_TEXT, value: Value::Bytes(t.as_bytes()) }),
        None,
    ]
}

/// True for whole numbers that an int64 list keeps; minus zero is none.
pub(super) fn is_int64(value: f64) -> bool {
    const LIMIT: f64 = (1u64 << 63) as f64;
    value.fract() == 0.0
        && (-LIMIT..LIMIT).contains(&value)
        && !(value == 0.0 && value.is_sign_negative())
}

/// Refuses what an `Example` of `schema` cannot keep; its length is checked elsewhere.
pub(super) fn check(schema: Schema, sample: &SampleShape<'_>) -> Result<()> {
    let refuse = |name: &str, reason: &str| {
        Err(Error::new(ErrorKind::Name { name: name.into(), reason: reason.into() }))
    };
    if sample.key.is_empty() {
        return refuse("", "a sample needs a key");
    }
    for field in sample.fields {
        if field.name.is_empty() {
            return refuse("", "a field needs a name");
        }
        if field.name.starts_with("__") {
            return refuse(
                field.name,
                "names with two leading underscores are reserved; rename it",
            );
        }
    }
    for pair in sample.fields.windows(2) {
        if pair[0].name >= pair[1].name {
            return refuse(pair[1].name, "fields must have different names and be sorted by them");
        }
    }
    if sample.label.values.iter().any(|v| v.is_nan()) {
        return Err(Error::new(ErrorKind::Label { reason: "not a number".into() }));
    }
    match schema {
        Schema::Image => image::check(sample),
        _ => Ok(()),
    }
}
