//! Datasets that change, in memory: what is there afterwards, and what readers of each version see.

use std::collections::BTreeMap;

use shardpack_manifest::{Digest, Event, Manifest};
use shardpack_store::{MemoryStore, MemoryTree, Store};

use super::*;
use crate::staging::{self, MANIFEST, PLAN};
use crate::{
    DiffOptions, Labels, LsOptions, PackOptions, Split, VerifyOptions, diff, ls, pack, verify,
};

type Files = BTreeMap<String, String>;

/// Files `k00.txt` to `kNN.txt`; each says its number and `what`.
fn files(numbers: std::ops::Range<u32>, what: &str) -> Files {
    numbers.map(|i| (format!("c{}/k{i:02}.txt", i % 3), format!("{what} {i}"))).collect()
}

fn tree(files: &Files) -> MemoryTree {
    MemoryTree::new(files.iter().map(|(name, body)| (name.as_str(), body.as_str())))
}

fn packed(files: &Files, options: &PackOptions) -> MemoryStore {
    let store = MemoryStore::new();
    pack(&tree(files), &store, options, &Progress::default()).unwrap();
    store
}

fn options() -> PackOptions {
    PackOptions { max_samples: Some(7), jobs: 2, ..PackOptions::default() }
}

fn add(store: &dyn Store, files: &Files, sync: bool) -> Result<AppendReport> {
    let options = AppendOptions { sync, jobs: 2, ..AppendOptions::default() };
    append(&tree(files), store, &options, &Progress::default())
}

fn manifest(store: &dyn Store) -> Manifest {
    shardpack_dataset::manifest(store).unwrap()
}

/// Keys of a version, the head by default.
fn keys(store: &dyn Store, digest: Option<Digest>) -> Vec<String> {
    let dataset = match digest {
        Some(digest) => Dataset::pinned(store, digest).unwrap(),
        None => Dataset::open(store).unwrap(),
    };
    let mut keys = Vec::new();
    ls(&dataset, &LsOptions::default(), &mut |entry| {
        keys.push(entry.key.to_owned());
        Ok(())
    })
    .unwrap();
    keys
}

/// Every byte is proved, and the dataset is what packing these files anew gives.
#[track_caller]
fn is(store: &dyn Store, files: &Files, options: &PackOptions) {
    let dataset = Dataset::open(store).unwrap();
    let source = tree(files);
    let check = VerifyOptions { against: Some(&source), ..VerifyOptions::default() };
    let report = verify(&dataset, &check, &Progress::default()).unwrap();
    assert!(report.is_whole(), "{:?} {:?} {:?}", report.damage, report.duplicates, report.extra);
    let fresh = packed(files, options);
    let fresh = Dataset::open(&fresh).unwrap();
    let report = diff(&dataset, &fresh, &DiffOptions::default(), &Progress::default()).unwrap();
    assert!(report.is_same(), "{report:?}");
    let live = dataset.manifest().and_then(Manifest::live_digest);
    assert_eq!(live, fresh.manifest().map(|fresh| fresh.digest));
}

#[test]
fn new_samples_come_in_new_shards_and_old_shards_stay() {
    for format in shardpack_formats::NAMES {
        let options = PackOptions { format: (*format).into(), ..options() };
        let store = packed(&files(0..20, "text"), &options);
        let before = manifest(&store);
        let bytes = |store: &dyn Store| -> Vec<Vec<u8>> {
            before.shards.iter().map(|s| staging::read(store, &s.path).unwrap()).collect()
        };
        let (old, all) = (bytes(&store), files(0..33, "text"));
        let report = add(&store, &all, false).unwrap();
        assert_eq!((report.added, report.unchanged, report.live), (13, 20, 33), "{format}");
        assert_eq!((report.version, report.shards), (2, 2));
        let after = manifest(&store);
        assert_eq!(after.shards[..3], before.shards[..]);
        assert_eq!(bytes(&store), old);
        assert!(after.shards[3].path.contains("data-00003-of-00005."), "{}", after.shards[3].path);
        is(&store, &all, &options);
        let again = add(&store, &all, false).unwrap();
        assert!(again.nothing && again.unchanged == 33, "{again:?}");
        assert_eq!(manifest(&store), after);
        assert!(staging::read(&store, PLAN).is_err(), "nothing is unfinished");
    }
}

#[test]
fn samples_that_differ_are_refused_or_replaced() {
    let store = packed(&files(0..20, "text"), &options());
    let head = staging::read(&store, MANIFEST).unwrap();
    let mut now = files(4..26, "text");
    // Of another length, of the same length, with another field more.
    now.insert("c2/k05.txt".into(), "longer than before".into());
    now.insert("c0/k06.txt".into(), "TEXT 6".into());
    now.insert("c1/k07.json".into(), "{}".into());
    let error = add(&store, &now, false).unwrap_err();
    let Error::Refused { examples, count: 3, .. } = &error else { panic!("{error}") };
    assert!(examples[0].contains("\"c2/k05\"") || examples[0].contains("k0"), "{examples:?}");
    assert_eq!(staging::read(&store, MANIFEST).unwrap(), head, "nothing was changed");

    let dry = AppendOptions { sync: true, dry_run: true, ..AppendOptions::default() };
    let dry = append(&tree(&now), &store, &dry, &Progress::default()).unwrap();
    assert_eq!(staging::read(&store, MANIFEST).unwrap(), head, "a dry run writes nothing");
    let report = add(&store, &now, true).unwrap();
    let counts = |r: &AppendReport| (r.added, r.replaced, r.removed, r.unchanged, r.live, r.shards);
    assert_eq!(counts(&report), (6, 3, 4, 13, 22, 2));
    assert_eq!(counts(&dry), counts(&report));
    is(&store, &now, &options());
    let manifest = manifest(&store);
    assert!(manifest.by_place && manifest.tombstones.len() == 7);
    assert!(add(&store, &now, true).unwrap().nothing);

    // Back to what it was: replaced once more, and the dead come back as new samples.
    let report = add(&store, &files(0..20, "text"), true).unwrap();
    assert_eq!((report.added, report.replaced, report.removed), (4, 3, 6));
    is(&store, &files(0..20, "text"), &options());
}

#[test]
fn what_was_deleted_on_purpose_comes_back_with_sync_only() {
    let all = files(0..20, "text");
    let store = packed(&all, &options());
    let keys: Vec<String> = vec!["c0/k03".into(), "c1/k04".into()];
    delete(&store, &keys, &DeleteOptions::default()).unwrap();
    let report = add(&store, &all, false).unwrap();
    assert!(report.nothing && (report.deleted, report.added) == (2, 0), "{report:?}");
    let report = add(&store, &files(0..22, "text"), false).unwrap();
    assert_eq!((report.added, report.deleted, report.live), (2, 2, 20));
    assert!(!manifest(&store).by_place, "keys still tell what is dead");
    let report = add(&store, &all, true).unwrap();
    assert_eq!((report.added, report.removed, report.live), (2, 2, 20));
    assert!(manifest(&store).by_place);
    is(&store, &all, &options());
    // The live one is found beside the dead one, and so is its mark.
    assert_eq!(delete(&store, &keys, &DeleteOptions::default()).unwrap().live, 18);
    let undo = DeleteOptions { undo: true, ..DeleteOptions::default() };
    assert_eq!(delete(&store, &keys, &undo).unwrap().live, 20);
    is(&store, &all, &options());
    assert_eq!(delete(&store, &keys, &undo).unwrap().changed, 0, "they are live");
}

#[test]
fn every_version_is_read_as_it_was() {
    let store = packed(&files(0..20, "text"), &options());
    let mut seen = Vec::new();
    let mut see = |store: &MemoryStore| {
        let digest = manifest(store).live_digest().unwrap();
        seen.push((digest, keys(store, None)));
    };
    see(&store);
    add(&store, &files(0..25, "text"), false).unwrap();
    see(&store);
    delete(&store, &["c0/k03".into()], &DeleteOptions::default()).unwrap();
    see(&store);
    add(&store, &files(2..25, "other"), true).unwrap();
    see(&store);
    for (digest, keys) in &seen {
        assert_eq!(&self::keys(&store, Some(*digest)), keys);
    }
    let history: Vec<_> = manifest(&store).history.iter().map(|v| (v.event, v.samples)).collect();
    let want = [(Event::Pack, 20), (Event::Append, 25), (Event::Delete, 24), (Event::Sync, 23)];
    assert_eq!(history, want);
    let unknown = Dataset::pinned(&store, Digest::from_u128(7)).unwrap_err().to_string();
    assert!(unknown.contains("no version has digest"), "{unknown}");
    store.remove("manifests/000002.json").unwrap();
    let gone = Dataset::pinned(&store, seen[1].0).unwrap_err().to_string();
    assert!(gone.contains("is kept no more"), "{gone}");
    store
        .put(
            "manifests/000001.json",
            &staging::read(&store, "manifests/000003.json").unwrap(),
            shardpack_store::PutMode::Replace,
        )
        .unwrap();
    let other = Dataset::pinned(&store, seen[0].0).unwrap_err().to_string();
    assert!(other.contains("is not version 1"), "{other}");
}

#[test]
fn splits_classes_and_ids_go_on() {
    let half = |name: &str| Split { name: name.into(), fraction: 0.5 };
    for format in ["webdataset", "recordio"] {
        let options = PackOptions {
            format: format.into(),
            splits: vec![half("train"), half("val")],
            labels: Some(Labels::Folder),
            ..options()
        };
        let store = packed(&files(0..40, "text"), &options);
        delete(&store, &["c0/k03".into(), "c1/k04".into()], &DeleteOptions::default()).unwrap();
        let mut now = files(0..40, "text");
        now.remove("c0/k03.txt");
        now.remove("c1/k04.txt");
        now.insert("a/new.txt".into(), "of a class that sorts first".into());
        now.insert("c0/k50.txt".into(), "one more".into());
        add(&store, &now, false).unwrap();
        let manifest = manifest(&store);
        let classes = &manifest.labels.as_ref().unwrap().classes;
        assert_eq!(classes.get("c0").zip(classes.get("a")), Some((&0, &3)), "{classes:?}");
        let map = staging::read(&store, "labels.json").unwrap();
        assert!(String::from_utf8(map).unwrap().contains("\"a\": 3"));
        let mut found = keys(&store, None);
        found.sort();
        let want: Vec<_> = now.keys().map(|name| name.replace(".txt", "")).collect();
        assert_eq!(found, want);
        let dataset = Dataset::open(&store).unwrap();
        let report = verify(&dataset, &VerifyOptions::default(), &Progress::default()).unwrap();
        assert!(report.is_whole(), "{:?}", report.damage);
        let mut ids = Vec::new();
        for shard in 0..manifest.shards.len() {
            let index = shardpack_dataset::index(&dataset, shard).unwrap().unwrap();
            ids.extend(index.iter().map(|record| record.id));
        }
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "ids are unique");
    }
}

#[test]
fn what_cannot_be_appended_to_is_named() {
    let why = |store: &dyn Store| add(store, &files(0..3, "text"), false).unwrap_err().to_string();
    let changed = |change: &dyn Fn(&mut Manifest)| {
        let store = packed(&files(0..3, "text"), &options());
        let mut manifest = manifest(&store);
        change(&mut manifest);
        let bytes = manifest.to_bytes().unwrap();
        store.put(MANIFEST, &bytes, shardpack_store::PutMode::Replace).unwrap();
        why(&store)
    };
    let option = |name: &'static str, value: &'static str| {
        changed(&move |m| drop(m.options.insert(name.into(), value.into())))
    };
    assert!(why(&MemoryStore::new()).contains("no dataset here"));
    assert!(changed(&|m| m.plan = None).contains("indexed, not packed"));
    assert!(option("rename", "a=b").contains("--rename"));
    assert!(option("labels", "csv:00").contains("--labels csv:FILE"));
    assert!(option("target", "much").contains("\"much\""));
    let classes = std::iter::once(("cat".to_owned(), 0)).collect();
    let labels = shardpack_manifest::Labels { map: None, classes };
    assert!(changed(&move |m| m.labels = Some(labels.clone())).contains("say it with --labels"));
    let store = packed(&files(0..3, "text"), &options());
    let labels = Some(Labels::Folder);
    let options = AppendOptions { labels, ..AppendOptions::default() };
    let error = append(&tree(&files(0..5, "text")), &store, &options, &Progress::default());
    assert!(error.unwrap_err().to_string().contains("packed without labels"));
    assert!(matches!(add(&store, &Files::new(), true), Err(Error::EmptySource { .. })));
}

#[test]
fn another_runs_work_is_not_mixed_in() {
    let store = packed(&files(0..10, "text"), &options());
    let other = serde_json::json!({
        "version": 1, "tool": "shardpack 0.0.0", "source": "elsewhere", "options": {},
        "samples": 1, "shards": 1, "fingerprint": "00", "stamps": "00",
        "paths": ["shards/data-00002-of-00003.tar", "shards/data-00000-of-00002.tar"],
    });
    let left =
        |path: &str| store.put(path, b"unfinished", shardpack_store::PutMode::Replace).unwrap();
    left("shards/data-00002-of-00003.tar");
    left("index/data-00002-of-00003.tar.index");
    store.put(PLAN, other.to_string().as_bytes(), shardpack_store::PutMode::Create).unwrap();
    let all = files(0..12, "text");
    assert!(matches!(add(&store, &all, false), Err(Error::Different { .. })));
    let options = AppendOptions { restart: true, ..AppendOptions::default() };
    let report = append(&tree(&all), &store, &options, &Progress::default()).unwrap();
    assert_eq!((report.added, report.resumed_shards), (2, 0));
    is(&store, &all, &self::options());
}
