use proptest::prelude::*;
use shardpack_formats::{Compression, Label, crc32c};

use super::*;
use crate::{ErrorKind, FieldTotals, SampleHasher};

fn shard(stream_bytes: u64) -> ShardFile {
    ShardFile {
        format: "webdataset".into(),
        compression: Compression::None,
        stream_bytes,
        bytes: stream_bytes,
        crc64nvme: 0x0123_4567_89ab_cdef,
    }
}

fn field(name: &str, offset: Option<u64>, len: u64) -> IndexField<'_> {
    IndexField { name, offset, len, crc32c: 0xe306_9283 }
}

/// Two samples, one with a label; a field that was split; a key that sorts before its predecessor.
fn example() -> Vec<u8> {
    let label = Label { values: vec![1.0], text: Some("cat".into()) };
    let mut builder = IndexBuilder::default();
    builder
        .push(&IndexEntry {
            key: "cat/2",
            id: 7,
            label: &label,
            offset: 0,
            len: 2048,
            crc32c: 0x1111_1111,
            fields: &[field("jpg", Some(512), 9), field("txt", Some(1536), 3)],
        })
        .unwrap();
    builder
        .push(&IndexEntry {
            key: "cat/1",
            id: 8,
            label: Label::NONE,
            offset: 2048,
            len: 1024,
            crc32c: 0x2222_2222,
            fields: &[field("jpg", None, 5)],
        })
        .unwrap();
    builder.finish(&shard(4096)).unwrap()
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The bytes as SPEC.md writes them down.
fn spec_bytes() -> String {
    let spec = include_str!("SPEC.md");
    let block = spec.split("```hex").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    block
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(|line| line.split_whitespace())
        .collect()
}

#[test]
fn the_example_of_the_specification() {
    assert_eq!(hex_of(&example()), spec_bytes());
}

#[test]
fn everything_comes_back_and_keys_are_found() {
    let bytes = example();
    let index = Index::parse(&bytes[..]).unwrap();
    assert_eq!((index.len(), index.shard()), (2, &shard(4096)));
    let two = index.get(0).unwrap();
    assert_eq!(
        (two.key, two.id, two.offset, two.len, two.crc32c),
        ("cat/2", 7, 0, 2048, 0x1111_1111)
    );
    assert_eq!(two.label.values().collect::<Vec<_>>(), [1.0]);
    assert_eq!(two.label.text(), Some("cat"));
    assert_eq!(two.fields.len(), 2);
    assert_eq!(
        two.fields.collect::<Vec<_>>(),
        [field("jpg", Some(512), 9), field("txt", Some(1536), 3)]
    );
    let one = index.find("cat/1").unwrap();
    assert!(one.label.is_empty());
    assert_eq!(one.fields.collect::<Vec<_>>(), [field("jpg", None, 5)]);
    for missing in ["", "cat", "cat/0", "cat/11", "cat/3"] {
        assert!(index.find(missing).is_none(), "{missing}");
    }
    assert!(index.get(2).is_none() && index.get(usize::MAX).is_none());
}

#[test]
fn digest_and_sums_are_those_of_the_samples() {
    let bytes = example();
    let index = Index::parse(bytes).unwrap();
    let mut hasher = SampleHasher::default();
    assert_eq!(
        index.iter().map(|r| hasher.digest_record(&r)).sum::<crate::Digest>(),
        index.digest()
    );
    let summary = index.summary();
    assert_eq!((summary.samples, summary.files, summary.body_bytes), (2, 3, 17));
    assert_eq!(summary.fields["jpg"], FieldTotals { files: 2, bytes: 14 });
    assert_eq!(summary.fields["txt"], FieldTotals { files: 1, bytes: 3 });
}

#[test]
fn small_and_large_shards_cost_what_the_specification_says() {
    let size = |stream_bytes| {
        let mut builder = IndexBuilder::default();
        let jpg = [field("jpg", Some(512), 9)];
        let entry = |offset| IndexEntry {
            key: "k",
            id: 0,
            label: Label::NONE,
            offset,
            len: 1024,
            crc32c: 0,
            fields: &jpg,
        };
        builder.push(&entry(0)).unwrap();
        let one = builder.summary();
        let bytes = builder.finish(&shard(stream_bytes)).unwrap();
        assert_eq!(Index::parse(&bytes[..]).unwrap().summary(), one);
        bytes.len()
    };
    let fixed = HEADER as usize + 4 + ("jpg".len() + 4) + "k".len();
    assert_eq!(size(u64::from(u32::MAX) - 1), fixed + 52);
    assert_eq!(size(u64::from(u32::MAX)), fixed + 68);
}

#[test]
fn wrong_sums_of_the_caller_are_refused() {
    let entry = |offset, len, fields| IndexEntry {
        key: "k",
        id: 0,
        label: Label::NONE,
        offset,
        len,
        crc32c: 0,
        fields,
    };
    let before = [field("a", Some(9), 1)];
    let behind = [field("a", Some(14), 2)];
    let cases: [(IndexEntry<'_>, &str); 4] = [
        (entry(9, 5, &[]), "overlaps"),
        (entry(10, 5, &before), "before the record"),
        (entry(10, 5, &behind), "behind the record"),
        (entry(u64::MAX, 5, &[]), "overflows"),
    ];
    for (bad, why) in cases {
        let mut builder = IndexBuilder::default();
        builder.push(&entry(0, 10, &[])).unwrap();
        assert!(builder.push(&bad).is_err(), "{why}");
        assert_eq!(builder.len(), 1);
        assert!(Index::parse(builder.finish(&shard(10)).unwrap()).is_ok(), "{why}");
    }
    let mut builder = IndexBuilder::default();
    builder.push(&entry(0, 10, &[])).unwrap();
    assert!(builder.finish(&shard(9)).is_err());
    for format in ["", "a b", "caf\u{e9}", "a-name-of-twenty-five-byte"] {
        let shard = ShardFile { format: format.into(), ..shard(0) };
        assert!(IndexBuilder::default().finish(&shard).is_err(), "{format}");
    }
}

#[test]
fn every_cut_is_an_error() {
    let bytes = example();
    for len in 0..bytes.len() {
        let error = Index::parse(&bytes[..len]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "{len}: {error}");
    }
    let longer = [&bytes[..], b"\0"].concat();
    assert!(matches!(Index::parse(longer).unwrap_err().kind(), ErrorKind::Corrupt { .. }));
}

#[test]
fn every_flipped_bit_is_an_error() {
    let bytes = example();
    for bit in 0..8 * bytes.len() {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Index::parse(damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn the_first_bytes_tell_what_is_wrong() {
    let kind = |at: usize, value: u8| {
        let mut bytes = example();
        bytes[at] = value;
        Index::parse(bytes).unwrap_err().kind().clone()
    };
    assert!(matches!(kind(0, b'P'), ErrorKind::NotThis { .. }));
    assert_eq!(kind(8, 2), ErrorKind::Version { found: 2, newest: 1 });
    assert!(matches!(kind(10, 5), ErrorKind::Corrupt { .. }));
    assert!(matches!(kind(11, 9), ErrorKind::Unsupported { .. }));
    assert!(matches!(kind(236, 0xff), ErrorKind::Corrupt { .. }));
}

/// Asks everything that can be asked.
fn read_all(index: &Index<'_>) {
    for record in index.iter() {
        let _ = (record.label.to_label(), index.find(record.key));
        assert!(record.offset + record.len <= index.shard().stream_bytes);
        for field in record.fields {
            let end = field.offset.map_or(0, |offset| offset + field.len);
            assert!(end <= record.offset + record.len);
        }
    }
    let _ = index.summary();
}

/// Damage that hides behind a right checksum: the structure must hold on its own.
fn reseal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    let crc = crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn resealed_damage_never_panics() {
    let bytes = example();
    let mut refused = 0;
    for at in 0..bytes.len() - 4 {
        for value in [0, 1, 3, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            reseal(&mut damaged);
            match Index::parse(damaged) {
                Ok(index) => read_all(&index),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 500, "{refused}");
}

type Row = (String, u64, u64, u32, Vec<f64>, Option<String>, Vec<(String, Option<u64>, u64, u32)>);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let field = ("[a-z.]{0,6}", prop::option::of(0u64..40), 0u64..60, any::<u32>());
    let row = (
        "[a-c/\u{e9}]{0,4}",
        any::<u64>(),
        0u64..50,
        any::<u32>(),
        prop::collection::vec(-5i32..5, 0..3).prop_map(|v| v.into_iter().map(f64::from).collect()),
        prop::option::of("[a-b]{0,2}"),
        prop::collection::vec(field, 0..4),
    );
    prop::collection::vec(row, 0..30)
}

proptest! {
    #[test]
    fn round_trip(rows in rows(), wide in any::<bool>(), gzip in any::<bool>()) {
        let mut builder = IndexBuilder::default();
        let mut offset = 0;
        let mut want = Vec::new();
        for (key, id, gap, crc32c, values, text, fields) in &rows {
            let label = Label { values: values.clone(), text: text.clone() };
            offset += gap;
            let fields: Vec<_> = fields.iter().map(|(name, at, len, crc32c)| IndexField {
                name, offset: at.map(|at| offset + at), len: *len, crc32c: *crc32c,
            }).collect();
            let entry = IndexEntry { key, id: *id, label: &label, offset, len: 100, crc32c: *crc32c, fields: &fields };
            builder.push(&entry).unwrap();
            want.push((key.as_str(), *id, label, offset, *crc32c, fields));
            offset += 100;
        }
        let shard = ShardFile {
            compression: if gzip { Compression::Gzip } else { Compression::None },
            bytes: 77,
            ..shard(offset + if wide { 1 << 40 } else { 0 })
        };
        let summary = builder.summary();
        let bytes = builder.finish(&shard).unwrap();
        let index = Index::parse(&bytes[..]).unwrap();
        prop_assert_eq!(index.shard(), &shard);
        prop_assert_eq!(index.summary(), summary);
        prop_assert_eq!(index.len(), want.len());
        for (i, (key, id, label, offset, crc32c, fields)) in want.iter().enumerate() {
            let got = index.get(i).unwrap();
            prop_assert_eq!((got.key, got.id, got.offset, got.len, got.crc32c), (*key, *id, *offset, 100, *crc32c));
            prop_assert_eq!(&got.label.to_label(), label);
            prop_assert_eq!(&got.fields.collect::<Vec<_>>(), fields);
            let first = want.iter().position(|w| w.0 == *key);
            prop_assert_eq!(index.position(key), first);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..400), prefix in 0usize..104) {
        prop_assert!(Index::parse(&bytes[..]).is_err());
        let example = example();
        let n = prefix.min(bytes.len());
        bytes[..n].copy_from_slice(&example[..n]);
        prop_assert!(Index::parse(&bytes[..]).is_err());
    }

    #[test]
    fn resealed_bytes_never_panic(edits in prop::collection::vec((0usize..1000, any::<u8>()), 1..6)) {
        let mut bytes = example();
        let len = bytes.len() - 4;
        for (at, value) in edits {
            bytes[at % len] = value;
        }
        reseal(&mut bytes);
        if let Ok(index) = Index::parse(bytes) {
            read_all(&index);
        }
    }
}
