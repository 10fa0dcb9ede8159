//! The nouns: a sample is a key and named fields; a shape is a sample without its bytes.

use std::ops::Range;

/// What planning knows of a sample: everything but the bytes of its fields.
#[derive(Clone, Copy, Debug)]
pub struct SampleShape<'a> {
    /// Name of the sample, unique in its dataset; `/`-separated, relative, UTF-8.
    pub key: &'a str,
    /// Number of the sample in its dataset: RecordIO's header id. Ignored by the other formats.
    pub id: u64,
    /// Fields in the order in which they are written (sorted by name).
    pub fields: &'a [FieldShape<'a>],
    /// Class ids or regression targets and the class's name.
    pub label: &'a Label,
    /// Offsets in the payload at which the format must split the record, ascending. Empty while
    /// planning: they are only known once the bytes were read (see [`crate::Format::split_word`]).
    pub splits: &'a [u64],
}

/// Name and length of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldShape<'a> {
    /// Name without a leading dot, lower case: `jpg`, `seg.png`.
    pub name: &'a str,
    /// Length of the body in bytes.
    pub len: u64,
}

/// The label of a sample: none, one number or several, and the class's name where it has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Label {
    /// Class ids or targets. Formats that keep `f32` or `i64` refuse what they cannot hold.
    pub values: Vec<f64>,
    /// Name of the class.
    pub text: Option<String>,
}

impl Label {
    /// No label at all; a constant to borrow.
    pub const NONE: &'static Label = &Label { values: Vec::new(), text: None };

    /// True when there is neither a number nor a text.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.text.is_none()
    }
}

/// A decoded sample. Buffers keep their capacity from one read to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// Name of the sample. Formats without names give the record's number in decimal.
    pub key: String,
    /// Header id of a RecordIO record; 0 elsewhere.
    pub id: u64,
    /// Fields in stored order.
    pub fields: Vec<Field>,
    /// Label, where the format keeps one outside the fields.
    pub label: Label,
    /// The decoded payload; fields are ranges of it.
    pub bytes: Vec<u8>,
    /// How many of these bytes are the record's payload as it was stored, parts of a split record
    /// joined; behind it stands what was made of it, as the text of numbers. 0 in formats whose
    /// records are several files.
    pub payload: usize,
}

/// One field of a decoded sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Name without a leading dot.
    pub name: String,
    /// Where the body lies in [`Sample::bytes`].
    pub range: Range<usize>,
    /// Offset of the body in the uncompressed shard; none where the format split it.
    pub offset: Option<u64>,
}

impl Sample {
    /// Empties the sample and keeps its buffers.
    pub fn clear(&mut self) {
        self.key.clear();
        self.id = 0;
        self.fields.clear();
        self.label.values.clear();
        self.label.text = None;
        self.bytes.clear();
        self.payload = 0;
    }

    /// The record's payload as it was stored; empty in formats whose records are several files.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(..self.payload).unwrap_or_default()
    }

    /// The body of the field called `name`.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields.iter().find(|f| f.name == name).map(|f| self.body(f))
    }

    /// The body of `field`, which must be one of this sample's.
    pub fn body(&self, field: &Field) -> &[u8] {
        self.bytes.get(field.range.clone()).unwrap_or_default()
    }
}
