//! `shardpack channels up --detach`: a process of its own serves the channels.
//!
//! This program starts itself again with the same arguments. The two are joined by a pair of
//! sockets, one of which is the other's standard input: there it says that its channels are up, and
//! hears, by the end of it, that whoever wants to know is gone.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::thread;

use shardpack_agent::Stop;

use crate::exit::{Exit, Failure, Result};

/// What is said when channels are up.
const UP: [u8; 2] = *b"up";

/// Starts the one that serves; the exit code when its channels are up, or never will be.
pub(super) fn start() -> Result<i32> {
    serve().map_err(|error| Failure::of(&error))
}

fn serve() -> io::Result<i32> {
    let (mut ours, theirs) = UnixStream::pair()?;
    let same = |arg: OsString| if arg == "--detach" { "--detached".into() } else { arg };
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1).map(same))
        .stdin(OwnedFd::from(theirs))
        .spawn()?;
    let mut said = [0; UP.len()];
    match ours.read_exact(&mut said) {
        Ok(()) => Ok(Exit::Done as i32),
        // It has told why.
        Err(_) => Ok(child.wait()?.code().unwrap_or(Exit::Failed as i32)),
    }
}

/// The one that was started.
pub(super) struct Detached(UnixStream);

impl Detached {
    /// Leaves the terminal. `stop` is set once nobody waits for the channels to be up.
    pub(super) fn begin(stop: Stop) -> Result<Self> {
        let begin = || {
            let stdin = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
            rustix::stdio::dup2_stdin(null()?)?;
            let mut line = stdin.try_clone()?;
            thread::Builder::new().name("waiting".into()).spawn(move || {
                let _ = line.read(&mut [0]); // nothing ever comes but the end
                stop.set();
            })?;
            io::Result::Ok(stdin)
        };
        // Whoever leads a group cannot leave its session; started as above, it does not.
        let _ = rustix::process::setsid();
        begin().map(Self).map_err(|error| Failure::of(&error))
    }

    /// Says that channels are up. From here on trouble is told in a file.
    pub(super) fn up(mut self, root: &Path) -> Result<()> {
        let log = root.join(".shardpack-agent/log");
        let failed = |error| shardpack_store::Error::io(error, log.display().to_string());
        let file = File::create(&log).map_err(failed)?;
        let begin = || {
            rustix::stdio::dup2_stdout(null()?)?;
            rustix::stdio::dup2_stderr(file)?;
            self.0.write_all(&UP)
        };
        begin().map_err(|error| Failure::of(&error))
    }
}

fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}
