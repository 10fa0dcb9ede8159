use proptest::prelude::*;

use super::*;
use crate::testing::{
    OneByte, Owned, cut_at_every_byte, hex, read_all, read_from, unnoticed_flips, worked_example,
};
use crate::{FieldShape, Label};

const M: &[u8] = &[0x0a, 0x23, 0xd7, 0xce];
const SAMPLE: &[u8] = include_bytes!("../../../testdata/recordio/sample.rec");
const IMAGES: &[u8] = include_bytes!("../../../testdata/recordio/golden/images.rec");
const PLAIN: &[u8] = include_bytes!("../../../testdata/recordio/golden/plain.rec");
const MXNET: &str = include_str!("../../../testdata/recordio/golden/mxnet.tsv");

fn labels(values: &[f64]) -> Label {
    Label { values: values.to_vec(), text: None }
}

fn sample(id: u64, values: &[f64], body: &[u8]) -> Owned {
    Owned::new("k", id, &[("data", body)], labels(values))
}

/// The payload as it was before splitting, image header included.
fn payloads(records: &[Record]) -> Vec<&[u8]> {
    records.iter().map(|record| &record.sample.bytes[..]).collect()
}

/// dmlc's writer, word by word: what ours must equal.
fn slow_record(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut part = |flag: u32, data: &[u8]| {
        out.extend_from_slice(M);
        out.extend_from_slice(&(flag << 29 | data.len() as u32).to_le_bytes());
        out.extend_from_slice(data);
        out.resize(out.len().next_multiple_of(4), 0);
    };
    let mut start = 0;
    for at in (0..payload.len() & !3).step_by(4) {
        if &payload[at..at + 4] == M {
            part(if start == 0 { 1 } else { 2 }, &payload[start..at]);
            start = at + 4;
        }
    }
    part(if start == 0 { 0 } else { 3 }, &payload[start..]);
    out
}

/// Payloads and files that mxnet 1.9.1 wrote.
fn vectors() -> Vec<(Vec<u8>, Vec<u8>)> {
    let m = |parts: &[&[u8]]| parts.concat();
    [
        (m(&[]), "0a23d7ce00000000"),
        (m(&[b"a"]), "0a23d7ce0100000061000000"),
        (m(&[b"abcd"]), "0a23d7ce0400000061626364"),
        (m(&[b"abcde"]), "0a23d7ce050000006162636465000000"),
        (m(&[M]), "0a23d7ce00000020 0a23d7ce00000060"),
        (m(&[M, M]), "0a23d7ce00000020 0a23d7ce00000040 0a23d7ce00000060"),
        (m(&[b"abcd", M, b"efg"]), "0a23d7ce0400002061626364 0a23d7ce0300006065666700"),
        (m(&[b"abcd", M]), "0a23d7ce0400002061626364 0a23d7ce00000060"),
        (m(&[M, b"x"]), "0a23d7ce00000020 0a23d7ce0100006078000000"),
        (m(&[b"ab", M, b"cd"]), "0a23d7ce0800000061620a23d7ce6364"),
    ]
    .map(|(payload, file)| (payload, hex(file)))
    .to_vec()
}

#[test]
fn payloads_that_mxnet_wrote() {
    for (payload, file) in vectors() {
        assert_eq!(slow_record(&payload), file, "the oracle");
        let read = read_all(&RecordIo, &file).unwrap();
        assert_eq!(payloads(&read), [&payload[..]]);
        assert_eq!((read[0].sample.key.as_str(), read[0].sample.label.is_empty()), ("0", true));
    }
    let read = read_all(&RecordIo, PLAIN).unwrap();
    let rows: Vec<Vec<&str>> = MXNET.lines().map(|line| line.split('\t').collect()).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row[0] == "plain.rec").collect();
    let index = idx::parse(include_bytes!("../../../testdata/recordio/golden/plain.idx")).unwrap();
    assert_eq!((read.len(), index.len()), (rows.len(), rows.len()));
    for ((record, row), entry) in read.iter().zip(rows).zip(index) {
        assert_eq!(record.sample.bytes, hex(row[5]));
        assert_eq!(record.sample.field("data"), Some(&hex(row[5])[..]));
        assert_eq!((record.sample.key.as_str(), record.offset), (row[1], entry.offset));
        assert_eq!(entry.key.to_string(), row[1]);
    }
}

#[test]
fn images_that_mxnet_packed_are_read_and_reproduced() {
    let read = read_all(&RecordIo, IMAGES).unwrap();
    let rows: Vec<Vec<&str>> = MXNET.lines().map(|line| line.split('\t').collect()).collect();
    let rows: Vec<_> = rows.iter().filter(|row| row[0] == "images.rec").collect();
    assert_eq!(read.len(), rows.len());
    let mut reproduced = 0;
    for (record, row) in read.iter().zip(rows) {
        let [_, _, id, flag, values, body] = row[..] else { panic!("{row:?}") };
        let values: Vec<f64> = values.split(',').map(|v| v.parse().unwrap()).collect();
        let found = &record.sample;
        assert_eq!((found.key.as_str(), found.id.to_string().as_str()), (id, id));
        assert_eq!(found.label, labels(&values));
        assert_eq!(found.body(&found.fields[0]), hex(body));

        let written = sample(found.id, &values, &hex(body)).encode(&RecordIo);
        // A list of one label is a plain label here, and the magic as id is refused.
        if flag != "1" && !id_holds_magic(found.id) {
            let (start, end) = (record.offset as usize, (record.offset + record.len) as usize);
            assert_eq!(written.unwrap(), IMAGES[start..end]);
            reproduced += 1;
        }
    }
    assert_eq!(reproduced, 4);
}

#[test]
fn dmlcs_sample_file() {
    let read = read_all(&RecordIo, SAMPLE).unwrap();
    assert_eq!(read.len(), 10);
    let mut again = Vec::new();
    for (i, record) in (1u64..).zip(&read) {
        let body = format!("{i}\n").repeat(10);
        assert_eq!(record.sample.field("data"), Some(body.as_bytes()));
        assert_eq!((record.sample.id, &record.sample.label), (i, &labels(&[(i % 2) as f64])));
        let at = record.sample.fields[0].offset.unwrap() as usize;
        assert_eq!(&SAMPLE[at..at + body.len()], body.as_bytes());
        again.extend(sample(i, &[(i % 2) as f64], body.as_bytes()).encode(&RecordIo).unwrap());
    }
    assert_eq!(again, SAMPLE);
}

#[test]
fn headers() {
    // mxnet.recordio.pack(IRHeader(0, [1, 2], 7, 1), b"Z"); ours leave the second id 0.
    let packed = hex("02000000 00000000 0700000000000000 0100000000000000 0000803f 00000040 5a");
    let read = read_all(&RecordIo, &slow_record(&packed)).unwrap();
    assert_eq!((read[0].sample.id, &read[0].sample.label), (7, &labels(&[1.0, 2.0])));
    assert_eq!(read[0].sample.field("data"), Some(&b"Z"[..]));
    let mut ours = sample(7, &[1.0, 2.0], b"Z").encode(&RecordIo).unwrap();
    ours[8 + 16] = 1;
    assert_eq!(ours, slow_record(&packed));

    // C++ im2rec repeats the first label in the header.
    let cpp = [&[1, 0, 0, 0][..], &2f32.to_le_bytes(), &[0; 16], &2f32.to_le_bytes()].concat();
    assert_eq!(read_all(&RecordIo, &slow_record(&cpp)).unwrap()[0].sample.label, labels(&[2.0]));
    // No label is label 0; more labels than bytes, or 23 bytes, is no header.
    let none = sample(1, &[], b"").encode(&RecordIo).unwrap();
    assert_eq!(read_all(&RecordIo, &none).unwrap()[0].sample.label, labels(&[0.0]));
    for bare in [&b"hello, this is a plain text record"[..], &[0; 23]] {
        let read = read_all(&RecordIo, &slow_record(bare)).unwrap();
        assert_eq!(read[0].sample.field("data"), Some(bare));
        assert_eq!(read[0].sample.label, labels(&[]));
    }
}

#[test]
fn worked_example_of_the_spec() {
    let body = [&b"abcd"[..], M, b"efg"].concat();
    let sample = sample(7, &[3.0], &body);
    assert_eq!(sample.encode(&RecordIo).unwrap(), worked_example(include_str!("SPEC.md")));
}

#[test]
fn refused_samples() {
    type Refusal = fn(&ErrorKind) -> bool;
    let bad_label: Refusal = |kind| matches!(kind, ErrorKind::Label { .. });
    let unsupported: Refusal = |kind| matches!(kind, ErrorKind::Unsupported { .. });
    let too_large: Refusal = |kind| matches!(kind, ErrorKind::TooLarge { .. });
    let magic = f64::from(f32::from_bits(MAGIC));
    let one = [FieldShape { name: "jpg", len: 1 }];
    let two = [one[0], FieldShape { name: "txt", len: 1 }];
    let fits = [FieldShape { name: "jpg", len: MAX_PAYLOAD - 24 }];
    let over = [FieldShape { name: "jpg", len: MAX_PAYLOAD - 23 }];
    let huge = [FieldShape { name: "jpg", len: u64::MAX }];
    let text = Label { values: vec![], text: Some("cat".into()) };
    for (fields, id, label, refusal) in [
        (&one[..], 1, labels(&[16_777_216.0]), None),
        (&one, 1, labels(&[0.1, f64::INFINITY]), None),
        (&fits, 1, labels(&[1.0]), None),
        (&fits, 1, labels(&[1.0, 2.0]), Some(too_large)),
        (&over, 1, labels(&[]), Some(too_large)),
        (&huge, 1, labels(&[]), Some(too_large)),
        (&[], 1, labels(&[]), Some(unsupported)),
        (&two, 1, labels(&[]), Some(unsupported)),
        (&one, MAGIC.into(), labels(&[]), Some(unsupported)),
        (&one, u64::from(MAGIC) << 32 | 5, labels(&[]), Some(unsupported)),
        (&one, 1, labels(&[16_777_217.0]), Some(bad_label)),
        (&one, 1, labels(&[1e39]), Some(bad_label)),
        (&one, 1, labels(&[1e300]), Some(bad_label)),
        (&one, 1, labels(&[f64::NAN]), Some(bad_label)),
        (&one, 1, labels(&[magic]), Some(bad_label)),
        (&one, 1, labels(&[1.0, magic]), Some(bad_label)),
        (&one, 1, text, Some(bad_label)),
    ] {
        let shape = SampleShape { key: "k", id, fields, label: &label, splits: &[] };
        match (RecordIo.check(&shape), refusal) {
            (Ok(()), None) => {}
            (Err(error), Some(refusal)) => assert!(refusal(error.kind()), "{error}"),
            (outcome, _) => panic!("{fields:?} {id} {label:?}: {outcome:?}"),
        }
    }
}

#[test]
fn damaged_framing_is_refused() {
    let ok = hex("0a23d7ce0400000061626364");
    for (name, file) in [
        ("magic", "0a23d7cf00000000"),
        ("flag 4", "0a23d7ce00000080"),
        ("begins with flag 2", "0a23d7ce00000040"),
        ("begins with flag 3", "0a23d7ce00000060"),
        ("goes on with flag 0", "0a23d7ce00000020 0a23d7ce00000000"),
        ("goes on with flag 1", "0a23d7ce00000020 0a23d7ce00000020"),
        ("whole words", "0a23d7ce0100002061000000 0a23d7ce00000060"),
        ("padding", "0a23d7ce0100000061000001"),
        ("unescaped", "0a23d7ce080000000a23d7ce00000000"),
        ("unescaped", "0a23d7ce0800000061626364 0a23d7ce"),
    ] {
        let (records, error) =
            read_from(&RecordIo, &[&ok[..], &hex(file)].concat()[..], &DecodeOptions::default());
        let error = error.expect(name);
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{name}: {error}");
        assert!(name == "magic" || error.to_string().contains(name), "{name}: {error}");
        let position = error.position().unwrap();
        assert_eq!((records.len(), position.record, position.offset), (1, 1, 12), "{name}");
    }
    // What dmlc drops in silence: a file that ends inside a split record.
    let error = read_all(&RecordIo, &hex("0a23d7ce0400002061626364")).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "{error}");
}

#[test]
fn cuts_and_flips() {
    for shard in [SAMPLE, IMAGES, PLAIN] {
        cut_at_every_byte(&RecordIo, shard);
    }
    // Without a checksum a flip may pass as other content, but not one in the framing.
    let shard = sample(7, &[3.0], b"abcde").encode(&RecordIo).unwrap().repeat(3);
    let (part, unnoticed) = (shard.len() / 3, unnoticed_flips(&RecordIo, &shard));
    for bit in unnoticed {
        let at = bit / 8 % part;
        // The payload, and length 31 for 29, which covers the same bytes.
        let longer = at == 4 && bit % 8 == 1;
        assert!(longer || (8..37).contains(&at), "bit {} of byte {at}", bit % 8);
    }
    unnoticed_flips(&RecordIo, IMAGES);
}

#[test]
fn hostile_lengths_ask_for_no_memory() {
    let shard = hex("0a23d7ce ffffff1f 6162");
    let mut record = Record::default();
    let options = DecodeOptions { max_record: 1 << 40, ..Default::default() };
    let error = RecordIo.decoder(Box::new(&shard[..]), &options).read(&mut record).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "{error}");
    assert!(record.sample.bytes.capacity() <= 4 << 20);

    // The limit counts all parts of a record.
    let shard = slow_record(&[M, b"abcd", M, b"efgh"].concat());
    for (limit, fits) in [(16, true), (15, false), (8, false)] {
        let options = DecodeOptions { max_record: limit, ..Default::default() };
        let (_, error) = read_from(&RecordIo, &shard[..], &options);
        let too_large =
            error.is_some_and(|error| matches!(error.kind(), ErrorKind::TooLarge { .. }));
        assert_eq!(too_large, !fits, "limit {limit}");
    }
}

prop_compose! {
    /// Bytes with the magic at many places, aligned and not.
    fn body()(
        pieces in prop::collection::vec(
            prop_oneof![Just(M.to_vec()), prop::collection::vec(any::<u8>(), 0..9)], 0..12),
        seeded in prop::option::of(0usize..8),
    ) -> Vec<u8> {
        let mut body = pieces.concat();
        if let Some(at) = seeded {
            body.resize(body.len().max(at + 4), 0);
            body[at..at + 4].copy_from_slice(M);
        }
        body
    }
}

proptest! {
    #[test]
    fn records_equal_dmlcs_and_come_back(
        samples in prop::collection::vec(
            (any::<u64>(), prop::collection::vec(-1000i32..1000, 0..4), body()), 0..4),
    ) {
        let mut shard = Vec::new();
        for (id, values, body) in &samples {
            let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            let record = sample(*id, &values, body).encode(&RecordIo).unwrap();
            let unsplit = read_all(&RecordIo, &record).unwrap();
            prop_assert_eq!(&record, &slow_record(&unsplit[0].sample.bytes));
            shard.extend(record);
        }
        let (read, error) = read_from(&RecordIo, OneByte(&shard), &DecodeOptions::default());
        prop_assert!(error.is_none());
        prop_assert_eq!(read.len(), samples.len());
        for (record, (id, values, body)) in read.iter().zip(&samples) {
            let found = &record.sample;
            prop_assert_eq!(found.id, *id);
            prop_assert_eq!(found.body(&found.fields[0]), &body[..]);
            let values = if values.is_empty() { &[0][..] } else { values };
            let want: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
            prop_assert_eq!(&found.label.values, &want);
            if let Some(at) = found.fields[0].offset {
                prop_assert_eq!(&shard[at as usize..at as usize + body.len()], &body[..]);
            }
            let encoded = &shard[record.offset as usize..(record.offset + record.len) as usize];
            prop_assert_eq!(record.crc32c, crate::crc32c(encoded));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        words in prop::collection::vec(
            prop_oneof![
                Just(MAGIC),
                0u32..64,
                any::<u32>(),
                (0u32..8, 0u32..9).prop_map(|(flag, len)| flag << 29 | len),
            ],
            0..40,
        ),
    ) {
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let _ = read_all(&RecordIo, &bytes);
    }
}
