//! Repeated values, read where they lie: nothing is copied, nothing is built.
//!
//! Merging two messages is parsing one behind the other, so a message that an encoder wrote in
//! several pieces is its pieces in a row ([`Spans`]), and a list goes through all of them.

use std::fmt;
use std::marker::PhantomData;

use prost::encoding::decode_varint;

use super::{Fields, MAX_VALUES, Malformed, Parsed, Span, Value, wrong_type};

/// A message in the pieces in which it was written: nearly always one.
#[derive(Clone, Debug)]
pub(crate) struct Spans<'a> {
    first: Span<'a>,
    more: Vec<Span<'a>>,
}

impl<'a> Spans<'a> {
    pub(crate) fn new(first: Span<'a>) -> Self {
        Self { first, more: Vec::new() }
    }

    /// Appends a piece.
    pub(crate) fn push(&mut self, piece: Span<'a>) -> Parsed<()> {
        if self.more.len() == MAX_VALUES {
            return Err(Malformed(format!("a message in more than {MAX_VALUES} pieces")));
        }
        self.more.push(piece);
        Ok(())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Span<'a>> + '_ {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// The fields of all pieces.
    pub(crate) fn fields(&self) -> impl Iterator<Item = Parsed<(u32, Value<'a>)>> + '_ {
        self.iter().flat_map(Span::fields)
    }

    fn into_pieces(self) -> Pieces<'a> {
        Pieces { fields: self.first.fields(), more: self.more.into_iter() }
    }
}

/// Goes through the fields of all pieces.
#[derive(Clone, Debug)]
struct Pieces<'a> {
    fields: Fields<'a>,
    more: std::vec::IntoIter<Span<'a>>,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = (u32, Value<'a>);

    /// What was proved when the list was made does not fail; if it did, it would end here.
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.fields.next() {
                Some(field) => return field.ok(),
                None => self.fields = self.more.next()?.fields(),
            }
        }
    }
}

/// A number as protobuf stores it in lists: `i32`, `i64`, `u64`, `f32` or `f64`.
pub trait Element: Copy + fmt::Debug + sealed::Sealed {}

mod sealed {
    /// How it is read. Not to be implemented elsewhere.
    pub trait Sealed: Sized {
        /// Takes the next one off a packed list; none where it is cut off, or too long.
        fn packed(rest: &mut &[u8]) -> Option<Self>;

        /// One that stands alone, where it is a varint.
        fn varint(_value: u64) -> Option<Self> {
            None
        }

        /// One that stands alone, where it has four bytes.
        fn fixed32(_bytes: [u8; 4]) -> Option<Self> {
            None
        }

        /// One that stands alone, where it has eight bytes.
        fn fixed64(_bytes: [u8; 8]) -> Option<Self> {
            None
        }

        /// How many are in a packed list, each of them proved.
        fn count(mut packed: &[u8]) -> Option<usize> {
            let mut count = 0;
            while !packed.is_empty() {
                Self::packed(&mut packed)?;
                count += 1;
            }
            Some(count)
        }

        /// Fills `out` from a packed list of as many. False where that takes a decoder.
        fn fill(_packed: &[u8], _out: &mut [Self]) -> bool {
            false
        }
    }
}

fn single<T: Element>(value: Value<'_>) -> Option<T> {
    match value {
        Value::Varint(value) => T::varint(value),
        Value::Fixed32(bytes) => T::fixed32(bytes),
        Value::Fixed64(bytes) => T::fixed64(bytes),
        Value::Span(_) => None,
    }
}

macro_rules! varint {
    ($type:ty) => {
        impl Element for $type {}
        impl sealed::Sealed for $type {
            fn packed(rest: &mut &[u8]) -> Option<Self> {
                Some(decode_varint(rest).ok()? as $type)
            }

            fn varint(value: u64) -> Option<Self> {
                Some(value as $type)
            }
        }
    };
}

macro_rules! fixed {
    ($type:ty, $alone:ident) => {
        impl Element for $type {}
        impl sealed::Sealed for $type {
            fn packed(rest: &mut &[u8]) -> Option<Self> {
                let (bytes, after) = rest.split_first_chunk()?;
                *rest = after;
                Some(<$type>::from_le_bytes(*bytes))
            }

            fn $alone(bytes: [u8; size_of::<$type>()]) -> Option<Self> {
                Some(<$type>::from_le_bytes(bytes))
            }

            fn count(packed: &[u8]) -> Option<usize> {
                let (numbers, rest) = packed.as_chunks::<{ size_of::<$type>() }>();
                rest.is_empty().then_some(numbers.len())
            }

            fn fill(packed: &[u8], out: &mut [Self]) -> bool {
                let (numbers, _) = packed.as_chunks();
                let pairs = out.iter_mut().zip(numbers);
                pairs.for_each(|(out, bytes)| *out = <$type>::from_le_bytes(*bytes));
                true
            }
        }

        impl<'a> Numbers<'a, $type> {
            /// All of them as they lie in the record, little-endian. None where an encoder wrote
            /// them one by one or in several pieces.
            pub fn as_le_bytes(&self) -> Option<&'a [u8]> {
                self.packed
            }
        }
    };
}

varint!(i32);
varint!(i64);
varint!(u64);
fixed!(f32, fixed32);
fixed!(f64, fixed64);

/// A list of numbers, packed or not, in the bytes of its record.
#[derive(Clone)]
pub struct Numbers<'a, T> {
    pieces: Spans<'a>,
    tag: u32,
    len: usize,
    /// The packed bytes, if they are all that there is.
    packed: Option<&'a [u8]>,
    kind: PhantomData<T>,
}

impl<'a, T: Element> Numbers<'a, T> {
    /// The repeated field `tag` of a message; proves every number.
    pub(crate) fn new(pieces: Spans<'a>, tag: u32) -> Parsed<Self> {
        let (mut len, mut packed) = (0usize, Some(&[][..]));
        for field in pieces.fields() {
            match field? {
                (found, Value::Span(span)) if found == tag => {
                    let count = T::count(span.bytes)
                        .ok_or_else(|| Malformed("a number in a list is cut off".into()))?;
                    packed = match (len, count) {
                        (_, 0) => packed,
                        (0, _) => Some(span.bytes),
                        _ => None,
                    };
                    len += count;
                }
                (found, value) if found == tag => {
                    single::<T>(value).ok_or_else(|| wrong_type(tag))?;
                    (len, packed) = (len + 1, None);
                }
                _ => {}
            }
        }
        Ok(Self { pieces, tag, len, packed, kind: PhantomData })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The only one; none if there are others, or none at all.
    pub fn one(&self) -> Option<T> {
        self.iter().next().filter(|_| self.len == 1)
    }

    /// Goes through them.
    pub fn iter(&self) -> NumbersIter<'a, T> {
        self.clone().into_iter()
    }

    /// Copies all of them. False, with nothing copied, where `out` is not exactly as long.
    #[must_use]
    pub fn copy_to(&self, out: &mut [T]) -> bool {
        if out.len() != self.len {
            return false;
        }
        if !self.packed.is_some_and(|packed| T::fill(packed, out)) {
            out.iter_mut().zip(self.iter()).for_each(|(out, number)| *out = number);
        }
        true
    }
}

/// An empty list.
impl<T> Default for Numbers<'_, T> {
    fn default() -> Self {
        let pieces = Spans::new(Span { bytes: &[], at: 0 });
        Self { pieces, tag: 0, len: 0, packed: Some(&[]), kind: PhantomData }
    }
}

impl<T: Element> fmt::Debug for Numbers<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, T: Element> IntoIterator for Numbers<'a, T> {
    type Item = T;
    type IntoIter = NumbersIter<'a, T>;

    fn into_iter(self) -> NumbersIter<'a, T> {
        let (tag, left) = (self.tag, self.len);
        NumbersIter { pieces: self.pieces.into_pieces(), tag, packed: &[], left, kind: PhantomData }
    }
}

/// Goes through [`Numbers`].
#[derive(Clone, Debug)]
pub struct NumbersIter<'a, T> {
    pieces: Pieces<'a>,
    tag: u32,
    packed: &'a [u8],
    left: usize,
    kind: PhantomData<T>,
}

impl<T: Element> Iterator for NumbersIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        loop {
            if !self.packed.is_empty() {
                self.left = self.left.saturating_sub(1);
                return T::packed(&mut self.packed);
            }
            match self.pieces.next()? {
                (tag, Value::Span(packed)) if tag == self.tag => self.packed = packed.bytes,
                (tag, value) if tag == self.tag => {
                    self.left = self.left.saturating_sub(1);
                    return single(value);
                }
                _ => {}
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Element> ExactSizeIterator for NumbersIter<'_, T> {}

/// A list of byte strings, in the bytes of its record.
#[derive(Clone)]
pub struct ByteStrings<'a> {
    pieces: Spans<'a>,
    len: usize,
}

impl<'a> ByteStrings<'a> {
    /// The repeated field 1 of a message.
    pub(crate) fn new(pieces: Spans<'a>) -> Parsed<Self> {
        let mut len = 0;
        for field in pieces.fields() {
            match field? {
                (1, Value::Span(_)) => len += 1,
                (1, _) => return Err(wrong_type(1)),
                _ => {}
            }
        }
        Ok(Self { pieces, len })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The only one; none if there are others, or none at all.
    pub fn one(&self) -> Option<&'a [u8]> {
        self.iter().next().filter(|_| self.len == 1)
    }

    /// Goes through them.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.pieces.clone().into_pieces().filter_map(|field| match field {
            (1, Value::Span(span)) => Some(span.bytes),
            _ => None,
        })
    }
}

/// Lengths alone: bodies may be megabytes.
impl fmt::Debug for ByteStrings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(<[u8]>::len)).finish()
    }
}
