//! The place of the one agent at a root, and how others reach whoever has it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{DOWN, LOCK, OWN, TICK};
use crate::{Error, Result, Stop};

/// What somebody outside wants of the agent at a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// [`down`](crate::down) was called.
    Down,
    /// The root was removed, as far as a mount in it let it.
    Removed,
}

/// The place of the one agent at a root: a file that is held locked while it lives.
#[derive(Debug)]
pub(crate) struct Seat {
    own: PathBuf,
    lock: File,
}

impl Seat {
    /// None while another one has it.
    pub(super) fn take(root: &Path) -> Result<Option<Self>> {
        let own = root.join(OWN);
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(false);
        let lock = open.open(own.join(LOCK)).map_err(|error| Error::root(error, &own))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self { own, lock })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::root(errno, &own)),
        }
    }

    /// Writes down which process has it, for messages.
    pub(super) fn sign(&mut self) -> Result<()> {
        let signed = self.lock.set_len(0);
        let signed = signed.and_then(|()| writeln!(self.lock, "{}", std::process::id()));
        signed.map_err(|error| Error::root(error, &self.own))
    }

    /// What somebody outside wants.
    pub(crate) fn wish(&self) -> Option<Wish> {
        match self.lock.metadata() {
            Ok(found) if found.nlink() == 0 => Some(Wish::Removed),
            _ if self.own.join(DOWN).exists() => Some(Wish::Down),
            _ => None,
        }
    }

    /// Sets `stop` when somebody outside wants something, until it is `over`.
    pub(crate) fn watch(&self, over: &Stop, stop: &Stop) {
        while !over.wait(TICK) {
            if self.wish().is_some() {
                return stop.set();
            }
        }
    }
}
