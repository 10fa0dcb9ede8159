//! What must hold for every stream that a record format decodes.

use shardpack_formats::{
    DecodeOptions, ErrorKind, FieldShape, Format, Label, Record, Sample, SampleShape, crc32c,
    encode,
};

use crate::{Pieces, within};

/// Largest record that is read. Small, so that a length that lies shows in [`ALLOWANCE`].
const MAX_RECORD: u64 = 64 << 10;

/// Memory that reading one record may take, in bytes. Two bytes on the wire can become a field of
/// 56 and its name: 32,768 of them in a vector that doubles take 3 MB.
const ALLOWANCE: usize = 4 << 20;

/// Decodes `stream` with `reader` up to its end or its damage. Each record lies in the stream where
/// it says, behind its predecessor, however the bytes arrive; and a sample that `writer` accepts is
/// the same sample when it is written and read again.
pub fn check(reader: &dyn Format, writer: &dyn Format, stream: &[u8], options: &DecodeOptions) {
    let mut options = options.clone();
    options.max_record = MAX_RECORD;
    let mut whole = reader.decoder(Box::new(stream), &options);
    let mut pieces = reader.decoder(Box::new(Pieces(stream)), &options);
    let (mut record, mut again) = (Record::default(), Record::default());
    let mut end = 0;
    for number in 0u64.. {
        let read = within(ALLOWANCE, || whole.read(&mut record));
        match (read, pieces.read(&mut again)) {
            (Ok(true), Ok(true)) => same(&record.sample, &again.sample, true),
            (Ok(false), Ok(false)) => return,
            (Err(error), Err(other)) => {
                assert_eq!(error.to_string(), other.to_string());
                assert!(!matches!(error.kind(), ErrorKind::Io(_)), "the stream can be read");
                assert!(whole.read(&mut record).is_err(), "reading goes on after: {error}");
                return;
            }
            (one, other) => panic!("{one:?} of the whole stream, {other:?} of its pieces"),
        }
        assert!(record.offset >= end, "{} is inside the record before", record.offset);
        end = record.offset + record.len;
        lies_in(stream, &record);
        comes_back(writer, &record.sample, number);
    }
}

fn lies_in(stream: &[u8], record: &Record) {
    let at = |offset: u64, len: u64| &stream[offset as usize..][..len as usize];
    assert_eq!(crc32c(at(record.offset, record.len)), record.crc32c);
    for field in &record.sample.fields {
        let body = &record.sample.bytes[field.range.clone()];
        if let Some(offset) = field.offset {
            assert_eq!(at(offset, body.len() as u64), body, "{:?} at {offset}", field.name);
            assert!(offset >= record.offset);
            assert!(offset + body.len() as u64 <= record.offset + record.len);
        }
    }
}

fn comes_back(writer: &dyn Format, sample: &Sample, number: u64) {
    // MXNet's framing around something without its header: written again, it gets one.
    if writer.name() == "recordio" && sample.label.is_empty() {
        return;
    }
    let len = |field: &_| sample.body(field).len() as u64;
    let fields: Vec<_> = (sample.fields.iter())
        .map(|field| FieldShape { name: &field.name, len: len(field) })
        .collect();
    let bodies: Vec<_> = sample.fields.iter().map(|field| sample.body(field)).collect();
    let mut written = sample.clone();
    if writer.name() == "recordio-protobuf" {
        // It keeps f32 alone; other writers store f64 in it, which lose digits as all targets do.
        written.label.values.iter_mut().for_each(|value| *value = f64::from(*value as f32));
    }
    let Sample { key, id, label, .. } = &written;
    let shape = SampleShape { key, id: *id, fields: &fields, label, splits: &[] };
    let mut shard = Vec::new();
    if encode(writer, &shape, &bodies, &mut shard).is_err() {
        return; // Foreign names and orders may be read and not written.
    }
    shard.extend_from_slice(writer.trailer());
    let mut decoder = writer.decoder(Box::new(&shard[..]), &DecodeOptions::default());
    let mut record = Record::default();
    assert!(decoder.read(&mut record).expect("a record of our own"));
    // Formats without keys count; here the count starts anew.
    same(&written, &record.sample, *key != number.to_string());
    assert!(!decoder.read(&mut record).expect("the end of our own shard"));
}

fn same(one: &Sample, other: &Sample, keys: bool) {
    assert!(!keys || one.key == other.key, "{:?} became {:?}", one.key, other.key);
    assert_eq!(one.id, other.id);
    assert_eq!(fields(one), fields(other));
    assert!(same_label(&one.label, &other.label), "{:?} became {:?}", one.label, other.label);
}

fn fields(sample: &Sample) -> Vec<(&str, &[u8])> {
    sample.fields.iter().map(|field| (field.name.as_str(), sample.body(field))).collect()
}

/// Zeros keep their sign; which NaN it was is nobody's business.
fn same_label(one: &Label, other: &Label) -> bool {
    let same = |(a, b): (&f64, &f64)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
    one.text == other.text
        && one.values.len() == other.values.len()
        && one.values.iter().zip(&other.values).all(same)
}
