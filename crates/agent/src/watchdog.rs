//! A second process that outlives the agent by a moment, when the agent is killed.
//!
//! It waits at the end of a pipe that only the agent holds. `kill -9` closes that, whatever else it
//! prevents, and then the watchdog ends the training command with all its children, unmounts, and
//! removes FIFOs. It has a process group of its own, so what is meant for the agent's passes it by.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::root::{Made, OWN, Root};
use crate::{Error, Result};

/// Said when all is tidied up already.
const DONE: &str = "done";

#[derive(Debug)]
pub(crate) struct Watchdog {
    child: Child,
    line: Option<ChildStdin>,
}

impl Watchdog {
    /// None where no command is given.
    pub(crate) fn start(command: &[OsString], root: &Path) -> Result<Option<Self>> {
        let Some((program, args)) = command.split_first() else { return Ok(None) };
        let mut command = Command::new(program);
        command.args(args).arg(root).stdin(Stdio::piped());
        // Whoever reads the agent's output must not wait for this one.
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = command.spawn().map_err(|source| Error::Command {
            name: program.to_string_lossy().into_owned(),
            source,
        })?;
        let line = child.stdin.take();
        Ok(Some(Self { child, line }))
    }

    /// Names a group of processes that is to end with the agent.
    pub(crate) fn guard(&mut self, group: u32) {
        self.say(&group.to_string());
    }

    /// Tells what is to be taken away, in case that the root is removed with its notes.
    pub(crate) fn note(&mut self, made: &Made) {
        if let Ok(text) = serde_json::to_string(made) {
            self.say(&text);
        }
    }

    fn say(&mut self, text: &str) {
        if let Some(line) = &mut self.line {
            // One that was killed guards nothing; the next agent at this root tidies up.
            let _ = line.write_all(format!("{text}\n").as_bytes());
        }
    }

    /// Sends it away.
    pub(crate) fn end(mut self) {
        self.say(DONE);
        self.line = None;
        let _ = self.child.wait();
    }
}

/// The watchdog's work: call it from the process that [`Options::watchdog`](crate::Options) names,
/// with the root that it got. Returns when the agent has ended, however it did.
pub fn watch(root: &Path) {
    let (mut groups, mut made) = (Vec::new(), Made::default());
    for line in BufReader::new(std::io::stdin()).lines() {
        match line {
            Ok(line) if line == DONE => return,
            Ok(line) => match serde_json::from_str(&line) {
                Ok(noted) => made = noted,
                Err(_) => groups.extend(line.parse().ok().and_then(Pid::from_raw)),
            },
            Err(_) => break,
        }
    }
    for group in groups {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let inherited = Root::inherit(root);
    match &inherited {
        Some(root) => root.tidy(),
        None if root.join(OWN).exists() => return, // another agent's by now
        None => {}
    }
    made.take_away(root);
    drop(inherited);
}
