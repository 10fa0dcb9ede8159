//! Protobuf's wire format, read in place: fields of a message as parts of one buffer, so that a
//! body is found, not copied. Generated messages copy every name and build a map per record.

mod collect;
mod entries;
mod list;
mod map;
mod number;

use std::fmt;
use std::ops::Range;

use prost::encoding::{
    DecodeContext, WireType, decode_key, decode_varint, encode_varint, encoded_len_varint,
    skip_field,
};

pub(crate) use collect::Collector;
pub(crate) use entries::Entries;
pub(crate) use list::Spans;
pub use list::{ByteStrings, Element, Numbers, NumbersIter};
pub(crate) use map::{keep_last, map_entries};
pub(crate) use number::{Scalar, numbers};

/// Most values that one record is taken apart into. Two wire bytes can make a field of the
/// sample; without a limit a hostile record would grow fifty-fold in memory.
pub(crate) const MAX_VALUES: usize = 1 << 16;

/// The bytes are no such message.
#[derive(Debug)]
pub(crate) struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<prost::DecodeError> for Malformed {
    fn from(error: prost::DecodeError) -> Self {
        Self(error.to_string())
    }
}

/// What is read from the wire, or why it cannot be.
pub(crate) type Parsed<T> = Result<T, Malformed>;

/// Part of a payload: a message, a string or bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) bytes: &'a [u8],
    /// Where it starts in the payload.
    at: usize,
}

/// One value on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Span(Span<'a>),
}

impl<'a> Span<'a> {
    pub(crate) fn payload(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.at..self.at + self.bytes.len()
    }

    pub(crate) fn text(&self) -> Parsed<&'a str> {
        std::str::from_utf8(self.bytes).map_err(|_| Malformed("a string is not UTF-8".into()))
    }

    /// The message's fields in stored order; groups, which no format here has, are skipped.
    pub(crate) fn fields(self) -> Fields<'a> {
        Fields(self)
    }

    /// The fields called `tag`, which are strings, bytes or messages.
    pub(crate) fn spans(self, tag: u32) -> impl Iterator<Item = Parsed<Span<'a>>> {
        self.fields().filter_map(move |field| match field {
            Ok((found, Value::Span(span))) if found == tag => Some(Ok(span)),
            Ok((found, _)) if found == tag => Some(Err(wrong_type(tag))),
            Ok(_) => None,
            Err(e) => Some(Err(e)),
        })
    }

    fn take(&mut self, len: usize) -> Parsed<Span<'a>> {
        let Some((head, rest)) = self.bytes.split_at_checked(len) else {
            return Err(Malformed("a field is longer than its message".into()));
        };
        let taken = Span { bytes: head, at: self.at };
        *self = Span { bytes: rest, at: self.at + len };
        Ok(taken)
    }

    fn take_array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let taken = self.take(N)?;
        taken.bytes.try_into().map_err(|_| Malformed("a number is cut off".into()))
    }

    /// Nearly every number that gives a record its structure is of one byte: taken at once, they
    /// halve the time that a small record takes.
    fn varint(&mut self) -> Parsed<u64> {
        match self.bytes {
            [byte @ ..0x80, rest @ ..] => {
                (self.bytes, self.at) = (rest, self.at + 1);
                Ok(u64::from(*byte))
            }
            _ => self.with(decode_varint),
        }
    }

    fn key(&mut self) -> Parsed<(u32, WireType)> {
        match self.bytes {
            [byte @ 0x08..0x80, rest @ ..] => {
                let wire_type = WireType::try_from(u64::from(byte & 7))?;
                (self.bytes, self.at) = (rest, self.at + 1);
                Ok((u32::from(byte >> 3), wire_type))
            }
            _ => self.with(decode_key),
        }
    }

    /// Reads with one of prost's functions and moves on by what it consumed.
    fn with<T>(
        &mut self,
        read: impl FnOnce(&mut &'a [u8]) -> Result<T, prost::DecodeError>,
    ) -> Parsed<T> {
        let mut rest = self.bytes;
        let value = read(&mut rest)?;
        self.at += self.bytes.len() - rest.len();
        self.bytes = rest;
        Ok(value)
    }
}

/// Iterates over the fields of a message; ends after the first error.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a>(Span<'a>);

impl<'a> Fields<'a> {
    fn read(&mut self) -> Parsed<Option<(u32, Value<'a>)>> {
        let rest = &mut self.0;
        while !rest.bytes.is_empty() {
            let (tag, wire_type) = rest.key()?;
            let value = match wire_type {
                WireType::Varint => Value::Varint(rest.varint()?),
                WireType::ThirtyTwoBit => Value::Fixed32(rest.take_array()?),
                WireType::SixtyFourBit => Value::Fixed64(rest.take_array()?),
                WireType::LengthDelimited => {
                    let len = rest.varint()?;
                    Value::Span(rest.take(usize::try_from(len).unwrap_or(usize::MAX))?)
                }
                WireType::StartGroup | WireType::EndGroup => {
                    rest.with(|buf| skip_field(wire_type, tag, buf, DecodeContext::default()))?;
                    continue;
                }
            };
            return Ok(Some((tag, value)));
        }
        Ok(None)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Parsed<(u32, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.0.bytes = &[];
        }
        read.transpose()
    }
}

pub(crate) fn wrong_type(tag: u32) -> Malformed {
    Malformed(format!("field {tag} has the wrong wire type"))
}

/// Length of a field: key, length prefix and `len` bytes. Tags here are below 16: one byte.
pub(crate) fn span_len(len: u64) -> u64 {
    1 + encoded_len_varint(len) as u64 + len
}

/// Appends the key and length prefix of a field of `len` bytes.
pub(crate) fn put_span(tag: u8, len: u64, out: &mut Vec<u8>) {
    debug_assert!(tag < 16);
    out.push(tag << 3 | 2);
    encode_varint(len, out);
}

/// Appends a whole string or bytes field.
pub(crate) fn put_bytes(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    put_span(tag, bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
