//! Datasets that change: what commands and readers see of each version, alone and disturbed.

mod cloud;
mod compacting;
mod full;
mod kill;
mod merging;

use std::collections::BTreeMap;
use std::fs;

use shardpack_reader::{ReadOptions, Reader};

use crate::program::{Home, Random};

type Files = BTreeMap<String, Vec<u8>>;

pub(crate) const PACK: &str = "--target 30kB --labels folder";

/// `src`: sixty samples of an image and a text in three classes.
pub(crate) fn source(home: &Home) {
    (0..60).for_each(|i| sample(home, "src", i, 3));
}

/// Writes sample `i` into a folder; another seed gives other bytes.
pub(crate) fn sample(home: &Home, folder: &str, i: u64, seed: u64) {
    let mut random = Random(seed * 1_000 + i);
    let key = format!("{folder}/c{}/s{i:03}", i % 3);
    let len = 500 + random.below(4_000);
    home.write(&format!("{key}.jpg"), random.bytes(len));
    home.write(&format!("{key}.txt"), format!("sample {i}"));
}

/// What changes in `src` between two runs: new samples, replaced ones, some that are gone.
pub(crate) fn change(home: &Home) {
    (60..75).for_each(|i| sample(home, "src", i, 3));
    (10..15).for_each(|i| sample(home, "src", i, 4));
    for i in 20..24 {
        for field in ["jpg", "txt"] {
            fs::remove_file(home.path(&format!("src/c{}/s{i:03}.{field}", i % 3))).expect("a file");
        }
    }
}

fn shards(files: &Files) -> Files {
    let is_shard = |(name, _): &(&String, &Vec<u8>)| name.starts_with("shards/");
    files.iter().filter(is_shard).map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}

/// Digest that readers are pinned to, and what `ls` lists of it.
fn version(home: &Home, place: &str) -> (String, String) {
    let info = home.line(&format!("info {place} --json")).done().json();
    let digest = info["live_digest"].as_str().expect("a digest").to_owned();
    let listed = home.line(&format!("ls {place} --long --digest {digest}")).done().stdout;
    (digest, listed)
}

/// Digest of an epoch of the reader, of the whole dataset or of a version.
fn read(home: &Home, digest: Option<&str>) -> String {
    let mut options = ReadOptions::default();
    options.digest = digest.map(|digest| digest.parse().expect("a digest"));
    let place = home.path("dst");
    let reader = Reader::open(place.to_str().expect("UTF-8"), options).expect("a dataset");
    let mut samples = reader.epoch(0);
    for sample in &mut samples {
        sample.expect("a sample");
    }
    samples.digest().to_string()
}

#[test]
fn new_samples_are_added_and_others_refused() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src dst {PACK}")).done();
    let before = home.files("dst");
    (60..75).for_each(|i| sample(&home, "src", i, 3));
    let dry = home.line("append dst src --dry-run").done();
    assert!(dry.stdout.contains("would add 15 samples"), "{}", dry.stdout);
    let unlocked = |files: Files| -> Files {
        files.into_iter().filter(|(name, _)| name != ".shardpack-lock").collect()
    };
    assert_eq!(unlocked(home.files("dst")), unlocked(before.clone()));
    let report = home.line("append dst src --json").done().json();
    assert_eq!((&report["added"], &report["unchanged"]), (&15.into(), &60.into()));
    let after = home.files("dst");
    for (name, bytes) in shards(&before) {
        assert!(after[&name] == bytes, "{name} was written over");
    }
    home.line("verify dst --against src").done();
    home.line(&format!("pack src fresh {PACK}")).done();
    home.line("diff dst fresh").done();
    let listed = String::from_utf8(after["sagemaker/shards.manifest"].clone()).expect("UTF-8");
    for name in shards(&after).keys() {
        assert!(listed.contains(name.as_str()), "{name} in {listed}");
    }
    let again = home.line("append dst src").done();
    assert!(again.stdout.contains("nothing to do: all 75 samples"), "{}", again.stdout);
    assert_eq!(unlocked(home.files("dst")), unlocked(after.clone()));

    sample(&home, "src", 7, 9);
    let ran = home.line("append dst src");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("\"c1/s007\"") && ran.stderr.contains("--sync"), "{}", ran.stderr);
    assert_eq!(unlocked(home.files("dst")), unlocked(after));
}

#[test]
fn every_reader_keeps_its_version() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src dst {PACK}")).done();
    let mut versions = vec![version(&home, "dst")];
    (60..75).for_each(|i| sample(&home, "src", i, 3));
    home.line("append dst src").done();
    versions.push(version(&home, "dst"));
    home.line("delete dst c0/s000 c1/s001").done();
    versions.push(version(&home, "dst"));
    change(&home);
    home.line("append dst src --sync").done();
    versions.push(version(&home, "dst"));
    home.line("verify dst --against src").done();
    home.line(&format!("pack src fresh {PACK}")).done();
    home.line("diff dst fresh").done();
    assert_eq!(read(&home, None), versions[3].0);
    for (digest, listed) in &versions {
        let now = home.line(&format!("ls dst --long --digest {digest}")).done().stdout;
        assert_eq!(&now, listed);
        assert_eq!(&read(&home, Some(digest)), digest);
        home.line(&format!("verify dst --digest {digest}")).done();
    }
    let history = home.line("info dst").done().stdout;
    for event in ["pack", "append", "delete", "sync"] {
        assert!(history.contains(&format!(" {event} ")), "{event} in {history}");
    }
    let none = home.line("ls dst --digest 00000000000000000000000000000001");
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("no version has digest"), "{}", none.stderr);
}

#[test]
fn what_cannot_grow_is_left_alone() {
    let home = Home::new();
    source(&home);
    let refused = |line: &str, told: &str| {
        let ran = home.line(line);
        assert_ne!(ran.code, Some(0), "{line}");
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    };
    refused("append dst src", "no dataset here");
    assert!(!home.path("dst").exists(), "a folder was made");
    home.line(&format!("pack src dst {PACK}")).done();
    let manifest = fs::read(home.path("dst/manifest.json")).expect("a manifest");
    fs::remove_file(home.path("dst/manifest.json")).expect("a file");
    refused("append dst src", "no dataset here");
    home.write("dst/.shardpack/plan.json", "{\"shards\": 9}");
    refused("append dst src", "unfinished");
    fs::remove_dir_all(home.path("dst/.shardpack")).expect("a folder");
    fs::create_dir(home.path("found")).expect("a folder");
    fs::rename(home.path("dst/shards"), home.path("found/shards")).expect("a folder");
    home.line("index found").done();
    refused("append found src", "indexed, not packed");
    fs::rename(home.path("found/shards"), home.path("dst/shards")).expect("a folder");
    home.write("dst/manifest.json", &manifest);
    refused("append dst src --labels csv:none.csv", "none.csv");
    refused("append dst dst", "same folder");
    home.line("reshard dst again --head 5").done();
    refused("append again src", "--head");
}

#[test]
fn of_two_at_once_one_is_told() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src dst {PACK}")).done();
    (60..75).for_each(|i| sample(&home, "src", i, 3));
    (80..90).for_each(|i| sample(&home, "other", i, 3));
    let mut first = home.start("append dst src --jobs 1 --io-depth 1");
    assert!(first.until(|| home.path("dst/.shardpack/plan.json").exists()), "it ended");
    let second = home.line("append dst other");
    let first = first.end().done();
    if second.code != Some(0) {
        assert!(second.stderr.contains("dst"), "{}", second.stderr);
        home.line("append dst other").done();
    }
    assert!(first.stdout.contains("added 15 samples"), "{}", first.stdout);
    let report = home.line("verify dst --json").done().json();
    assert_eq!(report["samples"], 85);
}
