//! What the tests of every format share.

use std::io::{self, Read};

use crate::{
    DecodeOptions, Error, FieldShape, Format, Label, Layout, Record, Result, Sample, SampleShape,
    Segment, encode,
};

/// Bytes from hex digits; blanks are ignored.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let digit = |b: u8| (b as char).to_digit(16).expect("a hex digit") as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

/// The worked example of a SPEC.md: the block fenced as `hex`, up to `|` in each line.
pub(crate) fn worked_example(spec: &str) -> Vec<u8> {
    let block = spec.split("```hex\n").nth(1).expect("a hex block");
    let block = block.split("```").next().expect("its end");
    block.lines().flat_map(|line| hex(line.split('|').next().unwrap_or_default())).collect()
}

/// Hands out one byte at a time, as a pipe may.
#[derive(Debug)]
pub(crate) struct OneByte<'a>(pub(crate) &'a [u8]);

impl Read for OneByte<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = buf.len().min(1);
        self.0.read(&mut buf[..n])
    }
}

/// All records of a stream, or the records before the damage and the error.
pub(crate) fn read_from<'r>(
    format: &dyn Format,
    input: impl Read + 'r,
    options: &DecodeOptions,
) -> (Vec<Record>, Option<Error>) {
    let mut decoder = format.decoder(Box::new(input), options);
    let (mut records, mut record) = (Vec::new(), Record::default());
    loop {
        match decoder.read(&mut record) {
            Ok(true) => records.push(record.clone()),
            Ok(false) => return (records, None),
            Err(error) => {
                let mut again = Record::default();
                assert!(decoder.read(&mut again).is_err(), "reading went on after: {error}");
                return (records, Some(error));
            }
        }
    }
}

/// All records of `bytes`.
pub(crate) fn read_all(format: &dyn Format, bytes: &[u8]) -> Result<Vec<Record>> {
    match read_from(format, bytes, &DecodeOptions::default()) {
        (records, None) => Ok(records),
        (_, Some(error)) => Err(error),
    }
}

/// A sample that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    pub(crate) key: String,
    pub(crate) id: u64,
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    pub(crate) label: Label,
}

impl Owned {
    pub(crate) fn new(key: &str, id: u64, fields: &[(&str, &[u8])], label: Label) -> Self {
        let fields = fields.iter().map(|(name, body)| (name.to_string(), body.to_vec())).collect();
        Self { key: key.into(), id, fields, label }
    }

    /// Calls `then` with the shape of this sample.
    pub(crate) fn shape<T>(&self, then: impl FnOnce(&SampleShape<'_>) -> T) -> T {
        let fields: Vec<FieldShape<'_>> = self
            .fields
            .iter()
            .map(|(name, body)| FieldShape { name, len: body.len() as u64 })
            .collect();
        then(&SampleShape {
            key: &self.key,
            id: self.id,
            fields: &fields,
            label: &self.label,
            splits: &[],
        })
    }

    /// Encodes it; panics unless the lengths promised before equal the bytes written.
    pub(crate) fn encode(&self, format: &dyn Format) -> Result<Vec<u8>> {
        let bodies: Vec<&[u8]> = self.fields.iter().map(|(_, body)| &body[..]).collect();
        self.shape(|shape| {
            let mut out = Vec::new();
            encode(format, shape, &bodies, &mut out)?;
            let splits = match format.split_word() {
                Some(word) => {
                    let mut scan = crate::SplitScan::new(word, format.body_offset(shape));
                    bodies.iter().for_each(|body| scan.update(body));
                    scan.finish()
                }
                None => Vec::new(),
            };
            let shape = SampleShape { splits: &splits, ..*shape };
            let mut layout = Layout::default();
            format.layout(&shape, &mut layout);
            assert_eq!(format.encoded_len(&shape), out.len() as u64, "encoded_len");
            assert_eq!(layout.encoded_len(), out.len() as u64, "layout");
            assert!(layout.segments.iter().all(|s| *s != Segment::Literal(0..0)));
            Ok(out)
        })
    }
}

/// What a reader found, as the sample that was written.
pub(crate) fn owned(sample: &Sample) -> Owned {
    let fields = sample.fields.iter().map(|f| (f.name.clone(), sample.body(f).to_vec())).collect();
    Owned { key: sample.key.clone(), id: sample.id, fields, label: sample.label.clone() }
}

/// Reads every proper prefix of `bytes`: only those that end between records may be whole.
pub(crate) fn cut_at_every_byte(format: &dyn Format, bytes: &[u8]) {
    let whole = read_all(format, bytes).expect("an undamaged shard");
    let ends: Vec<u64> = whole.iter().map(|r| r.offset + r.len).collect();
    for cut in 1..bytes.len() {
        let (records, error) = read_from(format, &bytes[..cut], &DecodeOptions::default());
        let before = ends.iter().filter(|end| **end <= cut as u64).count();
        assert_eq!(records[..], whole[..before], "cut at {cut}");
        let clean = ends.contains(&(cut as u64));
        let truncated = error.as_ref().is_some_and(|e| {
            matches!(e.kind(), crate::ErrorKind::Truncated { .. })
                && e.position().is_some_and(|p| p.record == before as u64)
        });
        assert_eq!(truncated, !clean, "cut at {cut}: {error:?}");
    }
}

/// Flips every bit of `bytes`; returns the bits whose flip no reader of the records alone notices.
pub(crate) fn unnoticed_flips(format: &dyn Format, bytes: &[u8]) -> Vec<usize> {
    let mut bytes = bytes.to_vec();
    let mut unnoticed = Vec::new();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if read_from(format, &bytes[..], &DecodeOptions::default()).1.is_none() {
            unnoticed.push(bit);
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    unnoticed
}
