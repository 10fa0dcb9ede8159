//! Samples chosen and ordered by what is in them: `--where`, `--order field:` and `map:`, `--dedupe`.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use shardpack_testkit::s3::S3Server;

use crate::join::cloud;
use crate::program::{Home, Ran};

/// Forty samples in two classes: `n` in a JSON, which the fourth part of them lacks, beside an image.
fn tree(home: &Home) {
    for i in 0..40_u32 {
        let class = if i % 2 == 0 { "cat" } else { "dog" };
        home.write(&format!("src/{class}/{i:02}.jpg"), vec![i as u8; 200 + i as usize]);
        let json = match i % 4 {
            0 => format!(r#"{{"i": {i}, "tags": ["even", {i}]}}"#),
            _ => format!(r#"{{"i": {i}, "n": {}, "name": "s{}"}}"#, (i * 7) % 10, i % 3),
        };
        home.write(&format!("src/{class}/{i:02}.json"), json);
    }
}

#[track_caller]
fn told(ran: &Ran, words: &[&str]) {
    assert_ne!(ran.code, Some(0), "{}", ran.stdout);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
    }
}

/// Keys of a dataset in stored order.
fn keys(home: &Home, dataset: &str) -> Vec<String> {
    let all = home.run(&["ls", dataset, "--json"]).done().json();
    let entries = all.as_array().expect("a list").iter();
    entries.map(|entry| entry["key"].as_str().expect("a key").to_owned()).collect()
}

/// Numbers at the end of keys.
fn numbers(keys: &[String]) -> Vec<u32> {
    keys.iter().map(|key| key[key.len() - 2..].parse().expect("a number")).collect()
}

fn count(home: &Home, args: &[&str]) -> u64 {
    let _ = fs::remove_dir_all(home.path("out"));
    let args: Vec<&str> = ["reshard", "one", "out", "--json"].iter().chain(args).copied().collect();
    home.run(&args).done().json()["samples"].as_u64().expect("a number")
}

#[test]
fn samples_are_those_for_which_the_expression_holds() {
    let home = Home::new();
    tree(&home);
    for format in ["webdataset", "tfrecord", "recordio-protobuf"] {
        home.line(&format!("pack src one --labels folder --format {format} --target 6kB")).done();
        for (expression, want) in [
            ("json.i < 10", 10),
            ("json.i < 10 and label == \"cat\"", 5),
            ("label == 1 or key =~ \"/00$\"", 21),
            ("exists json.n", 30),
            ("not exists json.n", 10),
            ("json.tags contains \"even\"", 10),
            ("json.n in [1, 3] and json.name != \"s0\"", 4),
            ("len(jpg) >= 230 and exists json", 10),
            ("size > 0", 40),
        ] {
            assert_eq!(count(&home, &["--where", expression]), want, "{format}: {expression}");
        }
        // A field that is looked into need not be taken, and has the name that the source calls it.
        assert_eq!(count(&home, &["--where", "json.i < 3", "--fields", "jpg"]), 3);
        assert_eq!(count(&home, &["--where", "json.i < 3", "--rename", "json=meta.json"]), 3);
        let info = home.line("info out --json").done().stdout;
        assert!(info.contains("meta.json") && info.contains("jpg"), "{info}");
        fs::remove_dir_all(home.path("one")).expect("a folder");
    }
}

#[test]
fn a_hidden_field_leaves_no_trace() {
    let home = Home::new();
    tree(&home);
    home.line("pack src one --labels folder --format tfrecord").done();
    let line = ["reshard", "one", "looked", "--format", "recordio", "--drop-field", "json"];
    home.run(&[&line[..], &["--where", "json.i >= 0"]].concat()).done();
    home.line("reshard one plain --format recordio --drop-field json").done();
    let data = |folder: &str| {
        let mut files = home.files(folder);
        files.remove("manifest.json"); // tells the expression
        files
    };
    assert_eq!(data("looked"), data("plain"));
}

#[test]
fn what_is_no_json_is_named_or_counted() {
    let home = Home::new();
    tree(&home);
    home.write("src/cat/00.json", "{\"i\": 0,");
    home.write("src/dog/01.json", "no JSON");
    home.line("pack src one --order key --format tfrecord").done();
    let line = ["reshard", "one", "out", "--where", "json.i < 5"];
    let ran = home.run(&line);
    told(
        &ran,
        &["/one/shards/", "record 0", "\"cat/00\"", "field \"json\"", "--where-errors skip"],
    );
    assert_eq!(ran.code, Some(2));
    assert!(!home.path("out").exists());
    let report =
        home.run(&[&line[..], &["--where-errors", "skip", "--json"]].concat()).done().json();
    assert_eq!(report["samples"], 3);
    let skipped = report["skipped"].to_string();
    assert!(skipped.contains("no JSON (--where-errors skip)\",2"), "{skipped}");
    // Not looked into, it is no matter.
    assert_eq!(
        count(&home, &["--where", "json.i < 5 and key != \"cat/00\" and key != \"dog/01\""]),
        3
    );

    // Another body than the index tells is damage, whatever the policy.
    let (name, mut bytes) =
        home.files("one").into_iter().find(|(name, _)| name.starts_with("shards/")).expect("one");
    let at = bytes.windows(7).position(|w| w == b"{\"i\": 2").expect("a JSON");
    bytes[at + 6] = b'9';
    home.write(&format!("one/{name}"), bytes);
    let ran =
        home.run(&["reshard", "one", "bad", "--where", "json.i < 5", "--where-errors", "skip"]);
    told(&ran, &["crc32c", "\"cat/02\"", "record "]);
    assert_eq!(ran.code, Some(1));
}

#[test]
fn expressions_that_are_none_point_at_the_column() {
    let home = Home::new();
    tree(&home);
    home.line("pack src one").done();
    for (args, words) in [
        (&["--where", "json.i >= and"][..], &["--where", "column 11", "found and", "^"][..]),
        (&["--where", "json.i = 3"], &["column 8", "write =="]),
        (&["--order", "field:json."], &["--order", "column 6", "expected a name"]),
        (&["--order", "field"], &["write shuffle"]),
        (&["--order", "map:nowhere"], &["--order map:nowhere", "not found"]),
        (
            &["--where", "a.x == 1", "--rename", "json=a"],
            &["--where and --order look at a", "--rename"],
        ),
        (&["--dedupe-report", "x"], &["--dedupe"]),
    ] {
        let args: Vec<&str> = ["reshard", "one", "out"].iter().chain(args).copied().collect();
        told(&home.run(&args), words);
        assert!(!home.path("out").exists(), "{args:?}");
    }
    told(&home.line("pack src out --order field:json.i"), &["files have no such order"]);
}

#[test]
fn samples_are_sorted_by_a_value() {
    let home = Home::new();
    tree(&home);
    home.line("pack src one --format tfrecord").done();
    let sorted = |order: &str| {
        home.line(&format!("reshard one {order} --order field:{order} --target 6kB")).done();
        (keys(&home, order), home.line(&format!("info {order} --json")).done().json())
    };
    let (up, info) = sorted("json.n");
    let n = |i: &u32| if i.is_multiple_of(4) { u32::MAX } else { (i * 7) % 10 };
    let mut want: Vec<(u32, String)> =
        up.iter().map(|key| (n(&key[4..].parse().unwrap()), key.clone())).collect();
    want.sort();
    assert_eq!(up, want.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
    assert!(info.to_string().contains("\"field\""), "{info}");
    let down = sorted("json.n:desc").0;
    let mut values: Vec<u32> = numbers(&down).iter().map(n).collect();
    assert_eq!(values.split_off(30), [u32::MAX; 10], "samples without the value are last");
    assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
    assert!(numbers(&sorted("len(jpg)").0).is_sorted());
    let manifest = &home.files("json.n:desc")["manifest.json"];
    let manifest: Value = serde_json::from_slice(manifest).expect("JSON");
    assert_eq!(manifest["order"], "field");
    assert_eq!(manifest["options"]["order-by"], "json.n:desc");
    // Texts: a third of those that have one starts with each.
    let names = numbers(&sorted("json.name").0);
    assert!(names[..30].iter().map(|i| i % 3).is_sorted(), "{names:?}");
    home.line("verify json.n").done();
}

#[test]
fn a_map_tells_the_order() {
    let home = Home::new();
    tree(&home);
    home.line("pack src one --format tfrecord").done();
    home.write("map", "dog/07\ncat/30\n\nno such key\ndog/01\n");
    let report = home.line("reshard one out --order map:map --json").done().json();
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("37 samples are not in map") && notes.contains("1 keys of map"),
        "{notes}"
    );
    let keys = keys(&home, "out");
    assert_eq!(keys[..4], ["dog/07", "cat/30", "dog/01", "cat/00"]);
    assert!(keys[3..].is_sorted());
    home.write("map", "a\nb\na\n");
    told(&home.line("reshard one x --order map:map"), &["a: lines 1 and 3", "twice"]);
}

#[test]
fn of_samples_that_are_the_same_the_first_by_key_stays() {
    let home = Home::new();
    for (key, image, text) in [
        ("b", "same", "one"),
        ("a", "same", "one"),
        ("c", "same", "two"),
        ("d", "other", "one"),
        ("e", "same", "one"),
    ] {
        home.write(&format!("src/{key}.jpg"), image);
        home.write(&format!("src/{key}.txt"), text);
    }
    for format in ["webdataset", "tfrecord", "recordio-protobuf"] {
        home.line(&format!("pack src {format} --format {format} --order shuffle:3")).done();
        for (rule, left, groups) in [
            ("content", "a c d", vec![("a", vec!["b", "e"], 7)]),
            ("jpg", "a d", vec![("a", vec!["b", "c", "e"], 4)]),
            ("txt", "a c", vec![("a", vec!["b", "d", "e"], 3)]),
        ] {
            let _ = fs::remove_dir_all(home.path("out"));
            let line =
                format!("reshard {format} out --dedupe {rule} --dedupe-report same --order key");
            home.line(&line).done();
            assert_eq!(keys(&home, "out").join(" "), left, "{format} {rule}");
            let told = fs::read_to_string(home.path("same")).expect("a report");
            let found: Vec<Value> =
                told.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let want: Vec<Value> = (groups.into_iter())
                .map(|(kept, dropped, bytes)| {
                    serde_json::json!({
                        "kept": kept, "dropped": dropped, "bytes": bytes, "same_label": true,
                    })
                })
                .collect();
            assert_eq!(found, want, "{format} {rule}");
        }
    }
    told(&home.line("reshard tfrecord x --dedupe png"), &["--dedupe png: no sample"]);
    // The same bytes with another label are another sample, unless a field is asked for.
    home.write("labels.csv", "key,class\na,1\nb,2\nc,1\nd,1\ne,1\n");
    home.line("pack src labelled --labels csv:labels.csv --format tfrecord").done();
    home.line("reshard labelled l1 --dedupe content --order key").done();
    assert_eq!(keys(&home, "l1").join(" "), "a b c d");
    home.line("reshard labelled l2 --dedupe jpg --dedupe-report same").done();
    let told = fs::read_to_string(home.path("same")).expect("a report");
    assert!(told.contains("\"same_label\":false"), "{told}");
}

/// Two texts of one length with equal crc32c: flipping the bits of the polynomial, moved to any
/// place, leaves it. What says that samples are the same is their bytes.
#[test]
fn equal_checksums_are_not_equal_bytes() {
    let home = Home::new();
    let one = vec![0x55_u8; 64];
    let mut other = one.clone();
    // x^32 and the polynomial 0x1EDC6F41, in the bit order of crc32c: 33 bits from bit 8 on.
    let flips = (u64::from(0x1EDC_6F41_u32.reverse_bits()) << 1) | 1;
    for (byte, flip) in other[1..].iter_mut().zip(flips.to_le_bytes()) {
        *byte ^= flip;
    }
    assert_ne!(one, other);
    home.write("src/a.bin", &one);
    home.write("src/b.bin", &other);
    home.write("src/c.bin", &one);
    home.line("pack src one --format tfrecord").done();
    let sums = home.line("ls one --json").done().json();
    let sums: Vec<&Value> =
        sums.as_array().expect("a list").iter().map(|e| &e["fields"][0]["crc32c"]).collect();
    assert!(sums[0].is_u64() && sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    home.line("reshard one out --dedupe bin --order key").done();
    assert_eq!(keys(&home, "out"), ["a", "b"]);
}

#[test]
fn the_number_of_jobs_and_where_it_lies_change_no_byte() {
    let (home, server) = (Home::new(), S3Server::start());
    tree(&home);
    home.line("pack src one --labels folder --target 5kB").done();
    cloud(
        &home,
        &server,
        &["pack", "src", "s3://bucket/one", "--labels", "folder", "--target", "5kB"],
    )
    .done();
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    let options = ["--where", "json.i > 3", "--order", "field:json.n", "--dedupe", "content"];
    let more = ["--target", "6kB", "--s3-prefix", "s3://x/y"];
    for format in ["webdataset", "tfrecord", "recordio", "recordio-protobuf"] {
        let fields: &[&str] = if format == "recordio" { &["--fields", "jpg"] } else { &[] };
        for (source, jobs) in [("one", "1"), ("one", "8"), ("s3://bucket/one", "2")] {
            let line = ["reshard", source, "out", "--format", format, "--jobs", jobs];
            cloud(&home, &server, &[&line[..], &options, &more, fields].concat()).done();
            let files = home.files("out");
            assert!(files.len() > 8, "{:?}", files.keys());
            match &first {
                Some(first) => assert_eq!(&files, first, "{format} from {source}, {jobs} jobs"),
                None => first = Some(files),
            }
            fs::remove_dir_all(home.path("out")).expect("a folder");
        }
        first = None;
    }
}
