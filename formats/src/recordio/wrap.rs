//! Whole payloads as records: what SageMaker's RecordIO wrapper makes of objects.

use std::ops::Range;

use super::frame::{MAGIC, MAX_PAYLOAD, padding, part_header};
use crate::SplitScan;

/// Finds what stands around the bytes of a payload that becomes one record, split as dmlc's writer
/// does where the magic word stands at a multiple of four. The payload is shown to it, never held.
/// [`payloads`](super::payloads) with `dmlc_parts` reads the record back.
///
/// ```
/// use shardpack_formats::recordio::Wrapper;
///
/// let payload = b"cat";
/// let mut wrapper = Wrapper::default();
/// wrapper.update(payload);
/// let mut record = Vec::new();
/// for part in wrapper.finish().expect("shorter than 2^29 bytes") {
///     record.extend(part.header);
///     record.extend(&payload[part.range.start as usize..part.range.end as usize]);
///     record.extend(part.padding);
/// }
/// assert_eq!(record, b"\x0a\x23\xd7\xce\x03\x00\x00\x00cat\x00");
/// ```
#[derive(Clone, Debug)]
pub struct Wrapper {
    scan: SplitScan,
    len: u64,
}

/// A stretch of a payload, and what goes before and behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedPart {
    /// Magic word and length word.
    pub header: [u8; 8],
    /// Bytes of the payload. Between two parts lies a magic word, which the header stands for.
    pub range: Range<u64>,
    /// Zeros up to a whole word.
    pub padding: &'static [u8],
}

impl Default for Wrapper {
    fn default() -> Self {
        Self { scan: SplitScan::new(MAGIC, 0), len: 0 }
    }
}

impl Wrapper {
    /// Looks at the next bytes of the payload.
    pub fn update(&mut self, bytes: &[u8]) {
        self.scan.update(bytes);
        self.len += bytes.len() as u64;
    }

    /// The record's parts, in order; none for 2^29 bytes or more, which no length word holds.
    #[must_use]
    pub fn finish(self) -> Option<Vec<WrappedPart>> {
        if self.len > MAX_PAYLOAD {
            return None;
        }
        let splits = self.scan.finish();
        let starts = std::iter::once(0).chain(splits.iter().map(|split| split + 4));
        let ends = splits.iter().copied().chain([self.len]);
        let last = splits.len();
        let part = |(i, range): (usize, Range<u64>)| {
            let flag = match (i == 0, i == last) {
                (true, true) => 0,
                (true, false) => 1,
                (false, false) => 2,
                (false, true) => 3,
            };
            let len = range.end - range.start;
            WrappedPart { header: part_header(flag, len), range, padding: padding(len) }
        };
        Some(starts.zip(ends).map(|(start, end)| start..end).enumerate().map(part).collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DecodeOptions, Record, recordio::payloads};

    const M: [u8; 4] = MAGIC.to_le_bytes();

    /// The record, its payload shown in pieces of a length.
    fn wrap(payload: &[u8], piece: usize) -> Vec<u8> {
        let mut wrapper = Wrapper::default();
        payload.chunks(piece).for_each(|bytes| wrapper.update(bytes));
        let part = |part: WrappedPart| {
            let body = &payload[part.range.start as usize..part.range.end as usize];
            [&part.header[..], body, part.padding].concat()
        };
        wrapper.finish().unwrap().into_iter().flat_map(part).collect()
    }

    fn back(stream: &[u8]) -> Vec<Vec<u8>> {
        let mut decoder = payloads(Box::new(stream), &DecodeOptions::default(), true);
        let mut record = Record::default();
        let mut all = Vec::new();
        while decoder.read(&mut record).unwrap() {
            all.push(record.sample.field("data").unwrap().to_vec());
        }
        all
    }

    /// The bytes of dmlc-core's `RecordIOWriter` for this payload, by the words of its source.
    #[test]
    fn a_magic_word_splits_the_record_and_goes() {
        let payload = [&b"AAAA"[..], &M, b"BB"].concat();
        let stream = wrap(&payload, 3);
        let first = [&M[..], &(1 << 29 | 4u32).to_le_bytes(), b"AAAA"].concat();
        let last = [&M[..], &(3 << 29 | 2u32).to_le_bytes(), b"BB\0\0"].concat();
        assert_eq!(stream, [first, last].concat());
    }

    proptest! {
        #[test]
        fn payloads_come_back(parts in prop::collection::vec(
            prop_oneof![Just(M.to_vec()), prop::collection::vec(any::<u8>(), 0..9)], 0..9),
            piece in 1usize..12,
        ) {
            let payload = parts.concat();
            let stream = [wrap(&payload, piece), wrap(b"", piece)].concat();
            prop_assert!(stream.len().is_multiple_of(4));
            prop_assert_eq!(back(&stream), vec![payload, vec![]]);
        }
    }
}
