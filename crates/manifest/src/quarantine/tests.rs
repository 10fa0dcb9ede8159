use super::*;
use crate::{FieldTotals, Order, RecordFormat, Shard, Sidecar};

/// Two shards of three samples each.
fn manifest(crc64nvme: u64) -> Manifest {
    let mut manifest = Manifest::new(RecordFormat::new("webdataset"), Order::Key);
    for name in ["a", "b"] {
        let shard = Shard {
            path: format!("shards/{name}.tar"),
            split: None,
            samples: 3,
            files: 3,
            body_bytes: 9,
            bytes: 1024,
            stream_bytes: 1024,
            crc64nvme,
            digest: Digest::from_u128(5),
            index: Sidecar::of(format!("index/{name}.index"), b"x"),
            sources: None,
        };
        let totals = FieldTotals { files: 3, bytes: 9 };
        manifest.push(shard, &[("txt".to_owned(), totals)].into()).unwrap();
    }
    manifest
}

fn sample(shard: &str, record: u64) -> Quarantined {
    let (shard, reason) = (format!("shards/{shard}.tar"), "wrong crc32c".to_owned());
    Quarantined { shard, record, key: (record == 1).then(|| "k\"1".into()), reason }
}

fn quarantine() -> Quarantine {
    Quarantine::new(&manifest(7), vec![sample("b", 2), sample("a", 1), sample("b", 2)])
}

#[test]
fn comes_back_sorted_and_once() {
    let bytes = quarantine().to_bytes().unwrap();
    let back = Quarantine::parse(&bytes).unwrap();
    assert_eq!(back, quarantine());
    assert_eq!(back.places(&manifest(7)).unwrap(), [(0, 1), (1, 2)]);
    let text = String::from_utf8(bytes).unwrap();
    let line = "    {\"shard\":\"shards/a.tar\",\"record\":1,\"key\":\"k\\\"1\",\"reason\":\"wrong crc32c\"},\n";
    assert!(text.contains(line), "{text}");
    let empty = Quarantine::new(&manifest(7), vec![]);
    assert_eq!(Quarantine::parse(&empty.to_bytes().unwrap()).unwrap(), empty);
}

#[test]
fn another_dataset_and_samples_that_are_not_there_are_refused() {
    let mut other = manifest(7);
    other.digest = Digest::from_u128(1);
    for (manifest, part) in [(other, "another dataset"), (manifest(8), "other shards")] {
        let error = quarantine().places(&manifest).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    for (sample, part) in [(sample("c", 0), "no shard shards/c.tar"), (sample("b", 3), "record 3")]
    {
        let quarantine = Quarantine::new(&manifest(7), vec![sample]);
        let error = quarantine.places(&manifest(7)).unwrap_err();
        assert!(error.is_damage() && error.to_string().contains(part), "{error}");
        assert!(error.to_string().contains("samples[0]"), "{error}");
    }
}

#[test]
fn damage_to_the_file_is_noticed() {
    let bytes = quarantine().to_bytes().unwrap();
    for end in 0..bytes.len() {
        assert!(Quarantine::parse(&bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        assert!(Quarantine::parse(&damaged).is_err(), "changed at {at}");
    }
    let text = String::from_utf8(bytes).unwrap();
    let later = text.replace("\"version\": 1", "\"version\": 2");
    let error = Quarantine::parse(later.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), &ErrorKind::Version { found: 2, newest: 1 });
    for other in ["", "[]", "{}", "{\"kind\":\"shardpack-dataset\"}"] {
        let error = Quarantine::parse(other.as_bytes()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotThis { .. }), "{other}: {error}");
    }
}

#[test]
fn what_would_be_refused_is_not_written() {
    let mut unsorted = quarantine();
    unsorted.samples.reverse();
    let mut far = quarantine();
    far.samples[0].shard = "../a.tar".into();
    let mut long = quarantine();
    long.samples[0].reason = "x".repeat(MAX_TEXT + 1);
    for wrong in [unsorted, far, long] {
        assert!(wrong.to_bytes().is_err());
    }
}
