//! Records that are pieces of samples: whole objects, or attributes of an augmented manifest, each
//! wrapped as a RecordIO record.

use std::io::Read;

use shardpack_formats::recordio::payloads;
use shardpack_formats::{DecodeOptions, Decoder, Error, Position, Record, Result};

/// Makes one sample of every so many records in a row, and names their bytes.
///
/// A sample's key is its number in the stream. Its `crc32c` is left 0: nothing knows what to
/// compare it with.
pub(super) struct Groups<'r> {
    records: Box<dyn Decoder + 'r>,
    names: &'r [String],
    part: Record,
    /// Samples so far.
    count: u64,
    failed: bool,
}

impl<'r> Groups<'r> {
    pub(super) fn new(
        input: Box<dyn Read + 'r>,
        options: &DecodeOptions,
        names: &'r [String],
        dmlc_parts: bool,
    ) -> Self {
        let records = payloads(input, options, dmlc_parts);
        Self { records, names, part: Record::default(), count: 0, failed: false }
    }

    fn sample(&mut self, record: &mut Record) -> Result<bool> {
        let Some((first, others)) = self.names.split_first() else { return Ok(false) };
        let start = self.records.position();
        if !self.records.read(record)? {
            return Ok(false);
        }
        record.crc32c = 0;
        record.sample.key = self.count.to_string();
        if let Some(field) = record.sample.fields.first_mut() {
            field.name.clone_from(first);
        }
        for (number, name) in others.iter().enumerate() {
            if !self.records.read(&mut self.part)? {
                let (there, all) = (number + 1, self.names.len());
                let what =
                    format!("sample {}: {there} of {all} records, {name:?} is missing", self.count);
                return Err(Error::truncated(what, start));
            }
            append(record, &self.part, name);
        }
        self.count += 1;
        Ok(true)
    }
}

/// Appends the only field of `part`.
fn append(record: &mut Record, part: &Record, name: &str) {
    record.len += part.len;
    let sample = &mut record.sample;
    if let Some(field) = part.sample.fields.first() {
        let start = sample.bytes.len();
        sample.bytes.extend_from_slice(part.sample.body(field));
        let range = start..sample.bytes.len();
        sample.fields.push(shardpack_formats::Field { name: name.into(), range, ..field.clone() });
    }
}

impl Decoder for Groups<'_> {
    fn read(&mut self, record: &mut Record) -> Result<bool> {
        if self.failed {
            return Err(Error::corrupt("reading stopped at an earlier error", self.position()));
        }
        let read = self.sample(record);
        self.failed = read.is_err();
        read
    }

    fn position(&self) -> Position {
        self.records.position()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(data: &[u8]) -> Vec<u8> {
        let pad = data.len().next_multiple_of(4) - data.len();
        let lrec = (data.len() as u32).to_le_bytes();
        [b"\x0a\x23\xd7\xce", &lrec[..], data, &[0; 3][..pad]].concat()
    }

    type Fields = Vec<(String, Vec<u8>)>;

    fn read(stream: &[u8], names: &[&str]) -> Result<Vec<(String, Fields)>> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut groups = Groups::new(Box::new(stream), &DecodeOptions::default(), &names, false);
        let (mut record, mut all) = (Record::default(), Vec::new());
        while groups.read(&mut record)? {
            let sample = &record.sample;
            let fields = sample.fields.iter();
            let fields = fields.map(|field| (field.name.clone(), sample.body(field).to_vec()));
            all.push((sample.key.clone(), fields.collect()));
        }
        Ok(all)
    }

    #[test]
    fn so_many_records_in_a_row_are_a_sample() {
        let stream = [record(b"image 0"), record(b"1"), record(b""), record(b"0")].concat();
        let field = |name: &str, body: &[u8]| (name.to_owned(), body.to_vec());
        let want = [
            ("0".to_owned(), vec![field("source-ref", b"image 0"), field("class", b"1")]),
            ("1".to_owned(), vec![field("source-ref", b""), field("class", b"0")]),
        ];
        assert_eq!(read(&stream, &["source-ref", "class"]).unwrap(), want);
        assert_eq!(read(&stream, &["data"]).unwrap().len(), 4);
        assert!(read(b"", &["a", "b"]).unwrap().is_empty());
    }

    #[test]
    fn a_stream_that_ends_within_a_sample_is_an_error_that_says_where() {
        let first = [record(b"image 0"), record(b"1")].concat();
        let stream = [first.clone(), record(b"image 1"), record(b"0")].concat();
        let names = ["source-ref", "class"];
        for end in 0..stream.len() {
            let whole = end == 0 || end == first.len();
            assert_eq!(read(&stream[..end], &names).is_ok(), whole, "{end}");
        }
        let end = first.len() + record(b"image 1").len();
        let error = read(&stream[..end], &names).unwrap_err();
        assert_eq!(error.position(), Some(Position { record: 2, offset: first.len() as u64 }));
        assert!(error.to_string().contains("1 of 2 records, \"class\" is missing"), "{error}");
    }
}
