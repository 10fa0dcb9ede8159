//! `shardpack audit`, on logs of jobs that were quiet, killed, stopped and resumed.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::Signal;
use serde_json::json;
use shardpack_reader::coverage::Coverage;
use shardpack_reader::plan::{Part, State};
use shardpack_reader::{ReadOptions, Reader};
use shardpack_store::{LocalOptions, LocalStore};

use crate::program::{Home, Ran};

/// Thirty samples in three shards.
fn packed() -> Home {
    let home = Home::new();
    for i in 0..30 {
        home.write(&format!("src/{i:02}.txt"), format!("sample {i:02}"));
    }
    home.line("pack src dst --max-samples 10").done();
    home
}

#[track_caller]
fn told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    for part in parts {
        assert!(all.contains(part), "{part:?} in {all}");
    }
}

/// The logs in a folder, by name.
fn logs(home: &Home, folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(home.path(folder)).into_iter().flatten();
    let mut logs: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    logs.sort();
    logs
}

/// How many logs have come to some step.
fn begun(home: &Home, folder: &str) -> usize {
    let has_step = |path: &&PathBuf| fs::read_to_string(path).is_ok_and(|t| t.contains("\ntook="));
    logs(home, folder).iter().filter(has_step).count()
}

#[test]
fn every_rank_of_a_quiet_job_is_proved() {
    let home = packed();
    for rank in 0..4 {
        home.line(&format!("bench-read dst --rank {rank} --world 4 --coverage cov --quiet")).done();
    }
    let ran = home.line("audit dst cov");
    told(&ran, 0, &["4 ranks with 4 logs", "proved: every sample once an epoch"]);
    told(&ran, 0, &["epoch 1: 30 of 30 samples once; 2 steps of padding"]);
    assert_eq!(home.line("audit dst cov --quiet").done().stdout, "");
    let report = home.line("audit dst cov --epochs 2 --json").done().json();
    assert_eq!((&report["samples"], &report["epochs"][1]["exact"]), (&json!(30), &json!(30)));
    told(
        &home.line("audit dst cov --epochs 3"),
        1,
        &["epoch 2: 0 of 30", "30 missing", "NOT every"],
    );
    told(&home.line("audit dst cov --times 2"), 1, &["seen once", "NOT every sample 2 times"]);

    let two = logs(&home, "cov").remove(2);
    fs::remove_file(&two).expect("a log");
    let ran = home.line("audit dst cov");
    told(&ran, 1, &["missing: ", "seen never: rank 2", "7 missing", "NOT every sample once"]);
}

#[test]
fn a_job_that_is_killed_and_begun_again_is_proved() {
    let home = packed();
    let slow = "bench-read dst --coverage cov --batch 1 --compute 20 --quiet";
    for round in 1..=3 {
        let mut running = home.start(slow);
        assert!(running.until(|| begun(&home, "cov") == round), "it ended");
        assert!(running.kill(), "it ended by itself");
        told(&home.line("audit dst cov"), 0, &["not reached yet", "proved"]);
    }
    home.line("bench-read dst --coverage cov --quiet").done();
    let ran = home.line("audit dst cov --epochs 2");
    told(&ran, 0, &["undone by a restart", "epoch 1: 30 of 30", "proved"]);
    assert_eq!(ran.stdout.matches("start: ").count(), 4, "{}", ran.stdout);
}

/// A job that was started as if it had one rank, twice.
#[test]
fn two_processes_that_take_themselves_for_one_rank_are_found() {
    let home = packed();
    let mut first =
        home.start("bench-read dst --coverage cov --epochs 1 --batch 1 --compute 5 --quiet");
    assert!(first.until(|| begun(&home, "cov") == 1), "it ended");
    first.signal(Signal::STOP);
    home.line("bench-read dst --coverage cov --epochs 1 --quiet").done();
    first.signal(Signal::CONT);
    first.end().done();
    let ran = home.line("audit dst cov");
    told(&ran, 1, &["too often: ", "seen 2 times: rank 0 (cov/rank-0-", "and 20 more"]);
    told(&ran, 1, &["epoch 0: 0 of 30 samples once, 30 too often"]);
}

/// Reads so many steps on each of `world` ranks, as a training job does, and saves.
fn train(home: &Home, world: u64, steps: usize, saved: Option<&State>) -> State {
    let store = Arc::new(LocalStore::open(home.path("dst"), &LocalOptions::default()));
    let mut state = None;
    for rank in 0..world {
        let mut options = ReadOptions::default();
        options.part = Some(Part { rank, world, replicas: 1 });
        let reader = Reader::resume_store(store.clone(), options, saved).expect("a dataset");
        let mut coverage = Coverage::create(home.path("cov"), &reader).expect("a log");
        let mut samples = reader.epoch(reader.start().epoch);
        for _ in 0..steps {
            samples.next().expect("a step").expect("a sample");
            coverage.note(&samples).expect("a line");
        }
        coverage.sync().expect("a line");
        state = Some(samples.state());
    }
    state.expect("a rank")
}

#[test]
fn another_number_of_ranks_goes_on_where_the_first_stopped() {
    let home = packed();
    let saved = train(&home, 3, 4, None);
    train(&home, 5, 2, Some(&saved)); // dies without a checkpoint
    let saved = train(&home, 2, 5, Some(&saved));
    let ran = home.line("audit dst cov");
    told(&ran, 0, &["epoch 0: 22 of 30 samples once, 8 not reached yet; 10 steps undone"]);
    train(&home, 4, 2, Some(&saved));
    let ran = home.line("audit dst cov --epochs 1");
    told(&ran, 0, &["position 12: 5 ranks", "position 22: 4 ranks", "epoch 0: 30 of 30"]);
    // A log less: the ranks of the third start.
    let third = logs(&home, "cov").into_iter().find(|path| {
        let text = fs::read_to_string(path).expect("a log");
        text.contains("rank=1,world=2")
    });
    fs::remove_file(third.expect("its log")).expect("a log");
    told(&home.line("audit dst cov"), 1, &["5 missing", "seen never: rank 1"]);
}

#[test]
fn bad_logs_are_named_with_their_line() {
    let home = packed();
    home.line("bench-read dst --coverage cov --epochs 1 --quiet").done();
    let path = logs(&home, "cov").remove(0);
    let good = fs::read_to_string(&path).expect("a log");

    fs::write(&path, format!("{good}took=")).expect("a log");
    told(&home.line("audit dst cov"), 0, &["note: the last line of cov/rank-0-", "proved"]);
    fs::write(&path, good.replacen("from=0", "from=9", 1)).expect("a log");
    told(&home.line("audit dst cov"), 1, &["cov/rank-0-", "line 2: the line has crc32c"]);
    fs::write(&path, &good[..40]).expect("a log");
    told(&home.line("audit dst cov"), 2, &["says nothing", "no log says that anything was read"]);
    fs::write(&path, good).expect("a log");

    home.line("delete dst 03").done();
    let ran = home.line("audit dst cov");
    told(&ran, 2, &["not of this dataset as it is", "samples: 30 then, 29 now", "hint:"]);
    home.line("delete dst 03 --undo").done();
    home.line("audit dst cov").done();

    home.line("bench-read dst --coverage other --epochs 1 --seed 4 --quiet").done();
    told(&home.line("audit dst cov other"), 2, &["seed: ", "one job"]);
    fs::create_dir(home.path("empty")).expect("a folder");
    for (line, parts) in [
        ("audit dst", &["LOG"][..]),
        ("audit dst nothing", &["nothing: not found"]),
        ("audit dst empty", &["empty: no file here ends in .coverage"]),
        ("audit nowhere cov", &["nowhere: no such file"]),
        ("audit dst cov --times 0", &["--times"]),
        ("audit dst dst/manifest.json", &["dst/manifest.json, line 1"]),
    ] {
        let ran = home.line(line);
        let code = if line.ends_with("manifest.json") { 1 } else { 2 };
        told(&ran, code, parts);
    }
}
