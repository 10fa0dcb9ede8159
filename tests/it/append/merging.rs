//! Datasets that become one without a shard being rewritten.

use std::collections::BTreeSet;

use super::{PACK, sample, shards, source};
use crate::program::Home;

#[test]
fn shards_keep_their_bytes_and_samples_their_digest() {
    for format in ["webdataset", "tfrecord", "recordio", "recordio-protobuf"] {
        let home = Home::new();
        (0..30).for_each(|i| sample(&home, "one", i, 3));
        (30..60).for_each(|i| sample(&home, "two", i, 3));
        (0..60).for_each(|i| sample(&home, "all", i, 3));
        // RecordIO carries one field.
        let how = match format {
            "webdataset" | "tfrecord" => format!("{PACK} --format {format}"),
            _ => format!("{PACK} --format {format} --fields jpg"),
        };
        for name in ["one", "two", "all"] {
            home.line(&format!("pack {name} {name}.set {how}")).done();
        }
        let report = home.line("merge one.set two.set dst --json").done().json();
        assert_eq!(report["live"], 60, "{format}");
        let bytes = |folder: &str| shards(&home.files(folder)).into_values().collect::<Vec<_>>();
        let sources: BTreeSet<_> =
            [bytes("one.set"), bytes("two.set")].concat().into_iter().collect();
        assert_eq!(bytes("dst").into_iter().collect::<BTreeSet<_>>(), sources);
        home.line("verify dst --against all").done();
        home.line("diff dst all.set").done();
        let count = sources.len();
        let last = format!("shards/data-{:05}-of-{count:05}", count - 1);
        assert!(home.files("dst").keys().any(|name| name.starts_with(&last)), "{last}");
        let again = home.line("merge one.set two.set dst").done();
        assert!(again.stdout.contains("already complete"), "{}", again.stdout);
        // What was merged grows as what was packed does.
        (60..65).for_each(|i| sample(&home, "all", i, 3));
        let report = home.line("append dst all --json").done().json();
        assert_eq!((&report["added"], &report["unchanged"]), (&5.into(), &60.into()));
        home.line("verify dst --against all").done();
    }
}

#[test]
fn keys_of_both_are_an_error_or_one_is_chosen() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src one {PACK}")).done();
    (5..8).for_each(|i| sample(&home, "other", i, 9));
    (70..75).for_each(|i| sample(&home, "other", i, 3));
    home.line(&format!("pack other two {PACK}")).done();
    home.line("delete two c2/s005").done();
    let ran = home.line("merge one two dst");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("\"c0/s006\"") && ran.stderr.contains("--duplicates"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("s005"), "a deleted sample has no key: {}", ran.stderr);
    // Fields of the sample, with their lengths and crc32c.
    let fields = |place: &str| {
        let listed = home.line(&format!("ls {place} c0/s006 --long")).done().stdout;
        listed.trim_end().rsplit('\t').next().expect("a column").to_owned()
    };
    let (one, two) = (fields("one"), fields("two"));
    assert_ne!(one, two);
    for (policy, wanted) in [("first", one), ("last", two)] {
        let dst = format!("dst-{policy}");
        let report =
            home.line(&format!("merge one two {dst} --duplicates {policy} --json")).done().json();
        assert_eq!((&report["live"], &report["duplicates"]), (&65.into(), &2.into()));
        let report = home.line(&format!("verify {dst} --json")).done().json();
        assert_eq!(report["duplicates"], serde_json::json!([]));
        assert_eq!(fields(&dst), wanted, "{policy}");
    }
}

#[test]
fn datasets_that_do_not_fit_are_named() {
    let home = Home::new();
    source(&home);
    let pack = |name: &str, how: &str| home.line(&format!("pack src {name} {how}")).done();
    pack("one", PACK);
    pack("records", "--format tfrecord");
    pack("compressed", "--compress gzip");
    pack("parts", "--split train=0.5,val=0.5");
    home.write(
        "ids.csv",
        (0..60).fold("key,label\n".to_owned(), |all, i| {
            format!("{all}c{}/s{i:03},{}\n", i % 3, ["x", "y", "c2"][i % 3])
        }),
    );
    pack("classes", "--labels csv:ids.csv");
    home.write("foreign/a.tar", [0; 1024]);
    for (other, told) in [
        ("records", "format"),
        ("compressed", "compression"),
        ("parts", "splits"),
        ("classes", "class"),
        ("foreign", "no dataset here"),
        ("nowhere", "no such file"),
    ] {
        let ran = home.line(&format!("merge one {other} dst"));
        assert_ne!(ran.code, Some(0), "{other}");
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
        assert!(home.files("dst").is_empty(), "{other}");
    }
}

#[test]
fn a_damaged_shard_is_found_while_it_is_copied() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src one {PACK}")).done();
    let (name, mut bytes) = shards(&home.files("one")).into_iter().next().expect("a shard");
    bytes[700] ^= 1;
    home.write(&format!("one/{name}"), bytes);
    let ran = home.line("merge one dst");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains(&name) && ran.stderr.contains("CRC-64/NVME"), "{}", ran.stderr);
    assert!(!home.path("dst/manifest.json").exists());
}
