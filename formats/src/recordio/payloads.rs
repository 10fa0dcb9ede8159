//! Records whose payload is any bytes: what SageMaker's RecordIO wrapper makes of whole objects.

use std::io::Read;

use super::frame::{Dialect, Frames};
use crate::{DecodeOptions, Decoder, Field, Position, Record, Result};

/// Reads RecordIO records as they are framed, whatever is in them: one field `data`, the key is
/// the record's number.
///
/// `RecordWrapperType=RecordIO` sends every object, or attribute, as one such record. Parts of a
/// split record are joined as they are, as SageMaker's readers do; with `dmlc_parts` the magic is
/// put back between them, as MXNet does.
///
/// Hand it a buffered stream: each record is read in three pieces.
///
/// ```
/// use shardpack_formats::{DecodeOptions, Decoder, Record, recordio::payloads};
///
/// let stream = b"\x0a\x23\xd7\xce\x03\x00\x00\x00cat\x00";
/// let mut decoder = payloads(Box::new(&stream[..]), &DecodeOptions::default(), false);
/// let mut record = Record::default();
/// assert!(decoder.read(&mut record)?);
/// assert_eq!(record.sample.field("data"), Some(&b"cat"[..]));
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
pub fn payloads<'r>(
    input: Box<dyn Read + 'r>,
    options: &DecodeOptions,
    dmlc_parts: bool,
) -> Box<dyn Decoder + 'r> {
    let dialect = if dmlc_parts { Dialect::Dmlc } else { Dialect::SageMaker };
    Box::new(Payloads(Frames::new(input, dialect, options.max_record)))
}

struct Payloads<'r>(Frames<'r>);

impl Decoder for Payloads<'_> {
    fn read(&mut self, record: &mut Record) -> Result<bool> {
        let Some(position) = self.0.read(record)? else { return Ok(false) };
        let sample = &mut record.sample;
        sample.key = position.record.to_string();
        let (range, offset) = (0..sample.bytes.len(), self.0.payload_offset());
        sample.fields.push(Field { name: "data".into(), range, offset });
        Ok(true)
    }

    fn position(&self) -> Position {
        self.0.position()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: [u8; 4] = 0xced7_230a_u32.to_le_bytes();

    fn part(flag: u32, data: &[u8]) -> Vec<u8> {
        let lrec = (flag << 29 | data.len() as u32).to_le_bytes();
        let pad = vec![0; data.len().next_multiple_of(4) - data.len()];
        [&M, &lrec, data, &pad].concat()
    }

    fn read(stream: &[u8], dmlc_parts: bool) -> Result<Vec<Vec<u8>>> {
        let mut decoder = payloads(Box::new(stream), &DecodeOptions::default(), dmlc_parts);
        let (mut record, mut all) = (Record::default(), Vec::new());
        while decoder.read(&mut record)? {
            assert_eq!(record.sample.key, all.len().to_string());
            all.push(record.sample.field("data").unwrap_or_default().to_vec());
        }
        Ok(all)
    }

    #[test]
    fn payloads_are_taken_as_they_are_and_parts_joined_as_told() {
        // Long enough to be taken for an image header by a reader that looks for one.
        let image = [vec![0; 24], b"pixels".to_vec()].concat();
        let whole = [part(0, &image), part(0, b""), part(0, b"1")].concat();
        assert_eq!(read(&whole, false).unwrap(), [image.clone(), vec![], b"1".to_vec()]);
        let split = [part(1, b"AAAA"), part(3, b"BB")].concat();
        assert_eq!(read(&split, false).unwrap(), [b"AAAABB"]);
        assert_eq!(read(&split, true).unwrap(), [[&b"AAAA"[..], &M, b"BB"].concat()]);
    }

    #[test]
    fn a_stream_that_is_cut_is_an_error_everywhere() {
        let whole = [part(0, b"abcde"), part(1, b"AAAA"), part(3, b"B")].concat();
        for end in 0..whole.len() {
            let clean = end == 0 || end == part(0, b"abcde").len();
            assert_eq!(read(&whole[..end], false).is_ok(), clean, "{end}");
        }
    }
}
