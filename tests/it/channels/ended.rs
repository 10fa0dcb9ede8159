//! Agents that are stopped, and killed.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use super::{Lab, digests, mounts, processes};
use crate::program::Running;
use crate::reading_modes::can_mount;

/// A command that says where it is and then waits for ever, with a child of its own.
const WAITS: &str = "echo here > here; trap 'exit 3' TERM; sleep 1000 & wait";

struct Up {
    lab: Lab,
    modes: Vec<&'static str>,
}

impl Up {
    fn new() -> Self {
        let fast = can_mount().then_some("FastFile");
        Self {
            lab: Lab::new("--format tfrecord").with_meta(),
            modes: ["Pipe"].into_iter().chain(fast).collect(),
        }
    }

    fn start(&self) -> Running {
        let channels: Vec<String> = (self.modes.iter())
            .map(|mode| {
                format!("--channel {mode}=s3://{}/set/shards/,mode={mode}", super::S3Server::BUCKET)
            })
            .collect();
        let line = format!("run --quiet --root r {} -- sh -c", channels.join(" "));
        let _ = fs::remove_file(self.lab.home.path("here"));
        let mut running = self.lab.start(&line, &[WAITS]);
        let here = self.lab.home.path("here");
        assert!(running.until(|| here.exists()), "{}", running.end().stderr);
        assert_eq!(mounts(&self.root()).len(), self.modes.len() - 1);
        assert!(self.root().join("input/data/Pipe_0").exists());
        running
    }

    fn root(&self) -> std::path::PathBuf {
        self.lab.home.path("r")
    }

    /// Nothing is left of it: a mount, a FIFO, a process.
    fn is_gone(&self) -> bool {
        let data = self.root().join("input/data");
        let is_empty =
            |path: &Path| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        mounts(&self.root()).is_empty()
            && is_empty(&data)
            && processes(&self.root().display().to_string()).is_empty()
    }
}

#[test]
fn a_signal_ends_the_command_and_everything_goes() {
    let up = Up::new();
    let running = up.start();
    let mut running = running;
    running.signal(Signal::TERM);
    let ran = running.end();
    assert_eq!(ran.code, Some(3), "the command's own code: {}", ran.stderr);
    assert!(up.is_gone());
}

#[test]
fn a_killed_agent_leaves_nothing_behind_and_the_next_one_works() {
    let up = Up::new();
    assert!(up.start().kill());
    // The watchdog sees to that; it takes as long as the machine lets it.
    let begin = std::time::Instant::now();
    while !up.is_gone() {
        assert!(
            begin.elapsed().as_secs() < 60,
            "{:?}",
            (mounts(&up.root()), processes("channels watch"))
        );
        std::thread::yield_now();
    }
    for mode in &up.modes {
        let ran = up.lab.train("r", "", &format!("mode={mode}"), "").done();
        assert_eq!(digests(&ran), [up.lab.whole()], "{mode}");
    }
}

#[test]
fn what_both_left_is_taken_away_by_the_next_agent() {
    let up = Up::new();
    let mut running = up.start();
    // The watchdog first: it is the one child that is a `channels watch` of this root.
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains("channels watch") && line.contains(&up.root().display().to_string()) {
            let id = entry.file_name().to_string_lossy().parse().unwrap();
            rustix::process::kill_process(
                rustix::process::Pid::from_raw(id).unwrap(),
                Signal::KILL,
            )
            .unwrap();
        }
    }
    let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", running.id()))
        .unwrap_or_default();
    assert!(running.kill());
    // The kernel ends the command itself all the same: what it had started is left.
    let ids: Vec<&str> = child.split_whitespace().collect();
    assert!(!ids.is_empty());
    let lives = |id: &&str| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(WAITS))
    };
    let begin = std::time::Instant::now();
    while ids.iter().any(lives) {
        assert!(begin.elapsed().as_secs() < 60, "it outlived both");
        std::thread::yield_now();
    }
    let data = up.root().join("input/data");
    assert!(data.join("Pipe_0").exists(), "nobody tidied up");
    let ran = up.lab.train("r", "", "mode=Pipe", "").done();
    assert_eq!(digests(&ran), [up.lab.whole()]);
    assert!(mounts(&up.root()).is_empty() && !data.join("Pipe_0").exists());
    // Nobody is left to end the command but this test.
    for id in child.split_whitespace().filter_map(|id| id.parse().ok()) {
        if let Some(group) = rustix::process::Pid::from_raw(id) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

#[test]
fn two_agents_do_not_share_a_root() {
    let up = Up::new();
    let mut running = up.start();
    let ran = up.lab.train("r", "", "mode=Pipe", "");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("another agent serves it"), "{}", ran.stderr);
    // By a signal, not by force: the folder goes with this test, and a watchdog would find none.
    running.signal(Signal::TERM);
    assert_eq!(running.end().code, Some(3));
    assert!(up.is_gone());
}
