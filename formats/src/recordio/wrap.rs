//! Whole payloads as records: what SageMaker's RecordIO wrapper makes of objects.

use super::frame::{MAGIC, MAX_PAYLOAD, padding, put_part_header};
use crate::SplitScan;

/// Appends `payload` to `out` as one record, split as dmlc's writer does where the magic word
/// stands at a multiple of four; [`payloads`](super::payloads) with `dmlc_parts` reads it back.
///
/// False, and nothing appended, for a payload of 2^29 bytes or more: no length word holds that.
///
/// ```
/// use shardpack_formats::recordio::wrap;
///
/// let mut stream = Vec::new();
/// assert!(wrap(b"cat", &mut stream));
/// assert_eq!(stream, b"\x0a\x23\xd7\xce\x03\x00\x00\x00cat\x00");
/// ```
#[must_use]
pub fn wrap(payload: &[u8], out: &mut Vec<u8>) -> bool {
    let len = payload.len() as u64;
    if len > MAX_PAYLOAD {
        return false;
    }
    let mut scan = SplitScan::new(MAGIC, 0);
    scan.update(payload);
    let splits = scan.finish();
    let mut start = 0;
    for (i, &split) in splits.iter().enumerate() {
        part(if i == 0 { 1 } else { 2 }, payload, start..split, out);
        start = split + 4;
    }
    part(if splits.is_empty() { 0 } else { 3 }, payload, start..len, out);
    true
}

/// Appends a part of a payload. All but the last are whole words already.
fn part(flag: u32, payload: &[u8], range: std::ops::Range<u64>, out: &mut Vec<u8>) {
    let len = range.end - range.start;
    put_part_header(flag, len, out);
    out.extend_from_slice(payload.get(range.start as usize..range.end as usize).unwrap_or(&[]));
    out.extend_from_slice(padding(len));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DecodeOptions, Record, recordio::payloads};

    const M: [u8; 4] = MAGIC.to_le_bytes();

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
        let mut stream = Vec::new();
        assert!(wrap(&payload, &mut stream));
        let first = [&M[..], &(1 << 29 | 4u32).to_le_bytes(), b"AAAA"].concat();
        let last = [&M[..], &(3 << 29 | 2u32).to_le_bytes(), b"BB\0\0"].concat();
        assert_eq!(stream, [first, last].concat());
    }

    proptest! {
        #[test]
        fn payloads_come_back(parts in prop::collection::vec(
            prop_oneof![Just(M.to_vec()), prop::collection::vec(any::<u8>(), 0..9)], 0..9)) {
            let payload = parts.concat();
            let mut stream = Vec::new();
            prop_assert!(wrap(&payload, &mut stream) && wrap(b"", &mut stream));
            prop_assert!(stream.len().is_multiple_of(4));
            prop_assert_eq!(back(&stream), vec![payload, vec![]]);
        }
    }
}
