//! `shardpack why`.

use std::fs;
use std::sync::Arc;

use serde_json::{Value, json};
use shardpack_formats::crc32c;
use shardpack_reader::plan::Part;
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::{LocalOptions, LocalStore};

use crate::program::{Home, Ran, Random};

/// Thirty samples of two fields, whose files are not called as their fields are.
fn tree() -> Home {
    let home = Home::new();
    let mut random = Random(5);
    for i in 0..30 {
        let len = 500 + random.below(4_000);
        home.write(&format!("src/c/{i:02}.JPEG"), random.bytes(len));
        home.write(&format!("src/c/{i:02}.txt"), format!("sample {i}"));
    }
    home
}

fn packed() -> Home {
    let home = tree();
    home.line("pack src dst --max-samples 10").done();
    home
}

#[track_caller]
fn told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    for part in parts {
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert!(all.contains(part), "{part:?} in {all}");
    }
}

#[test]
fn file_shard_offset_and_checks_are_told_in_every_format() {
    let home = tree();
    for (i, options) in [
        "--format webdataset --split train=0.5,val=0.5",
        "--format webdataset --compress zstd",
        "--format tfrecord --compress gzip",
        "--format tfrecord",
        "--format recordio --fields jpeg",
        "--format recordio-protobuf",
    ]
    .into_iter()
    .enumerate()
    {
        home.line(&format!("pack src dst{i} --max-samples 10 {options}")).done();
        let listed = home.line(&format!("ls dst{i} --json")).done().json();
        let entry = &listed.as_array().expect("samples")[17];
        let key = entry["key"].as_str().expect("a key");
        let ran = home.line(&format!("why dst{i} {key} --json")).done();
        let report = ran.json();
        for name in ["shard", "record", "offset", "bytes", "key"] {
            assert_eq!(report[name], entry[name], "{options}: {name}");
        }
        let field = &report["fields"][0];
        let source = field["source"].as_str().expect("a file");
        assert_eq!(source, format!("{key}.JPEG"), "{options}");
        let file = fs::read(home.path("src").join(source)).expect("the file");
        let crc = u64::from(crc32c(&file));
        assert_eq!((&field["crc32c"], &field["bytes"]), (&crc.into(), &file.len().into()));
        assert_eq!((&report["damage"], &field["damage"]), (&json!([]), &Value::Null), "{options}");
        told(&home.line(&format!("why dst{i} {key}")), 0, &["state    whole", ".JPEG, whole"]);
    }
}

/// The plan's word against a reader of every rank.
#[test]
fn the_rank_and_step_are_those_that_read_it() {
    let home = packed();
    let store = LocalStore::open(home.path("dst"), &LocalOptions::default());
    let store = Arc::new(store);
    for (world, epoch, shuffle, seed) in
        [(1, 0, "window:7:shard", 0), (3, 2, "exact", 0), (4, 1, "window:4:2", 9)]
    {
        let order = format!("--world {world} --epoch {epoch} --shuffle {shuffle} --seed {seed}");
        for rank in 0..world {
            let mut options = ReadOptions::default();
            options.part = Some(Part { rank, world, replicas: 1 });
            options.plan.seed = seed;
            options.plan.shuffle = shuffle.parse().expect("a shuffle");
            let reader = Reader::of_store(store.clone(), options).expect("a dataset");
            for (step, sample) in (0..30 / world).zip(reader.epoch(epoch)).step_by(5) {
                let key = sample.expect("a sample").key().to_owned();
                let read = home.line(&format!("why dst {key} {order} --json")).done().json();
                let read = &read["read"];
                assert_eq!((&read["rank"], &read["step"]), (&rank.into(), &step.into()), "{read}");
                assert_eq!((&read["epoch"], &read["world"]), (&epoch.into(), &world.into()));
            }
        }
    }
    let text = home.line("why dst c/03 --world 3").done().stdout;
    assert!(text.contains("by rank ") && text.contains(" of 3 at step "), "{text}");
    let dropped = |key: usize| {
        let line = format!("why dst c/{key:02} --world 7 --tail drop --shuffle off --json");
        home.line(&line).done().json()["read"]["dropped"] == true
    };
    assert_eq!((0..30).filter(|key| dropped(*key)).count(), 2);
}

#[test]
fn damage_is_shown_where_it_is() {
    let home = packed();
    let report = home.line("why dst c/11 --json").done().json();
    let shard = report["shard"].as_str().expect("a shard").to_owned();
    let whole = home.files("dst")[&shard].clone();
    let number = |value: &Value| value.as_u64().expect("a number") as usize;
    let (record, end) = (number(&report["offset"]), number(&report["bytes"]));
    let body = number(&report["fields"][0]["offset"]);
    let changed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        home.write(&format!("dst/{shard}"), bytes);
        home.line("why dst c/11")
    };
    told(
        &changed(body + 7),
        1,
        &["jpeg: ", "DAMAGED: field \"jpeg\" at offset", "state    DAMAGED"],
    );
    told(&changed(record + 2), 1, &["DAMAGED  the record has crc32c", "framing", "jpeg", "whole"]);
    home.write(&format!("dst/{shard}"), &whole[..record + end - 9]);
    told(&home.line("why dst c/11"), 1, &["the manifest says", "ends at offset"]);
    fs::remove_file(home.path(&format!("dst/{shard}"))).expect("a shard");
    told(&home.line("why dst c/11"), 1, &["c/11.JPEG", "the shard is missing", "is not known"]);
}

#[test]
fn deleted_samples_are_told_as_such() {
    let home = packed();
    home.line("delete dst c/11").done();
    let ran = home.line("why dst c/11").done();
    told(&ran, 0, &["whole, but deleted"]);
    assert!(!ran.stdout.contains("read  "), "{}", ran.stdout);
    let report = home.line("why dst c/11 --json").done().json();
    assert_eq!((&report["deleted"], &report["read"]), (&true.into(), &Value::Null));
}

#[test]
fn bad_input_says_what_to_do() {
    let home = packed();
    home.write("plain/a.tar", [0; 1024]);
    home.line("pack src parts --split a=0.5,b=0.5").done();
    for (line, parts) in [
        ("why dst c/99", &["no sample \"c/99\"", "nearest"][..]),
        ("why plain x", &["no manifest.json", "shardpack index"]),
        ("why nowhere x", &["nowhere: no such file"]),
        ("why dst", &["KEY"]),
        ("why dst c/01 --shuffle window", &["window:SAMPLES:shard"]),
        ("why dst c/01 --world 0", &["--world"]),
        ("why dst c/01 --subset 1.5", &["fraction"]),
        ("why dst c/01 --subset 31", &["there are 30"]),
        ("why parts c/01 --split c", &["no split \"c\"", "a, b"]),
    ] {
        told(&home.line(line), 2, parts);
    }
    let reads = |split: &str| home.line(&format!("why parts c/01 --split {split}")).done().stdout;
    let never = ["a", "b"].into_iter().filter(|s| reads(s).contains("never: it is not in")).count();
    assert_eq!(never, 1, "it is in one of the splits");
}
