use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::testing::{
    OneByte, Owned, cut_at_every_byte, hex, owned, read_all, read_from, unnoticed_flips,
    worked_example,
};
use crate::{FieldShape, Label, Record};

const FIELDS: TfRecord = TfRecord { schema: Schema::Fields };
const IMAGE: TfRecord = TfRecord { schema: Schema::Image };
const RAW: TfRecord = TfRecord { schema: Schema::Raw };

const EXAMPLES: &[u8] = include_bytes!("../../../testdata/tfrecord/golden/example.tfrecord");
const PYTORCH: &[u8] = include_bytes!("../../../testdata/tfrecord/example.tfrecord");
const HELLO: &[u8] = include_bytes!("../../../testdata/tfrecord/100.tfrecords");
const RAW_PAYLOADS: &[u8] = include_bytes!("../../../testdata/tfrecord/golden/raw.tfrecord");
const SEQUENCE: &[u8] = include_bytes!("../../../testdata/tfrecord/golden/sequence.tfrecord");

fn label(values: &[f64], text: Option<&str>) -> Label {
    Label { values: values.to_vec(), text: text.map(str::to_owned) }
}

fn raw(bodies: &[&[u8]]) -> Vec<u8> {
    let samples = bodies.iter().map(|body| Owned::new("k", 0, &[("data", body)], Label::default()));
    samples.flat_map(|sample| sample.encode(&RAW).unwrap()).collect()
}

/// Name and body of every field.
fn fields(record: &Record) -> Vec<(&str, &[u8])> {
    let sample = &record.sample;
    sample.fields.iter().map(|f| (f.name.as_str(), sample.body(f))).collect()
}

#[test]
fn raw_records_equal_tensorflows_bytes() {
    // Written by TensorFlow 2.21; the first also stands in Apache Beam's tests.
    let foo = "0300000000000000b099490e666f6f618abefe";
    assert_eq!(raw(&[b"foo"]), hex(foo));
    assert_eq!(
        raw(&[b"foo", b"bar"]),
        hex(&[foo, "0300000000000000b099490e6261724600e5c8"].concat())
    );
    assert_eq!(raw(&[b""]), hex("000000000000000029039807d8ea82a2"));
    let long: Vec<u8> = (0..20).flat_map(|_| 0..=255).collect();
    assert_eq!(raw(&[b"", b"foo", b"bar", &long]), RAW_PAYLOADS);
}

#[test]
fn worked_example_of_the_spec() {
    let spec = worked_example(include_str!("SPEC.md"));
    let sample = Owned::new("a", 0, &[("txt", b"foo")], label(&[3.0], Some("cat")));
    assert_eq!(sample.encode(&FIELDS).unwrap(), spec);
    let read = read_all(&FIELDS, &spec).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(fields(&read[0]), [("txt", &b"foo"[..])]);
    assert_eq!(read[0].sample.label, sample.label);
}

#[test]
fn images_equal_tensorflows_bytes() {
    let read = read_all(&IMAGE, EXAMPLES).unwrap();
    assert_eq!(fields(&read[0]), [("jpg", &b"\xff\xd8first"[..])]);
    assert_eq!(read[0].sample.label, label(&[7.0], None));
    assert_eq!(read[0].sample.key, "0", "no image/filename: the record's number");

    let sample = Owned::new(
        "train/n01.v2/a",
        0,
        &[("jpeg", b"JPG"), ("seg.png", b"PNG"), ("txt", b"")],
        label(&[7.0, -1.0], Some("dog")),
    );
    let bytes = sample.encode(&IMAGE).unwrap();
    let example = Example::decode(&bytes[12..bytes.len() - 4]).unwrap();
    let features = example.features.unwrap().feature;
    let bytes_feature = |name: &str| match &features[name].kind {
        Some(Kind::BytesList(list)) => list.value[0].to_vec(),
        other => panic!("{name}: {other:?}"),
    };
    assert_eq!(bytes_feature("image/encoded"), b"JPG");
    assert_eq!(bytes_feature("image/format"), b"jpeg");
    assert_eq!(bytes_feature("image/filename"), b"train/n01.v2/a.jpeg");
    assert_eq!(bytes_feature("image/class/text"), b"dog");
    assert_eq!(bytes_feature("seg.png"), b"PNG");
    let labels = Int64List { value: vec![7, -1] };
    assert_eq!(features["image/class/label"].kind, Some(Kind::Int64List(labels)));
    assert_eq!(features.len(), 7);

    let back = owned(&read_all(&IMAGE, &bytes).unwrap()[0].sample);
    assert_eq!((back.key, back.fields, back.label), (sample.key, sample.fields, sample.label));
}

#[test]
fn foreign_image_names() {
    let example = |entries: &[(&str, &[u8])]| {
        let feature = |value: &[u8]| Feature {
            kind: Some(Kind::BytesList(BytesList { value: vec![value.to_vec().into()] })),
        };
        let feature = entries.iter().map(|(name, v)| (name.to_string(), feature(v))).collect();
        raw(&[&Example { features: Some(Features { feature }) }.encode_to_vec()])
    };
    let png: &[u8] = b"\x89PNG\r\n\x1a\n";
    for (filename, format, body, key, field) in [
        (Some("n01/x_1.JPEG"), Some("JPEG"), png, "n01/x_1", "jpeg"),
        (Some("a.b.png"), None, png, "a.b", "png"),
        (Some("plain"), Some("PNG"), png, "plain", "png"),
        (Some("plain"), None, png, "plain", "png"),
        (Some(""), None, b"?", "0", "data"),
        (None, Some("jpeg"), b"", "0", "jpg"),
    ] {
        let mut entries = vec![("image/encoded", body)];
        entries.extend(filename.map(|f| ("image/filename", f.as_bytes())));
        entries.extend(format.map(|f| ("image/format", f.as_bytes())));
        let read = read_all(&IMAGE, &example(&entries)).unwrap();
        assert_eq!(read[0].sample.key, key, "{filename:?}");
        assert_eq!(read[0].sample.fields[0].name, field, "{filename:?} {format:?}");
    }
    let read = read_all(&IMAGE, &example(&[("image/encoded", b"x"), ("image/format", b"raw")]));
    assert_eq!(fields(&read.unwrap()[0])[1], ("image/format", &b"raw"[..]), "unknown: kept");
}

#[test]
fn any_example_becomes_fields() {
    let read = read_all(&FIELDS, EXAMPLES).unwrap();
    assert_eq!(read.len(), 4);
    assert_eq!(
        fields(&read[0]),
        [
            ("image/class/label", &b"7"[..]),
            ("image/encoded", b"\xff\xd8first"),
            ("image/format", b"jpeg"),
        ]
    );
    assert_eq!(
        fields(&read[1]),
        [
            ("bytes.0", &b""[..]),
            ("bytes.1", b"two"),
            ("float", b"0.5 -0.0 3.0"),
            ("int64", b"0 -1 9223372036854775807 -9223372036854775808"),
        ]
    );
    assert_eq!(fields(&read[2]), [("a", &b"1"[..]), ("é", "波".as_bytes())]);
    assert_eq!(fields(&read[3]), []);
    assert_eq!(read[3].sample.key, "3");

    let read = read_all(&FIELDS, PYTORCH).unwrap();
    assert_eq!(read.len(), 4);
    for (i, record) in read.iter().enumerate() {
        let ints: Vec<String> = (0..10).map(|n| (100 * i + 10 * n).to_string()).collect();
        let floats: Vec<String> = (0..10).map(|n| format!("{}.0", 10 * i + n)).collect();
        assert_eq!(record.sample.field("x_int"), Some(ints.join(" ").as_bytes()));
        assert_eq!(record.sample.field("x_float"), Some(floats.join(" ").as_bytes()));
        assert_eq!(record.sample.field("x_byte"), Some(&b"test str"[..]));
    }
}

#[test]
fn raw_payloads_and_sequences() {
    let read = read_all(&RAW, HELLO).unwrap();
    assert_eq!(read.len(), 100);
    for (i, record) in read.iter().enumerate() {
        assert_eq!(record.sample.key, i.to_string());
        assert_eq!(fields(record), [("data", format!("hello world {i}").as_bytes())]);
    }
    let read = read_all(&RAW, SEQUENCE).unwrap();
    let sequence = SequenceExample::decode(read[0].sample.field("data").unwrap()).unwrap();
    let frames = &sequence.feature_lists.unwrap().feature_list["frames"];
    assert_eq!(frames.feature.len(), 2);
    for (shard, part) in [(SEQUENCE, "SequenceExample"), (HELLO, "schema raw")] {
        let error = read_all(&FIELDS, shard).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    assert_eq!(read_all(&FIELDS, b"").unwrap(), [], "an empty file is an empty shard");
}

#[test]
fn unpacked_numbers_duplicates_and_strange_messages() {
    // (payload, what a reader must find; none where it must refuse)
    for (payload, want) in [
        ("0a0d0a0b0a01611206 1a04 0805 0807", Some(("a", "5 7"))), // not packed
        ("0a160a090a016112040a020a000a090a016112040a020a00", Some(("a", ""))), // twice: last one
        ("0a050a030a0161", None),                                  // no value: absent
        ("0a090a070a01611202 0a00", Some(("a", ""))),              // empty list
    ] {
        let read = read_all(&FIELDS, &raw(&[&hex(payload)])).unwrap();
        let want: Vec<_> = want.iter().map(|(n, v)| (*n, v.as_bytes())).collect();
        assert_eq!(fields(&read[0]), want, "{payload}");
    }
    for payload in [
        "0a",                                // no length
        "0a05",                              // longer than the message
        "0a070a050a01ff1200",                // a name that is not UTF-8
        "0801",                              // features as a number
        "1a00",                              // no field of Example
        "0a0d0a0b0a01611206 1a04 0805 0d07", // an int64 as 32 bits
        "0a0d0a0b0a016112061a0012020a00",    // two lists, one value too many
        "0a0b0a090a016112041a000a00",        // two lists
    ] {
        let error = read_all(&FIELDS, &raw(&[&hex(payload)])).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{payload}: {error}");
    }
}

#[test]
fn refused_samples() {
    type Refusal = fn(&ErrorKind) -> bool;
    let name: Refusal = |kind| matches!(kind, ErrorKind::Name { .. });
    let bad_label: Refusal = |kind| matches!(kind, ErrorKind::Label { .. });
    let unsupported: Refusal = |kind| matches!(kind, ErrorKind::Unsupported { .. });
    let too_large: Refusal = |kind| matches!(kind, ErrorKind::TooLarge { .. });
    type Case<'a> = (TfRecord, &'a [(&'a str, u64)], Label, Refusal);
    let cases: &[Case<'_>] = &[
        (FIELDS, &[("__key__", 1)], label(&[], None), name),
        (FIELDS, &[("", 1)], label(&[], None), name),
        (FIELDS, &[("a", 1), ("a", 1)], label(&[], None), name),
        (FIELDS, &[("b", 1), ("a", 1)], label(&[], None), name),
        (FIELDS, &[("a", 1)], label(&[f64::NAN], None), bad_label),
        (FIELDS, &[("a", 1 << 31)], label(&[], None), too_large),
        (FIELDS, &[("a", MAX_EXAMPLE)], label(&[], None), too_large),
        (FIELDS, &[("a", 1 << 30), ("b", 1 << 30)], label(&[], None), too_large),
        (FIELDS, &[("a", u64::MAX), ("b", u64::MAX)], label(&[], None), too_large),
        (RAW, &[("a", u64::MAX)], label(&[], None), too_large),
        (IMAGE, &[("txt", 1)], label(&[], None), unsupported),
        (IMAGE, &[("jpg", 1), ("png", 1)], label(&[], None), unsupported),
        (IMAGE, &[("image/x", 1), ("jpg", 1)], label(&[], None), name),
        (IMAGE, &[("jpg", 1)], label(&[0.5], None), bad_label),
        (RAW, &[("a", 1), ("b", 1)], label(&[], None), unsupported),
        (RAW, &[], label(&[], None), unsupported),
        (RAW, &[("a", 1)], label(&[1.0], None), bad_label),
    ];
    for (format, fields, label, refusal) in cases {
        let fields: Vec<_> =
            fields.iter().map(|(name, len)| FieldShape { name, len: *len }).collect();
        let shape = SampleShape { key: "k", id: 0, fields: &fields, label, splits: &[] };
        let error = format.check(&shape).expect_err("a refusal");
        assert!(refusal(error.kind()), "{format:?} {fields:?}: {error}");
    }
    let shape = SampleShape { key: "", id: 0, fields: &[], label: Label::NONE, splits: &[] };
    assert!(FIELDS.check(&shape).is_err());
}

#[test]
fn damage_is_noticed() {
    let sample = Owned::new("a", 0, &[("txt", b"some text")], label(&[3.0, 0.1], None));
    let ours: Vec<u8> = (0..3).flat_map(|_| sample.encode(&FIELDS).unwrap()).collect();
    for (format, shard) in [(FIELDS, &ours[..]), (FIELDS, EXAMPLES), (RAW, HELLO)] {
        cut_at_every_byte(&format, shard);
        assert_eq!(unnoticed_flips(&format, shard), [0; 0]);
    }
}

#[test]
fn hostile_lengths_ask_for_no_memory() {
    for (len, limit) in [(u64::MAX, 1 << 30), (1 << 40, 1 << 30), (1 << 40, u64::MAX)] {
        let mut shard = len.to_le_bytes().to_vec();
        shard.extend(mask(crc32c(&shard)).to_le_bytes());
        shard.extend_from_slice(b"short");
        let options = DecodeOptions { max_record: limit, ..Default::default() };
        let mut record = Record::default();
        let error = RAW.decoder(Box::new(&shard[..]), &options).read(&mut record).unwrap_err();
        match error.kind() {
            ErrorKind::TooLarge { len: stated, .. } if len > limit => assert_eq!(*stated, len),
            ErrorKind::Truncated { .. } if len <= limit => {}
            kind => panic!("{len}: {kind:?}"),
        }
        assert!(record.sample.bytes.capacity() <= 4 << 20, "{len}");
    }
}

#[test]
fn positions_point_at_records() {
    let shard = raw(&[b"foo", b"", b"barbaz"]);
    let mut damaged = shard.clone();
    damaged[19 + 16 + 12] ^= 1;
    let (records, error) = read_from(&RAW, OneByte(&damaged), &DecodeOptions::default());
    assert_eq!(records.len(), 2);
    assert_eq!((records[1].offset, records[1].len), (19, 16));
    assert_eq!(records[1].crc32c, crc32c(&shard[19..35]));
    assert_eq!(records[0].sample.fields[0].offset, Some(12));
    let position = error.unwrap().position().unwrap();
    assert_eq!((position.record, position.offset), (2, 35));
}

prop_compose! {
    fn sample()(
        key in "[a-z/é.]{1,12}",
        fields in prop::collection::btree_map(
            "[a-zA-Zé.]{1,9}",
            prop::collection::vec(any::<u8>(), 0..300),
            0..5,
        ),
        values in prop::collection::vec(
            prop_oneof![any::<i32>().prop_map(f64::from), any::<i64>().prop_map(|v| v as f64),
                any::<f64>().prop_filter("a number", |v| !v.is_nan()), Just(-0.0)], 0..4),
        text in prop::option::of("[a-zé]{0,5}"),
    ) -> Owned {
        Owned { key, id: 0, fields: fields.into_iter().collect(), label: Label { values, text } }
    }
}

/// The message that `sample` must be, by way of prost.
fn oracle(sample: &Owned) -> Vec<u8> {
    let bytes = |value: &[u8]| Kind::BytesList(BytesList { value: vec![value.to_vec().into()] });
    let mut feature: std::collections::BTreeMap<String, Kind> =
        sample.fields.iter().map(|(name, body)| (name.clone(), bytes(body))).collect();
    feature.insert("__key__".into(), bytes(sample.key.as_bytes()));
    let values = &sample.label.values;
    let whole = |v: &f64| {
        let int = i64::try_from(*v as i128);
        int.is_ok_and(|int| (int as f64).to_bits() == v.to_bits())
    };
    if !values.is_empty() {
        feature.insert(
            "__label__".into(),
            if values.iter().all(whole) {
                Kind::Int64List(Int64List { value: values.iter().map(|v| *v as i64).collect() })
            } else {
                Kind::FloatList(FloatList { value: values.iter().map(|v| *v as f32).collect() })
            },
        );
    }
    if !values.iter().all(whole) && values.iter().any(|v| *v as f32 as f64 != *v) {
        let doubles: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        feature.insert("__label_f64__".into(), bytes(&doubles));
    }
    if let Some(text) = &sample.label.text {
        feature.insert("__label_text__".into(), bytes(text.as_bytes()));
    }
    let feature = feature.into_iter().map(|(k, kind)| (k, Feature { kind: Some(kind) })).collect();
    Example { features: Some(Features { feature }) }.encode_to_vec()
}

proptest! {
    #[test]
    fn fields_equal_prost_and_lose_nothing(samples in prop::collection::vec(sample(), 0..4)) {
        let mut shard = Vec::new();
        for sample in &samples {
            let record = sample.encode(&FIELDS).unwrap();
            prop_assert_eq!(&record[12..record.len() - 4], &oracle(sample)[..]);
            shard.extend(record);
        }
        let (read, error) = read_from(&FIELDS, OneByte(&shard), &DecodeOptions::default());
        prop_assert!(error.is_none());
        prop_assert_eq!(&read, &read_all(&FIELDS, &shard).unwrap());
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
    fn lengths_hold_without_bodies(
        len in 0u64..MAX_EXAMPLE,
        other in any::<u32>(),
        schema in 0usize..3,
    ) {
        let schema = [Schema::Fields, Schema::Image, Schema::Raw][schema];
        let label = if schema == Schema::Raw { Label::default() } else { label(&[300.0], None) };
        let txt = FieldShape { name: "txt", len: other.into() };
        let fields = [FieldShape { name: "jpg", len }, txt];
        let fields = if schema == Schema::Raw { &fields[..1] } else { &fields[..] };
        let shape = SampleShape { key: "k", id: 0, fields, label: &label, splits: &[] };
        let mut layout = Layout::default();
        TfRecord::new(schema).layout(&shape, &mut layout);
        prop_assert_eq!(layout.encoded_len(), TfRecord::new(schema).encoded_len(&shape));
    }

    /// Whatever both parsers accept, both understand alike; ours may refuse more, never less.
    #[test]
    fn damaged_payloads_parse_as_in_prost(
        sample in sample(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut payload = oracle(&sample);
        let at = at.index(payload.len());
        payload[at] = byte;
        let shard = raw(&[&payload]);
        if let Ok(read) = read_all(&FIELDS, &shard) {
            let features = Example::decode(&payload[..]).unwrap().features.unwrap_or_default();
            for (name, body) in fields(&read[0]) {
                let kind = features.feature.get(name).and_then(|feature| feature.kind.as_ref());
                if let Some(Kind::BytesList(list)) = kind {
                    prop_assert_eq!(list.value.first().map(|v| &v[..]).unwrap_or_default(), body);
                }
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in [FIELDS, IMAGE, RAW] {
            let _ = read_all(&format, &payload);
            let _ = read_all(&format, &raw(&[&payload]));
        }
    }
}
