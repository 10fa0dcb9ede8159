//! Reading by the index in small pieces, and what every path does with names and splits.

use shardpack_dataset::{ShardReader, index};
use shardpack_formats::{Label, crc32c, crc64nvme};
use shardpack_manifest::{IndexBuilder, IndexEntry, IndexField, Manifest};
use shardpack_store::{MemoryStore, MemoryTree, Object, PutMode, Store};

use super::runs::{Budget, Runs, Step};
use super::*;
use crate::{Error, Order, PackOptions, Progress, pack};

/// Packs files in order of key.
pub(crate) fn packed(format: &str, files: &[(&str, &[u8])]) -> MemoryStore {
    let options = PackOptions { format: format.into(), order: Order::Key, ..Default::default() };
    let store = MemoryStore::new();
    pack(&MemoryTree::new(files.iter().copied()), &store, &options, &Progress::default())
        .expect("a small dataset");
    store
}

/// A file of `len` bytes that are not all alike.
fn bytes(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

fn whole(object: &dyn Object) -> Vec<u8> {
    let mut bytes = vec![0; object.len() as usize];
    object.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn runs_cover_every_byte_once() {
    let (small, large) = (bytes(700, 1), bytes(5000, 2));
    let files: Vec<(String, &[u8])> = (0..9)
        .map(|i| (format!("{i}.bin"), if i % 4 == 1 { &large[..] } else { &small[..] }))
        .collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), *b)).collect();
    let store = packed("webdataset", &files);
    let dataset = Dataset::open(&store).unwrap();
    let index = index(&dataset, 0).unwrap().unwrap();
    let object = store.open(&dataset.shards()[0].path).unwrap();
    for (run, record) in [(1 << 20, 1 << 20), (4000, 4000), (512, 4000), (512, 512), (1, 1)] {
        let budget = Budget { piece: 1000, run, record };
        let mut runs = Runs::new(&index, ShardReader::new(&*object, 1000), budget);
        let (mut read, mut records, mut large) = (Vec::new(), Vec::new(), 0);
        while let Some(step) = runs.next().unwrap() {
            match step {
                Step::Records { first, end, offset, bytes } => {
                    assert_eq!(offset, read.len() as u64);
                    records.extend(first..end);
                    read.extend_from_slice(bytes);
                }
                Step::Large { record, offset, bytes, last } => {
                    assert_eq!(offset, read.len() as u64);
                    read.extend_from_slice(bytes);
                    large += usize::from(last);
                    records.extend(last.then_some(record));
                }
                Step::Outside { offset, bytes } => {
                    assert_eq!(offset, read.len() as u64);
                    read.extend_from_slice(bytes);
                }
            }
        }
        assert_eq!(records, (0..9).collect::<Vec<_>>(), "{run} {record}");
        assert_eq!(read, whole(&*object), "{run} {record}");
        let over = index.iter().filter(|r| r.len > record as u64).count();
        assert_eq!(large, over, "{run} {record}");
    }
}

#[test]
fn a_stream_that_ends_early_gives_what_is_whole_first() {
    let body = bytes(700, 1);
    let store = packed("webdataset", &[("0.a", &body), ("1.a", &body), ("2.a", &body)]);
    let dataset = Dataset::open(&store).unwrap();
    let index = index(&dataset, 0).unwrap().unwrap();
    let all = whole(&*store.open(&dataset.shards()[0].path).unwrap());
    for cut in 0..all.len() {
        for (run, record) in [(1 << 20, 1 << 20), (600, 2000), (600, 600)] {
            let budget = Budget { piece: 1000, run, record };
            let mut runs = Runs::new(&index, &all[..cut], budget);
            let mut records = 0;
            let error = loop {
                match runs.next() {
                    Ok(Some(Step::Records { end, .. })) => records = end,
                    Ok(Some(Step::Large { record, last, .. })) => {
                        records = record + usize::from(last);
                    }
                    Ok(Some(Step::Outside { .. })) => {}
                    Ok(None) => break None,
                    Err(cut) => break Some(cut),
                }
            };
            let whole = index.iter().filter(|r| r.offset + r.len <= cut as u64).count();
            assert_eq!(records, whole, "cut {cut}, run {run}, record {record}");
            match error {
                Some(end) => assert_eq!((end.record, end.offset), (whole, cut as u64)),
                None => assert_eq!(whole, 3, "cut {cut}"),
            }
        }
    }
}

/// A record that is too large for memory is proved, shown and unpacked in pieces.
#[test]
fn large_records_pass_in_pieces() {
    const MEMORY: u64 = 1 << 20; // records over 256 KiB are large
    let (big, small) = (bytes(900_000, 3), bytes(10, 4));
    for format in ["webdataset", "tfrecord"] {
        let store = packed(format, &[("a.bin", &big), ("a.txt", &small), ("b.txt", &small)]);
        let dataset = Dataset::open(&store).unwrap();
        let options = VerifyOptions { jobs: 1, memory: MEMORY, ..Default::default() };
        let report = verify(&dataset, &options, &Progress::default()).unwrap();
        assert!(report.is_whole(), "{format}: {:?}", report.damage);
        assert_eq!(report.samples, 2);
        assert_eq!(report.digest, dataset.manifest().unwrap().digest.to_string());
        assert!(report.caveats.iter().any(|c| c.ends_with("but not decoded: 1")));

        let mut out = Vec::new();
        cat(&dataset, "a.bin", &mut out, &CatOptions { memory: MEMORY }).unwrap();
        assert!(out == big, "{format}");
        let folder = tempfile::tempdir().unwrap();
        let unpacking =
            UnpackOptions { jobs: 1, memory: MEMORY, durable: false, ..Default::default() };
        let done = unpack(&dataset, folder.path(), &unpacking, &Progress::default()).unwrap();
        assert_eq!((done.samples, done.files, done.file_bytes), (2, 3, 900_020));
        assert!(std::fs::read(folder.path().join("a.bin")).unwrap() == big, "{format}");

        // A byte in the middle of the large body: one row; nothing is unpacked of it.
        let path = dataset.shards()[0].path.clone();
        let mut shard = whole(&*store.open(&path).unwrap());
        shard[500_000] ^= 4;
        store.put(&path, &shard, PutMode::Replace).unwrap();
        let report = verify(&dataset, &options, &Progress::default()).unwrap();
        let rows: Vec<_> = report.damage.iter().map(|d| (d.record, d.key.as_deref())).collect();
        assert_eq!(rows, [(Some(0), Some("a"))], "{format}");
        assert!(report.damage[0].reason.contains("\"bin\""), "{}", report.damage[0]);
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(&dataset, folder.path(), &unpacking, &Progress::default()).unwrap_err();
        assert!(matches!(error, Error::Record { .. }), "{error:?}");
        assert!(!folder.path().join("a.bin").exists());
        let mut out = Vec::new();
        assert!(cat(&dataset, "a.bin", &mut out, &CatOptions { memory: MEMORY }).is_err());
    }
}

#[test]
fn names_of_cat_are_cut_at_the_longest_key() {
    let files: &[(&str, &[u8])] = &[("a.txt", b"1"), ("a.b.txt", b"2"), ("c/d.jpg", b"3")];
    let store = packed("tfrecord", files);
    let dataset = Dataset::open(&store).unwrap();
    let show = |name: &str| {
        let mut out = Vec::new();
        cat(&dataset, name, &mut out, &CatOptions::default())
            .map(|_| String::from_utf8(out).unwrap())
            .map_err(|e| e.to_string())
    };
    assert_eq!(show("a.txt").unwrap(), "1");
    assert_eq!(show("a.b.txt").unwrap(), "2");
    assert_eq!(show("c/d").unwrap(), "3");
    assert_eq!(show("a").unwrap_err(), "sample \"a\" has 2 fields; name one: a.b.txt, a.txt");
    assert_eq!(show("a.png").unwrap_err(), "sample \"a\" has no field \"png\": a.b.txt, a.txt");
    assert_eq!(show("c/e.jpg").unwrap_err(), "no sample \"c/e.jpg\"; nearest: \"c/d\"");
    assert!(show("zzzzzzzzzzzzzzz").unwrap_err().ends_with("\"zzzzzzzzzzzzzzz\""));
}

/// Writes the index of the only shard anew, each entry as `change` makes it, and a manifest that
/// agrees with it: nothing but the shard itself contradicts them.
fn lie(store: &MemoryStore, change: impl Fn(usize, &mut Told)) {
    let old = Dataset::open(store).unwrap();
    let index = index(&old, 0).unwrap().unwrap();
    let mut builder = IndexBuilder::default();
    for (i, record) in index.iter().enumerate() {
        let mut told = Told {
            key: record.key.into(),
            label: record.label.to_label(),
            offset: record.offset,
            len: record.len,
            crc32c: record.crc32c,
            fields: record.fields.clone().map(|f| (f.name.into(), f)).collect(),
        };
        change(i, &mut told);
        let fields: Vec<_> =
            told.fields.iter().map(|(name, f)| IndexField { name, ..*f }).collect();
        let Told { key, label, offset, len, crc32c, .. } = &told;
        let (offset, len, crc32c) = (*offset, *len, *crc32c);
        let entry = IndexEntry { key, id: record.id, label, offset, len, crc32c, fields: &fields };
        builder.push(&entry).unwrap();
    }
    let summary = builder.summary();
    let bytes = builder.finish(index.shard()).unwrap();
    let manifest = old.manifest().unwrap();
    let mut row = manifest.shards[0].clone();
    (row.samples, row.files, row.body_bytes) = (summary.samples, summary.files, summary.body_bytes);
    row.digest = summary.digest;
    row.index.bytes = bytes.len() as u64;
    row.index.crc64nvme = crc64nvme(&bytes);
    let mut new = Manifest::new(manifest.format.clone(), manifest.order);
    (new.plan, new.options) = (manifest.plan, manifest.options.clone());
    new.push(row.clone(), &summary.fields).unwrap();
    store.put(&row.index.path, &bytes, PutMode::Replace).unwrap();
    store.put("manifest.json", &new.to_bytes().unwrap(), PutMode::Replace).unwrap();
}

struct Told<'a> {
    key: String,
    label: Label,
    offset: u64,
    len: u64,
    crc32c: u32,
    fields: Vec<(String, IndexField<'a>)>,
}

#[test]
fn an_index_that_lies_is_found_by_decoding() {
    type Lie = (&'static str, fn(usize, &mut Told<'_>));
    let lies: &[Lie] = &[
        ("key", |i, told| told.key = format!("other{i}")),
        ("no field", |_, told| told.fields[0].0 = "zzz".into()),
        ("field", |_, told| told.fields[0].1.crc32c ^= 1),
        ("field", |_, told| told.fields[0].1.len -= 1),
        ("elsewhere", |_, told| {
            // The same bytes stand twice in each record.
            let other = told.fields[1].1.offset;
            told.fields[0].1.offset = other;
        }),
        ("fields", |_, told| drop(told.fields.pop())),
        ("label", |_, told| told.label.values = vec![7.0]),
    ];
    for format in ["webdataset", "tfrecord", "recordio-protobuf"] {
        for (i, (want, change)) in lies.iter().enumerate() {
            let files: &[(&str, &[u8])] =
                &[("a.t1", b"same"), ("a.t2", b"same"), ("b.t1", b"same"), ("b.t2", b"same")];
            let store = packed(format, files);
            lie(&store, |_, _| ());
            let honest = verify(
                &Dataset::open(&store).unwrap(),
                &VerifyOptions::default(),
                &Progress::default(),
            );
            assert!(honest.unwrap().is_whole(), "{format}");
            lie(&store, |number, told| {
                if number == 1 {
                    change(number, told);
                }
            });
            let dataset = Dataset::open(&store).unwrap();
            let report = verify(&dataset, &VerifyOptions::default(), &Progress::default()).unwrap();
            let [damage] = &report.damage[..] else { panic!("{format} {i}: {report:#?}") };
            assert_eq!((damage.record, report.samples), (Some(1), 1), "{format} {i}");
            assert!(damage.reason.contains(want), "{format} {i}: {damage}");
        }
    }
}

/// Two records told as one: every checksum holds, but the shard has two.
#[test]
fn a_record_that_the_index_hides_is_found() {
    let store = packed("tfrecord", &[("a.txt", b"1"), ("b.txt", b"2"), ("c.txt", b"3")]);
    let shard = Dataset::open(&store).unwrap().shards()[0].path.clone();
    let bytes = whole(&*store.open(&shard).unwrap());
    lie(&store, |number, told| {
        if number == 1 {
            // Ends where the file ends; the third record then has no room, so it is empty.
            told.len = bytes.len() as u64 - told.offset;
            told.crc32c = crc32c(&bytes[told.offset as usize..]);
        }
        if number == 2 {
            (told.offset, told.len, told.crc32c) = (bytes.len() as u64, 0, 0);
            told.fields.clear();
        }
    });
    let dataset = Dataset::open(&store).unwrap();
    let report = verify(&dataset, &VerifyOptions::default(), &Progress::default()).unwrap();
    let records: Vec<_> = report.damage.iter().map(|d| d.record).collect();
    assert_eq!(records, [Some(1), Some(2)], "{:#?}", report.damage);
}
