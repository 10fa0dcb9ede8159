//! What is written, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::testing::owned;
use crate::{ErrorKind, FieldShape, Format, SampleShape};

/// The block fenced as `hex` in SPEC.md: bytes at offsets, all others zero.
fn worked_example(len: usize) -> Vec<u8> {
    let spec = include_str!("../SPEC.md");
    let block = spec.split("```hex\n").nth(1).and_then(|rest| rest.split("```").next());
    let mut bytes = vec![0; len];
    for line in block.expect("a worked example").lines() {
        let (offset, rest) = line.split_once(':').expect("an offset");
        let offset = usize::from_str_radix(offset, 16).expect("a hex offset");
        let digits = crate::testing::hex(rest.split('|').next().unwrap_or_default());
        bytes[offset..offset + digits.len()].copy_from_slice(&digits);
    }
    bytes
}

#[test]
fn worked_example_of_the_specification() {
    let sample = sample("cats/1", &[("cls", b"7"), ("jpg", b"\xff\xd8\xff\xd9")]);
    let shard = shard(std::slice::from_ref(&sample));
    assert_eq!(shard.len(), 3072);
    assert_eq!(shard, worked_example(3072));
}

/// `tarwriter.tar` was written by the webdataset library with mtime 0. Its last sample has a name
/// beyond ASCII, for which that library adds a PAX header.
#[test]
fn equal_samples_give_the_bytes_of_the_webdataset_library() {
    let golden = testdata("webdataset/golden/tarwriter.tar");
    let records = read(&golden).expect("the library's shard");
    let ours: Vec<Owned> = records.iter().map(|r| owned(&r.sample)).collect();
    let (ascii, other): (Vec<_>, Vec<_>) = ours.into_iter().partition(|s| s.key.is_ascii());
    assert_eq!((ascii.len(), other.len()), (3, 1));
    let ours = shard(&ascii);
    let members = &ours[..ours.len() - 2 * BLOCK];
    assert_eq!(members, &golden[..members.len()]);
}

#[test]
fn names_up_to_the_limits_are_written_and_longer_ones_refused() {
    let k = |n: usize| "k".repeat(n);
    for (key, fits) in [
        (k(96), true),
        (k(97), false),
        (format!("d/{}", k(95)), true),
        (format!("{}/{}", k(155), k(95)), true),
        (format!("{}/{}", k(155), k(96)), true), // 256 bytes with the slash that is not stored
        (format!("{}/{}", k(155), k(97)), false),
        (format!("{}/{}", k(156), k(95)), false),
        (format!("é{}/{}", k(153), k(96)), true),
        (format!("é{}/{}", k(154), k(96)), false),
    ] {
        let sample = sample(&key, &[("jpg", b"x")]);
        match sample.encode(&WebDataset) {
            Ok(bytes) => {
                assert!(fits, "{key}");
                assert_eq!(read(&end(bytes)).expect("its shard")[0].sample.key, key);
            }
            Err(error) => {
                assert!(!fits, "{key}: {error}");
                assert!(matches!(error.kind(), ErrorKind::Name { .. }), "{error}");
            }
        }
    }
}

fn check(key: &str, fields: &[(&str, u64)], label: &Label) -> Result<()> {
    let fields: Vec<_> = fields.iter().map(|(name, len)| FieldShape { name, len: *len }).collect();
    WebDataset.check(&SampleShape { key, id: 0, fields: &fields, label, splits: &[] })
}

#[test]
fn refusals_name_what_to_change() {
    let none = Label::default();
    for (key, fields, name) in [
        ("../a", &[("jpg", 1)][..], "../a"),
        ("a.b", &[("jpg", 1)], "a.b"),
        ("a", &[("JPG", 1)], "a.JPG"),
        ("a", &[("cls", 1), ("__key__", 1)], "a.__key__"),
        ("a", &[("jpg", 1), ("jpg", 1)], "a.jpg"),
        ("a", &[("jpg", 1), ("cls", 1)], "a"),
        ("a", &[], "a"),
    ] {
        match check(key, fields, &none).expect_err(key).kind() {
            ErrorKind::Name { name: refused, .. } => assert_eq!(refused, name),
            other => panic!("{key}: {other:?}"),
        }
    }
    let label = Label { values: vec![1.0], text: None };
    let error = check("a", &[("jpg", 1)], &label).expect_err("a label");
    assert!(matches!(error.kind(), ErrorKind::Label { .. }));

    let most = i64::MAX as u64 - 511;
    assert!(check("a", &[("bin", most)], &none).is_ok());
    let error = check("a", &[("bin", most + 1)], &none).expect_err("2^63");
    assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }) && !error.is_damage());
    assert!(check("a", &[("bin", u64::MAX)], &none).is_err());
}

#[test]
fn large_fields_are_stated_in_full() {
    // The second is what Python's tarfile 3.11 writes for that size in its GNU format.
    for (len, size) in
        [((8 << 30) - 1, b"77777777777\0"), (8 << 30, b"\x80\0\0\0\0\0\0\x02\0\0\0\0")]
    {
        let fields = [FieldShape { name: "bin", len }];
        let sample =
            SampleShape { key: "a", id: 0, fields: &fields, label: Label::NONE, splits: &[] };
        let mut layout = crate::Layout::default();
        WebDataset.layout(&sample, &mut layout);
        assert_eq!(&layout.literals[124..136], size);
        assert_eq!(layout.encoded_len(), 512 + (8 << 30));
        assert_eq!(WebDataset.encoded_len(&sample), 512 + (8 << 30));
    }
}

pub(super) fn any_sample() -> impl Strategy<Value = Owned> {
    let part = "[a-zé0-9_ +-]{0,30}[a-zé0-9]";
    let key = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let field = "[a-zé0-9+]{1,6}(\\.[a-z0-9]{1,4}){0,2}";
    let body = prop_oneof![Just(0), Just(511), Just(512), Just(513), 0usize..3000,]
        .prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
    let fields = prop::collection::btree_map(field, body, 1..5);
    (key, fields)
        .prop_map(|(key, fields)| Owned {
            key,
            id: 0,
            fields: fields.into_iter().collect(),
            label: Label::default(),
        })
        .prop_filter("a key that is written", |s| super::super::name::key_fault(&s.key).is_none())
}

proptest! {
    /// `Owned::encode` holds `encoded_len` and the layout to the bytes as well.
    #[test]
    fn what_is_written_is_read_back(mut samples in prop::collection::vec(any_sample(), 0..6)) {
        // Neighbours with one key are one sample.
        samples.dedup_by(|a, b| a.key == b.key);
        let records = read(&shard(&samples)).expect("a shard of ours");
        prop_assert_eq!(records.len(), samples.len());
        for (record, sample) in records.iter().zip(&samples) {
            let found = owned(&record.sample);
            prop_assert_eq!(&found.key, &sample.key);
            prop_assert_eq!(&found.fields, &sample.fields);
        }
    }

    #[test]
    fn any_accepted_name_is_carried(dirs in "[a-z./]{0,200}", base in "[a-zé_.]{0,110}", field in "[a-zé._]{0,20}") {
        let key = format!("{dirs}{base}");
        let sample = sample(&key, &[(&field, b"body")]);
        if let Ok(bytes) = sample.encode(&WebDataset) {
            let records = read(&end(bytes)).expect("a shard of ours");
            prop_assert_eq!(outline(&records), [format!("{} {}", key, field)]);
        }
    }
}
