//! Turns the values of a message into the fields of a sample.

use std::fmt::Write;

use super::{MAX_VALUES, Malformed, Parsed, Scalar, Span, numbers};
use crate::Field;

/// Gathers fields while the payload is still borrowed. Bodies stay where they are; numbers become
/// text, which [`Collector::finish`] returns for the caller to append behind the payload.
#[derive(Debug)]
pub(crate) struct Collector<'s> {
    fields: &'s mut Vec<Field>,
    payload_len: usize,
    /// Where the payload starts in the shard; none when it is not stored in one piece.
    payload_offset: Option<u64>,
    text: String,
}

impl<'s> Collector<'s> {
    pub(crate) fn new(
        fields: &'s mut Vec<Field>,
        payload_len: usize,
        payload_offset: Option<u64>,
    ) -> Self {
        Self { fields, payload_len, payload_offset, text: String::new() }
    }

    /// A field whose body stands in the payload.
    pub(crate) fn body(&mut self, name: impl Into<String>, body: Span<'_>) -> Parsed<()> {
        let range = body.range();
        let offset = self.payload_offset.map(|start| start + range.start as u64);
        self.push(Field { name: name.into(), range, offset })
    }

    /// The values of a bytes list: one is a field of that name, several are `name.0`, `name.1`,
    /// …, none is an empty field.
    pub(crate) fn bodies(&mut self, name: &str, list: Span<'_>) -> Parsed<()> {
        let mut bodies = list.spans(1);
        let Some(first) = bodies.next().transpose()? else {
            return self.text(name, "");
        };
        let Some(second) = bodies.next().transpose()? else {
            return self.body(name, first);
        };
        self.body(format!("{name}.0"), first)?;
        self.body(format!("{name}.1"), second)?;
        for (i, body) in bodies.enumerate() {
            self.body(format!("{name}.{}", i + 2), body?)?;
        }
        Ok(())
    }

    /// A field that holds `text`.
    pub(crate) fn text(&mut self, name: impl Into<String>, text: &str) -> Parsed<()> {
        let start = self.text.len();
        self.text.push_str(text);
        self.text_since(start, name.into())
    }

    /// A field that holds the numbers of the repeated field `tag` in decimal, joined by one blank.
    pub(crate) fn numbers(
        &mut self,
        name: impl Into<String>,
        message: Span<'_>,
        tag: u32,
        scalar: Scalar,
    ) -> Parsed<()> {
        let start = self.text.len();
        let text = &mut self.text;
        numbers(message, tag, scalar, |number| {
            let separator = if text.len() == start { "" } else { " " };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}{number}");
        })?;
        self.text_since(start, name.into())
    }

    /// The text of all fields that do not stand in the payload.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn text_since(&mut self, start: usize, name: String) -> Parsed<()> {
        let range = self.payload_len + start..self.payload_len + self.text.len();
        self.push(Field { name, range, offset: None })
    }

    fn push(&mut self, field: Field) -> Parsed<()> {
        if self.fields.len() == MAX_VALUES {
            return Err(Malformed(format!("more than {MAX_VALUES} values in one record")));
        }
        self.fields.push(field);
        Ok(())
    }
}
