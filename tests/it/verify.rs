//! Datasets looked at from every side: proved, compared, unpacked, adopted.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use shardpack_formats::{Compression, FieldShape, Label, SampleShape, Schema, encode};
use shardpack_manifest::{Manifest, Sidecar};
use shardpack_pack::{
    AdoptOptions, Dataset, Error, ForeignOptions, Labels, LsOptions, PackOptions, Progress, Split,
    UnpackOptions, VerifyOptions, adopt, cat, info, ls, pack, unpack, verify,
};
use shardpack_store::{
    Bytes, ErrorKind, LocalTree, MemoryStore, MemoryTree, PutMode, Source, Store, WalkOptions,
};

use crate::damage::{check, kinds, options, read};

/// Eight samples in several shards.
fn eight(change: impl FnOnce(&mut PackOptions)) -> MemoryStore {
    let mut options = options("webdataset", Schema::Fields, Compression::None);
    options.max_samples = Some(2);
    change(&mut options);
    let store = MemoryStore::new();
    pack(&eight_files(), &store, &options, &Progress::default()).expect("small files");
    store
}

fn eight_files() -> MemoryTree {
    MemoryTree::new((0..8).map(|i| (format!("{i}.txt"), format!("text {i}"))))
}

fn paths(dataset: &Dataset<'_>) -> Vec<String> {
    dataset.shards().iter().map(|s| s.path.clone()).collect()
}

fn damage(store: &MemoryStore) -> Vec<String> {
    let report = check(&Dataset::open(store).expect("a manifest"));
    assert_eq!(report.is_whole(), report.damage.is_empty() && report.extra.is_empty());
    report.damage.iter().map(ToString::to_string).collect()
}

#[test]
fn missing_extra_swapped_and_lengthened_shards_are_named() {
    let store = eight(|_| ());
    let shards = paths(&Dataset::open(&store).expect("a manifest"));
    let original: Vec<_> = shards.iter().map(|path| read(&store, path)).collect();
    let put = |i: usize, bytes: &[u8]| {
        store.put(&shards[i], bytes, PutMode::Replace).expect("memory");
    };
    assert_eq!(damage(&store), Vec::<String>::new());

    store.remove(&shards[1]).expect("memory");
    assert_eq!(damage(&store), [format!("{}: missing; 2 samples are lost", shards[1])]);

    put(1, &original[2]);
    put(2, &original[1]);
    let holds =
        |a: usize, b: usize| format!("{}: the file holds the bytes of {}", shards[a], shards[b]);
    assert_eq!(damage(&store), [holds(1, 2), holds(2, 1)]);
    put(1, &original[1]);
    put(2, &original[2]);

    put(0, &[&original[0][..], &[0; 512]].concat());
    let end = original[0].len();
    let longer = format!("{} at offset {end}: what follows the last record", shards[0]);
    assert!(damage(&store)[0].starts_with(&longer), "{:?}", damage(&store));
    put(0, &original[0]);

    store.put("shards/stray.tar", b"", PutMode::Create).expect("memory");
    let report = check(&Dataset::open(&store).expect("a manifest"));
    assert_eq!((report.extra, report.damage), (vec!["shards/stray.tar".to_owned()], vec![]));
    store.remove("shards/stray.tar").expect("memory");

    // A quick check reads no shard, but sees lengths.
    let quick = VerifyOptions { quick: true, ..Default::default() };
    let mut flipped = original[3].clone();
    flipped[600] ^= 1;
    put(3, &flipped);
    let dataset = Dataset::open(&store).expect("a manifest");
    let report = verify(&dataset, &quick, &Progress::default()).expect("a report");
    assert!(report.is_whole() && !report.caveats.is_empty(), "{report:?}");
    put(3, &original[3][..1024]);
    assert!(!verify(&dataset, &quick, &Progress::default()).expect("a report").is_whole());
}

#[test]
fn reports_do_not_depend_on_threads() {
    let store = eight(|_| ());
    let dataset = Dataset::open(&store).expect("a manifest");
    for path in paths(&dataset).iter().skip(1) {
        let mut bytes = read(&store, path);
        bytes[520] ^= 1;
        store.put(path, &bytes, PutMode::Replace).expect("memory");
    }
    let with = |jobs: usize| {
        let options = VerifyOptions { jobs, ..Default::default() };
        let report = verify(&dataset, &options, &Progress::default()).expect("a report");
        serde_json::to_string(&report).expect("a report is JSON")
    };
    let one = with(1);
    assert!(one.contains("\"damaged\":1"), "{one}");
    for jobs in [2, 3, 16] {
        assert_eq!(with(jobs), one);
    }
    let progress = Progress::default();
    progress.stop();
    let stopped = verify(&dataset, &VerifyOptions::default(), &progress);
    assert!(matches!(stopped, Err(Error::Stopped { .. })), "{stopped:?}");
}

#[test]
fn an_unfinished_pack_is_no_dataset() {
    let store = MemoryStore::new();
    let missing = Dataset::open(&store).map(|_| ()).expect_err("empty").to_string();
    assert!(missing.contains("there is no manifest.json"), "{missing}");
    let done = eight(|_| ());
    for object in done.list("index").expect("memory") {
        let staged = format!(".shardpack/{}", object.key);
        store.put(&staged, &read(&done, &object.key), PutMode::Create).expect("memory");
    }
    let plan = br#"{"version": 1, "shards": 9, "samples": 18}"#;
    store.put(".shardpack/plan.json", plan, PutMode::Create).expect("memory");
    for error in [
        Dataset::open(&store).map(|_| ()).expect_err("unfinished"),
        Dataset::find(&store, "", &ForeignOptions::default()).map(|_| ()).expect_err("unfinished"),
    ] {
        let text = error.to_string();
        assert!(text.contains("unfinished: 4 of 9 shards"), "{text}");
        assert!(text.contains("run the same pack command again"), "{text}");
    }
}

fn tree() -> LocalTree {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tree");
    LocalTree::open(path, &WalkOptions::default()).expect("testdata")
}

/// Every file below a folder.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let tree = LocalTree::open(root, &WalkOptions::default()).expect("a folder");
    tree.listing()
        .iter()
        .map(|file| {
            let path = String::from_utf8(file.path()).expect("UTF-8");
            let bytes = fs::read(root.join(&path)).expect("a file");
            (path, bytes)
        })
        .collect()
}

#[test]
fn the_tree_comes_back() {
    let source = tree();
    let wanted = files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tree"));
    for (format, compression) in [
        ("webdataset", Compression::None),
        ("webdataset", Compression::Zstd),
        ("tfrecord", Compression::Gzip),
        ("recordio-protobuf", Compression::None),
    ] {
        let mut options = PackOptions { format: format.into(), compression, ..Default::default() };
        options.labels = Some(Labels::Folder);
        options.target = 60_000;
        let store = MemoryStore::new();
        let packed = pack(&source, &store, &options, &Progress::default()).expect("testdata");
        let labels = if format == "webdataset" { 2 * packed.samples } else { 0 }; // cls, cls.txt
        assert_eq!(packed.files, wanted.len() as u64, "{format}");
        assert_eq!(packed.fields, packed.files + labels, "{format}");
        let dataset = Dataset::open(&store).expect("a manifest");
        assert!(dataset.shards().len() > 1, "{format}");
        let against = VerifyOptions { against: Some(&source), ..Default::default() };
        let report = verify(&dataset, &against, &Progress::default()).expect("a report");
        assert!(report.is_whole(), "{format}: {report:#?}");
        assert_eq!(report.against.map(|a| a.equal), Some(wanted.len() as u64), "{format}");

        let out = tempfile::tempdir().expect("a folder");
        let done = unpack(&dataset, out.path(), &UnpackOptions::default(), &Progress::default())
            .expect("a whole dataset");
        assert_eq!(done.files, wanted.len() as u64, "{format}");
        assert_eq!(done.label_fields > 0, format == "webdataset", "{format}");
        assert_eq!(files(out.path()), wanted, "{format}");
        let again = unpack(&dataset, out.path(), &UnpackOptions::default(), &Progress::default());
        assert!(matches!(again, Err(Error::Occupied { .. })), "{again:?}");

        let report = info(&dataset, 1 << 20, &Progress::default()).expect("figures");
        assert_eq!(report.distinct_classes, 4, "{format}: {:?}", report.classes);
        let classes: Vec<_> = report.classes.iter().map(|c| c.class.as_str()).collect();
        assert!(classes.contains(&"waves"), "{format}: {classes:?}");
        assert_eq!(report.sizes.iter().map(|b| b.samples).sum::<u64>(), report.samples);
        let bytes = wanted.values().map(Vec::len).sum::<usize>() as u64;
        let labels = report.fields.iter().filter(|f| f.name.starts_with("cls"));
        assert_eq!(report.file_bytes, bytes + labels.map(|f| f.bytes).sum::<u64>(), "{format}");
    }
}

/// Also bodies that RecordIO split, and those in compressed streams.
#[test]
fn every_format_gives_its_files_back() {
    for (options, source) in kinds() {
        let store = MemoryStore::new();
        pack(&source, &store, &options, &Progress::default()).expect("small files");
        let dataset = Dataset::open(&store).expect("a manifest");
        let out = tempfile::tempdir().expect("a folder");
        unpack(&dataset, out.path(), &UnpackOptions::default(), &Progress::default())
            .expect("a whole dataset");
        let what = format!("{} {:?}", options.format, options.compression);
        let mut wanted = BTreeMap::new();
        for (id, file) in (0..).zip(source.listing().iter()) {
            let mut bytes = Vec::new();
            source.fetch(id, 0, file.len, &mut Bytes::new(&mut bytes)).expect("memory");
            let path = String::from_utf8(file.path()).expect("UTF-8");
            let mut shown = Vec::new();
            cat(&dataset, &path, &mut shown, &Default::default()).expect(&path);
            assert_eq!(shown, bytes, "{what}: {path}");
            wanted.insert(path, bytes);
        }
        assert_eq!(files(out.path()), wanted, "{what}");
    }
}

#[test]
fn differences_from_the_source_are_named() {
    let store = eight(|_| ());
    let dataset = Dataset::open(&store).expect("a manifest");
    let mut now: Vec<_> = (0..8).map(|i| (format!("{i}.txt"), format!("text {i}"))).collect();
    now[3].1 = "text 4".into(); // same length
    now[5].1 = "longer than before".into();
    now[6].0 = "new.txt".into();
    let source = MemoryTree::new(now);
    let options = VerifyOptions { against: Some(&source), ..Default::default() };
    let report = verify(&dataset, &options, &Progress::default()).expect("a report");
    assert!(report.damage.is_empty() && !report.is_whole());
    let against = report.against.expect("asked for");
    assert_eq!(against.equal, 5);
    assert_eq!(against.different.first, ["3.txt", "5.txt"]);
    assert_eq!(against.extra.first, ["6.txt"]);
    assert_eq!(against.missing.first, ["new.txt"]);
}

#[test]
fn splits_and_shards_are_chosen() {
    let split = |name: &str, fraction| Split { name: name.into(), fraction };
    let store = eight(|o| o.splits = vec![split("train", 0.5), split("val", 0.5)]);
    let dataset = Dataset::open(&store).expect("a manifest");
    let count = |splits: &[&str], shards: Option<&str>| {
        let out = tempfile::tempdir().expect("a folder");
        let splits = splits.iter().map(ToString::to_string).collect();
        let shards = shards.map(str::to_owned);
        let options = UnpackOptions { splits, shards, durable: false, ..Default::default() };
        unpack(&dataset, out.path(), &options, &Progress::default()).map(|r| r.samples)
    };
    let (train, val) = (count(&["train"], None), count(&["val"], None));
    let (train, val) = (train.expect("a split"), val.expect("a split"));
    assert_eq!(train + val, 8);
    assert!(train > 0 && val > 0);
    assert_eq!(count(&["train", "val"], None).expect("both"), 8);
    assert_eq!(count(&[], Some("shards/val/*")).expect("a glob"), val);
    for (splits, shards, want) in
        [(&["test"][..], None, "splits: train, val"), (&[], Some("x*"), "no shard matches")]
    {
        let error = count(splits, shards).expect_err("nothing").to_string();
        assert!(error.contains(want), "{error}");
    }
}

/// A tar of members as they are, good names or not.
fn tar(members: &[(&str, &str)]) -> Vec<u8> {
    let format = shardpack_formats::open("webdataset", &Default::default()).expect("a format");
    let mut shard = Vec::new();
    for (name, body) in members {
        let from = shard.len();
        let shape = [FieldShape { name: "x", len: body.len() as u64 }];
        let sample =
            SampleShape { key: "k", id: 0, fields: &shape, label: Label::NONE, splits: &[] };
        encode(&*format, &sample, &[body.as_bytes()], &mut shard).expect("a plain name");
        let header = &mut shard[from..from + 512];
        header[..100].fill(0);
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    shard.extend_from_slice(format.trailer());
    shard
}

fn unpack_tar(members: &[(&str, &str)]) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let store = MemoryStore::new();
    store.put("a.tar", &tar(members), PutMode::Create).expect("memory");
    let dataset = Dataset::foreign(&store, "a.tar", &ForeignOptions::default()).expect("a tar");
    let outside = tempfile::tempdir().expect("a folder");
    let out = outside.path().join("in/side");
    let done = unpack(&dataset, &out, &UnpackOptions::default(), &Progress::default());
    let beside: Vec<_> = fs::read_dir(outside.path()).expect("a folder").collect();
    assert!(beside.len() <= 1, "{beside:?}");
    done.map(|_| files(&out)).map_err(|error| {
        std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    })
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let good = unpack_tar(&[("./d/a.txt", "1"), ("d/a.cls", "2")]).expect("plain names");
    let names: Vec<_> = good.keys().map(String::as_str).collect();
    assert_eq!(names, ["d/a.cls", "d/a.txt"]);
    for name in ["../a.txt", "/a.txt", "d/../../a.txt", "d//a.txt", "d/./a.txt"] {
        let error = unpack_tar(&[("ok.txt", ""), (name, "x")]).expect_err(name);
        assert!(error.contains("a.tar") && error.contains("record 1"), "{name}: {error}");
    }
    let twice = unpack_tar(&[("a.txt", "1"), ("b.txt", "2"), ("a.txt", "3")]).expect_err("twice");
    assert!(twice.contains("another sample has been written"), "{twice}");
}

#[test]
fn foreign_duplicates_are_named() {
    let store = MemoryStore::new();
    store.put("a.tar", &tar(&[("a.txt", "1"), ("b.txt", "2")]), PutMode::Create).expect("memory");
    store.put("b.tar", &tar(&[("c.txt", "1"), ("a.txt", "2")]), PutMode::Create).expect("memory");
    let dataset = Dataset::foreign(&store, "", &ForeignOptions::default()).expect("two tars");
    let report = check(&dataset);
    assert!(report.damage.is_empty() && !report.is_whole());
    let [duplicate] = &report.duplicates[..] else { panic!("{:?}", report.duplicates) };
    assert_eq!(duplicate.key, "a");
    assert_eq!(duplicate.places, [("a.tar".to_owned(), 0), ("b.tar".to_owned(), 1)]);
    let error = adopt(&dataset, &AdoptOptions::default(), &Progress::default()).expect_err("twice");
    assert!(error.to_string().contains("\"a\": a.tar record 0, b.tar record 1"), "{error}");
    let left: Vec<_> = store.list("").expect("memory").into_iter().map(|o| o.key).collect();
    assert_eq!(left, ["a.tar", "b.tar"]);
}

/// A key, and name, length and crc32c of each field.
type Listed = (String, Vec<(String, u64, u32)>);

/// What a listing says, without where the shards are.
fn listed(dataset: &Dataset<'_>) -> Vec<Listed> {
    let mut all = Vec::new();
    ls(dataset, &LsOptions::default(), &mut |entry| {
        let field = |f: &shardpack_pack::EntryField<'_>| (f.name.to_owned(), f.bytes, f.crc32c);
        all.push((entry.key.to_owned(), entry.fields.iter().map(field).collect()));
        Ok(())
    })
    .expect("a listing");
    all
}

#[test]
fn adopted_shards_are_a_dataset() {
    for (options, files) in kinds() {
        let store = MemoryStore::new();
        pack(&files, &store, &options, &Progress::default()).expect("small files");
        for key in ["manifest.json", "index"] {
            store.remove(key).expect("memory");
        }
        let named = ForeignOptions {
            format: Some(options.format.clone()),
            schema: Some(options.format_options.schema),
            ..Default::default()
        };
        let foreign = Dataset::foreign(&store, "", &named).expect("shards");
        let before = listed(&foreign);
        let alone = check(&foreign);
        let what = format!("{} {:?}", options.format, options.compression);
        assert!(alone.is_whole() && !alone.caveats.is_empty(), "{what}: {alone:#?}");
        let done = adopt(&foreign, &AdoptOptions::default(), &Progress::default()).expect(&what);
        assert_eq!((done.samples, &done.digest), (5, &alone.digest), "{what}");

        let dataset = Dataset::open(&store).expect("a manifest");
        assert_eq!(listed(&dataset), before, "{what}");
        let report = check(&dataset);
        assert!(report.is_whole(), "{what}: {:#?}", report.damage);
        for (key, fields) in &before {
            for (field, len, _) in fields {
                let name = format!("{key}.{field}");
                let mut body = Vec::new();
                let read = cat(&dataset, &name, &mut body, &Default::default()).expect(&name);
                assert_eq!((read, body.len() as u64), (*len, *len), "{what}: {name}");
            }
        }
        let again = adopt(&foreign, &AdoptOptions::default(), &Progress::default());
        assert!(matches!(again, Err(Error::Occupied { .. })), "{what}: {again:?}");

        let shard = dataset.shards()[0].path.clone();
        let mut bytes = read(&store, &shard);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        store.put(&shard, &bytes, PutMode::Replace).expect("memory");
        assert!(!check(&dataset).is_whole(), "{what}");
    }
}

#[test]
fn a_place_where_another_run_is_at_work_is_left_alone() {
    let is_busy =
        |error: &Error| matches!(error, Error::Store(e) if matches!(e.kind(), ErrorKind::Busy));
    let store = MemoryStore::new();
    store.put("a.tar", &tar(&[("a.txt", "1")]), PutMode::Create).expect("memory");
    let dataset = Dataset::foreign(&store, "", &ForeignOptions::default()).expect("a tar");
    let empty = MemoryStore::new();
    let options = options("webdataset", Schema::Fields, Compression::None);
    let adopt = || adopt(&dataset, &AdoptOptions::default(), &Progress::default()).map(drop);
    let pack = || pack(&eight_files(), &empty, &options, &Progress::default()).map(drop);

    let locks = [store.lock("").expect("free"), empty.lock("").expect("free")];
    for error in [adopt().expect_err("held"), pack().expect_err("held")] {
        assert!(is_busy(&error), "{error}");
    }
    assert_eq!(store.list("").expect("memory").len(), 1);
    assert!(empty.list("").expect("memory").is_empty());
    drop(locks);
    adopt().expect("free");
    pack().expect("free");
    // A run gives the place back, also one that is refused.
    assert!(matches!(adopt(), Err(Error::Occupied { .. })));
    pack().expect("complete already");
}

#[test]
fn damaged_shards_are_not_adopted() {
    let store = MemoryStore::new();
    let good = tar(&[("a.txt", "1")]);
    store.put("a.tar", &good, PutMode::Create).expect("memory");
    store.put("b.tar", &good[..1000], PutMode::Create).expect("memory");
    store.put("c.tar", &good[..100], PutMode::Create).expect("memory");
    let dataset = Dataset::foreign(&store, "", &ForeignOptions::default()).expect("three tars");
    let error = adopt(&dataset, &AdoptOptions::default(), &Progress::default()).expect_err("cut");
    let Error::Refused { examples, count: 2, .. } = &error else { panic!("{error}") };
    assert!(examples[0].starts_with("b.tar: ") && examples[1].starts_with("c.tar: "), "{error}");
    assert_eq!(store.list("").expect("memory").len(), 3);
}

#[test]
fn an_adoption_that_was_killed_is_finished() {
    let store = MemoryStore::new();
    for name in ["a", "b"] {
        store
            .put(&format!("{name}.tar"), &tar(&[(&format!("{name}.txt"), "1")]), PutMode::Create)
            .expect("memory");
    }
    let dataset = Dataset::foreign(&store, "", &ForeignOptions::default()).expect("two tars");
    let adopt = || adopt(&dataset, &AdoptOptions::default(), &Progress::default());
    let all = || store.list("").expect("memory").into_iter().map(|o| (read(&store, &o.key), o.key));
    // Killed while it staged an index.
    store.put(".shardpack/index/a.tar.index", b"half", PutMode::Create).expect("memory");
    adopt().expect("its own work");
    let whole: Vec<_> = all().collect();
    assert_eq!(whole.len(), 5);
    // Killed before the manifest, and with a part of the indexes, as it may be where they are put.
    for gone in [&["manifest.json"][..], &["manifest.json", "index/b.tar.index"]] {
        gone.iter().for_each(|key| store.remove(key).expect("memory"));
        adopt().expect("its own work");
        assert!(all().eq(whole.iter().cloned()), "without {gone:?}");
    }
    // An index that says something else may be all that knows the keys.
    store.remove("manifest.json").expect("memory");
    store.put("index/b.tar.index", b"other", PutMode::Replace).expect("memory");
    let error = adopt().expect_err("somebody's").to_string();
    assert!(error.contains("index/b.tar.index") && error.contains("remove index/"), "{error}");
    assert_eq!(read(&store, "index/b.tar.index"), b"other");
    assert!(store.list(".shardpack").expect("memory").is_empty());
}

#[test]
fn names_beside_the_index_are_checked() {
    let files = MemoryTree::new([("a.JPG", "1"), ("b.jpg", "2")]);
    let store = MemoryStore::new();
    let options = options("webdataset", Schema::Fields, Compression::None);
    pack(&files, &store, &options, &Progress::default()).expect("small files");
    let mut manifest = Manifest::parse(&read(&store, "manifest.json")).expect("a manifest");
    let path = manifest.shards[0].sources.clone().expect("a name to keep").path;
    for (bytes, want) in [
        (&b"[0,\"jpg\",\"a.JPG\"]\n"[..], None),
        (b"[0,\"jpg\",\"a.JP", Some("line 1")),
        (b"[7,\"jpg\",\"a.JPG\"]\n", Some("the index does not have")),
        (b"[0,\"png\",\"a.JPG\"]\n", Some("the index does not have")),
    ] {
        // Written so by a tool that makes mistakes: the manifest proves these very bytes.
        store.put(&path, bytes, PutMode::Replace).expect("memory");
        manifest.shards[0].sources = Some(Sidecar::of(&path, bytes));
        let head = manifest.to_bytes().expect("sums that add up");
        store.put("manifest.json", &head, PutMode::Replace).expect("memory");
        let found = damage(&store);
        match want {
            None => assert_eq!(found, Vec::<String>::new()),
            Some(want) => {
                assert!(found[0].starts_with(&path) && found[0].contains(want), "{found:?}");
            }
        }
    }
}
