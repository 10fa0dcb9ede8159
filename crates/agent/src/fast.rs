//! FastFile mode: a read-only file system over a channel's objects, whose bytes come when they are
//! asked for.
//!
//! It is served by this process. When that dies its end of `/dev/fuse` closes, and the kernel
//! answers every call with `ENOTCONN`: nobody hangs. The mount itself stays, so the watchdog takes
//! it away, or the next agent at the same root.

mod fs;
mod open;
mod stream;
mod tree;

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError};
use fuser::{BackgroundSession, Config, MountOption, SessionACL};
use rustix::mount::{UnmountFlags, unmount};

use crate::pipe::Shared;
use crate::survey::{Contents, Surveyed};
use crate::{Error, Result, Tell};
use fs::Channel;
use tree::Tree;

const DEVICE: &str = "/dev/fuse";
/// Programs that mount for who may not.
const HELPERS: [&str; 2] = ["fusermount3", "fusermount"];
/// What the kernel reads ahead; its default of 128 KiB makes eight times as many calls.
const READ_AHEAD_KB: &str = "1024";
/// Threads that take the kernel's calls. None of them waits for the network.
const LOOPS: usize = 2;
/// How long the end waits for files that somebody has open.
const PATIENCE: Duration = Duration::from_secs(2);

/// A mount that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Mount {
    path: PathBuf,
    session: Option<BackgroundSession>,
    ended: Receiver<()>,
    tell: Tell,
}

impl Mount {
    /// Mounts the channel at an empty folder.
    pub(crate) fn start(channel: &Surveyed, path: &Path, shared: &Shared) -> Result<Self> {
        check()?;
        let Contents::Objects { objects, files, folders } = &channel.contents else {
            return Err(Error::job("FastFile mounts objects only")); // refused before
        };
        let own: Vec<&(usize, String)> =
            channel.order(0).into_iter().filter_map(|place| files.get(place)).collect();
        let files = own.into_iter().map(|(i, path)| (*i, objects.size(*i), &**path));
        let tree = Tree::new(files, folders.iter().map(String::as_str));
        let (alive, ended) = crossbeam_channel::bounded(0);
        let served = Channel::new(tree, Arc::clone(objects), shared.clone(), alive);
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::RO,
            MountOption::FSName("shardpack".into()),
            MountOption::DefaultPermissions,
        ];
        config.n_threads = Some(LOOPS);
        // Training may run as another user; only root may let it in.
        if rustix::process::geteuid().is_root() {
            config.acl = SessionACL::All;
        }
        let session = fuser::spawn_mount(served, path, &config).map_err(|error| Error::Fuse {
            reason: format!(
                "{} cannot be mounted: {error}; without root this takes fusermount3",
                path.display()
            ),
        })?;
        read_ahead(path);
        Ok(Self { path: path.to_owned(), session: Some(session), ended, tell: shared.tell.clone() })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: an unmount that waits would fail while a file is open, and leave a dead mount.
        detach(&self.path);
        let ended = self.ended.recv_timeout(PATIENCE);
        match (ended, self.session.take()) {
            (Err(RecvTimeoutError::Timeout), Some(session)) => {
                let path = self.path.display();
                self.tell.say(&format!("{path}: unmounted while files of it are open"));
                drop(session);
            }
            (_, Some(session)) => _ = session.join(),
            (_, None) => {}
        }
    }
}

/// Takes a mount away from its place, whoever serves it, or served it.
pub(crate) fn detach(path: &Path) {
    if unmount(path, UnmountFlags::DETACH).is_ok() {
        return;
    }
    if !rustix::process::geteuid().is_root() {
        let helps = |name: &&str| {
            let mut helper = Command::new(name);
            helper.args(["-u", "-z", "-q", "--"]).arg(path);
            helper.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            helper.status().is_ok_and(|status| status.success())
        };
        let _ = HELPERS.iter().any(helps);
    }
}

/// Whether this machine has FUSE for this user, before anything is created.
pub(crate) fn check() -> Result<()> {
    match OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) if rustix::process::geteuid().is_root() || has_helper() => Ok(()),
        Ok(_) => Err(Error::Fuse {
            reason: "only root may mount by itself, and there is no fusermount3 to help; run as \
                     root, or install it (fuse3 in most distributions)"
                .into(),
        }),
        Err(error) => Err(Error::Fuse {
            reason: match error.kind() {
                io::ErrorKind::NotFound => format!(
                    "{DEVICE} is not there; load the module (modprobe fuse), or start the \
                     container with --device {DEVICE} --cap-add SYS_ADMIN"
                ),
                _ => format!("{DEVICE}: {error}; run as root, or allow this user to open it"),
            },
        }),
    }
}

/// Whether there is a program that mounts for who may not: where fuser looks for it, too.
fn has_helper() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/sbin", "/bin"].map(PathBuf::from));
    folders
        .flat_map(|folder| HELPERS.map(|name| folder.join(name)))
        .any(|program| program.is_file())
}

/// Tells the kernel to read ahead further. Only root may, and it only costs time if not.
fn read_ahead(path: &Path) {
    let Ok(found) = path.metadata() else { return };
    let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    let knob = format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb");
    let _ = std::fs::write(knob, READ_AHEAD_KB);
}
