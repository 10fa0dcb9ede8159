use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::recordio_protobuf::{Kind, RecordIoProtobuf, RecordMessage};
use crate::testing::{hex, read_all};

/// Values, keys and shape as the golden table writes them.
fn told(tensor: &Tensor<'_>) -> [String; 4] {
    fn join(values: impl Iterator<Item = String>) -> String {
        values.collect::<Vec<_>>().join(",")
    }
    let (kind, values) = match &tensor.values {
        Values::Float32(numbers) => ("float32", join(numbers.iter().map(|v| format!("{v:?}")))),
        Values::Float64(numbers) => ("float64", join(numbers.iter().map(|v| format!("{v:?}")))),
        Values::Int32(numbers) => ("int32", join(numbers.iter().map(|v| v.to_string()))),
        Values::Bytes(_) => ("bytes", String::new()),
    };
    let text = |numbers: &Numbers<'_, u64>| join(numbers.iter().map(|v| v.to_string()));
    [kind.to_owned(), values, text(&tensor.keys), text(&tensor.shape)]
}

#[test]
fn records_of_the_sdk_read_as_its_table_says() {
    let shards: [(&str, &[u8]); 5] = [
        (
            "dense-f32.pbr",
            include_bytes!("../../../../testdata/recordio-protobuf/golden/dense-f32.pbr"),
        ),
        (
            "dense-f64.pbr",
            include_bytes!("../../../../testdata/recordio-protobuf/golden/dense-f64.pbr"),
        ),
        (
            "dense-int.pbr",
            include_bytes!("../../../../testdata/recordio-protobuf/golden/dense-int.pbr"),
        ),
        (
            "sparse-f32.pbr",
            include_bytes!("../../../../testdata/recordio-protobuf/golden/sparse-f32.pbr"),
        ),
        ("magic.pbr", include_bytes!("../../../../testdata/recordio-protobuf/golden/magic.pbr")),
    ];
    let table = include_str!("../../../../testdata/recordio-protobuf/golden/sagemaker.tsv");
    let mut rows = 0;
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let cells: Vec<&str> = line.split('\t').collect();
        let (_, shard) = shards.iter().find(|(name, _)| *name == cells[0]).unwrap();
        let records = read_all(&RecordIoProtobuf::new(false), shard).unwrap();
        let sample = &records[cells[1].parse::<usize>().unwrap()].sample;
        let record = RecordView::parse(&sample.bytes[..sample.payload]).unwrap();
        let tensor = match cells[2] {
            "label" => record.label("values").unwrap().unwrap(),
            _ => record.feature("values").unwrap().unwrap(),
        };
        let mut want = cells[3..].iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        want.resize(4, String::new());
        match cells[0] {
            // Python writes the same numbers with other digits.
            "magic.pbr" | "dense-f64.pbr" => assert_eq!(tensor.keys.len() + tensor.shape.len(), 0),
            _ => assert_eq!(told(&tensor).to_vec(), want, "{line}"),
        }
        rows += 1;
    }
    assert_eq!(rows, 12);
}

/// A record as prost's message, by way of the view.
fn all(payload: &[u8]) -> Result<RecordMessage> {
    use crate::recordio_protobuf as message;
    let record = RecordView::parse(payload)?;
    let value = |tensor: Option<Tensor<'_>>| {
        let kind = tensor.map(|tensor| {
            let (keys, shape) = (tensor.keys.iter().collect(), tensor.shape.iter().collect());
            match tensor.values {
                Values::Float32(v) => Kind::Float32Tensor(message::Float32Tensor {
                    values: v.iter().collect(),
                    keys,
                    shape,
                }),
                Values::Float64(v) => Kind::Float64Tensor(message::Float64Tensor {
                    values: v.iter().collect(),
                    keys,
                    shape,
                }),
                Values::Int32(v) => Kind::Int32Tensor(message::Int32Tensor {
                    values: v.iter().collect(),
                    keys,
                    shape,
                }),
                Values::Bytes(v) => Kind::Bytes(message::BytesValue {
                    value: v.iter().map(|v| v.to_vec().into()).collect(),
                    content_type: None,
                }),
            }
        });
        message::Value { kind }
    };
    let mut all = RecordMessage::default();
    for name in record.features() {
        all.features.insert(name.into(), value(record.feature(name)?));
    }
    for name in record.labels() {
        all.label.insert(name.into(), value(record.label(name)?));
    }
    Ok(all)
}

/// What the view has of a message.
fn bare(message: &RecordMessage) -> RecordMessage {
    let mut bare = RecordMessage {
        features: message.features.clone(),
        label: message.label.clone(),
        ..Default::default()
    };
    for value in bare.features.values_mut().chain(bare.label.values_mut()) {
        if let Some(Kind::Bytes(bytes)) = &mut value.kind {
            bytes.content_type = None;
        }
    }
    bare
}

prop_compose! {
    fn message()(
        values in prop::collection::vec(("[ab]{1,2}", any::<bool>(), 0u8..5, prop::collection::vec(any::<i32>(), 0..4), any::<bool>()), 0..5),
        uid in prop::option::of("[a-z]{0,3}"),
    ) -> RecordMessage {
        use crate::recordio_protobuf as message;
        let mut record = RecordMessage { uid, ..Default::default() };
        for (name, is_label, kind, numbers, sparse) in values {
            let keys: Vec<u64> = if sparse { numbers.iter().map(|v| *v as u64).collect() } else { vec![] };
            let shape = keys.clone();
            let kind = match kind {
                0 => None,
                1 => Some(Kind::Float32Tensor(message::Float32Tensor { values: numbers.iter().map(|v| *v as f32).collect(), keys, shape })),
                2 => Some(Kind::Float64Tensor(message::Float64Tensor { values: numbers.iter().map(|v| f64::from(*v)).collect(), keys, shape })),
                3 => Some(Kind::Int32Tensor(message::Int32Tensor { values: numbers, keys, shape })),
                _ => Some(Kind::Bytes(message::BytesValue {
                    value: numbers.iter().map(|v| v.to_le_bytes().to_vec().into()).collect(),
                    content_type: sparse.then(|| "image/png".into()),
                })),
            };
            let map = if is_label { &mut record.label } else { &mut record.features };
            map.insert(name, message::Value { kind });
        }
        record
    }
}

proptest! {
    #[test]
    fn reads_what_prost_writes(message in message()) {
        let read = all(&message.encode_to_vec()).unwrap();
        prop_assert_eq!(read.encode_to_vec(), bare(&message).encode_to_vec());
    }

    #[test]
    fn damage_is_refused_or_means_the_same(
        message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut payload = message.encode_to_vec();
        prop_assume!(!payload.is_empty());
        let at = at.index(payload.len());
        payload[at] = byte;
        if let Ok(read) = all(&payload) {
            let oracle = RecordMessage::decode(&payload[..]);
            prop_assert!(oracle.is_ok(), "less strict than prost: {oracle:?}");
            prop_assert_eq!(read.encode_to_vec(), bare(&oracle.unwrap()).encode_to_vec());
        }
    }
}

#[test]
fn errors_name_what_is_wrong() {
    for (payload, part) in [
        ("08", "no aialgs.data.Record"),
        ("3200", "it has a field 6"),
        ("1a01ff", "a string is not UTF-8"),
        ("0a0a0a016112051203 0a0100", "feature \"a\": a number in a list is cut off"),
        ("120a0a016112051203 0a0100", "label \"a\": a number in a list is cut off"),
    ] {
        let payload = hex(&payload.replace(' ', ""));
        let read = RecordView::parse(&payload)
            .and_then(|record| Ok((record.feature("a")?.is_some(), record.label("a")?.is_some())));
        let error = read.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
