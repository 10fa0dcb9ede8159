//! The file behind `S3DataType: AugmentedManifestFile`.

mod build;
mod line;
#[cfg(test)]
mod tests;
mod texts;

use std::borrow::Cow;

pub use build::AugmentedBuilder;
use texts::Texts;

use crate::Result;

/// Attributes of samples, a JSON object a line, as a table.
///
/// An attribute whose name ends in `-ref` holds the URI of an object, whose bytes are delivered;
/// of any other the value itself is, as text. Every attribute that is asked for is in every line.
///
/// A value costs 4 bytes, a different value 8 more and its own text, a line 4: a million lines
/// with an image and a class each take 20 MB beside the URIs. While it is built, different values
/// take up to 24 bytes more.
///
/// ```
/// use shardpack_manifest::sagemaker::{AugmentedManifest, Value};
///
/// let lines = br#"{"source-ref": "s3://b/cat.jpg", "box": [1, 2.50], "box-metadata": {}}"#;
/// let manifest = AugmentedManifest::parse(lines, &[])?;
/// assert!(manifest.attributes().eq(["source-ref", "box"]));
/// assert!(manifest.uris().eq(["s3://b/cat.jpg"]));
/// assert_eq!(manifest.value(0, 0), Some(Value::Ref { uri: "s3://b/cat.jpg", number: 0 }));
/// let Some(Value::Inline(value)) = manifest.value(0, 1) else { panic!() };
/// assert_eq!(value.text(), "[1,2.50]");
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct AugmentedManifest {
    columns: Vec<Column>,
    refs: Texts,
    inline: Texts,
    /// By line and attribute: a number in one of the two.
    cells: Vec<u32>,
    /// Numbers of the lines that are not blank.
    lines: Vec<u32>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    is_ref: bool,
}

impl Column {
    fn new(name: String) -> Self {
        Self { is_ref: name.ends_with("-ref"), name }
    }
}

/// The value of an attribute in a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// An object, whose bytes are delivered.
    Ref {
        /// Where it is.
        uri: &'a str,
        /// Its number in [`AugmentedManifest::uris`].
        number: u32,
    },
    /// What the line itself holds.
    Inline(Inline<'a>),
}

/// A JSON value without blanks, its strings and numbers as the manifest spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inline<'a>(&'a str);

impl<'a> Inline<'a> {
    /// The value as JSON.
    pub fn json(self) -> &'a str {
        self.0
    }

    /// What is delivered: the characters of a string, the JSON text of anything else.
    pub fn text(self) -> Cow<'a, str> {
        let inside = self.0.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match inside {
            None => Cow::Borrowed(self.0),
            Some(plain) if !plain.contains('\\') => Cow::Borrowed(plain),
            // It was decoded once before.
            Some(_) => Cow::Owned(serde_json::from_str(self.0).unwrap_or_default()),
        }
    }

    /// True for a JSON string.
    pub fn is_string(self) -> bool {
        self.0.starts_with('"')
    }
}

impl AugmentedManifest {
    /// Checks and parses a whole manifest; see [`AugmentedBuilder`] for one that arrives in pieces
    /// and for `names`.
    ///
    /// Errors name the line, from 1, and the attribute. Blank lines are passed over.
    pub fn parse(bytes: &[u8], names: &[&str]) -> Result<Self> {
        let mut builder = AugmentedBuilder::new(names.iter().copied())?;
        builder.push(bytes)?;
        builder.finish()
    }

    /// The attributes' names, in the order of delivery.
    pub fn attributes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }

    /// True when attribute number `attribute` refers to objects.
    pub fn is_ref(&self, attribute: usize) -> bool {
        self.columns.get(attribute).is_some_and(|column| column.is_ref)
    }

    /// Number of lines that are not blank: rows.
    #[expect(clippy::len_without_is_empty, reason = "a manifest without lines is refused")]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Number, from 1, of the line that row `row` stands in; none behind the last row.
    pub fn line(&self, row: usize) -> Option<u64> {
        self.lines.get(row).copied().map(u64::from)
    }

    /// The value of attribute number `attribute` in row `row`; none behind the last of either.
    pub fn value(&self, row: usize, attribute: usize) -> Option<Value<'_>> {
        let is_ref = self.columns.get(attribute)?.is_ref;
        let cell = row.checked_mul(self.columns.len())?.checked_add(attribute)?;
        let number = *self.cells.get(cell)?;
        match is_ref {
            true => self.refs.get(number).map(|uri| Value::Ref { uri, number }),
            false => self.inline.get(number).map(|json| Value::Inline(Inline(json))),
        }
    }

    /// The different URIs, in the order in which lines and attributes first name them.
    pub fn uris(&self) -> impl ExactSizeIterator<Item = &str> {
        self.refs.iter()
    }

    /// Bytes of memory that the table holds.
    pub fn memory(&self) -> usize {
        let numbers = self.cells.capacity() + self.lines.capacity();
        self.refs.memory() + self.inline.memory() + numbers * size_of::<u32>()
    }
}
