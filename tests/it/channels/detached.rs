//! Channels that stay up: `up --detach`, `down`, and what becomes of them when their root goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use shardpack_testkit::s3::{Fault, FaultRule, S3Server};

use super::{Lab, digests, mounts};
use crate::reading_modes::can_mount;

/// A lab, and a root in it by its whole path, as processes name it.
fn lab() -> (Lab, PathBuf) {
    let lab = Lab::new("--format tfrecord").with_meta();
    let root = lab.home.path("r");
    (lab, root)
}

/// `up`, or another command, with a channel of each mode.
fn line(command: &str, root: &Path, modes: &[&str]) -> String {
    let source = format!("s3://{}/set/shards/", S3Server::BUCKET);
    let channels: Vec<String> =
        modes.iter().map(|mode| format!("--channel {mode}={source},mode={mode}")).collect();
    format!("{command} --root {} {}", root.display(), channels.join(" "))
}

/// Modes that have something to take down.
fn modes() -> Vec<&'static str> {
    ["Pipe"].into_iter().chain(can_mount().then_some("FastFile")).collect()
}

/// The process that serves a root on its own.
fn server(root: &Path) -> Option<Pid> {
    let text = root.display().to_string();
    fs::read_dir("/proc").expect("processes").flatten().find_map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let id = entry.file_name().to_string_lossy().parse().ok()?;
        let serves = line.contains("--detached") && line.contains(&text);
        serves.then(|| Pid::from_raw(id)).flatten()
    })
}

#[test]
fn channels_outlive_the_command_that_brought_them_up() {
    let (lab, root) = lab();
    let whole = lab.whole();
    for mode in ["File"].into_iter().chain(modes()) {
        let root = root.join(mode);
        let up = format!(
            "up --detach --root {} --env-file env --channel manifest={} \
             --channel train=s3://{}/set/shards/,mode={mode}",
            root.display(),
            lab.home.path("meta").display(),
            S3Server::BUCKET
        );
        let ran = lab.run(&up, &[]).done();
        let down = format!("down --root {}", root.display());
        assert!(ran.stderr.contains(&format!("shardpack channels {down}")), "{}", ran.stderr);
        let ran = lab.train_in("env", "--epochs 2").end().done();
        assert_eq!(digests(&ran), [whole, whole], "{mode}");
        if mode != "Pipe" {
            // A FIFO's epochs go on where the first loop ended; files begin anew.
            let ran = lab.train_in("env", "").end().done();
            assert_eq!(digests(&ran), [whole], "{mode}");
        }
        let ran = lab.run(&down, &[]).done();
        assert!(ran.stderr.contains("channels are down"), "{}", ran.stderr);
        assert!(mounts(&root).is_empty() && server(&root).is_none());
        assert_eq!(root.join("input/data/train").exists(), mode == "File", "files stay");
        let again = lab.run(&format!("{down} --json"), &[]).done().json();
        assert_eq!(again["was_up"], false);
    }
    let ran = lab.run("down --root nowhere", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("nowhere") && ran.stderr.contains("hint:"), "{}", ran.stderr);
}

#[test]
fn the_environment_is_printed_and_failures_are_the_callers() {
    let (lab, root) = lab();
    let up = line("up --detach --quiet", &root, &["Pipe"]);
    let ran = lab.run(&up, &[]).done();
    let variable = format!("SM_CHANNEL_PIPE={}", lab.data("r").join("Pipe").display());
    assert!(ran.stdout.lines().any(|found| found == variable), "{}", ran.stdout);
    assert_eq!(ran.stderr, "");
    // A second one at the same root, and one whose job breaks a rule.
    let ran = lab.run(&up, &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("another agent serves it"), "{}", ran.stderr);
    let ran = lab.run(&line("up --detach", &root.join("s"), &["Pip"]), &[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("write Pipe") || ran.stderr.contains("File, FastFile, Pipe"));
    assert!(!root.join("s").exists());
    lab.run("down --quiet --root r", &[]).done();
    lab.until_gone("r");
}

#[test]
fn trouble_is_told_in_a_file() {
    let (lab, root) = lab();
    lab.run(&line("up --detach --env-file env", &root, &["Pipe"]), &[]).done();
    let keys = lab.server.keys();
    let key = keys.iter().find(|key| key.starts_with("set/shards/")).expect("a shard");
    lab.server.put(key, "other bytes");
    let read = fs::read(lab.data("r").join("Pipe_0")).expect("a stream");
    assert!(read.is_empty(), "it ends where the change is");
    // Told before the stream ended.
    let told = fs::read_to_string(root.join(".shardpack-agent/log")).expect("a log");
    assert!(told.contains("Pipe_0") && told.contains(key), "{told}");
    lab.run("down --quiet --root r", &[]).done();
}

#[test]
fn a_root_that_is_removed_takes_its_channels_along() {
    let (lab, root) = lab();
    let modes = modes();
    lab.run(&line("up --detach --quiet --env-file env", &root, &modes), &[]).done();
    assert_eq!(mounts(&root).len(), modes.len() - 1);
    // As far as a mount lets it.
    let _ = Command::new("rm").arg("-rf").arg(&root).stderr(Stdio::null()).status();
    lab.until_gone("r");
    assert!(!root.exists(), "{:?}", lab.home.names("r"));
}

#[test]
fn a_root_that_is_removed_from_under_a_killed_agent_leaves_no_mount() {
    let (lab, root) = lab();
    let modes = modes();
    lab.run(&line("up --detach --quiet --env-file env", &root, &modes), &[]).done();
    let process = server(&root).expect("an agent");
    // Stopped first, so that it notices nothing itself.
    kill_process(process, Signal::STOP).expect("a process");
    fs::remove_dir_all(root.join(".shardpack-agent")).expect("its notes");
    assert_eq!(mounts(&root).len(), modes.len() - 1);
    kill_process(process, Signal::KILL).expect("a process");
    lab.until_gone("r");
}

#[test]
fn a_download_is_ended_by_down() {
    let (lab, root) = lab();
    let slow = Fault::Trickle(50, Duration::from_millis(20));
    lab.server.inject(FaultRule::new(slow).on("GetObject").forever());
    let line = line("run --quiet", &root, &["File"]) + " -- touch ran";
    let mut running = lab.start(&line, &[]);
    let gets = || lab.server.calls().iter().any(|call| call.operation == "GetObject");
    assert!(running.until(gets), "{}", running.end().stderr);
    lab.run("down --quiet --root r", &[]).done();
    assert_eq!(running.end().code, Some(130));
    assert!(!lab.home.path("ran").exists() && lab.is_gone("r"));
}

#[test]
fn a_command_is_asked_to_end_by_down() {
    let (lab, root) = lab();
    let here = lab.home.path("here");
    let began = |options: &str, script: &str| {
        let _ = fs::remove_file(&here);
        let line = line(&format!("run --quiet {options}"), &root, &modes()) + " -- sh -c";
        let mut running = lab.start(&line, &[script]);
        assert!(running.until(|| here.exists()), "{}", running.end().stderr);
        running
    };
    let running = began("", "trap 'exit 3' TERM; echo here > here; sleep 1000 & wait");
    lab.run("down --quiet --root r", &[]).done();
    let ran = running.end();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(lab.is_gone("r"));
    // One that does not listen is killed when its time is over.
    let deaf = "trap '' TERM; echo here > here; while :; do sleep 1; done";
    let running = began("--grace 0", deaf);
    lab.run("down --quiet --root r", &[]).done();
    assert_eq!(running.end().code, Some(137));
    // And down says so when it has waited long enough.
    let running = began("--grace 1000", deaf);
    let ran = lab.run("down --root r --timeout 0", &[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("has not ended") && ran.stderr.contains("kill -9"),
        "{}",
        ran.stderr
    );
    assert!(running.kill());
    lab.until_gone("r");
}
