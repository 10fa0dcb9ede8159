//! Shards cut at every byte and with bits flipped in every byte, with a manifest and without.

use std::fs;
use std::path::{Path, PathBuf};

use shardpack_formats::{Compression, FormatOptions, Schema};
use shardpack_manifest::Index;
use shardpack_pack::{
    AdoptOptions, Dataset, ForeignOptions, LsOptions, Order, PackOptions, Progress, VerifyOptions,
    VerifyReport, adopt, ls, pack, unpack, verify,
};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};

/// A dataset of one shard, and the bytes that can be damaged.
pub(crate) struct Packed {
    pub(crate) store: MemoryStore,
    pub(crate) shard: String,
    pub(crate) bytes: Vec<u8>,
    /// First and last byte of each record in the uncompressed shard.
    pub(crate) records: Vec<(u64, u64)>,
}

pub(crate) fn options(format: &str, schema: Schema, compression: Compression) -> PackOptions {
    let mut format_options = FormatOptions::default();
    format_options.schema = schema;
    let order = Order::Key;
    PackOptions { format: format.into(), format_options, compression, order, ..Default::default() }
}

/// Every format with every schema and compression that packs, and files for it.
pub(crate) fn kinds() -> Vec<(PackOptions, MemoryTree)> {
    let one: Vec<(String, Vec<u8>)> = (0..5).map(|i| (format!("d/{i}.jpg"), body(i))).collect();
    let mut more = one.clone();
    more.extend((0..5).map(|i| (format!("d/{i}.seg.txt"), vec![b'0' + i; i as usize])));
    let (one, more) = (MemoryTree::new(one), MemoryTree::new(more));
    let (fields, none) = (Schema::Fields, Compression::None);
    vec![
        (options("webdataset", fields, none), more.clone()),
        (options("webdataset", fields, Compression::Gzip), more.clone()),
        (options("webdataset", fields, Compression::Zstd), more.clone()),
        (options("tfrecord", fields, none), more.clone()),
        (options("tfrecord", fields, Compression::Gzip), more.clone()),
        (options("tfrecord", fields, Compression::Zlib), more.clone()),
        (options("tfrecord", Schema::Image, none), one.clone()),
        (options("tfrecord", Schema::Raw, none), one.clone()),
        (options("recordio", fields, none), one),
        (options("recordio-protobuf", fields, none), more),
    ]
}

/// Some bytes; the third body has the magic at which RecordIO splits, aligned or not.
fn body(i: u8) -> Vec<u8> {
    let mut body: Vec<u8> = (0..40 + 7 * i).map(|b| b.wrapping_mul(37) ^ i).collect();
    if i == 2 {
        for at in [3, 8, 12, 29] {
            body[at..at + 4].copy_from_slice(&0xced7_230a_u32.to_le_bytes());
        }
    }
    body
}

impl Packed {
    pub(crate) fn new(files: &MemoryTree, options: &PackOptions) -> Self {
        let store = MemoryStore::new();
        pack(files, &store, options, &Progress::default()).expect("small files");
        let dataset = Dataset::open(&store).expect("what was packed");
        let shard = &dataset.manifest().expect("a manifest").shards[0];
        let index = Index::parse(read(&store, &shard.index.path)).expect("an index");
        let records = index.iter().map(|r| (r.offset, r.offset + r.len)).collect();
        let (shard, bytes) = (shard.path.clone(), read(&store, &shard.path));
        drop(index);
        Self { shard, bytes, records, store }
    }

    /// Verifies with other bytes in the shard's place.
    fn with(&self, bytes: &[u8]) -> VerifyReport {
        self.store.put(&self.shard, bytes, PutMode::Replace).expect("memory");
        check(&Dataset::open(&self.store).expect("the manifest is whole"))
    }

    /// Number of the record that holds a byte.
    fn record_at(&self, at: u64) -> Option<u64> {
        let holds = |(start, end): &(u64, u64)| *start <= at && at < *end;
        self.records.iter().position(holds).map(|i| i as u64)
    }
}

pub(crate) fn check(dataset: &Dataset<'_>) -> VerifyReport {
    let options = VerifyOptions { jobs: 1, memory: 1 << 20, ..Default::default() };
    verify(dataset, &options, &Progress::default()).expect("damage is no error")
}

pub(crate) fn read(store: &MemoryStore, key: &str) -> Vec<u8> {
    let object = store.open(key).expect("an object");
    let mut bytes = vec![0; object.len() as usize];
    object.read_at(0, &mut bytes).expect("memory");
    bytes
}

#[test]
fn whole_datasets_are_whole() {
    for (options, files) in kinds() {
        let packed = Packed::new(&files, &options);
        let report = packed.with(&packed.bytes);
        assert!(report.is_whole(), "{options:?}: {:#?}", report);
        assert_eq!((report.samples, report.shards), (5, 1), "{options:?}");
        assert_eq!(report.caveats, Vec::<String>::new());
    }
}

#[test]
fn a_cut_anywhere_is_named() {
    for (options, files) in kinds() {
        let packed = Packed::new(&files, &options);
        for cut in 0..packed.bytes.len() {
            let report = packed.with(&packed.bytes[..cut]);
            let name = || format!("{} {:?} cut at {cut}", options.format, options.compression);
            assert!(!report.is_whole(), "{}", name());
            let [damage] = &report.damage[..] else { panic!("{}: {:#?}", name(), report.damage) };
            assert_eq!(damage.shard, packed.shard);
            assert!(damage.offset.is_some(), "{}: {damage}", name());
            if options.compression == Compression::None {
                assert_eq!(damage.record, packed.record_at(cut as u64), "{}: {damage}", name());
                let whole = packed.records.iter().filter(|r| r.1 <= cut as u64).count();
                assert_eq!(report.samples, whole as u64, "{}", name());
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_named() {
    for (options, files) in kinds() {
        let packed = Packed::new(&files, &options);
        let all = packed.bytes.len() < 2000;
        for at in 0..packed.bytes.len() {
            for bit in (0..8).filter(|bit| all || *bit == at % 8) {
                let mut bytes = packed.bytes.clone();
                bytes[at] ^= 1 << bit;
                let report = packed.with(&bytes);
                let name =
                    || format!("{} {:?} bit {bit} of {at}", options.format, options.compression);
                assert!(!report.is_whole(), "{}", name());
                assert!(report.damage.iter().all(|d| d.shard == packed.shard), "{}", name());
                if options.compression == Compression::None {
                    let [damage] = &report.damage[..] else {
                        panic!("{}: {:#?}", name(), report.damage)
                    };
                    let record = packed.record_at(at as u64);
                    assert_eq!(damage.record, record, "{}: {damage}", name());
                    let start = record.map_or(at as u64, |r| packed.records[r as usize].0);
                    assert_eq!(damage.offset, Some(start), "{}: {damage}", name());
                    assert_eq!(report.samples, 5 - u64::from(record.is_some()), "{}", name());
                }
            }
        }
    }
}

#[test]
fn k_damaged_records_are_exactly_those() {
    for (options, files) in kinds().into_iter().filter(|(o, _)| o.compression == Compression::None)
    {
        let packed = Packed::new(&files, &options);
        for set in 0u32..1 << packed.records.len() {
            let hit = |i: &usize| set & (1 << i) != 0;
            let damaged: Vec<_> = (0..packed.records.len()).filter(hit).collect();
            let mut bytes = packed.bytes.clone();
            for &i in &damaged {
                let (start, end) = packed.records[i];
                bytes[((start + end) / 2) as usize] ^= 0x10;
            }
            let report = packed.with(&bytes);
            let found: Vec<_> = report.damage.iter().filter_map(|d| d.record).collect();
            assert_eq!(found, damaged.iter().map(|i| *i as u64).collect::<Vec<_>>());
            assert_eq!(report.damage.len(), damaged.len(), "{:#?}", report.damage);
            let keys: Vec<_> = report.damage.iter().filter_map(|d| d.key.clone()).collect();
            assert_eq!(keys, damaged.iter().map(|i| format!("d/{i}")).collect::<Vec<_>>());
            assert_eq!(report.samples, (packed.records.len() - damaged.len()) as u64);
            assert_eq!(report.is_whole(), damaged.is_empty());
        }
    }
}

#[test]
fn a_damaged_index_is_named_and_the_shard_is_proved_without_it() {
    for (options, files) in kinds() {
        let packed = Packed::new(&files, &options);
        let path =
            format!("index/{}.index", packed.shard.strip_prefix("shards/").expect("a shard"));
        let index = read(&packed.store, &path);
        let with = |bytes: &[u8], what: String| {
            packed.store.put(&path, bytes, PutMode::Replace).expect("memory");
            let report = check(&Dataset::open(&packed.store).expect("the manifest is whole"));
            let [damage] = &report.damage[..] else { panic!("{what}: {:#?}", report.damage) };
            assert_eq!(damage.shard, path, "{what}");
            assert_eq!(report.samples, 5, "{what}");
        };
        for at in 0..index.len() {
            let mut bytes = index.clone();
            bytes[at] ^= 1 << (at % 8);
            with(&bytes, format!("flip at {at}"));
            with(&index[..at], format!("cut at {at}"));
        }
    }
}

/// Without the names of the files nothing is unpacked or compared, and nothing of the shard is lost.
#[test]
fn a_damaged_list_of_names_is_named_and_not_used() {
    let files = MemoryTree::new([("d/1.JPG", "one"), ("d/2.jpg", "two"), ("d/3.Txt", "three")]);
    let packed = Packed::new(&files, &kinds().swap_remove(0).0);
    let path = format!("index/{}.sources", packed.shard.strip_prefix("shards/").expect("a shard"));
    let names = read(&packed.store, &path);
    assert_eq!(names, b"[0,\"jpg\",\"d/1.JPG\"]\n[2,\"txt\",\"d/3.Txt\"]\n");
    let wrong = |what: &str| {
        let dataset = Dataset::open(&packed.store).expect("the manifest is whole");
        let quick = VerifyOptions { quick: true, ..Default::default() };
        for options in [VerifyOptions::default(), quick] {
            let report = verify(&dataset, &options, &Progress::default()).expect("a report");
            let [damage] = &report.damage[..] else { panic!("{what}: {:#?}", report.damage) };
            assert_eq!((damage.shard.as_str(), report.samples), (&*path, 3), "{what}");
            assert!(damage.reason.contains(&packed.shard), "{what}: {damage}");
        }
        let against = VerifyOptions { against: Some(&files), ..Default::default() };
        let report = verify(&dataset, &against, &Progress::default()).expect("a report");
        assert!(report.against.is_none() && report.damage.len() == 1, "{what}: {report:#?}");
        let [caveat] = &report.caveats[..] else { panic!("{what}: {:?}", report.caveats) };
        assert!(caveat.starts_with("not compared") && caveat.contains(&path), "{caveat}");
        let out = tempfile::tempdir().expect("a folder");
        let error = unpack(&dataset, out.path(), &Default::default(), &Progress::default());
        let error = error.map(drop).expect_err(what).to_string();
        assert!(error.contains(&path), "{what}: {error}");
        assert_eq!(fs::read_dir(out.path()).expect("a folder").count(), 0, "{what}");
    };
    for at in 0..names.len() {
        packed.store.put(&path, &names[..at], PutMode::Replace).expect("memory");
        wrong(&format!("cut at {at}"));
        for bit in 0..8 {
            let mut bytes = names.clone();
            bytes[at] ^= 1 << bit;
            packed.store.put(&path, &bytes, PutMode::Replace).expect("memory");
            wrong(&format!("bit {bit} of {at}"));
        }
    }
    packed.store.remove(&path).expect("memory");
    wrong("missing");
    packed.store.put(&path, &names, PutMode::Create).expect("memory");
    assert!(packed.with(&packed.bytes).is_whole());
}

#[test]
fn a_damaged_manifest_opens_no_dataset() {
    let (options, files) = kinds().swap_remove(0);
    let packed = Packed::new(&files, &options);
    let manifest = read(&packed.store, "manifest.json");
    for at in 0..manifest.len() {
        let mut flipped = manifest.clone();
        for bit in 0..8 {
            flipped[at] ^= 1 << bit;
            packed.store.put("manifest.json", &flipped, PutMode::Replace).expect("memory");
            assert!(Dataset::open(&packed.store).is_err(), "bit {bit} of {at}");
            flipped[at] ^= 1 << bit;
        }
        packed.store.put("manifest.json", &manifest[..at], PutMode::Replace).expect("memory");
        assert!(Dataset::open(&packed.store).is_err(), "cut at {at}");
    }
}

/// Shards that other tools wrote, with the end of each record where that matters.
fn foreign(folder: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(folder);
    let mut paths: Vec<PathBuf> = [root.clone(), root.join("golden")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("testdata"))
        .map(|entry| entry.expect("testdata").path())
        .filter(|path| {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let shard = [".tar", ".tgz", ".gz", ".zz", ".tfrecord", ".tfrecords", ".rec", ".pbr"];
            shard.iter().any(|end| name.ends_with(end)) || name.ends_with(".pr")
        })
        .collect();
    paths.sort();
    assert!(paths.len() >= 3, "{folder}: {paths:?}");
    paths
        .into_iter()
        .map(|path| {
            let mut bytes = fs::read(&path).expect("testdata");
            if bytes.len() > 100_000 {
                bytes.truncate(316); // the first records of a large one
            }
            let name = path.strip_prefix(&root).ok().and_then(Path::to_str).expect("UTF-8");
            (name.to_owned(), bytes)
        })
        .collect()
}

/// Cuts and flips a foreign shard everywhere. Nothing may panic; `missed` judges what went unseen.
fn foreign_damage(
    folder: &str,
    format: &str,
    missed: impl Fn(&str, &VerifyReport, &VerifyReport, Damage),
) {
    for (name, bytes) in foreign(folder) {
        let store = MemoryStore::new();
        let options = ForeignOptions { format: Some(format.into()), ..Default::default() };
        let verify = |bytes: &[u8]| {
            store.put(&name, bytes, PutMode::Replace).expect("memory");
            check(&Dataset::foreign(&store, &name, &options).expect("one shard"))
        };
        let whole = verify(&bytes);
        for at in 0..bytes.len() {
            let report = verify(&bytes[..at]);
            if report.is_whole() {
                missed(&name, &whole, &report, Damage::Cut(at));
            }
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << (at % 8);
            let report = verify(&flipped);
            if report.is_whole() {
                missed(&name, &whole, &report, Damage::Flip(at));
            }
        }
    }
}

#[derive(Debug)]
enum Damage {
    Cut(usize),
    Flip(usize),
}

/// Where the records of an undamaged shard end; empty when it is not one.
fn ends(name: &str, format: &str, bytes: &[u8]) -> Vec<usize> {
    let store = MemoryStore::new();
    store.put(name, bytes, PutMode::Replace).expect("memory");
    let options = ForeignOptions { format: Some(format.into()), ..Default::default() };
    let dataset = Dataset::foreign(&store, name, &options).expect("one shard");
    let mut ends = vec![0];
    let _ = ls(&dataset, &LsOptions::default(), &mut |entry| {
        ends.push((entry.offset + entry.bytes) as usize);
        Ok(())
    });
    ends
}

/// Where long names and other extended headers keep their text, which no checksum guards either.
fn extensions(tar: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(header) = tar.get(at..at + 512) {
        let digits = String::from_utf8_lossy(&header[124..135]).into_owned();
        let len = usize::from_str_radix(digits.trim_matches(['\0', ' ']), 8).unwrap_or(0);
        let kind = header[156];
        let has_body = !b"12345".contains(&kind);
        let body = at + 512..at + 512 + if has_body { len.next_multiple_of(512) } else { 0 };
        at = body.end;
        if b"xgLK".contains(&kind) {
            found.push(body);
        }
    }
    found
}

/// A tar has no checksum of its bodies, but nothing of it may vanish.
fn tars_lose_nothing_unseen(folder: &str) {
    let shards = foreign(folder);
    foreign_damage(folder, "webdataset", |name, whole, report, damage| {
        let bytes = &shards.iter().find(|(n, _)| n == name).expect("a shard").1;
        let in_name = |at: usize| extensions(bytes).iter().any(|body| body.contains(&at));
        if matches!(damage, Damage::Flip(at) if in_name(at)) {
            return;
        }
        let sums = |r: &VerifyReport| (r.samples, r.files, r.file_bytes);
        assert_eq!(sums(report), sums(whole), "{name}, {damage:?}");
    });
}

#[test]
fn foreign_tars_lose_nothing_unseen() {
    tars_lose_nothing_unseen("tar");
}

#[test]
fn foreign_webdatasets_lose_nothing_unseen() {
    tars_lose_nothing_unseen("webdataset");
}

#[test]
fn foreign_tfrecords_hide_only_cuts_between_records() {
    let shards = foreign("tfrecord");
    foreign_damage("tfrecord", "tfrecord", |name, whole, report, damage| {
        let bytes = &shards.iter().find(|(n, _)| n == name).expect("a shard").1;
        match damage {
            Damage::Cut(at) => {
                assert!(ends(name, "tfrecord", bytes).contains(&at), "{name} cut at {at}");
                assert!(whole.compression == "none");
            }
            // Header bytes of gzip that nobody reads.
            Damage::Flip(at) => {
                assert!(name.ends_with(".gz") && at < 10, "{name}, flip at {at}");
                assert_eq!(report.digest, whole.digest);
            }
        }
    });
}

#[test]
fn foreign_recordio_hides_only_bodies_and_cuts_between_records() {
    for (folder, format) in [("recordio", "recordio"), ("recordio-protobuf", "recordio-protobuf")] {
        let shards = foreign(folder);
        foreign_damage(folder, format, |name, whole, report, damage| {
            let bytes = &shards.iter().find(|(n, _)| n == name).expect("a shard").1;
            match damage {
                Damage::Cut(at) => assert!(ends(name, format, bytes).contains(&at), "{name} {at}"),
                Damage::Flip(_) => {
                    assert_eq!(report.samples, whole.samples, "{name}, {damage:?}");
                }
            }
        });
    }
}

/// A TFRecord's length has a checksum of its own, so damaged payloads cost only themselves.
#[test]
fn foreign_tfrecords_are_read_on_behind_damaged_payloads() {
    let (options, files) = kinds().swap_remove(3);
    let packed = Packed::new(&files, &options);
    let mut bytes = packed.bytes.clone();
    for i in [1, 3] {
        bytes[packed.records[i].1 as usize - 6] ^= 1;
    }
    let store = MemoryStore::new();
    store.put("a.tfrecord", &bytes, PutMode::Replace).expect("memory");
    let dataset = Dataset::foreign(&store, "", &ForeignOptions::default()).expect("a shard");
    let report = check(&dataset);
    let found: Vec<_> = report.damage.iter().map(|d| (d.record, d.offset)).collect();
    let at = |i: usize| (Some(i as u64), Some(packed.records[i].0));
    assert_eq!(found, [at(1), at(3)], "{:#?}", report.damage);
    assert_eq!(report.samples, 3);
}

/// With an index and checksums beside it, a shard of another tool is as safe as our own.
#[test]
fn adopted_foreign_shards_hide_nothing() {
    let mut adopted = 0;
    for (folder, format) in [
        ("tar", "webdataset"),
        ("webdataset", "webdataset"),
        ("tfrecord", "tfrecord"),
        ("recordio", "recordio"),
        ("recordio-protobuf", "recordio-protobuf"),
    ] {
        for (name, bytes) in foreign(folder) {
            let store = MemoryStore::new();
            store.put(&name, &bytes, PutMode::Replace).expect("memory");
            let options = ForeignOptions { format: Some(format.into()), ..Default::default() };
            let shard = Dataset::foreign(&store, &name, &options).expect("one shard");
            if !check(&shard).is_whole() {
                continue;
            }
            adopt(&shard, &AdoptOptions::default(), &Progress::default()).expect(&name);
            let dataset = Dataset::open(&store).expect("a manifest");
            let report = check(&dataset);
            assert!(report.is_whole(), "{name}: {:#?}", report.damage);
            adopted += 1;
            // Tars are mostly padding: a prime step meets every kind of byte.
            for at in (0..bytes.len()).step_by(if bytes.len() > 4000 { 7 } else { 1 }) {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << (at % 8);
                store.put(&name, &flipped, PutMode::Replace).expect("memory");
                let report = check(&dataset);
                assert!(!report.is_whole(), "{name}, flip at {at}");
                assert!(report.damage.iter().all(|d| d.shard == name), "{name}, flip at {at}");
                store.put(&name, &bytes[..at], PutMode::Replace).expect("memory");
                assert!(!check(&dataset).is_whole(), "{name} cut at {at}");
            }
        }
    }
    assert!(adopted >= 15, "only {adopted} shards were whole");
}
