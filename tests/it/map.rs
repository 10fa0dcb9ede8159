//! Samples that go through a command on their way: the example, kills and interruptions.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, test_kill_process};

use crate::program::{Home, Random};

/// In capitals, by way of the framing with NULs; those whose text has an `x` are left out.
pub(crate) const UPPER: &str = r#"
import sys
requests, answers = sys.stdin.buffer, sys.stdout.buffer
def text():
    found = b""
    while (byte := requests.read(1)) not in (b"\0", b""):
        found += byte
    return found.decode() if byte else None
while (key := text()) is not None:
    text(), text()
    fields = [(text(), int(text())) for _ in range(int(text()))]
    bodies = {name: requests.read(length) for name, length in fields}
    body = bodies["txt"].upper()
    if b"X" in body:
        answers.write(f"drop\0{key}\0".encode())
    else:
        rest = "".join(f"{name}\0\0" for name in bodies if name != "txt")
        head = f"fields\0{key}\0{len(bodies)}\0txt\0{len(body)}\0{rest}"
        answers.write(head.encode() + body)
    answers.flush()
"#;

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/caption.py")
}

fn tree(home: &Home, count: u64) {
    let mut random = Random(11);
    for i in 0..count {
        let key = format!("src/c{}/s{i:04}", i % 3);
        home.write(&format!("{key}.txt"), format!("item {}{i}", if i % 9 == 4 { "x" } else { "" }));
        let len = random.below(3_000);
        home.write(&format!("{key}.bin"), random.bytes(len));
    }
    home.write("upper.py", UPPER);
}

const MAP: &str = "--map-frame nul --scratch tmp";

/// The command line, with a command that has blanks in it.
fn with_map<'a>(line: &'a str, command: &'a str) -> Vec<&'a str> {
    let mut args: Vec<&str> = line.split_whitespace().collect();
    args.extend(["--map-cmd", command]);
    args
}

#[test]
fn the_example_captions_and_filters() {
    let home = Home::new();
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tree");
    let command = format!("python3 '{}'", example().display());
    let source = testdata.to_str().expect("UTF-8");
    let mut args = with_map("out --order key --json --labels folder", &command);
    args.splice(0..0, ["pack", source]);
    let report = home.run(&args).done().json();
    let mapped = &report["mapped"];
    let count = |name: &str| mapped[name].as_u64().expect("a number");
    assert_eq!(count("samples"), 40);
    assert_eq!(count("changed") + count("kept") + count("dropped"), 40);
    assert!(count("changed") > 0 && count("kept") > 0 && count("dropped") > 0, "{mapped}");
    assert_eq!(home.line("cat out stripes/stripes-00.txt").done().stdout, "a picture of stripes");
    let kept = fs::read_to_string(testdata.join("dots/dots-00.txt")).expect("a text");
    assert_eq!(home.line("cat out dots/dots-00.txt").done().stdout, kept);
    home.line("verify out").done();
    // Again by way of a dataset; what has a caption now stays as it is.
    let again = home.run(&with_map("reshard out again --format tfrecord --json", &command));
    let again = again.done().json();
    assert_eq!(again["mapped"]["kept"], report["samples"]);
    assert_eq!(again["same"], false, "labels are fields in tars");
    let text =
        home.run(&with_map("reshard out once-more --format tfrecord", &command)).done().stdout;
    assert!(text.contains("mapped 34 samples: 0 changed, 34 kept"), "{text}");
}

#[test]
fn the_number_of_jobs_and_the_way_change_no_byte() {
    let home = Home::new();
    tree(&home, 300);
    home.run(&with_map(&format!("pack src whole --target 60kB {MAP}"), "python3 upper.py")).done();
    let whole = home.files("whole");
    for jobs in ["1", "2", "7"] {
        let line = format!("pack src out --target 60kB --jobs {jobs} {MAP}");
        home.run(&with_map(&line, "python3 upper.py")).done();
        assert!(home.files("out") == whole, "{jobs} jobs");
        fs::remove_dir_all(home.path("out")).expect("a folder");
    }
    assert_eq!(home.line("cat whole c1/s0001.txt").done().stdout, "ITEM 1");
    home.line("pack src plain --target 60kB").done();
    home.run(&with_map(&format!("reshard plain out --target 60kB {MAP}"), "python3 upper.py"))
        .done();
    let shards = |folder: &str| {
        let mut files = home.files(folder);
        files.retain(|name, _| name.starts_with("shards/"));
        files
    };
    assert!(shards("out") == shards("whole"));
    assert_eq!(fs::read_dir(home.path("tmp")).expect("a folder").count(), 0);
}

/// Width and height of a PNG.
fn size(png: &[u8]) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    (number(16), number(20))
}

#[test]
fn pictures_are_resized_alike_at_any_number_of_jobs() {
    let home = Home::new();
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/tree");
    let pack = |out: &str, jobs: &str| {
        let options = "--fields jpg,png --resize 48 --encoding png --json";
        let mut args = vec!["pack", testdata.to_str().expect("UTF-8"), out, "--jobs", jobs];
        args.extend(options.split_whitespace());
        home.run(&args).done().json()
    };
    let report = pack("one", "1");
    assert_eq!(report["mapped"]["changed"], 40);
    pack("two", "4");
    assert!(home.files("one") == home.files("two"));
    home.line("unpack one back").done();
    let pictures = home.files("back");
    assert_eq!(pictures.len(), 40);
    for (name, png) in pictures {
        assert!(name.ends_with(".png") && size(&png) == (48, 48), "{name}");
    }
    // Once more there is nothing to be done.
    let again = home.line("reshard one again --resize 48 --encoding png --json").done().json();
    assert_eq!((&again["mapped"]["kept"], &again["same"]), (&40.into(), &true.into()));

    home.write("bad/x.jpg", "no picture");
    home.write("bad/y.jpg", fs::read(testdata.join("dots/dots-00.jpg")).expect("a picture"));
    let ran = home.line("pack bad out --resize 48 --scratch tmp");
    assert_eq!(ran.code, Some(2));
    for word in ["\"x\"", "field \"jpg\"", "--map-errors"] {
        assert!(ran.stderr.contains(word), "{word} is not in {}", ran.stderr);
    }
    let ran = home.line("pack bad out --resize 48 --map-errors skip").done();
    assert!(ran.stdout.contains("failed x: ") && ran.stdout.contains("1 failed"), "{}", ran.stdout);
    let ran = home.line("pack bad out --resize 48 --map-cmd cat");
    assert!(ran.code == Some(2) && ran.stderr.contains("not together"), "{}", ran.stderr);
}

#[test]
fn what_cannot_be_is_refused() {
    let home = Home::new();
    tree(&home, 3);
    for (line, command, words) in [
        ("pack src out --dry-run", "cat", "--dry-run"),
        ("pack src out", " ", "no command"),
        ("pack src out --map-timeout 0s", "cat", "--map-timeout"),
        ("pack src out --map-frame xml", "cat", "xml"),
        ("pack src out --scratch tmp", "exit 7", "exit status: 7"),
    ] {
        let ran = home.run(&with_map(line, command));
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{words:?} is not in {}", ran.stderr);
        assert!(!home.path("out").exists());
    }
}

fn is_alive(pid: &str) -> bool {
    let pid = pid.trim().parse().ok().and_then(Pid::from_raw).expect("a number");
    // Nobody waits for orphans in some containers: a dead one is a zombie then.
    let stat =
        fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_ok() && !stat.contains(") Z ")
}

#[track_caller]
fn wait_until(what: &str, mut event: impl FnMut() -> bool) {
    let start = Instant::now();
    while !event() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn a_command_does_not_outlive_the_run() {
    let home = Home::new();
    tree(&home, 3);
    // It reads nothing, so that the end of stdin does not end it, and has a child.
    let command =
        "sleep 1000 & echo $! > child; echo $$ > pid.new; mv pid.new pid; wait; sleep 1000";
    for signal in [Signal::KILL, Signal::TERM, Signal::INT] {
        let mut running = {
            let args = with_map("pack src out --jobs 1 --scratch tmp", command);
            let child = home.command(&args).spawn().expect("the program runs");
            crate::program::Running::from(child)
        };
        assert!(running.until(|| home.path("pid").exists()));
        let read = |name: &str| fs::read_to_string(home.path(name)).expect("a number");
        let (pid, child) = (read("pid"), read("child"));
        assert!(is_alive(&pid) && is_alive(&child));
        // The guard is there when a request is under way; the command takes none.
        running.signal(signal);
        let ran = running.end();
        match signal {
            Signal::KILL => assert_eq!(ran.code, None),
            _ => assert_eq!(ran.code, Some(130), "{}", ran.stderr),
        }
        wait_until("the command is still there", || !is_alive(&pid) && !is_alive(&child));
        assert!(!home.path("out").exists());
        fs::remove_file(home.path("pid")).expect("a file");
    }
}

/// `SHARDPACK_SLOW=1` kills a hundred times; `SHARDPACK_SEED` repeats a run's choices.
#[test]
fn killed_at_any_moment_a_map_is_finished_to_the_same_bytes() {
    let kills = if std::env::var_os("SHARDPACK_SLOW").is_some() { 100 } else { 10 };
    let seed = match std::env::var("SHARDPACK_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos() as u64,
    };
    println!("SHARDPACK_SEED={seed}");
    let home = Home::new();
    tree(&home, 400);
    let line = format!("pack src DST --target 30kB --format tfrecord {MAP}");
    home.run(&with_map(&line.replace("DST", "whole"), "python3 upper.py")).done();
    let whole = home.files("whole");
    let (mut random, mut killed, mut runs) = (Random(seed), 0, 0u32);
    while killed < kills {
        runs += 1;
        assert!(runs < 20 * kills, "runs end before they can be killed");
        let line =
            format!("{} --jobs {}", line.replace("DST", "dst"), [1, 2, 4][runs as usize % 3]);
        for _ in 0..3 {
            let args = with_map(&line, "python3 upper.py");
            let child = home.command(&args).spawn().expect("the program runs");
            let mut running = crate::program::Running::from(child);
            let early = random.below(5);
            let made =
                || home.names("tmp").iter().filter(|name| name.ends_with(".journal")).count();
            let happened = running.until(|| made() as u64 >= early || home.path("dst").exists());
            let moment = Instant::now() + Duration::from_micros(random.below(60_000));
            running.until(|| Instant::now() >= moment);
            killed += u32::from(running.kill() && happened);
        }
        home.run(&with_map(&line, "python3 upper.py")).done();
        assert!(home.files("dst") == whole, "other bytes after {killed} kills");
        assert_eq!(fs::read_dir(home.path("tmp")).expect("a folder").count(), 0);
        fs::remove_dir_all(home.path("dst")).expect("a folder");
    }
}
