//! The pack path against a model: whatever is packed is what was there, once, in every format and
//! for any number of threads.

use std::collections::BTreeMap;

use proptest::prelude::*;
use shardpack_formats::{Compression, DecodeOptions, Record, Schema};
use shardpack_manifest::{Index, Manifest};
use shardpack_pack::{
    Dataset, Error, Order, PackOptions, Progress, Split, VerifyOptions, pack, verify,
};
use shardpack_store::{ErrorKind, MemoryStore, MemoryTree, Store};

use crate::damage::{kinds, options, read};

type Files = BTreeMap<String, Vec<u8>>;

/// The word at which RecordIO splits a record.
const MAGIC: [u8; 4] = 0xced7_230a_u32.to_le_bytes();

fn tree(files: &Files) -> MemoryTree {
    MemoryTree::new(files)
}

fn packed(files: &Files, options: &PackOptions) -> MemoryStore {
    let store = MemoryStore::new();
    pack(&tree(files), &store, options, &Progress::default()).expect("files that fit the format");
    store
}

/// Everything in the store, by key.
fn contents(store: &MemoryStore) -> Files {
    let objects = store.list("").expect("memory");
    objects.into_iter().map(|o| (o.key.clone(), read(store, &o.key))).collect()
}

/// Samples as the format's decoder finds them, with keys and fields from the index (RecordIO has
/// none of its own), and the bodies read at the places that the index tells.
fn decoded(store: &MemoryStore) -> Files {
    let manifest = Manifest::parse(&read(store, "manifest.json")).expect("just written");
    let format = manifest.format.open().expect("known");
    let mut found = Files::new();
    for shard in &manifest.shards {
        let index = Index::parse(read(store, &shard.index.path)).expect("just written");
        let bytes = read(store, &shard.path);
        let mut stream = Vec::new();
        let mut plain = manifest.compression.reader(Box::new(&bytes[..])).expect("a stream");
        std::io::Read::read_to_end(&mut plain, &mut stream).expect("a whole stream");
        let mut decoder = format.decoder(Box::new(&stream[..]), &DecodeOptions::default());
        let mut record = Record::default();
        for row in index.iter() {
            assert!(decoder.read(&mut record).expect("a whole shard"));
            assert_eq!((record.offset, record.len), (row.offset, row.len), "{}", row.key);
            for (told, field) in row.fields.zip(&record.sample.fields) {
                let body = record.sample.body(field).to_vec();
                if let Some(at) = told.offset {
                    assert_eq!(&stream[at as usize..][..body.len()], body, "place of {}", row.key);
                }
                let path = format!("{}.{}", row.key, told.name);
                assert!(found.insert(path, body).is_none(), "{} is there twice", row.key);
            }
        }
        assert!(!decoder.read(&mut record).expect("a proper end"));
    }
    found
}

fn assert_whole(store: &MemoryStore) {
    let dataset = Dataset::open(store).expect("a manifest");
    let report = verify(&dataset, &VerifyOptions::default(), &Progress::default()).expect("reads");
    assert!(report.is_whole(), "{report:?}");
}

/// Bodies of many lengths, with the magic at aligned and other places.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40),
        1 => Just(MAGIC.to_vec()),
        1 => (0usize..9000).prop_map(|n| vec![7; n]),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_format_holds_what_was_there(
        bodies in prop::collection::vec(bodies(), 1..40),
        seed in any::<u64>(),
        target in 5_000u64..60_000,
        multiple in 1u64..4,
    ) {
        let files: Files = bodies
            .into_iter()
            .enumerate()
            .map(|(i, body)| (format!("{}/s{i}.jpg", i % 3), body))
            .collect();
        for (mut options, _) in kinds() {
            let format = options.format.clone();
            let schema = options.format_options.schema;
            options.order = Order::Shuffle(seed);
            options.target = target;
            // Every sample may need a shard of its own, and none is split to fill up a multiple.
            options.shard_multiple = match files.len().is_multiple_of(multiple as usize) {
                true => multiple,
                false => 1,
            };
            let mut all = None;
            for (jobs, io_depth, memory) in [(1, 1, 16 << 20), (2, 64, 512 << 20), (8, 3, 16 << 20)] {
                (options.jobs, options.io_depth, options.memory) = (jobs, io_depth, memory);
                let store = packed(&files, &options);
                match &all {
                    None => {
                        prop_assert_eq!(&decoded(&store), &files, "{} {:?}", format, schema);
                        assert_whole(&store);
                        all = Some(contents(&store));
                    }
                    Some(all) => prop_assert_eq!(&contents(&store), all, "{} jobs {}", format, jobs),
                }
            }
        }
    }

    #[test]
    fn a_sample_stays_in_its_split_when_others_come(
        names in prop::collection::btree_set("[a-z]{1,6}", 40..80),
        keep in prop::collection::vec(any::<bool>(), 80),
    ) {
        let file = |name: &String| (format!("{name}.txt"), name.clone().into_bytes());
        let all: Files = names.iter().map(file).collect();
        let some: Files = names.iter().zip(&keep).filter(|(_, k)| **k).map(|(n, _)| file(n)).collect();
        let split = |name: &str, fraction| Split { name: name.into(), fraction };
        let splits = vec![split("train", 0.6), split("val", 0.4)];
        let options = PackOptions { splits, ..PackOptions::default() };
        let split_of = |files: &Files| -> BTreeMap<String, String> {
            let store = packed(files, &options);
            let manifest = Manifest::parse(&read(&store, "manifest.json")).expect("just written");
            let mut of = BTreeMap::new();
            for shard in &manifest.shards {
                let index = Index::parse(read(&store, &shard.index.path)).expect("just written");
                let split = shard.split.clone().expect("a split run");
                of.extend(index.iter().map(|r| (r.key.to_string(), split.clone())));
            }
            of
        };
        prop_assume!(some.len() > 12);
        let (before, after) = (split_of(&some), split_of(&all));
        for (key, split) in before {
            prop_assert_eq!(&after[&key], &split, "{}", key);
        }
    }
}

/// Every record of every shard is split, so every shard is laid out twice.
#[test]
fn recordio_shards_full_of_magic_are_laid_out_again() {
    let body = |i: usize| [vec![1; 4 * i], MAGIC.repeat(1 + i % 3), vec![2; i]].concat();
    let files: Files = (0..60).map(|i| (format!("{i:02}.bin"), body(i))).collect();
    let mut options = options("recordio", Schema::Fields, Compression::None);
    options.target = 4096;
    let store = packed(&files, &options);
    assert_eq!(decoded(&store), files);
    assert_whole(&store);
}

/// A sample larger than every buffer and larger than the target streams through.
#[test]
fn a_sample_over_target_and_buffer_is_a_shard_of_its_own() {
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
    let mut files: Files = (0..10).map(|i| (format!("{i}.bin"), vec![i; 100])).collect();
    files.insert("large.bin".into(), large);
    for (mut options, _) in kinds() {
        (options.target, options.memory) = (100_000, 16 << 20);
        let format = options.format.clone();
        if options.format_options.schema == Schema::Image {
            continue; // a .bin is no image
        }
        let store = packed(&files, &options);
        assert_eq!(decoded(&store).len(), 11, "{format}");
        let manifest = Manifest::parse(&read(&store, "manifest.json")).expect("just written");
        let alone = manifest.shards.iter().filter(|s| s.stream_bytes > 3_000_000);
        assert_eq!(alone.map(|s| s.samples).collect::<Vec<_>>(), [1], "{format}");
    }
}

/// Whatever happens to a file between listing and reading: an error that names it, no dataset.
#[test]
fn a_file_that_is_not_what_was_listed_is_named() {
    let files: Files = (0..20).map(|i| (format!("{i:02}.txt"), vec![b'x'; 50])).collect();
    type Change = fn(&MemoryTree);
    let changes: [(&str, Change); 4] = [
        ("grown", |tree| tree.write(b"07.txt", &[b'x'; 51])),
        ("cut", |tree| tree.write(b"07.txt", &[b'x'; 49])),
        ("rewritten", |tree| tree.write(b"07.txt", &[b'y'; 50])),
        ("gone", |tree| tree.remove(b"07.txt")),
    ];
    for (what, change) in changes {
        let (tree, store) = (tree(&files), MemoryStore::new());
        change(&tree);
        let error = pack(&tree, &store, &PackOptions::default(), &Progress::default());
        let Err(Error::Store(error)) = error else { panic!("{what}: {error:?}") };
        assert!(error.name().contains("07.txt"), "{what}: {error}");
        let fits = matches!(error.kind(), ErrorKind::Changed { .. } | ErrorKind::NotFound);
        assert!(fits, "{what}: {error}");
        let left = contents(&store);
        assert!(!left.contains_key("manifest.json"), "{what}");
        assert!(!left.keys().any(|key| key.starts_with("shards/")), "{what}: {:?}", left.keys());
    }
}
