//! Disks that fill up.

use std::fs;
use std::io::Write;

use super::kill::{copy, published, same};
use super::{PACK, sample, source};
use crate::program::{Disk, Home};

/// Bytes that are free on a disk of 12 MiB, most of which is ballast.
const FREE: usize = 50_000;

/// The run says where there is no room; the dataset is as it was, and the same command finishes it once
/// there is.
fn full(line: &str, before: &str) {
    let home = Home::new();
    source(&home);
    (60..140).for_each(|i| sample(&home, "new", i, 3));
    let rows = (0..60).map(|i| format!("c{}/s{i:03},{}\n", i % 3, "caption ".repeat(300)));
    home.write("t.csv", format!("key,caption\n{}", rows.collect::<String>()));
    home.line(&format!("pack src one {PACK}")).done();
    home.line(&format!("pack new two {PACK}")).done();
    copy(&home, "one", "dead");
    let keys = (0..60).step_by(4).map(|i| format!("c{}/s{i:03}", i % 3)).collect::<Vec<_>>();
    home.line(&format!("delete dead {}", keys.join(" "))).done();
    copy(&home, before, "room/dst");
    home.line(&line.replace("DST", "room/dst")).done();
    let whole = published(&home, "room/dst");

    let Some(_disk) = Disk::mount(&home, "disk", "size=12m") else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    copy(&home, before, "disk/dst");
    let there = home.files("disk/dst");
    let used: usize = there.values().map(|bytes| bytes.len().next_multiple_of(4096)).sum();
    home.write("disk/ballast", vec![1; (12 << 20) - used - FREE]);
    let line = line.replace("DST", "disk/dst");
    let ran = home.line(&line);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["no space left", "disk/dst", "run the same command again"] {
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    }
    let left = published(&home, "disk/dst");
    assert_eq!(left.get("manifest.json"), there.get("manifest.json"));
    if left.contains_key("manifest.json") {
        home.line("verify disk/dst").done();
    }
    fs::remove_file(home.path("disk/ballast")).expect("a file");
    home.line(&line).done();
    same(&published(&home, "disk/dst"), &whole);
}

/// What is full then is not the device of the dataset.
#[test]
fn a_full_scratch_folder_is_named() {
    let home = Home::new();
    source(&home);
    home.line("pack src dst --compress gzip").done();
    home.line("delete dst c0/s000").done();
    let Some(_disk) = Disk::mount(&home, "disk", "size=64k") else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let ran = home.line("compact dst --scratch disk");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["--scratch disk", "no space left", "free space there"] {
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    }
    home.line("verify dst").done();
    home.line("compact dst").done();
}

/// Not a block is left beside shards that something else wrote.
#[test]
fn an_adoption_goes_on_when_there_is_room() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src one {PACK}")).done();
    let Some(_disk) = Disk::mount(&home, "disk", "size=4m") else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    copy(&home, "one/shards", "disk/theirs");
    let ballast = fs::File::create(home.path("disk/ballast")).expect("a file");
    while (&ballast).write_all(&[1; 4096]).is_ok() {}
    drop(ballast); // its blocks would outlive its name
    let ran = home.line("index disk/theirs");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["no space left", "disk/theirs", "run the same command again"] {
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    }
    assert!(!home.path("disk/theirs/manifest.json").exists());
    fs::remove_file(home.path("disk/ballast")).expect("a file");
    home.line("index disk/theirs").done();
    home.line("verify disk/theirs").done();
}

#[test]
fn an_append_goes_on_when_there_is_room() {
    full("append DST new", "one");
}

#[test]
fn a_compaction_goes_on_when_there_is_room() {
    full("compact DST", "dead");
}

#[test]
fn a_merge_goes_on_when_there_is_room() {
    full("merge one two DST", "nothing");
}

#[test]
fn a_join_goes_on_when_there_is_room() {
    full("join one DST --with t.csv", "nothing");
}

#[test]
fn an_overlay_goes_on_when_there_is_room() {
    full("join one DST --with t.csv --overlay --format tfrecord", "nothing");
}
