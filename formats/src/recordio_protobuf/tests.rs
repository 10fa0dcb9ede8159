use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::testing::{
    OneByte, Owned, cut_at_every_byte, hex, owned, read_all, read_from, unnoticed_flips,
    worked_example,
};
use crate::{FieldShape, Label, Record};

const SAGEMAKER: RecordIoProtobuf = RecordIoProtobuf { dialect: Dialect::SageMaker };
const DMLC: RecordIoProtobuf = RecordIoProtobuf { dialect: Dialect::Dmlc };

const COMPLETE: &[u8] = include_bytes!("../../../testdata/recordio-protobuf/complete_records.pr");
const SPLIT: &[u8] = include_bytes!("../../../testdata/recordio-protobuf/split_records.pr");
const BITS: &[u8] = include_bytes!("../../../testdata/recordio-protobuf/test.pbr");
const MNIST: &[u8] = include_bytes!("../../../testdata/recordio-protobuf/matrix_0.pbr");
const SDK: &str = include_str!("../../../testdata/recordio-protobuf/golden/sagemaker.tsv");
const MAGIC: &[u8] = include_bytes!("../../../testdata/recordio-protobuf/golden/magic.pbr");
const GOLDEN: [(&str, &[u8]); 5] = [
    ("dense-f32.pbr", include_bytes!("../../../testdata/recordio-protobuf/golden/dense-f32.pbr")),
    ("dense-f64.pbr", include_bytes!("../../../testdata/recordio-protobuf/golden/dense-f64.pbr")),
    ("dense-int.pbr", include_bytes!("../../../testdata/recordio-protobuf/golden/dense-int.pbr")),
    ("sparse-f32.pbr", include_bytes!("../../../testdata/recordio-protobuf/golden/sparse-f32.pbr")),
    ("magic.pbr", MAGIC),
];

fn labels(values: &[f64]) -> Label {
    Label { values: values.to_vec(), text: None }
}

/// One record around `message`.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(frame::part_header(0, message.len() as u64));
    out.extend_from_slice(message);
    out.extend_from_slice(frame::padding(message.len() as u64));
    out
}

/// Name and text of every field.
fn fields(record: &Record) -> Vec<(&str, String)> {
    let sample = &record.sample;
    let text = |body| String::from_utf8_lossy(body).into_owned();
    sample.fields.iter().map(|f| (f.name.as_str(), text(sample.body(f)))).collect()
}

#[test]
fn worked_example_of_the_spec() {
    let label = Label { values: vec![7.0], text: Some("cat".into()) };
    let sample = Owned::new("k", 0, &[("jpg", b"JPG")], label);
    assert_eq!(sample.encode(&SAGEMAKER).unwrap(), worked_example(include_str!("SPEC.md")));
}

#[test]
fn records_of_the_sdk() {
    // sagemaker 2.232.0: a float vector with a label, an integer vector, an image.
    for (message, want, label) in [
        (
            "0a1a0a0676616c7565731210120e0a0c0000803f0000000000000000
             12120a0676616c756573120812060a040000803f",
            ("values", "1.0 0.0 0.0"),
            labels(&[1.0]),
        ),
        ("0a190a0676616c756573120f3a0d0a0b01feffffffffffffffff01", ("values", "1 -2"), labels(&[])),
        (
            "0a1c0a05696d61676512134a110a034a5047120a696d6167652f6a706567
             12120a0676616c756573120812060a040000e0401a016b",
            ("image", "JPG"),
            labels(&[7.0]),
        ),
    ] {
        let message = hex(message);
        let read = read_all(&SAGEMAKER, &framed(&message)).unwrap();
        assert_eq!(fields(&read[0]), [(want.0, want.1.to_owned())]);
        assert_eq!(read[0].sample.label, label);
        // The SDK's bytes are what prost writes: the oracle of the other tests holds.
        assert_eq!(RecordMessage::decode(&message[..]).unwrap().encode_to_vec(), message);
    }
}

#[test]
fn tensors_that_the_sdk_wrote() {
    let rows: Vec<Vec<&str>> = SDK.lines().skip(1).map(|line| line.split('\t').collect()).collect();
    let mut seen = 0;
    for (file, bytes) in GOLDEN {
        let read = read_all(&SAGEMAKER, bytes).unwrap();
        for row in rows.iter().filter(|row| row[0] == file) {
            let [_, record, map, kind, values, keys, shape] = row[..] else { panic!("{row:?}") };
            let record = &read[record.parse::<usize>().unwrap()];
            let numbers =
                |text: &str| text.split(',').map(|v| v.parse().unwrap()).collect::<Vec<f64>>();
            if map == "label" {
                assert_eq!(record.sample.label.values, numbers(values), "{file}");
                seen += 1;
                continue;
            }
            for (name, want) in [("values", values), ("values.keys", keys), ("values.shape", shape)]
            {
                let found =
                    record.sample.field(name).map(|text| std::str::from_utf8(text).unwrap());
                let found = found.map(|text| numbers(&text.replace(' ', ",")));
                let want = (!want.is_empty()).then(|| numbers(want));
                let narrow = |values: Vec<f64>| match kind {
                    "float32" => values.iter().map(|v| f64::from(*v as f32)).collect(),
                    _ => values,
                };
                assert_eq!(found.map(narrow), want.map(narrow), "{file} {name}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, rows.len(), "every row of the table was looked at");
}

#[test]
fn mlios_files_whole_and_split() {
    let vectors = ["1.0 0.0 0.0", "1.0 0.0 0.0", "0.0 1.0 0.0", "0.0 2.0 0.0", "0.0 0.0 0.0"];
    let read = read_all(&SAGEMAKER, COMPLETE).unwrap();
    assert_eq!(read.len(), 5);
    for (i, (record, vector)) in read.iter().zip(vectors).enumerate() {
        assert_eq!(fields(record), [("values", vector.to_owned())]);
        assert_eq!(record.sample.label, labels(&[i as f64 + 1.0]));
        assert_eq!(record.sample.key, i.to_string());
    }
    let split = read_all(&SAGEMAKER, SPLIT).unwrap();
    assert_eq!(split.len(), 5);
    for (record, whole) in split.iter().zip(&read) {
        assert_eq!(record.sample, whole.sample, "split the SageMaker way");
    }
    // The other dialect must not guess: parts of 10 and 1 bytes are none of its own.
    let error = read_all(&DMLC, SPLIT).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
    assert_eq!(read_all(&DMLC, COMPLETE).unwrap(), read, "whole records are the same in both");

    let read = read_all(&SAGEMAKER, BITS).unwrap();
    let found: Vec<_> =
        read.iter().map(|r| (fields(r)[0].1.clone(), r.sample.label.values[0])).collect();
    assert_eq!(found, [("0 0 0".into(), 1.0), ("0 0 0".into(), 1.0), ("1 1 1".into(), 0.0)]);
}

#[test]
fn mnist_of_the_sdk() {
    let read = read_all(&SAGEMAKER, MNIST).unwrap();
    assert_eq!(read.len(), 100);
    for record in &read {
        let message = RecordMessage::decode(&record.sample.bytes[..3156]).unwrap();
        let Some(Kind::Float32Tensor(tensor)) = &message.features["values"].kind else { panic!() };
        assert_eq!(tensor.values.len(), 784);
        let text: Vec<String> = tensor.values.iter().map(|v| format!("{v:?}")).collect();
        assert_eq!(fields(record), [("values", text.join(" "))]);
        assert_eq!(record.sample.label.values, []);
    }
}

#[test]
fn parts_join_in_two_ways() {
    let part = |flag: u32, data: &[u8]| {
        let mut out = Vec::new();
        out.extend(frame::part_header(flag, data.len() as u64));
        out.extend_from_slice(data);
        out.extend_from_slice(frame::padding(data.len() as u64));
        out
    };
    let message = |body: &[u8]| {
        RecordMessage {
            features: [(
                "f".to_owned(),
                Value {
                    kind: Some(Kind::Bytes(BytesValue {
                        value: vec![body.to_vec().into()],
                        content_type: None,
                    })),
                },
            )]
            .into(),
            ..Default::default()
        }
        .encode_to_vec()
    };
    // A body that holds the magic at a multiple of four of the message.
    let magic: &[u8] = &[0x0a, 0x23, 0xd7, 0xce];
    let start = message(b"--------").len() - 8;
    let lead = vec![b'.'; 4 - start % 4];
    let body = [&lead[..], magic, b"tail"].concat();
    let stored = message(&body);
    let at = start + lead.len();
    let dmlc = [part(1, &stored[..at]), part(3, &stored[at + 4..])].concat();
    assert_eq!(read_all(&DMLC, &dmlc).unwrap()[0].sample.field("f"), Some(&body[..]));
    assert!(read_all(&SAGEMAKER, &dmlc).is_err(), "four bytes short");
    let plain = [part(1, &stored[..at]), part(3, &stored[at..])].concat();
    let read = read_all(&SAGEMAKER, &plain).unwrap();
    assert_eq!(read[0].sample.field("f"), Some(&body[..]));
    assert_eq!(read[0].sample.fields[0].offset, None, "split: not stored in one piece");
    // Unescaped inside one part: legal here, damage there.
    assert_eq!(
        read_all(&SAGEMAKER, &framed(&stored)).unwrap()[0].sample.field("f"),
        Some(&body[..])
    );
    assert!(read_all(&DMLC, &framed(&stored)).is_err());
    assert_eq!(read_all(&SAGEMAKER, MAGIC).unwrap().len(), 1);
}

#[test]
fn the_rest_of_a_message_becomes_fields() {
    let tensor = |values: &[f64]| Value {
        kind: Some(Kind::Float64Tensor(Float64Tensor {
            values: values.to_vec(),
            ..Default::default()
        })),
    };
    let list = |values: &[&[u8]]| Value {
        kind: Some(Kind::Bytes(BytesValue {
            value: values.iter().map(|v| v.to_vec().into()).collect(),
            content_type: None,
        })),
    };
    let message = RecordMessage {
        features: [("a".into(), list(&[b"x", b"y"])), ("b".into(), list(&[]))].into(),
        label: [("values".into(), tensor(&[0.1])), ("box".into(), tensor(&[1.0, 2.5]))].into(),
        uid: Some("key".into()),
        metadata: Some("{}".into()),
        configuration: Some("c".into()),
    };
    let read = read_all(&SAGEMAKER, &framed(&message.encode_to_vec())).unwrap();
    let want = [
        ("a.0", "x"),
        ("a.1", "y"),
        ("b", ""),
        ("label_box", "1.0 2.5"),
        ("metadata", "{}"),
        ("configuration", "c"),
    ];
    assert_eq!(fields(&read[0]), want.map(|(name, text)| (name, text.to_owned())));
    assert_eq!((read[0].sample.key.as_str(), &read[0].sample.label), ("key", &labels(&[0.1])));

    for message in
        ["0a05", "0801", "1a01ff", "3200", "0a090a016112043a001200", "0a0a0a01611205 4a000a00 00"]
    {
        let error = read_all(&SAGEMAKER, &framed(&hex(message))).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{message}: {error}");
        assert_eq!(error.position(), Some(crate::Position::default()));
    }
    assert_eq!(read_all(&SAGEMAKER, b"").unwrap(), []);
}

#[test]
fn refused_samples() {
    let over = MAX_PAYLOAD;
    for (key, fields, label) in [
        ("", &[("a", 1)][..], labels(&[])),
        ("k", &[("", 1)], labels(&[])),
        ("k", &[("a", 1), ("a", 1)], labels(&[])),
        ("k", &[("a", over)], labels(&[])),
        ("k", &[("a", u64::MAX), ("b", u64::MAX)], labels(&[])),
        ("k", &[("a", 1)], labels(&[16_777_217.0])),
        ("k", &[("a", 1)], Label { values: vec![], text: Some("cat".into()) }),
    ] {
        let fields: Vec<_> =
            fields.iter().map(|(name, len)| FieldShape { name, len: *len }).collect();
        let shape = SampleShape { key, id: 0, fields: &fields, label: &label, splits: &[] };
        assert!(SAGEMAKER.check(&shape).is_err(), "{shape:?}");
    }
    let fields = [FieldShape { name: "a", len: over - 40 }];
    let shape = SampleShape { key: "k", id: 0, fields: &fields, label: Label::NONE, splits: &[] };
    SAGEMAKER.check(&shape).unwrap();
    let mut layout = Layout::default();
    SAGEMAKER.layout(&shape, &mut layout);
    assert_eq!(layout.encoded_len(), SAGEMAKER.encoded_len(&shape));
}

#[test]
fn cuts_and_flips() {
    for (shard, format) in [(COMPLETE, SAGEMAKER), (SPLIT, SAGEMAKER), (BITS, DMLC)] {
        cut_at_every_byte(&format, shard);
    }
    // No checksum: flips in numbers pass, flips of a magic or an unknown flag do not.
    let unnoticed = unnoticed_flips(&SAGEMAKER, COMPLETE);
    assert!(unnoticed.iter().all(|bit| bit / 8 % 56 >= 8), "{unnoticed:?}");
    unnoticed_flips(&SAGEMAKER, SPLIT);
}

prop_compose! {
    fn sample()(
        key in "[a-z/é.]{1,12}",
        fields in prop::collection::btree_map(
            prop_oneof!["jpg", "seg[.]png", "[a-zé]{1,9}"],
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..300),
                Just(b"\x0a\x23\xd7\xce".repeat(9)),
            ],
            0..4,
        ),
        values in prop::collection::vec((-1000i32..1000).prop_map(|v| f64::from(v) / 8.0), 0..4),
        text in prop::option::of("[a-zé]{0,5}"),
    ) -> Owned {
        let text = text.filter(|_| !values.is_empty());
        Owned { key, id: 0, fields: fields.into_iter().collect(), label: Label { values, text } }
    }
}

/// The message that `sample` must be, by way of prost.
fn oracle(sample: &Owned) -> Vec<u8> {
    let media = |name: &str| match name.rsplit('.').next() {
        Some("jpg") => Some("image/jpeg".to_owned()),
        Some("png") => Some("image/png".to_owned()),
        Some("txt") => Some("text/plain".to_owned()),
        _ => None,
    };
    let bytes = |name: &str, body: &[u8]| Value {
        kind: Some(Kind::Bytes(BytesValue {
            value: vec![body.to_vec().into()],
            content_type: media(name),
        })),
    };
    let values: Vec<f32> = sample.label.values.iter().map(|v| *v as f32).collect();
    let label = (!values.is_empty()).then(|| Value {
        kind: Some(Kind::Float32Tensor(Float32Tensor { values, ..Default::default() })),
    });
    RecordMessage {
        features: sample.fields.iter().map(|(n, body)| (n.clone(), bytes(n, body))).collect(),
        label: label.map(|value| ("values".to_owned(), value)).into_iter().collect(),
        uid: Some(sample.key.clone()),
        metadata: sample.label.text.as_ref().map(|text| format!("label_text={text}")),
        configuration: None,
    }
    .encode_to_vec()
}

proptest! {
    #[test]
    fn records_equal_prost_and_lose_nothing(samples in prop::collection::vec(sample(), 0..4)) {
        let mut shard = Vec::new();
        for sample in &samples {
            let record = sample.encode(&SAGEMAKER).unwrap();
            prop_assert_eq!(&record, &framed(&oracle(sample)));
            shard.extend(record);
        }
        let (read, error) = read_from(&SAGEMAKER, OneByte(&shard), &DecodeOptions::default());
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(read.len(), samples.len());
        for (record, sample) in read.iter().zip(&samples) {
            let back = owned(&record.sample);
            prop_assert_eq!(&back.key, &sample.key);
            prop_assert_eq!(&back.fields, &sample.fields);
            prop_assert_eq!(&back.label, &sample.label);
            for field in &record.sample.fields {
                let at = field.offset.unwrap() as usize;
                let body = record.sample.body(field);
                prop_assert_eq!(&shard[at..at + body.len()], body);
            }
        }
    }

    #[test]
    fn damaged_messages_parse_as_in_prost(
        sample in sample(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut message = oracle(&sample);
        let at = at.index(message.len());
        message[at] = byte;
        if let Ok(read) = read_all(&SAGEMAKER, &framed(&message)) {
            let parsed = RecordMessage::decode(&message[..]).unwrap();
            let key = parsed.uid.unwrap_or_else(|| "0".into());
            prop_assert_eq!(&read[0].sample.key, &key);
            for field in &read[0].sample.fields {
                let value = parsed.features.get(&field.name);
                if let Some(Kind::Bytes(list)) = value.and_then(|value| value.kind.as_ref()) {
                    let want = list.value.first().map(|v| &v[..]).unwrap_or_default();
                    prop_assert_eq!(want, read[0].sample.body(field));
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(message in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [SAGEMAKER, DMLC] {
            let _ = read_all(&format, &message);
            let _ = read_all(&format, &framed(&message));
        }
    }
}
