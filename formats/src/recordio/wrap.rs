//! Whole payloads as records: what SageMaker's RecordIO wrapper makes of objects.

use super::frame::{MAX_PAYLOAD, padding, part_header};

/// What stands around a payload that becomes one record.
///
/// The record is never split, even where the payload holds the magic word: SageMaker's own readers
/// (PipeModeDataset, MLIO) join parts without the word that dmlc's writer leaves out between them,
/// so four bytes would be lost. [`payloads`](super::payloads) without `dmlc_parts` reads it back.
///
/// ```
/// use shardpack_formats::recordio::Wrapping;
///
/// let payload = b"cat";
/// let around = Wrapping::of(3).expect("shorter than 2^29 bytes");
/// let record = [&around.header[..], payload, around.padding].concat();
/// assert_eq!(record, b"\x0a\x23\xd7\xce\x03\x00\x00\x00cat\x00");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wrapping {
    /// Magic word and length word.
    pub header: [u8; 8],
    /// Zeros up to a whole word.
    pub padding: &'static [u8],
}

impl Wrapping {
    /// Around a payload of `len` bytes; none for 2^29 bytes or more, which no length word holds.
    #[must_use]
    pub fn of(len: u64) -> Option<Self> {
        (len <= MAX_PAYLOAD).then(|| Self { header: part_header(0, len), padding: padding(len) })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::MAGIC;
    use super::*;
    use crate::{DecodeOptions, Record, recordio::payloads};

    fn wrap(payload: &[u8]) -> Vec<u8> {
        let around = Wrapping::of(payload.len() as u64).unwrap();
        [&around.header[..], payload, around.padding].concat()
    }

    fn back(stream: &[u8]) -> Vec<Vec<u8>> {
        let mut decoder = payloads(Box::new(stream), &DecodeOptions::default(), false);
        let mut record = Record::default();
        let mut all = Vec::new();
        while decoder.read(&mut record).unwrap() {
            all.push(record.sample.field("data").unwrap().to_vec());
        }
        all
    }

    #[test]
    fn a_length_word_has_29_bits() {
        assert!(Wrapping::of((1 << 29) - 1).is_some());
        assert!(Wrapping::of(1 << 29).is_none() && Wrapping::of(u64::MAX).is_none());
    }

    proptest! {
        /// Whole, magic words and all.
        #[test]
        fn payloads_come_back(parts in prop::collection::vec(
            prop_oneof![Just(MAGIC.to_le_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..9)],
            0..9,
        )) {
            let payload = parts.concat();
            let stream = [wrap(&payload), wrap(b"")].concat();
            prop_assert!(stream.len().is_multiple_of(4));
            prop_assert_eq!(back(&stream), vec![payload, vec![]]);
        }
    }
}
