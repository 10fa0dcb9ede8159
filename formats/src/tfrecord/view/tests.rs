use proptest::prelude::*;
use prost::Message;
use prost::encoding::{encode_varint, encoded_len_varint};

use super::*;
use crate::testing::{hex, read_all};
use crate::tfrecord::{Example, FeatureList, Features, Kind, SequenceExample, TfRecord};
use crate::{Format, Schema};

/// The payloads of a shard.
fn payloads(shard: &[u8]) -> Vec<Vec<u8>> {
    let records = read_all(&TfRecord::new(Schema::Raw), shard).unwrap();
    records.iter().map(|record| record.sample.field("data").unwrap().to_vec()).collect()
}

/// The column as the golden tables write it: kind and values.
fn told(column: Column<'_>) -> (&'static str, String) {
    let join = |values: Vec<String>| values.join(",");
    match column {
        Column::Bytes(list) => {
            let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
            ("bytes", join(list.iter().map(hex).collect()))
        }
        Column::Floats(list) => ("float", join(list.iter().map(|v| format!("{v:?}")).collect())),
        Column::Ints(list) => ("int64", join(list.iter().map(|v| v.to_string()).collect())),
    }
}

#[test]
fn tensorflows_examples_read_as_its_table_says() {
    let shards: [(&str, &[u8]); 2] = [
        (
            "example.tfrecord",
            include_bytes!("../../../../testdata/tfrecord/golden/example.tfrecord"),
        ),
        (
            "sequence.tfrecord",
            include_bytes!("../../../../testdata/tfrecord/golden/sequence.tfrecord"),
        ),
    ];
    let table = include_str!("../../../../testdata/tfrecord/golden/tensorflow.tsv");
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let Some((_, shard)) = shards.iter().find(|(name, _)| *name == cells[0]) else { continue };
        let payload = &payloads(shard)[cells[1].parse::<usize>().unwrap()];
        let (feature, want) = (cells[2], (cells[3], cells[4].to_owned()));
        let found = match feature.split_once(' ') {
            Some(("context", name)) => {
                told(SequenceView::parse(payload).unwrap().context().get(name).unwrap().unwrap())
            }
            Some(("feature_lists", name)) => {
                let sequence = SequenceView::parse(payload).unwrap();
                let steps = sequence.steps(name).unwrap();
                let steps: Vec<_> = steps.map(|step| told(step.unwrap().unwrap())).collect();
                let values: Vec<_> = steps.iter().map(|(_, values)| values.as_str()).collect();
                (steps[0].0, values.join(";"))
            }
            _ => told(ExampleView::parse(payload).unwrap().get(feature).unwrap().unwrap()),
        };
        assert_eq!((found.0, found.1), (want.0, want.1), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 10);
}

#[test]
fn values_are_borrowed_from_the_payload() {
    let shard = include_bytes!("../../../../testdata/tfrecord/example.tfrecord");
    let payload = &payloads(shard)[1];
    let inside = |part: &[u8]| payload.as_ptr_range().contains(&part.as_ptr());
    let example = ExampleView::parse(payload).unwrap();
    assert_eq!(example.names().collect::<Vec<_>>(), ["x_byte", "x_float", "x_int"]);
    let floats = example.get("x_float").unwrap().unwrap().floats().unwrap();
    let mut copied = [0f32; 10];
    assert!(floats.copy_to(&mut copied) && !floats.copy_to(&mut [0.0; 9]));
    assert_eq!(copied, std::array::from_fn(|i| (10 + i) as f32));
    assert!(inside(floats.as_le_bytes().unwrap()));
    assert_eq!((floats.len(), floats.iter().len(), floats.one()), (10, 10, None));
    let text = example.get("x_byte").unwrap().unwrap().bytes().unwrap();
    assert!(text.one() == Some(b"test str") && inside(text.one().unwrap()));
    let ints = example.get("x_int").unwrap().unwrap();
    assert!(ints.clone().floats().is_none() && ints.clone().bytes().is_none());
    let mut copied = [0i64; 10];
    assert!(ints.ints().unwrap().copy_to(&mut copied));
    assert_eq!(copied[9], 190);
    assert!(example.get("x").unwrap().is_none());
}

#[test]
fn what_protobuf_allows_and_what_it_does_not() {
    // (payload, what the feature "a" is; none where the bytes must be refused)
    type Told = Option<Option<(&'static str, &'static str)>>;
    let cases: [(&str, Told); 13] = [
        ("0a0d0a0b0a01611206 1a04 0805 0807", Some(Some(("int64", "5,7")))), // not packed
        ("0a100a0e0a01611209 1a07 0805 0a01 07 0809", Some(Some(("int64", "5,7,9")))), // both
        ("0a160a090a016112040a020a000a090a016112041a020a00", Some(Some(("int64", "")))), // twice
        ("0a050a030a0161", Some(None)),                                      // no value
        ("0a070a050a01611200", Some(None)),                                  // no list
        ("0a090a070a016112021200", Some(Some(("float", "")))),               // an empty list
        ("0a0d0a0b12061a040a0205070a0161", Some(Some(("int64", "5,7")))),    // value before name
        ("0a110a0f0a0161120a 1a03 0a0105 1a03 0a0107", Some(Some(("int64", "5,7")))), // two pieces
        ("0a120a100a0161 1205 1a030a0105 1204 1a020807", Some(Some(("int64", "5,7")))), // as values
        ("0a0c0a0a0a01611205 1203 0a0100", None),                            // a float of one byte
        ("0a0c0a0a0a01611205 1a03 0a01ff", None), // a varint without an end
        ("0a0c0a0a0a01611205 0a03 0801 00", None), // bytes as a number
        ("0801", None),                           // features as a number
    ];
    for (number, (payload, want)) in cases.into_iter().enumerate() {
        let payload = hex(&payload.replace(' ', ""));
        let read = ExampleView::parse(&payload).and_then(|example| example.get("a"));
        let oracle = Example::decode(&payload[..]);
        match (read, want) {
            (Ok(found), Some(want)) => {
                let want = want.map(|(kind, values)| (kind, values.to_owned()));
                assert!(oracle.is_ok(), "{number}");
                assert_eq!(found.map(told), want, "{number}");
            }
            (Err(error), None) => {
                assert!(oracle.is_err(), "{number}: stricter than prost: {error}");
                assert!(matches!(error.kind(), ErrorKind::Corrupt { .. }), "{number}: {error}");
            }
            (read, want) => panic!("{number}: {read:?}, not {want:?}"),
        }
    }
    let sequence = SequenceExample { context: None, feature_lists: Some(Default::default()) };
    let error = ExampleView::parse(&sequence.encode_to_vec()).unwrap_err();
    assert!(error.to_string().contains("SequenceExample"), "{error}");
    assert!(ExampleView::parse(&[0x1a, 0]).is_err(), "a field that Example does not have");
}

#[test]
fn errors_name_the_feature_and_the_step() {
    let bad = Example::decode(&hex("0a0a0a080a016112031a0108")[..]);
    assert!(bad.is_err());
    let payload = hex("0a0a0a080a016112031a0108");
    let error = ExampleView::parse(&payload).unwrap().get("a").unwrap_err();
    assert!(error.to_string().contains("feature \"a\""), "{error}");
    let payload = hex("120f0a0d0a01611208 0a020a00 0a021a05".replace(' ', "").as_str());
    let sequence = SequenceView::parse(&payload).unwrap();
    let error = sequence.steps("a").unwrap().nth(1).unwrap().unwrap_err();
    assert!(error.to_string().contains("feature \"a\", step 1"), "{error}");
}

#[test]
fn the_payload_of_a_framed_record() {
    let shard = include_bytes!("../../../../testdata/tfrecord/example.tfrecord");
    let format = TfRecord::new(Schema::Fields);
    for record in read_all(&format, shard).unwrap() {
        let framed = &shard[record.offset as usize..][..record.len as usize];
        let payload = format.payload(framed).unwrap();
        assert_eq!(payload, &record.sample.bytes[..record.sample.payload]);
        assert!(format.payload(&framed[..framed.len() - 1]).is_none());
    }
    assert!(format.payload(&[0; 15]).is_none());
}

/// A feature as the table of prost.
fn kind(column: Option<Column<'_>>) -> Option<Kind> {
    let bytes = |v: &[u8]| v.to_vec().into();
    Some(match column? {
        Column::Bytes(list) => {
            assert_eq!(list.len(), list.iter().count());
            Kind::BytesList(crate::tfrecord::BytesList { value: list.iter().map(bytes).collect() })
        }
        Column::Floats(list) => {
            let mut value = vec![0.0; list.len()];
            assert!(list.copy_to(&mut value));
            let bits = |v: &[f32]| v.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&list.iter().collect::<Vec<_>>()), bits(&value));
            Kind::FloatList(crate::tfrecord::FloatList { value })
        }
        Column::Ints(list) => {
            let mut value = vec![0; list.len()];
            assert!(list.copy_to(&mut value) && list.iter().eq(value.iter().copied()));
            Kind::Int64List(crate::tfrecord::Int64List { value })
        }
    })
}

/// All of an example, or an error.
fn all(payload: &[u8]) -> Result<Example> {
    let example = ExampleView::parse(payload)?;
    let feature = |name: &str| -> Result<_> {
        Ok((name.to_owned(), crate::tfrecord::Feature { kind: kind(example.get(name)?) }))
    };
    let feature = example.names().map(feature).collect::<Result<_>>()?;
    Ok(Example { features: Some(Features { feature }) })
}

/// Equal by the bits of floats: NaN is in nobody's way.
fn same(one: &Example, other: &Example) -> bool {
    let features = |example: &Example| example.features.clone().unwrap_or_default();
    Example { features: Some(features(one)) }.encode_to_vec()
        == Example { features: Some(features(other)) }.encode_to_vec()
}

fn span(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![tag << 3 | 2];
    encode_varint(bytes.len() as u64, &mut out);
    assert_eq!(out.len(), 1 + encoded_len_varint(bytes.len() as u64));
    [out, bytes.to_vec()].concat()
}

prop_compose! {
    /// A list message with its kind: values packed, alone, or in several pieces.
    fn list()(
        kind in 1u8..=3,
        values in prop::collection::vec((any::<u64>(), any::<bool>(), "[a-z]{0,3}"), 0..6),
    ) -> Vec<u8> {
        let values = values.iter().flat_map(|(value, alone, text)| {
            let mut varint = Vec::new();
            encode_varint(*value, &mut varint);
            let fixed = (*value as u32).to_le_bytes();
            match (kind, alone) {
                (1, _) => span(1, text.as_bytes()),
                (2, true) => [vec![13], fixed.to_vec()].concat(),
                (2, false) => span(1, &[fixed, fixed].concat()),
                (_, true) => [vec![8], varint].concat(),
                (_, false) => span(1, &[varint.clone(), varint].concat()),
            }
        });
        span(kind, &values.collect::<Vec<u8>>())
    }
}

prop_compose! {
    /// A map entry in any order, its value in pieces, unknown fields between.
    fn entry()(
        name in "[ab]{0,2}",
        features in prop::collection::vec(prop::collection::vec(list(), 0..3), 0..3),
        name_at in any::<prop::sample::Index>(),
        unknown in any::<bool>(),
    ) -> Vec<u8> {
        let mut fields: Vec<_> = features.iter().map(|lists| span(2, &lists.concat())).collect();
        fields.insert(name_at.index(fields.len() + 1), span(1, name.as_bytes()));
        if unknown {
            fields.push(span(9, b"?"));
        }
        span(1, &fields.concat())
    }
}

prop_compose! {
    fn payload()(parts in prop::collection::vec(prop::collection::vec(entry(), 0..4), 0..3)) -> Vec<u8> {
        parts.iter().flat_map(|entries| span(1, &entries.concat())).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    /// Whatever an encoder may write, both parsers find the same in it; what prost writes of that
    /// too.
    #[test]
    fn reads_what_prost_reads(payload in payload()) {
        let oracle = Example::decode(&payload[..]).unwrap();
        prop_assert!(same(&all(&payload).unwrap(), &oracle));
        prop_assert!(same(&all(&oracle.encode_to_vec()).unwrap(), &oracle));
    }

    /// Damaged bytes are refused where prost refuses them, and mean the same where it does not.
    #[test]
    fn damage_is_refused_or_means_the_same(
        mut payload in payload(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        prop_assume!(!payload.is_empty());
        let at = at.index(payload.len());
        match cut {
            true => payload.truncate(at),
            false => payload[at] = byte,
        }
        if let Ok(read) = all(&payload) {
            let oracle = Example::decode(&payload[..]);
            prop_assert!(oracle.is_ok(), "less strict than prost: {oracle:?}");
            prop_assert!(same(&read, &oracle.unwrap()));
        }
    }

    #[test]
    fn sequences_read_as_prost_reads_them(
        context in payload(), steps in prop::collection::vec(prop::collection::vec(list(), 0..3), 0..4),
    ) {
        let steps: Vec<u8> = steps.iter().flat_map(|lists| span(1, &lists.concat())).collect();
        let entry = [span(1, b"frames"), span(2, &steps)].concat();
        let payload = [context, span(2, &span(1, &entry))].concat();
        let oracle = SequenceExample::decode(&payload[..]).unwrap();
        let sequence = SequenceView::parse(&payload).unwrap();
        let found: Vec<_> = sequence.steps("frames").unwrap().map(|step| {
            crate::tfrecord::Feature { kind: kind(step.unwrap()) }
        }).collect();
        let lists = &oracle.feature_lists.unwrap().feature_list["frames"];
        prop_assert_eq!(FeatureList { feature: found }.encode_to_vec(), lists.encode_to_vec());
        prop_assert_eq!(sequence.names().collect::<Vec<_>>(), ["frames"]);
        prop_assert_eq!(
            sequence.context().names().len(),
            oracle.context.unwrap_or_default().feature.len()
        );
    }

    #[test]
    fn arbitrary_bytes_never_panic(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = all(&payload);
        if let Ok(sequence) = SequenceView::parse(&payload) {
            for name in sequence.names() {
                sequence.steps(name).unwrap().for_each(|step| drop(step.map(kind)));
            }
        }
    }
}
