//! The training command, bound to the life of the agent by the kernel.
//!
//! The watchdog ends the command with all its children when the agent is killed. Where both are
//! killed, as by whoever runs out of memory, the kernel still ends the command itself: a process may
//! ask for a signal at its parent's death (PR_SET_PDEATHSIG), and keeps that when it becomes another
//! program. So this one asks, and becomes the command.
//!
//! What that cannot do: children of the command do not inherit it, and a program with set-user-id or
//! capabilities of its own loses it (prctl(2)).

use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::{Error, Result};

/// Becomes the command, which is killed when the process `parent` dies: call it from the process
/// that [`Options::launcher`](crate::Options::launcher) names, with what follows its arguments. The
/// parent must have started it from a thread that lives as long as itself.
///
/// Returns only when it fails: with [`Error::Command`] when the command cannot be run, and with
/// [`Error::Stopped`] when the parent is dead already.
pub fn launch(parent: u32, command: &[String]) -> Result<Infallible> {
    let failed = |name: &str, source| Error::Command { name: name.to_owned(), source };
    let Some((program, args)) = command.split_first() else { return Err(Error::job("no command")) };
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|errno| failed(program, errno.into()))?;
    // It may have died before that was asked for.
    let alive = i32::try_from(parent).ok().and_then(Pid::from_raw);
    if getppid() != alive {
        return Err(Error::Stopped);
    }
    Err(failed(program, Command::new(program).args(args).exec()))
}
