//! Runs that are killed, stopped, or run out of space: what they leave, and how they are finished.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use shardpack_manifest::Index;

use crate::program::{Disk, Home, Random};

type Files = BTreeMap<String, Vec<u8>>;

const PACK: &str = "pack src dst --target 100kB --labels folder";
/// The file that a run holds while it is at work.
const LOCK: &str = ".shardpack-lock";
/// Shards that [`PACK`] makes of [`tree`], at least.
const SHARDS: u64 = 40;

/// Some 6 MB: large enough to be killed in the middle of.
fn tree(home: &Home) {
    let mut random = Random(7);
    for i in 0..300 {
        let key = format!("src/c{}/s{i:03}", i % 5);
        let len = 1_000 + random.below(32_000);
        home.write(&format!("{key}.jpg"), random.bytes(len));
        home.write(&format!("{key}.txt"), format!("sample {i}"));
    }
}

/// What a run that nobody disturbs writes.
fn undisturbed(home: &Home) -> Files {
    home.line(&PACK.replace("dst", "whole")).done();
    let whole = home.files("whole");
    assert!(sealed(&whole) >= SHARDS, "{} shards", sealed(&whole));
    whole
}

/// Shards that have their index, staged or published.
fn sealed(files: &Files) -> u64 {
    files.keys().filter(|name| name.ends_with(".index")).count() as u64
}

#[test]
fn killed_at_any_moment_a_run_is_finished_to_the_same_bytes() {
    let kills = if std::env::var_os("SHARDPACK_SLOW").is_some() { 200 } else { 30 };
    let seed = match std::env::var("SHARDPACK_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos() as u64,
    };
    println!("SHARDPACK_SEED={seed}");
    let home = Home::new();
    tree(&home);
    let whole = undisturbed(&home);
    let mut random = Random(seed);
    let mut killed = 0;
    let mut finished = 0;
    while killed < kills || finished < 3 {
        let jobs = [1, 2, 8][finished % 3];
        let line = format!("{PACK} --jobs {jobs}");
        for _ in 0..5 {
            killed += u32::from(kill_once(&home, &line, sealed(&whole), &mut random));
            check_unfinished(&home.files("dst"), &whole);
        }
        home.line(&line).done();
        same(&home.files("dst"), &whole);
        fs::remove_dir_all(home.path("dst")).expect("a folder");
        finished += 1;
        assert!(finished < 10 * kills as usize, "runs end before they can be killed");
    }
}

/// Starts a run and kills it after a random event and a random moment; false when it was faster.
fn kill_once(home: &Home, line: &str, shards: u64, random: &mut Random) -> bool {
    let mut running = home.start(line);
    let (staging, published) = (home.path("dst/.shardpack/index"), home.path("dst/index"));
    let count = || fs::read_dir(&staging).map_or(0, |folder| folder.count() as u64);
    // One kill in five falls into publishing, which is short.
    let happened = match random.below(shards + shards / 4) {
        0 => running.until(|| home.path("dst/.shardpack/plan.json").exists()),
        early if early < shards => running.until(|| count() >= early || published.exists()),
        _ => running.until(|| published.exists()),
    };
    let moment = Instant::now() + Duration::from_micros(random.below(2_000));
    running.until(|| Instant::now() >= moment);
    running.kill() && happened
}

/// No manifest before everything is there, and nothing under `shards/` before all shards are.
fn check_unfinished(found: &Files, whole: &Files) {
    if found.contains_key("manifest.json") {
        let published: Files =
            found.iter().filter(|(name, _)| !name.starts_with(".shardpack")).map(owned).collect();
        same(&published, whole);
    }
    let shards = |files: &Files| -> Files {
        files.iter().filter(|(name, _)| name.starts_with("shards/")).map(owned).collect()
    };
    if !shards(found).is_empty() {
        same(&shards(found), &shards(whole));
    }
}

fn owned((name, bytes): (&String, &Vec<u8>)) -> (String, Vec<u8>) {
    (name.clone(), bytes.clone())
}

/// Names what differs instead of printing megabytes.
#[track_caller]
fn same(found: &Files, whole: &Files) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(whole));
    let other: Vec<_> = found.iter().filter(|(name, bytes)| &&whole[*name] != bytes).collect();
    assert!(other.is_empty(), "other bytes: {:?}", other.iter().map(|o| o.0).collect::<Vec<_>>());
}

#[test]
fn the_number_of_jobs_changes_no_byte() {
    let home = Home::new();
    tree(&home);
    let whole = undisturbed(&home);
    for jobs in ["1", "2", "8"] {
        for depth in ["1", "64"] {
            home.line(&format!("{PACK} --jobs {jobs} --io-depth {depth}")).done();
            same(&home.files("dst"), &whole);
            fs::remove_dir_all(home.path("dst")).expect("a folder");
        }
    }
}

#[test]
fn interrupted_a_run_says_what_is_sealed_and_goes_on() {
    let home = Home::new();
    tree(&home);
    let whole = undisturbed(&home);
    // Job managers send a signal to a process and again to its group: that is one wish.
    for (signal, times) in [(Signal::INT, 1), (Signal::TERM, 2)] {
        let line = format!("{PACK} --jobs 1 --io-depth 1");
        let mut running = home.start(&line);
        assert!(running.until(|| some_sealed(&home)), "no shard was sealed");
        (0..times).for_each(|_| running.signal(signal));
        let ran = running.end();
        assert_eq!(ran.code, Some(130), "{}", ran.stderr);
        let left = home.files("dst");
        let told =
            format!("interrupted: {} of {} shards are sealed", sealed(&left), sealed(&whole));
        assert!(ran.stderr.contains(&told), "{told:?} in {:?}", ran.stderr);
        assert!(!left.contains_key("manifest.json"));

        let report = home.line(&format!("{line} --json")).done().json();
        assert_eq!(report["resumed_shards"], sealed(&left));
        same(&home.files("dst"), &whole);
        fs::remove_dir_all(home.path("dst")).expect("a folder");
    }
}

/// While the list is awaited nothing is written, so nothing has to be stopped in order.
#[test]
fn interrupted_before_packing_a_run_ends_at_once() {
    let home = Home::new();
    tree(&home);
    let mut command = home.command(&["pack", "src", "dst", "--files-from", "-"]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().expect("it runs");
    let stdin = child.stdin.take(); // stays open
    let mut running = crate::program::Running::from(child);
    let status = format!("/proc/{}/status", running.id());
    assert!(running.until(|| catches_interrupts(&status)), "it ended");
    running.signal(Signal::INT);
    let ran = running.end();
    drop(stdin);
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert!(ran.stderr.contains("no shard was written"), "{}", ran.stderr);
    assert!(!home.path("dst").exists());
}

/// True once the process has its own answer to SIGINT, which is signal 2.
fn catches_interrupts(status: &str) -> bool {
    let status = fs::read_to_string(status).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 0b10 != 0)
}

/// True once the index of a shard is there, whole.
fn some_sealed(home: &Home) -> bool {
    let folder = fs::read_dir(home.path("dst/.shardpack/index"));
    folder.is_ok_and(|mut folder| {
        folder.any(|entry| entry.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "index")))
    })
}

/// Kills a run once a shard is sealed.
fn unfinished(home: &Home) {
    let _ = fs::remove_dir_all(home.path("dst"));
    let mut running = home.start(&format!("{PACK} --jobs 1 --io-depth 1"));
    assert!(running.until(|| some_sealed(home)) && running.kill(), "it ended");
}

#[test]
fn another_command_is_refused_until_told_to_restart() {
    let home = Home::new();
    tree(&home);
    let whole = undisturbed(&home);
    unfinished(&home);
    let mut before = home.files("dst");
    before.remove(LOCK).expect("a killed run leaves its lock, which holds nobody back");
    for (line, told) in [
        (PACK.replace("100kB", "90kB"), "--target: 100000 then, 90000 now"),
        (format!("{PACK} --order key"), "--order: shuffle:0 then, key now"),
        (PACK.replace(" --labels folder", ""), "--labels: folder then, not given now"),
        (format!("{PACK} --split a=0.5,b=0.5"), "--split: not given then, a=0.5,b=0.5 now"),
        (PACK.replace("src", "src/c0/.."), "source: "),
    ] {
        let ran = home.line(&line);
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(told) && ran.stderr.contains("--restart"), "{}", ran.stderr);
    }
    same(&home.files("dst"), &before);

    home.write("src/c0/new.jpg", "new");
    let ran = home.line(PACK);
    assert!(
        ran.code == Some(2) && ran.stderr.contains("samples: 300 then, 301 now"),
        "{}",
        ran.stderr
    );
    fs::remove_file(home.path("src/c0/new.jpg")).expect("a file");

    // What decides no byte may differ, and how the source is spelt; --restart keeps nothing of the
    // other run.
    home.line(&format!("{} --jobs 3 --memory 64MiB --no-fsync", PACK.replace("src", "./src/")))
        .done();
    same(&home.files("dst"), &whole);
    unfinished(&home);
    let other = PACK.replace("100kB", "90kB");
    home.line(&format!("{other} --restart")).done();
    let restarted = home.files("dst");
    home.line(&other.replace("dst", "fresh")).done();
    same(&restarted, &home.files("fresh"));
}

#[test]
fn a_changed_source_is_refused_with_the_first_sealed_file_that_differs() {
    let home = Home::new();
    tree(&home);
    unfinished(&home);
    let left = home.files("dst");
    let (_, index) = left.iter().find(|(name, _)| name.ends_with(".index")).expect("sealed");
    let index = Index::parse(&index[..]).expect("an index");
    let key = index.get(0).expect("a record").key;
    let (jpg, txt) = (format!("src/{key}.jpg"), format!("src/{key}.txt"));
    let bodies = [&jpg, &txt].map(|name| fs::read(home.path(name)).expect("a file"));
    let refused = |told: &str| {
        let ran = home.line(PACK);
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{told} in {}", ran.stderr);
        ran.stderr
    };
    let among = |told: String| refused(&format!("among what is sealed, {told}"));

    home.write(&txt, [&bodies[1][..], b"!"].concat());
    let len = bodies[1].len();
    among(format!("{key}.txt had {len} bytes, {} now", len + 1));
    fs::remove_file(home.path(&txt)).expect("a file");
    among(format!("{key}.txt is not there any more"));
    fs::remove_file(home.path(&jpg)).expect("a file");
    among(format!("sample {key} is not there any more"));
    home.write(&jpg, &bodies[0]);
    home.write(&txt, &bodies[1]);
    home.write(&format!("src/{key}.xml"), "new");
    among(format!("{key}.xml was not there"));
    fs::remove_file(home.path(&format!("src/{key}.xml"))).expect("a file");
    let told = refused("files were written since (same names and lengths)");
    assert!(!told.contains("among"), "{told}");
}

#[test]
fn a_second_run_is_refused_while_the_first_is_at_work() {
    let home = Home::new();
    tree(&home);
    let whole = undisturbed(&home);
    let mut first = home.start(&format!("{PACK} --jobs 1 --io-depth 1"));
    assert!(first.until(|| some_sealed(&home)), "it ended");
    first.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", first.id());
    assert!(first.until(|| is_stopped(&stat)), "it ended");

    let before = home.files("dst");
    for line in [PACK.to_owned(), format!("{PACK} --restart"), PACK.replace("100kB", "90kB")] {
        let ran = home.line(&line);
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains("dst: another run is at work there"), "{}", ran.stderr);
        same(&home.files("dst"), &before);
    }
    first.signal(Signal::CONT);
    let ran = first.end();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    same(&home.files("dst"), &whole);
}

/// True once every thread of the process has come to a stop.
fn is_stopped(stat: &str) -> bool {
    let stat = fs::read_to_string(stat).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T'))
}

#[test]
fn a_complete_dataset_is_left_alone() {
    let home = Home::new();
    tree(&home);
    home.line(PACK).done();
    let (before, stamp) = (home.files("dst"), stamp(&home));
    for line in [PACK.to_owned(), format!("{PACK} --restart"), format!("{PACK} --jobs 3")] {
        let ran = home.line(&line).done();
        assert!(ran.stdout.contains("already complete: 300 samples"), "{}", ran.stdout);
        same(&home.files("dst"), &before);
        assert_eq!(self::stamp(&home), stamp);
    }
    let other = home.line(&PACK.replace("100kB", "90kB"));
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("holds another dataset"), "{}", other.stderr);
    same(&home.files("dst"), &before);
}

fn stamp(home: &Home) -> SystemTime {
    let manifest = fs::metadata(home.path("dst/manifest.json")).expect("a manifest");
    manifest.modified().expect("a time")
}

#[test]
fn a_full_disk_is_named_and_the_run_goes_on_when_there_is_room() {
    let home = Home::new();
    tree(&home);
    let whole = undisturbed(&home);
    let Some(_disk) = Disk::mount(&home, "disk", "size=12m") else {
        println!("skipped: mounting a small file system needs root");
        return;
    };
    let ballast = vec![1; 9 << 20];
    home.write("disk/ballast", &ballast);
    let line = PACK.replace("dst", "disk/dst");
    let ran = home.line(&line);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["no space left", "disk/dst", "run the same command again"] {
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    }
    let left = home.files("disk/dst");
    assert!(sealed(&left) > 0 && !left.contains_key("manifest.json"));
    assert!(!left.keys().any(|name| name.starts_with("shards/")));
    fs::remove_file(home.path("disk/ballast")).expect("a file");
    let report = home.line(&format!("{line} --json")).done().json();
    assert_eq!(report["resumed_shards"], sealed(&left), "sealed shards are kept");
    same(&home.files("disk/dst"), &whole);
}
