//! What an overlay holds, what it cannot, and what proves where it lies.

use shardpack_manifest::Manifest;
use shardpack_store::{MemoryStore, MemoryTree, PutMode};

use super::*;
use crate::dataset::{Dataset, VerifyOptions, VerifyReport, verify};
use crate::options::Split;
use crate::reshard::join::{Join, Missing, Table, TableKind, With};
use crate::reshard::source::SourceOptions;
use crate::{AppendOptions, DeleteOptions, append, delete, pack};

/// Twenty samples in splits, in shards of at most three.
fn base(format: &str) -> MemoryStore {
    let files: Vec<_> = (0..20).map(|i| (format!("a/{i:02}.jpg"), vec![i; 40])).collect();
    let split = |name: &str, fraction| Split { name: name.into(), fraction };
    let options = PackOptions {
        format: format.into(),
        splits: vec![split("train", 0.7), split("val", 0.3)],
        max_samples: Some(3),
        ..PackOptions::default()
    };
    let store = MemoryStore::new();
    pack(&MemoryTree::new(files), &store, &options, &Progress::default()).unwrap();
    store
}

/// A table with a row for each of these samples.
fn table(rows: impl IntoIterator<Item = u32>, missing: Missing) -> Join<'static> {
    let rows: String = rows.into_iter().map(|i| format!("a/{i:02},text {i},{i}\n")).collect();
    let store = MemoryStore::new();
    store.put("t.csv", format!("key,caption,n\n{rows}").as_bytes(), PutMode::Create).unwrap();
    let object = store.open("t.csv").unwrap().into();
    Join {
        with: With::Table(Table { object, kind: TableKind::Csv, on: None, as_json: None }),
        name: "t.csv".to_owned(),
        columns: Vec::new(),
        missing,
        unused_is_error: false,
    }
}

fn lay(base: &MemoryStore, join: Join<'_>, format: &str) -> Result<(MemoryStore, OverlayReport)> {
    let store = MemoryStore::new();
    let named = (Dataset::open(base).unwrap(), "base".to_owned());
    let (how, progress) = (SourceOptions::default(), Progress::default());
    let source = OverlaySource::open(named, join, Some("../base".into()), &how, &progress)?;
    let options = PackOptions { format: format.into(), ..PackOptions::default() };
    let report = overlay(&source, &store, &options, &progress)?;
    Ok((store, report))
}

fn manifest(store: &MemoryStore) -> Manifest {
    shardpack_dataset::manifest(store).unwrap()
}

/// Key and fields of each record, shard by shard.
fn records(store: &MemoryStore) -> Vec<Vec<(String, usize)>> {
    let dataset = Dataset::open(store).unwrap();
    let shard = |i| shardpack_dataset::index(&dataset, i).unwrap().unwrap();
    let keys = |i| shard(i).iter().map(|r| (r.key.to_owned(), r.fields.len())).collect();
    (0..dataset.shards().len()).map(keys).collect()
}

fn keys(store: &MemoryStore) -> Vec<Vec<String>> {
    let key = |record: (String, usize)| record.0;
    records(store).into_iter().map(|shard| shard.into_iter().map(key).collect()).collect()
}

#[track_caller]
fn compared(overlay: &MemoryStore, base: &MemoryStore) -> VerifyReport {
    let (dataset, progress) = (Dataset::open(overlay).unwrap(), Progress::default());
    let options = VerifyOptions { against: None, jobs: 2, memory: 64 << 20, quick: false };
    let mut report = verify(&dataset, &options, &progress).unwrap();
    assert!(report.is_whole(), "{:?}", report.damage);
    lies_over(&dataset, &Dataset::open(base).unwrap(), 2, &mut report).unwrap();
    report
}

#[test]
fn it_has_the_records_of_its_base_in_every_format() {
    for (below, above) in [
        ("webdataset", "webdataset"),
        ("recordio", "tfrecord"),
        ("tfrecord", "recordio-protobuf"),
        ("recordio-protobuf", "webdataset"),
    ] {
        let base = base(below);
        let (store, report) = lay(&base, table(0..25, Missing::Error), above).unwrap();
        assert_eq!((report.pack.samples, report.without), (20, 0));
        assert_eq!(report.pack.skipped, [("rows of t.csv that belong to no sample".into(), 5)]);
        assert_eq!(keys(&store), keys(&base), "{above} over {below}");
        assert!(records(&store).iter().flatten().all(|(_, fields)| *fields == 2));
        let (ours, theirs) = (manifest(&store), manifest(&base));
        assert_eq!((ours.order, ours.splits.len()), (theirs.order, 2));
        let name = |path: &str| path.rsplit_once('.').unwrap().0.to_owned();
        let names = |m: &Manifest| m.shards.iter().map(|s| name(&s.path)).collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs));
        assert_eq!(ours.options.get("target"), None);
        assert_eq!(ours.base.as_ref().unwrap().place.as_deref(), Some("../base"));
        assert_eq!(compared(&store, &base).over, Some(20));
        // The same again is there already; bytes do not depend on threads.
        let again = lay(&base, table(0..25, Missing::Error), above).unwrap().0;
        assert_eq!(manifest(&again), ours);
    }
}

#[test]
fn a_sample_without_a_row_has_a_record_without_fields() {
    let base = base("webdataset");
    for format in ["tfrecord", "recordio-protobuf"] {
        let (store, report) = lay(&base, table(3..9, Missing::Left), format).unwrap();
        assert_eq!((report.without, keys(&store)), (14, keys(&base)), "{format}");
        let fields: usize = records(&store).iter().flatten().map(|(_, fields)| fields).sum();
        assert_eq!(fields, 12);
        assert_eq!(compared(&store, &base).over, Some(20));
    }
    for format in ["webdataset", "recordio"] {
        let one = Join { columns: vec![column("n")], ..table(3..9, Missing::Left) };
        let error = lay(&base, one, format).unwrap_err();
        let Error::Refused { rule, count, examples } = &error else { panic!("{error}") };
        assert!(rule.contains(format) && rule.contains("--format tfrecord"), "{rule}");
        assert!(*count == 14 && examples[0].contains("record"), "{examples:?}");
    }
}

fn column(name: &str) -> crate::Column {
    crate::Column { name: name.into(), field: None }
}

#[test]
fn deleted_samples_have_records_too_and_need_no_row() {
    let base = base("tfrecord");
    let dead = ["a/03".to_owned(), "a/17".to_owned()];
    delete(&base, &dead, &DeleteOptions::default()).unwrap();
    let without = (0..20).filter(|i| *i != 3);
    let join = Join { unused_is_error: true, ..table(without, Missing::Error) };
    let error = lay(&base, join, "tfrecord").unwrap_err();
    assert!(error.to_string().contains("\"a/17\""), "its row belongs to no sample: {error}");
    let rows = || table((0..20).filter(|i| *i != 3), Missing::Error);
    let (store, report) = lay(&base, rows(), "tfrecord").unwrap();
    assert_eq!((report.without, keys(&store)), (1, keys(&base)));
    let (ours, theirs) = (manifest(&store), manifest(&base));
    assert_eq!(ours.tombstone_places, theirs.tombstone_places);
    assert_eq!(ours.live(), 18);
    assert_eq!(ours.base.as_ref().unwrap().digest, theirs.live_digest().unwrap());
    let error = lay(&base, rows(), "webdataset").unwrap_err().to_string();
    assert!(error.contains("of deleted samples too") && error.contains("\"a/03\""), "{error}");
    // A sample that replaced another one has its key at another place.
    let files = MemoryTree::new((0..20).map(|i| (format!("a/{i:02}.jpg"), vec![i; 41])));
    let sync = AppendOptions { sync: true, ..AppendOptions::default() };
    append(&files, &base, &sync, &Progress::default()).unwrap();
    assert!(manifest(&base).by_place);
    let (store, report) = lay(&base, table(0..20, Missing::Error), "webdataset").unwrap();
    assert_eq!((report.pack.samples, report.without), (40, 0));
    assert_eq!(compared(&store, &base).over, Some(40));
    assert_eq!(manifest(&store).live(), 20);
}

#[test]
fn what_cannot_be_an_overlay_is_refused_with_the_way_on() {
    let base = base("webdataset");
    let two = || table(0..20, Missing::Error);
    let jpg = crate::Column { name: "n".into(), field: Some("jpg".into()) };
    let (over, _) = lay(&base, two(), "tfrecord").unwrap();
    for (below, join, format, told) in [
        (&base, table(0..20, Missing::Inner), "tfrecord", "shardpack delete"),
        (&base, table(0..9, Missing::Error), "tfrecord", "--missing left"),
        (&base, two(), "recordio", "--as json=FIELD, or choose --format tfrecord"),
        (&base, Join { columns: vec![jpg], ..two() }, "tfrecord", "has fields of these names"),
        (&over, two(), "tfrecord", "is an overlay itself; lay this one over ../base"),
    ] {
        let error = lay(below, join, format).unwrap_err().to_string();
        assert!(error.contains(told), "{told:?} is not in {error}");
    }
    let found = Dataset::foreign(&base, "", &Default::default()).unwrap();
    let (how, progress) = (SourceOptions::default(), Progress::default());
    let error = OverlaySource::open((found, "x".into()), two(), None, &how, &progress).unwrap_err();
    assert!(error.to_string().contains("shardpack index"), "{error}");
    // It changes with what it lies over, and not by itself.
    let files = MemoryTree::new([("b.jpg", "new")]);
    let grow = append(&files, &over, &AppendOptions::default(), &Progress::default());
    let less = delete(&over, &["a/03".to_owned()], &DeleteOptions::default());
    for error in [grow.unwrap_err(), less.unwrap_err()] {
        assert!(error.to_string().contains("is an overlay"), "{error}");
    }
}

#[test]
fn a_base_that_was_changed_or_mixed_up_is_damage() {
    let base = base("webdataset");
    let (over, _) = lay(&base, table(0..20, Missing::Error), "tfrecord").unwrap();
    let then = manifest(&base).digest.to_string();
    // Other samples in shards of the same lengths: only keys tell.
    let mut swapped = manifest(&over);
    let lens: Vec<u64> = swapped.shards.iter().map(|shard| shard.samples).collect();
    let twins = (0..lens.len() - 1).find(|&i| lens[i] == lens[i + 1]).unwrap();
    swapped.shards.swap(twins, twins + 1);
    let splits = |m: &Manifest| m.shards.iter().map(|s| s.split.clone()).collect::<Vec<_>>();
    assert_eq!(splits(&swapped), splits(&manifest(&over)), "of one split");
    let good = manifest(&over);
    over.put("manifest.json", &swapped.to_bytes().unwrap(), PutMode::Replace).unwrap();
    let report = compared(&over, &base);
    assert_eq!((report.is_whole(), report.damage.len()), (false, 2));
    let (ours, theirs) = (&keys(&over)[twins][0], &keys(&base)[twins][0]);
    let told = format!("key {ours:?} lies over {theirs:?}, record 0 of shards/");
    assert!(report.damage[0].reason.contains(&told), "{told:?} is not in {:?}", report.damage);
    over.put("manifest.json", &good.to_bytes().unwrap(), PutMode::Replace).unwrap();
    assert_eq!(compared(&over, &base).over, Some(20));

    let files = MemoryTree::new([("b.jpg", "new")]);
    append(&files, &base, &AppendOptions::default(), &Progress::default()).unwrap();
    let now = manifest(&base).live_digest().unwrap().to_string();
    let report = compared(&over, &base);
    assert_eq!((report.over, report.damage.len()), (None, 1));
    let told = report.damage[0].to_string();
    for word in ["manifest.json", &then, &now, "`shardpack join --overlay`", "version 1"] {
        assert!(told.contains(word), "{word:?} is not in {told}");
    }
    assert_eq!(manifest(&over), good);
}

#[test]
fn an_overlay_of_another_base_of_the_same_names_and_lengths_is_not_taken_for_this_one() {
    let packed = |byte: u8| {
        let files = (0..6).map(|i| (format!("a/{i:02}.jpg"), vec![byte; 40]));
        let store = MemoryStore::new();
        let options = PackOptions::default();
        pack(&MemoryTree::new(files), &store, &options, &Progress::default()).unwrap();
        store
    };
    let (one, other) = (packed(1), packed(2));
    let (over, _) = lay(&one, table(0..6, Missing::Error), "tfrecord").unwrap();
    let again = |base: &MemoryStore| {
        let named = (Dataset::open(base).unwrap(), "base".to_owned());
        let (how, progress) = (SourceOptions::default(), Progress::default());
        let join = table(0..6, Missing::Error);
        let source = OverlaySource::open(named, join, None, &how, &progress)?;
        let options = PackOptions { format: "tfrecord".into(), ..PackOptions::default() };
        overlay(&source, &over, &options, &progress)
    };
    assert!(again(&one).unwrap().pack.already_complete);
    let error = again(&other).unwrap_err();
    assert!(matches!(error, Error::Occupied { .. }), "{error}");
    assert!(error.to_string().contains("another dataset"), "{error}");
}
