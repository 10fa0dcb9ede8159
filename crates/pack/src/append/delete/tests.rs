//! Marks, and what every command makes of them.

use shardpack_manifest::Manifest;
use shardpack_store::{ErrorKind, MemoryStore, MemoryTree, PutMode, Store};

use super::*;
use crate::Error;
use crate::staging::{self, MANIFEST};
use crate::{
    CatOptions, LsOptions, PackOptions, UnpackOptions, VerifyOptions, cat, info, ls, pack,
    unpack_into, verify,
};

/// Three shards of twenty samples.
fn dataset() -> MemoryStore {
    let files: Vec<_> = (0..60).map(|i| (format!("k{i:02}.txt"), format!("text {i}"))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let store = MemoryStore::new();
    let options = PackOptions { max_samples: Some(20), ..PackOptions::default() };
    pack(&files, &store, &options, &Progress::default()).unwrap();
    store
}

fn manifest(store: &dyn Store) -> Manifest {
    Manifest::parse(&staging::read(store, MANIFEST).unwrap()).unwrap()
}

fn mark(store: &dyn Store, keys: &[&str], undo: bool) -> Result<DeleteReport> {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    delete(store, &keys, &DeleteOptions { undo, jobs: 2, ..DeleteOptions::default() })
}

fn listed(store: &dyn Store) -> Vec<String> {
    let mut keys = Vec::new();
    let dataset = Dataset::open(store).unwrap();
    ls(&dataset, &LsOptions::default(), &mut |entry| {
        keys.push(entry.key.to_owned());
        Ok(())
    })
    .unwrap();
    keys
}

#[test]
fn marks_are_sorted_placed_and_set_once() {
    let store = dataset();
    let fresh = staging::read(&store, MANIFEST).unwrap();
    for (keys, undo, want) in [
        (&["k40", "k07", "k40"][..], false, (2, 0, 2)),
        (&["k07", "k59", "k00"], false, (2, 1, 4)),
        (&["k07"], false, (0, 1, 4)),
        (&["k07", "k08"], true, (1, 1, 3)),
        (&["k00", "k40", "k59"], true, (3, 0, 0)),
    ] {
        let report = mark(&store, keys, undo).unwrap();
        assert_eq!((report.changed, report.unchanged, report.deleted), want, "{keys:?}");
        let (manifest, dataset) = (manifest(&store), Dataset::open(&store).unwrap());
        assert!(manifest.tombstones.is_sorted());
        assert_eq!(report.live, 60 - manifest.tombstones.len() as u64);
        for (key, (shard, record)) in manifest.tombstones.iter().zip(&manifest.tombstone_places) {
            let index = shardpack_dataset::index(&dataset, *shard as usize).unwrap().unwrap();
            assert_eq!(index.get(*record as usize).unwrap().key, key);
        }
        let report = verify(&dataset, &VerifyOptions::default(), &Progress::default()).unwrap();
        assert!(report.is_whole(), "{:?}", report.damage);
        assert_eq!(report.deleted, manifest.tombstones.len() as u64);
    }
    let last = Manifest { history: Vec::new(), ..manifest(&store) };
    assert!(last.to_bytes().unwrap() == fresh, "all marks are gone");
}

#[test]
fn unknown_keys_are_named_and_nothing_is_marked() {
    let store = dataset();
    let fresh = staging::read(&store, MANIFEST).unwrap();
    let keys: Vec<String> = (50..75).map(|i| format!("k{i}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for undo in [false, true] {
        let error = mark(&store, &keys, undo).unwrap_err();
        let Error::Refused { examples, count, .. } = &error else { panic!("{error}") };
        assert_eq!((examples.len(), *count, &*examples[0]), (10, 15, "\"k60\""));
    }
    assert!(staging::read(&store, MANIFEST).unwrap() == fresh);
}

#[test]
fn a_dry_run_looks_and_a_held_lock_keeps_out() {
    let store = dataset();
    let fresh = staging::read(&store, MANIFEST).unwrap();
    let options = DeleteOptions { dry_run: true, ..DeleteOptions::default() };
    let report = delete(&store, &["k01".into()], &options).unwrap();
    assert_eq!((report.changed, report.live, report.dry_run), (1, 59, true));
    let lock = store.lock("").unwrap();
    let error = mark(&store, &["k01"], false).unwrap_err();
    assert!(matches!(&error, Error::Store(e) if matches!(e.kind(), ErrorKind::Busy)), "{error}");
    assert!(staging::read(&store, MANIFEST).unwrap() == fresh);
    drop(lock);
    mark(&store, &["k01"], false).unwrap();
    assert!(matches!(mark(&MemoryStore::new(), &["a"], false), Err(Error::NotFound(_))));
}

#[test]
fn marks_without_places_get_them() {
    let store = dataset();
    let mut manifest = manifest(&store);
    manifest.tombstones = vec!["k10".into(), "k50".into()];
    store.put(MANIFEST, &manifest.to_bytes().unwrap(), PutMode::Replace).unwrap();
    mark(&store, &["k30"], false).unwrap();
    let places = self::manifest(&store).tombstone_places;
    mark(&store, &["k10", "k30", "k50"], true).unwrap();
    mark(&store, &["k10", "k30", "k50"], false).unwrap();
    assert_eq!((places.len(), places), (3, self::manifest(&store).tombstone_places));
}

#[test]
fn what_is_marked_is_seen_by_no_command() {
    let store = dataset();
    mark(&store, &["k03", "k33"], false).unwrap();
    let dataset = Dataset::open(&store).unwrap();
    let keys = listed(&store);
    assert!(keys.len() == 58 && !keys.contains(&"k03".to_owned()), "{keys:?}");
    let shown = |name: &str| {
        let mut out = Vec::new();
        cat(&dataset, name, &mut out, &CatOptions::default()).map_err(|e| e.to_string())
    };
    assert_eq!(
        shown("k03.txt").unwrap_err(),
        "sample \"k03\" is deleted; `delete --undo` brings it back"
    );
    assert!(!shown("k3.txt").unwrap_err().contains("k03"), "not among the nearest");
    assert_eq!(shown("k04.txt"), Ok(6));
    let out = MemoryStore::new();
    let report =
        unpack_into(&dataset, &out, &UnpackOptions::default(), &Progress::default()).unwrap();
    assert_eq!((report.samples, out.list("").unwrap().len()), (58, 58));
    let report = info(&dataset, 1 << 20, &Progress::default()).unwrap();
    assert_eq!((report.samples, report.deleted, report.live), (60, 2, 58));
}

#[test]
fn files_of_deleted_samples_may_be_there_or_not() {
    let store =
        crate::dataset::packed("webdataset", &[("a.txt", b"1"), ("b.txt", b"2"), ("c.txt", b"3")]);
    mark(&store, &["a", "b"], false).unwrap();
    let dataset = Dataset::open(&store).unwrap();
    let source = MemoryTree::new([("a.txt", "other bytes"), ("c.txt", "3")]);
    let options = VerifyOptions { against: Some(&source), ..VerifyOptions::default() };
    let against = verify(&dataset, &options, &Progress::default()).unwrap().against.unwrap();
    assert!(against.is_equal(), "{against:?}");
    assert_eq!((against.equal, against.left_out), (1, 1));
}

#[test]
fn marks_of_no_sample_are_damage() {
    let store = dataset();
    mark(&store, &["k03", "k33"], false).unwrap();
    let good = manifest(&store);
    let wrong = |change: &dyn Fn(&mut Manifest)| {
        let mut manifest = Manifest { history: Vec::new(), ..good.clone() };
        change(&mut manifest);
        store.put(MANIFEST, &manifest.to_bytes().unwrap(), PutMode::Replace).unwrap();
        let dataset = Dataset::open(&store).unwrap();
        let report = verify(&dataset, &VerifyOptions::default(), &Progress::default()).unwrap();
        let [damage] = &report.damage[..] else { panic!("{:?}", report.damage) };
        (damage.shard.clone(), damage.reason.clone())
    };
    let (file, reason) = wrong(&|manifest| manifest.tombstones[1] = "k99".into());
    assert!(file == MANIFEST && reason.contains("no sample has the key \"k99\""), "{reason}");
    let (_, reason) = wrong(&|manifest| manifest.tombstone_places.reverse());
    assert!(reason.contains("\"k03\"") && reason.contains("not where the mark says"), "{reason}");
    // The mark of no sample can be taken back.
    wrong(&|manifest| {
        manifest.tombstones = vec!["k99".into()];
        manifest.tombstone_places.clear();
    });
    assert_eq!(mark(&store, &["k99"], true).unwrap().deleted, 0);
}
