//! Runs that are killed at any moment: the dataset is as it was or as it will be, and a later run
//! finishes.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use super::{Files, PACK, change, shards, source};
use crate::program::{Home, Random};

fn random() -> Random {
    let seed = match std::env::var("SHARDPACK_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos() as u64,
    };
    println!("SHARDPACK_SEED={seed}");
    Random(seed)
}

fn kills() -> u32 {
    if std::env::var_os("SHARDPACK_SLOW").is_some() { 200 } else { 30 }
}

/// What is published: no lock, nothing that is unfinished.
pub(super) fn published(home: &Home, folder: &str) -> Files {
    let hidden = |name: &String| name.starts_with(".shardpack");
    home.files(folder).into_iter().filter(|(name, _)| !hidden(name)).collect()
}

pub(super) fn copy(home: &Home, from: &str, to: &str) {
    let _ = fs::remove_dir_all(home.path(to));
    for (name, bytes) in home.files(from) {
        home.write(&format!("{to}/{name}"), bytes);
    }
}

/// Names what differs instead of printing megabytes.
#[track_caller]
pub(super) fn same(found: &Files, wanted: &Files) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted));
    let other: Vec<_> = found.iter().filter(|(name, bytes)| &&wanted[*name] != bytes).collect();
    assert!(other.is_empty(), "other bytes: {:?}", other.iter().map(|o| o.0).collect::<Vec<_>>());
}

/// Starts `line` on a copy of `before`, kills it at a random moment, checks what is left, and lets
/// it finish now and then: the result is `after`, byte for byte. `took` is how long a run takes.
fn kill_and_finish(home: &Home, line: &str, before: &str, after: &Files, took: Duration) {
    let mut random = random();
    let manifest = |folder: &str| fs::read(home.path(folder).join("manifest.json")).ok();
    let (old, new) = (manifest(before), after.get("manifest.json").cloned());
    let (mut killed, mut runs) = (0, 0);
    while killed < kills() {
        copy(home, before, "dst");
        for _ in 0..5 {
            let mut running = home.start(line);
            let moment = Instant::now() + took.mul_f64(random.below(1_000) as f64 / 900.0);
            running.until(|| Instant::now() >= moment);
            killed += u32::from(running.kill());
            let head = manifest("dst");
            assert!(head == old || head == new, "another manifest");
            if head.is_some() {
                let ran = home.line("verify dst --json");
                assert!(
                    ran.json()["damage"].as_array().is_some_and(Vec::is_empty),
                    "{}",
                    ran.stdout
                );
            }
        }
        home.line(line).done();
        same(&published(home, "dst"), after);
        assert!(!home.path("dst/.shardpack").exists(), "something is left");
        runs += 1;
        assert!(runs < 10 * kills(), "runs end before they can be killed");
    }
}

/// What a run that nobody disturbs makes of a copy of `before`, and how long it takes.
fn undisturbed(home: &Home, line: &str, before: &str) -> (Files, Duration) {
    copy(home, before, "dst");
    let start = Instant::now();
    home.line(line).done();
    (published(home, "dst"), start.elapsed())
}

#[test]
fn an_append_that_is_killed_changed_nothing_or_all() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src before {PACK}")).done();
    change(&home);
    let line = "append dst src --sync";
    let (after, took) = undisturbed(&home, line, "before");
    assert!(shards(&after).len() > shards(&home.files("before")).len());
    kill_and_finish(&home, line, "before", &after, took);
}

#[test]
fn sealed_shards_of_a_killed_append_are_not_packed_again() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src dst {PACK}")).done();
    (100..300).for_each(|i| super::sample(&home, "src", i, 3));
    let sealed = || {
        let staged = home.names("dst/.shardpack/index");
        staged.iter().filter(|name| name.ends_with(".index")).count()
    };
    let mut running = home.start("append dst src --jobs 1 --io-depth 1");
    assert!(running.until(|| sealed() >= 2), "no shard was sealed");
    running.kill();
    let sealed = sealed();
    let report = home.line("append dst src --json").done().json();
    assert_eq!(report["resumed_shards"], sealed);
    home.line("verify dst --against src").done();
}

#[test]
fn a_compaction_that_is_killed_is_finished_to_the_same_bytes() {
    let home = Home::new();
    source(&home);
    home.line(&format!("pack src before {PACK}")).done();
    home.line("delete before c0/s003 c1/s010 c2/s020").done();
    change(&home);
    home.line("append before src --sync").done();
    let line = "compact before --keep 0";
    copy(&home, "before", "copy");
    let line = line.replace("before", "dst");
    let (after, took) = undisturbed(&home, &line, "before");
    kill_and_finish(&home, &line, "before", &after, took);
}

#[test]
fn a_merge_that_is_killed_is_finished_to_the_same_bytes() {
    let home = Home::new();
    source(&home);
    (100..160).for_each(|i| super::sample(&home, "more", i, 3));
    home.line(&format!("pack src a {PACK}")).done();
    home.line(&format!("pack more b {PACK}")).done();
    fs::create_dir(home.path("nothing")).expect("a folder");
    let line = "merge a b dst";
    let (after, took) = undisturbed(&home, line, "nothing");
    kill_and_finish(&home, line, "nothing", &after, took);
}
