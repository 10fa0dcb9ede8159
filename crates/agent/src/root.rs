//! The folder that plays `/opt/ml`, and what an agent leaves there when it is killed.

mod seat;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{Error, Result, Stop, fast, pipe};
pub(crate) use seat::{Seat, Wish};

/// Lies beside `input`, out of the training code's sight.
pub(crate) const OWN: &str = ".shardpack-agent";
/// In it: the file that an agent holds locked, which names its process, and the wish that it ends.
const LOCK: &str = "lock";
const DOWN: &str = "down";
const STATE: &str = "state.json";
/// Where channels are.
const DATA: &str = "input/data";
/// How long the watchdog of an agent that was killed just now may take to tidy up.
const PATIENCE: u32 = 100;
const TICK: Duration = Duration::from_millis(50);

/// What has to be taken away again, by name of the channel: written down before it is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) mounts: Vec<String>,
    pub(crate) pipes: Vec<String>,
    pub(crate) links: Vec<String>,
}

impl Made {
    /// Takes all of it away: mounts first, as nothing below them can be removed.
    pub(crate) fn take_away(&self, root: &Path) {
        let at = |name: &String| root.join(DATA).join(name);
        // Names from a file, so only those that stay in the folder.
        let plain = |name: &&String| !name.contains('/') && !matches!(&***name, "" | "." | "..");
        for path in self.mounts.iter().filter(plain).map(at) {
            fast::detach(&path);
            let _ = fs::remove_dir(path);
        }
        self.pipes.iter().filter(plain).for_each(|name| pipe::remove_all(&at(name)));
        for path in self.links.iter().filter(plain).map(at).filter(|path| path.is_symlink()) {
            let _ = fs::remove_file(path);
        }
    }
}

/// A root that this process alone serves, until it is dropped.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    seat: Arc<Seat>,
    /// What was noted; the file may be removed with the root.
    made: Made,
}

impl Root {
    /// Takes the root and removes what a killed agent left in it.
    ///
    /// Fails with [`Error::Busy`] while another one lives.
    pub(crate) fn claim(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| Error::io(error, path))?;
        let own = path.join(OWN);
        fs::create_dir_all(&own).map_err(|error| Error::root(error, &path))?;
        let wait = Stop::default();
        for _ in 0..PATIENCE {
            if let Some(root) = Self::free(&path)? {
                return Ok(root);
            }
            // The watchdog of one that was killed may be at work; an agent that lives keeps it.
            wait.wait(TICK);
        }
        Err(Error::Busy { root: path.display().to_string() })
    }

    /// The same at once; none while another one lives, or its watchdog tidies up.
    fn free(path: &Path) -> Result<Option<Self>> {
        let Some(mut seat) = Seat::take(path)? else { return Ok(None) };
        seat.sign()?;
        let root = Self::sit(path, seat);
        root.tidy();
        Ok(Some(root))
    }

    fn sit(path: &Path, seat: Seat) -> Self {
        Self { path: path.to_owned(), seat: Arc::new(seat), made: Made::default() }
    }

    /// The same for the watchdog; none when another agent has the root, which tidied up itself.
    ///
    /// A process that is killed closes its files one after another, so its lock may last a moment
    /// longer than the pipe that told of its death.
    pub(crate) fn inherit(path: &Path) -> Option<Self> {
        let wait = Stop::default();
        for _ in 0..PATIENCE {
            if let Some(seat) = Seat::take(path).ok()? {
                return Some(Self::sit(path, seat));
            }
            wait.wait(TICK);
        }
        None
    }

    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files of a channel, its mount or its FIFOs are.
    pub(crate) fn channel(&self, name: &str) -> PathBuf {
        self.path.join(DATA).join(name)
    }

    /// What is known of a channel's files.
    pub(crate) fn journal(&self, name: &str) -> PathBuf {
        self.path.join(OWN).join(format!("{name}.files"))
    }

    fn state(&self) -> PathBuf {
        self.path.join(OWN).join(STATE)
    }

    /// Writes down what will be made.
    pub(crate) fn note(&mut self, made: Made) -> Result<()> {
        let (path, new) = (self.state(), self.path.join(OWN).join("state.new"));
        let text = serde_json::to_vec(&made).map_err(|error| Error::io(error, &path))?;
        self.made = made;
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|e| Error::io(e, &path))
    }

    /// Takes away what was written down, here or by an agent before.
    pub(crate) fn tidy(&self) {
        self.made.take_away(&self.path);
        let noted = fs::read(self.state()).ok();
        let noted: Option<Made> = noted.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(noted) = noted.filter(|noted| *noted != self.made) {
            noted.take_away(&self.path);
        }
        for name in [STATE, DOWN] {
            let _ = fs::remove_file(self.path.join(OWN).join(name));
        }
        if self.seat.wish() == Some(Wish::Removed) {
            // What a mount kept from being removed: folders, if nothing else is in them.
            for folder in [DATA, "input", ""] {
                let _ = fs::remove_dir(self.path.join(folder));
            }
        }
    }

    /// Makes the folders and files that every container has. `files` are those of `input/config`.
    pub(crate) fn lay_out(&self, files: &[(&str, Vec<u8>)]) -> Result<()> {
        let folders = ["input/config", "input/data", "model", "output/data", "checkpoints", "code"];
        for folder in folders {
            let path = self.path.join(folder);
            fs::create_dir_all(&path).map_err(|error| Error::root(error, &path))?;
        }
        for (name, bytes) in files {
            let path = self.path.join("input/config").join(name);
            fs::write(&path, bytes).map_err(|error| Error::root(error, &path))?;
        }
        Ok(())
    }

    /// An empty folder for a mount.
    pub(crate) fn mount_point(&self, name: &str) -> Result<PathBuf> {
        let path = self.channel(name);
        fs::create_dir_all(&path).map_err(|error| Error::io(error, &path))?;
        let mut entries = fs::read_dir(&path).map_err(|error| Error::io(error, &path))?;
        match entries.next() {
            None => Ok(path),
            Some(_) => Err(Error::InTheWay {
                path: path.display().to_string(),
                what: "holds files, and a mount would hide them; move them".into(),
            }),
        }
    }

    /// A link to a mounted file system in the place of a channel.
    pub(crate) fn link(&self, name: &str, to: &Path) -> Result<()> {
        let path = self.channel(name);
        std::os::unix::fs::symlink(to, &path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Error::InTheWay {
                path: path.display().to_string(),
                what: "is there, and the channel is to be a link to its file system".into(),
            },
            _ => Error::io(error, &path),
        })
    }
}

/// What [`down`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// An agent, which has ended.
    Ended,
    /// None; what a killed one had left was removed.
    Nothing,
}

/// Has the agent at a root end, from another process: channels go down as after a signal, and a
/// training command gets SIGTERM. Waits for that for `patience`.
///
/// Fails with [`Error::NotServed`] where no agent has been, and with [`Error::Deaf`] when it has not
/// ended in time.
pub fn down(root: &Path, patience: Duration) -> Result<Down> {
    let path = std::path::absolute(root).map_err(|error| Error::io(error, root))?;
    let own = path.join(OWN);
    if !own.is_dir() {
        return Err(Error::NotServed { root: path.display().to_string() });
    }
    if Root::free(&path)?.is_some() {
        return Ok(Down::Nothing);
    }
    let wish = own.join(DOWN);
    fs::write(&wish, "").map_err(|error| Error::io(error, &wish))?;
    let (wait, end) = (Stop::default(), Instant::now() + patience);
    while Instant::now() < end {
        wait.wait(TICK);
        match Root::free(&path) {
            Ok(None) => {}
            Ok(Some(_)) => return Ok(Down::Ended),
            Err(_) if !own.is_dir() => return Ok(Down::Ended), // the root went with it
            Err(error) => return Err(error),
        }
    }
    let _ = fs::remove_file(&wish);
    let process = fs::read_to_string(own.join(LOCK)).unwrap_or_default().trim().to_owned();
    Err(Error::Deaf { root: path.display().to_string(), process, patience })
}

#[cfg(test)]
mod tests;
