//! Marks of deletion, as the reader takes them.

use std::collections::BTreeSet;
use std::sync::Arc;

use shardpack_manifest::Manifest;
use shardpack_pack::{DeleteOptions, PackOptions, Progress, Split, delete, pack};
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};

/// Sixty samples in some shards of two splits, eight of them deleted.
fn dataset() -> (Arc<MemoryStore>, BTreeSet<String>) {
    let files: Vec<_> = (0..60).map(|i| (format!("k{i:02}.txt"), format!("{i}"))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let store = MemoryStore::new();
    let split = |name: &str| Split { name: name.into(), fraction: 0.5 };
    let splits = vec![split("a"), split("b")];
    let options = PackOptions { max_samples: Some(8), splits, ..PackOptions::default() };
    pack(&files, &store, &options, &Progress::default()).unwrap();
    let keys: Vec<String> = (0..60).step_by(8).map(|i| format!("k{i:02}")).collect();
    delete(&store, &keys, &DeleteOptions::default()).unwrap();
    let live = (0..60).map(|i| format!("k{i:02}")).filter(|key| !keys.contains(key));
    (Arc::new(store), live.collect())
}

fn manifest(store: &MemoryStore) -> Manifest {
    Manifest::parse(&shardpack_dataset::read(store, "manifest.json").unwrap()).unwrap()
}

fn reader(store: &Arc<MemoryStore>, split: Option<&str>) -> Reader {
    let mut options = ReadOptions::default();
    options.split = split.map(str::to_owned);
    Reader::of_store(store.clone(), options).unwrap()
}

fn keys(reader: &Reader) -> BTreeSet<String> {
    reader.epoch(1).map(|sample| sample.unwrap().key().to_owned()).collect()
}

#[test]
fn places_and_keys_give_the_same_samples_in_every_split() {
    let (store, live) = dataset();
    let placed: Vec<_> =
        [None, Some("a"), Some("b")].map(|split| keys(&reader(&store, split))).into();
    assert_eq!(placed[0], live);
    assert_eq!(placed[1].union(&placed[2]).cloned().collect::<BTreeSet<_>>(), live);
    assert!(placed[1].is_disjoint(&placed[2]));
    let state = reader(&store, Some("b")).epoch(0).state();
    let mut manifest = manifest(&store);
    manifest.tombstone_places.clear();
    store.put("manifest.json", &manifest.to_bytes().unwrap(), PutMode::Replace).unwrap();
    for (split, placed) in [None, Some("a"), Some("b")].into_iter().zip(placed) {
        assert_eq!(keys(&reader(&store, split)), placed, "{split:?}");
    }
    assert_eq!(reader(&store, Some("b")).epoch(0).state(), state, "the same order");
}

/// A dataset of ten thousand shards must not be walked through before the first sample.
#[test]
fn no_index_is_read_to_find_marks() {
    let (store, live) = dataset();
    store.remove("index").unwrap();
    assert_eq!(reader(&store, None).plan().samples(), live.len() as u64);
}
