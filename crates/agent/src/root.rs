//! The folder that plays `/opt/ml`, and what an agent leaves there when it is killed.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Stop, fast, pipe};

/// Lies beside `input`, out of the training code's sight.
const OWN: &str = ".shardpack-agent";
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

/// A root that this process alone serves, until it is dropped.
#[derive(Debug)]
pub(crate) struct Root {
    path: PathBuf,
    _lock: File,
}

impl Root {
    /// Takes the root and removes what a killed agent left in it.
    ///
    /// Fails with [`Error::Busy`] while another one lives.
    pub(crate) fn claim(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path).map_err(|error| Error::io(error, path))?;
        let own = path.join(OWN);
        fs::create_dir_all(&own).map_err(|error| Error::io(error, &own))?;
        let lock = lock(&own.join("lock"))?;
        let wait = Stop::default();
        for tries in 0.. {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if tries < PATIENCE && own.join("state.json").exists() => {
                    // Its watchdog may be at work; an agent that lives keeps it.
                    wait.wait(TICK);
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(Error::Busy { root: path.display().to_string() });
                }
                Err(errno) => return Err(Error::io(errno, &own)),
            }
        }
        let root = Self { path, _lock: lock };
        root.tidy();
        Ok(root)
    }

    /// The same for the watchdog; none when another agent has the root, which tidied up itself.
    ///
    /// A process that is killed closes its files one after another, so its lock may last a moment
    /// longer than the pipe that told of its death.
    pub(crate) fn inherit(path: &Path) -> Option<Self> {
        let lock = lock(&path.join(OWN).join("lock")).ok()?;
        let wait = Stop::default();
        for _ in 0..PATIENCE {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Some(Self { path: path.to_owned(), _lock: lock }),
                Err(Errno::WOULDBLOCK) => wait.wait(TICK),
                Err(_) => return None,
            };
        }
        None
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the files of a channel, its mount or its FIFOs are.
    pub(crate) fn channel(&self, name: &str) -> PathBuf {
        self.path.join("input/data").join(name)
    }

    /// What is known of a channel's files.
    pub(crate) fn journal(&self, name: &str) -> PathBuf {
        self.path.join(OWN).join(format!("{name}.files"))
    }

    fn state(&self) -> PathBuf {
        self.path.join(OWN).join("state.json")
    }

    /// Writes down what will be made.
    pub(crate) fn note(&self, made: &Made) -> Result<()> {
        let (path, new) = (self.state(), self.path.join(OWN).join("state.new"));
        let text = serde_json::to_vec(made).map_err(|error| Error::io(error, &path))?;
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|e| Error::io(e, &path))
    }

    /// Takes away what was written down: mounts first, as nothing below them can be removed.
    pub(crate) fn tidy(&self) {
        let made = fs::read(self.state()).ok();
        let made: Option<Made> = made.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Made { mounts, pipes, links } = made.unwrap_or_default();
        // Names from a file, so only those that stay in the folder.
        let plain = |name: &&String| !name.contains('/') && !matches!(&***name, "" | "." | "..");
        for name in mounts.iter().filter(plain) {
            fast::detach(&self.channel(name));
            let _ = fs::remove_dir(self.channel(name));
        }
        pipes.iter().filter(plain).for_each(|name| pipe::remove_all(&self.channel(name)));
        for name in links.iter().filter(plain) {
            let path = self.channel(name);
            if path.is_symlink() {
                let _ = fs::remove_file(path);
            }
        }
        let _ = fs::remove_file(self.state());
    }

    /// Makes the folders and files that every container has. `files` are those of `input/config`.
    pub(crate) fn lay_out(&self, files: &[(&str, Vec<u8>)]) -> Result<()> {
        let folders = ["input/config", "input/data", "model", "output/data", "checkpoints", "code"];
        for folder in folders {
            let path = self.path.join(folder);
            fs::create_dir_all(&path).map_err(|error| Error::io(error, &path))?;
        }
        for (name, bytes) in files {
            let path = self.path.join("input/config").join(name);
            fs::write(&path, bytes).map_err(|error| Error::io(error, &path))?;
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

fn lock(path: &Path) -> Result<File> {
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(false);
    open.open(path).map_err(|error| Error::io(error, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_agent_left_is_taken_away_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let root = Root::claim(home.path()).unwrap();
        root.lay_out(&[("a.json", b"{}".to_vec())]).unwrap();
        let made = Made {
            mounts: vec!["m".into()],
            pipes: vec!["p".into(), "../../x".into()],
            links: vec!["l".into(), "f".into()],
        };
        root.note(&made).unwrap();
        root.link("l", Path::new("/tmp")).unwrap();
        root.mount_point("m").unwrap();
        fs::write(root.channel("f"), "a file").unwrap();
        for name in ["p_0", "p_12", "q_0"] {
            let mode = rustix::fs::Mode::RUSR;
            rustix::fs::mkfifoat(rustix::fs::CWD, root.channel(name), mode).unwrap();
        }
        fs::write(root.channel("p_x"), "").unwrap();
        let second = lock(&home.path().join(OWN).join("lock")).unwrap();
        let taken = flock(&second, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(taken, Err(Errno::WOULDBLOCK), "it is still served");
        drop(root); // as if killed
        let root = Root::claim(home.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(home.path().join("input/data"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["f", "p_x", "q_0"]);
        assert!(!root.state().exists());
    }
}
