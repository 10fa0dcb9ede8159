//! What a dataset keeps when it is packed anew, and what keeps it from being.

use regex::Regex;
use shardpack_store::{Bytes, MemoryStore, MemoryTree, PutMode, Source, Store};

use super::*;
use crate::dataset::Dataset;
use crate::options::{Grouping, Labels};
use crate::{Order, pack};

fn packed(files: &[(&str, &str)], options: PackOptions) -> MemoryStore {
    let store = MemoryStore::new();
    let files = MemoryTree::new(files.iter().copied());
    pack(&files, &store, &options, &Progress::default()).expect("a small dataset");
    store
}

fn options(format: &str) -> PackOptions {
    PackOptions { format: format.into(), order: Order::Key, ..Default::default() }
}

fn source<'s>(stores: &[&'s MemoryStore], selection: &Selection) -> Result<DatasetSource<'s>> {
    let input = |(i, store): (usize, &&'s MemoryStore)| {
        Ok((Dataset::open(*store).map_err(Error::from)?, format!("in{i}")))
    };
    let inputs = stores.iter().enumerate().map(input).collect::<Result<Vec<_>>>()?;
    DatasetSource::open(inputs, selection, &SourceOptions::default(), &Progress::default())
}

#[test]
fn keys_and_fields_stay_whatever_dots_they_have() {
    let grouping = Grouping::Pattern(Regex::new(r"^(?<key>.*)\.(?<field>[^.]*)$").unwrap());
    let files = [("a/v1.2.jpg", "one"), ("a/v1.2.txt", "two"), ("b.c/x.y.z", "three")];
    let first = packed(&files, PackOptions { grouping, ..options("tfrecord") });
    let second = MemoryStore::new();
    let source = source(&[&first], &Selection::default()).unwrap();
    let report =
        reshard(&source, &second, &options("recordio-protobuf"), &Progress::default()).unwrap();
    assert!(report.same);
    let dataset = Dataset::open(&second).unwrap();
    let index = shardpack_dataset::index(&dataset, 0).unwrap().unwrap();
    let found: Vec<_> = (index.iter())
        .map(|r| (r.key.to_owned(), r.fields.map(|f| f.name.to_owned()).collect::<Vec<_>>()))
        .collect();
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found,
        [("a/v1.2".to_owned(), names(&["jpg", "txt"])), ("b.c/x.y".to_owned(), names(&["z"]))]
    );
}

#[test]
fn a_record_with_magic_is_decoded_and_others_are_ranges() {
    let body = "abcd\n#\u{0}\u{0}";
    let mut split = body.as_bytes().to_vec();
    split[4..8].copy_from_slice(&0xced7_230a_u32.to_le_bytes());
    let files = [("a.bin", split.clone()), ("b.bin", b"plain".to_vec())];
    let store = MemoryStore::new();
    pack(&MemoryTree::new(files), &store, &options("recordio"), &Progress::default()).unwrap();
    let source = source(&[&store], &Selection::default()).unwrap();
    for (file, start, want) in [(0, 0, &split[..]), (0, 3, &split[3..]), (1, 1, b"lain")] {
        let mut found = Vec::new();
        source.fetch(file, start, want.len() as u64, &mut Bytes::new(&mut found)).unwrap();
        assert_eq!(found, want, "file {file} from {start}");
    }
    let outside = source.fetch(1, 3, 3, &mut Bytes::new(&mut Vec::new())).unwrap_err();
    assert!(outside.to_string().contains("no bytes 3+3"), "{outside}");
}

#[test]
fn a_manifest_that_changes_keeps_the_result_from_being_published() {
    let store = packed(&[("a.txt", "one"), ("b.txt", "two")], options("webdataset"));
    let source = source(&[&store], &Selection::default()).unwrap();
    let mut manifest = Dataset::open(&store).unwrap().manifest().unwrap().clone();
    manifest.tombstones = vec!["a".into()];
    store.put("manifest.json", &manifest.to_bytes().unwrap(), PutMode::Replace).unwrap();
    let out = MemoryStore::new();
    let error = reshard(&source, &out, &options("webdataset"), &Progress::default()).unwrap_err();
    let Error::Store(inner) = &error else { panic!("{error:?}") };
    assert!(inner.is_changed() && inner.name() == "in0/manifest.json", "{inner}");
    assert!(out.open("manifest.json").is_err());
}

#[test]
fn classes_that_disagree_are_refused() {
    let labelled = |files: &[(&str, &str)]| {
        packed(files, PackOptions { labels: Some(Labels::Folder), ..options("tfrecord") })
    };
    let first = labelled(&[("cat/1.txt", "a"), ("dog/2.txt", "b")]);
    let second = labelled(&[("dog/3.txt", "c")]); // here dog is 0
    let error = source(&[&first, &second], &Selection::default()).unwrap_err().to_string();
    assert!(error.contains("\"dog\" is 0 in in1, but \"cat\" is 0"), "{error}");
    let none = Selection { drop_labels: true, ..Default::default() };
    assert_eq!(source(&[&first, &second], &none).unwrap().listing().len(), 3);
}

#[test]
fn the_plan_costs_what_it_says() {
    let names: Vec<String> = (0..2000).map(|i| format!("{i:08}.jpg")).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "body")).collect();
    let store = packed(&files, options("webdataset"));
    let source = source(&[&store], &Selection::default()).unwrap();
    let report = dry_reshard(&source, &options("tfrecord"), &Progress::default()).unwrap();
    assert_eq!(report.samples, 2000);
    assert!(report.plan_memory < 2000 * 100, "{} bytes", report.plan_memory);
}
