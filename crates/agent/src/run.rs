//! A training command among its channels.

use std::io::IsTerminal;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::{Handle, Signals as Caught};

use crate::root::Wish;
use crate::{Agent, Error, Result, Stop};

/// How often whoever waits looks for wishes of others.
const LOOK: Duration = Duration::from_millis(200);

/// Why channels that are served are to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A signal that ends things, by its number.
    Signal(i32),
    /// Somebody called [`down`](crate::down).
    Down,
    /// The root was removed, as far as a mount in it let it.
    Removed,
}

/// Signals of this process, from now on.
#[derive(Debug)]
pub struct Signals {
    /// What was caught, and that the command ended.
    events: Receiver<Event>,
    sender: Sender<Event>,
    handle: Handle,
}

#[derive(Debug)]
enum Event {
    Signal(i32),
    Ended(std::io::Result<ExitStatus>),
}

impl Signals {
    /// Catches SIGHUP, SIGINT, SIGTERM, SIGUSR1 and SIGUSR2. One that ends things sets `stop`: hand
    /// it to [`Options`](crate::Options), and a start ends in the middle.
    pub fn catch(stop: Stop) -> Result<Self> {
        let failed = |error| Error::Store(shardpack_store::Error::io(error, "signals"));
        let mut caught =
            Caught::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2]).map_err(failed)?;
        let (handle, (sender, events)) = (caught.handle(), unbounded());
        let own = sender.clone();
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in caught.forever() {
                    if matches!(signal, SIGINT | SIGTERM | SIGHUP) {
                        stop.set();
                    }
                    let _ = own.send(Event::Signal(signal));
                }
            })
            .map_err(failed)?;
        Ok(Self { events, sender, handle })
    }

    /// Waits until an agent is to end.
    pub fn wait(&self, agent: &Agent) -> Ended {
        loop {
            match self.events.recv_timeout(LOOK) {
                Ok(Event::Signal(signal @ (SIGINT | SIGTERM | SIGHUP))) => {
                    return Ended::Signal(signal);
                }
                Err(RecvTimeoutError::Disconnected) => return Ended::Signal(SIGTERM),
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            match agent.wish() {
                Some(Wish::Down) => return Ended::Down,
                Some(Wish::Removed) => return Ended::Removed,
                None => {}
            }
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
    }
}

/// Runs a command in the container's environment and takes the agent down after it. Signals are
/// passed on to all its processes, and [`down`](crate::down) is a SIGTERM; `grace` after one that
/// should have ended it, it is killed, as SageMaker does after 120 s.
///
/// Its exit code, or 128 and the number of the signal that ended it. With
/// [`Options::launcher`](crate::Options::launcher), call it from a thread that lives as long as the
/// process: the kernel takes the thread's end for its death.
///
/// Fails with [`Error::Command`] when it cannot be run.
pub fn run(
    mut agent: Agent,
    command: &[String],
    grace: Duration,
    signals: &Signals,
) -> Result<i32> {
    let Some((program, args)) = command.split_first() else {
        return Err(Error::job("no command"));
    };
    let mut prepared = match agent.launcher().split_first() {
        None => Command::new(program),
        Some((launcher, before)) => {
            let mut prepared = Command::new(launcher);
            prepared.args(before).arg(std::process::id().to_string()).args(["--", program]);
            prepared
        }
    };
    // A group of its own: all its processes can be ended with it, and each signal comes once.
    prepared.args(args).envs(agent.environment(args)).process_group(0);
    let child =
        prepared.spawn().map_err(|source| Error::Command { name: program.clone(), source })?;
    let group = Pid::from_child(&child);
    agent.guard(child.id());
    give_terminal(group);
    let status = wait(child, group, grace, signals, &agent);
    // Workers that it left behind have nobody to read for any more.
    let _ = kill_process_group(group, Signal::KILL);
    drop(agent);
    let status = status.map_err(|source| Error::Command { name: program.clone(), source })?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)))
}

/// Waits for the command, and passes signals on meanwhile.
fn wait(
    mut child: Child,
    group: Pid,
    grace: Duration,
    signals: &Signals,
    agent: &Agent,
) -> std::io::Result<ExitStatus> {
    let sender = signals.sender.clone();
    let waiter = thread::Builder::new().name("wait".into()).spawn(move || {
        let _ = sender.send(Event::Ended(child.wait()));
    })?;
    let (mut deadline, mut asked) = (None, false);
    let status = loop {
        let left = deadline
            .map_or(LOOK, |end: Instant| LOOK.min(end.saturating_duration_since(Instant::now())));
        match signals.events.recv_timeout(left) {
            Ok(Event::Ended(status)) => break status,
            Ok(Event::Signal(number)) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    let _ = kill_process_group(group, signal);
                }
                if matches!(number, SIGINT | SIGTERM | SIGHUP) {
                    deadline.get_or_insert_with(|| Instant::now() + grace);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if deadline.is_some_and(|end| end <= Instant::now()) {
                    let _ = kill_process_group(group, Signal::KILL);
                    deadline = None;
                }
                // That the root was removed is the command's to bear: it may need it no more.
                if !asked && agent.wish() == Some(Wish::Down) {
                    asked = true;
                    let _ = kill_process_group(group, Signal::TERM);
                    deadline.get_or_insert_with(|| Instant::now() + grace);
                }
            }
            Err(RecvTimeoutError::Disconnected) => {
                break Err(std::io::Error::other("nobody waits for it"));
            }
        }
    };
    let _ = waiter.join();
    status
}

/// In a terminal, the command's group gets the keyboard: a debugger in it can be typed to.
fn give_terminal(group: Pid) {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        let _ = rustix::termios::tcsetpgrp(&stdin, group);
    }
}
