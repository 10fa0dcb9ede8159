//! `shardpack diff`.

use serde_json::json;
use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Running};

/// Twenty samples of a text and a picture.
fn tree() -> Home {
    let home = Home::new();
    for i in 0..20 {
        home.write(&format!("src/{}/{i:02}.txt", i % 2), format!("sample {i}"));
        home.write(&format!("src/{}/{i:02}.jpg", i % 2), vec![i as u8; 100 + i]);
    }
    home
}

#[test]
fn order_shards_and_format_are_no_difference() {
    let home = tree();
    home.line("pack src a").done();
    for options in [
        "--order key --max-samples 3",
        "--format tfrecord --order shuffle:7",
        "--format tfrecord --compress gzip",
        "--split train=0.5,val=0.5",
    ] {
        let _ = std::fs::remove_dir_all(home.path("b"));
        home.line(&format!("pack src b {options}")).done();
        let ran = home.line("diff a b").done();
        assert!(ran.stdout.starts_with("20 samples the same, 0 changed"), "{}", ran.stdout);
    }
}

/// A tar has labels as fields, other formats have a place for them.
#[test]
fn a_label_is_the_same_in_every_format() {
    let home = tree();
    home.line("pack src tar --labels folder").done();
    for format in ["tfrecord", "recordio-protobuf"] {
        home.line(&format!("reshard tar {format} --format {format} --fields txt")).done();
        home.line(&format!("reshard tar tar-{format} --fields txt")).done();
        for line in [format!("diff tar-{format} {format}"), format!("diff {format} tar-{format}")] {
            let ran = home.line(&line).done();
            assert!(ran.stdout.contains(" the same, 0 changed"), "{line}: {}", ran.stdout);
        }
    }
    home.line("reshard tar without --format tfrecord --drop-labels").done();
    let ran = home.line("diff tar without --limit 1");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("-cls"), "{}", ran.stdout);
}

#[test]
fn every_kind_of_difference_is_told_and_counted() {
    let home = tree();
    home.line("pack src a --order key --labels folder").done();
    std::fs::remove_file(home.path("src/0/02.txt")).unwrap(); // a field less
    std::fs::remove_file(home.path("src/1/03.txt")).unwrap(); // a sample less
    std::fs::remove_file(home.path("src/1/03.jpg")).unwrap();
    home.write("src/0/04.txt", "sample 5"); // as long as before
    home.write("src/0/06.json", "{}"); // a field more
    home.write("src/1/99.txt", "new");
    home.line("pack src b --order key --max-samples 6 --labels folder").done();
    let ran = home.line("diff a b");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let expected =
        ["~ 0/02: -txt", "~ 0/04: txt", "~ 0/06: +json", "- 1/03", "+ 1/99"].map(str::to_owned);
    assert_eq!(lines[..5], expected);
    assert!(lines[5].starts_with("16 samples the same, 3 changed, 1 only in "), "{}", lines[5]);

    let ran = home.line("diff a b --limit 1 --json");
    assert_eq!(ran.code, Some(1));
    let report = ran.json();
    assert_eq!(report["changed"], 3);
    assert_eq!(report["only_in_b"], 1);
    assert_eq!(
        report["differences"],
        json!([{"difference": "changed", "key": "0/02", "label": false, "fields_changed": [],
            "fields_only_in_a": ["txt"], "fields_only_in_b": []}])
    );
    assert!(home.line("diff a b --limit 1").stdout.contains("... and 4 more (--limit)"));
    assert_eq!(home.line("diff a b --quiet").stdout, "");
}

#[test]
fn deleted_samples_are_none_and_labels_count() {
    let home = tree();
    home.line("pack src a --format recordio --fields jpg --labels folder").done();
    home.line("pack src b --format recordio --fields jpg --labels folder").done();
    home.line("delete b 0/02 1/03").done();
    let ran = home.line("diff a b");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("- 0/02\n") && ran.stdout.contains("- 1/03\n"), "{}", ran.stdout);
    home.line("pack src c --format recordio --fields jpg").done();
    let ran = home.line("diff a c --limit 1");
    assert!(ran.stdout.contains(": label\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("0 samples the same, 20 changed"), "{}", ran.stdout);
}

#[test]
fn datasets_of_s3_are_compared_and_bad_ones_named() {
    let home = tree();
    home.line("pack src a").done();
    let server = S3Server::start();
    for (name, bytes) in home.files("a") {
        server.put(&format!("b/{name}"), bytes);
    }
    let mut command = home.command(&["diff", "a", "s3://bucket/b"]);
    command.envs(server.environment());
    let ran = Running::from(command.spawn().expect("it runs")).end().done();
    assert!(ran.stdout.starts_with("20 samples the same"), "{}", ran.stdout);

    let ran = home.line("diff a src");
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("manifest.json") && ran.stderr.contains("shardpack index"),
        "{}",
        ran.stderr
    );
    home.line("pack src c").done();
    let index = home.files("c/index").into_keys().next().unwrap();
    home.write(&format!("c/index/{index}"), "damaged");
    let ran = home.line("diff a c");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains(&index), "{}", ran.stderr);
}
