//! Everything that is brought up, and taken down again.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use shardpack_channel::{
    AccessMode, ChannelConfig, DataSource, Distribution, InputDataConfig, InputMode, ResourceConfig,
};

use crate::crew::{Crew, Memory};
use crate::fast::{self, Mount};
use crate::faults::Link;
use crate::pipe::{Pipe, Shared};
use crate::root::{Made, Root, Wish};
use crate::survey::{Contents, Surveyed};
use crate::watchdog::Watchdog;
use crate::{Error, Faults, Job, Progress, Result, Stop, Survey, Tell, env, file, folder};

/// How channels are served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that plays `/opt/ml`. Default: that.
    pub root: PathBuf,
    /// Most requests under way. Default 64.
    pub io_depth: usize,
    /// Most bytes that wait for a reader, of all channels together. Default 256 MiB; 16 MiB at
    /// least. Two buffers are had however little it is.
    pub memory: u64,
    /// Trouble on demand.
    pub faults: Faults,
    /// A command that calls [`watch`](crate::watch) with the root that follows its arguments. It
    /// takes away mounts, FIFOs and the training command when this process is killed. Default:
    /// none; then the next agent at this root does, but for the command.
    pub watchdog: Vec<OsString>,
    /// A command that calls [`launch`](crate::launch) with what follows its arguments: the number
    /// of this process, and the training command. The kernel then ends the training command with
    /// this process, even where the watchdog was killed before. Default: none.
    pub launcher: Vec<OsString>,
    /// Ends what is being brought up, downloads first of all. What is up stays up.
    pub stop: Stop,
    /// Who hears of trouble.
    pub tell: Tell,
    /// How far downloads are.
    pub progress: Arc<Progress>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: "/opt/ml".into(),
            io_depth: 64,
            memory: 256 << 20,
            faults: Faults::default(),
            watchdog: Vec::new(),
            launcher: Vec::new(),
            stop: Stop::default(),
            tell: Tell::default(),
            progress: Arc::default(),
        }
    }
}

/// A container's folders with all channels of a host, until it is dropped.
#[derive(Debug)]
pub struct Agent {
    // Taken down in this order: streams, mounts, and what they share.
    pipes: Vec<Pipe>,
    mounts: Vec<Mount>,
    watchdog: Option<Watchdog>,
    root: Root,
    stop: Stop,
    channels: InputDataConfig,
    hosts: ResourceConfig,
    job: Job,
    launcher: Vec<OsString>,
}

impl Agent {
    /// Brings all channels up. The survey must have been of the same job and hosts.
    ///
    /// Fails with [`Error::Refused`] before anything is created when a rule is broken, and with
    /// [`Error::Fuse`], [`Error::Busy`], [`Error::InTheWay`] and [`Error::Space`]. What was
    /// brought up by then is taken down; files that were fetched stay, and are not fetched again.
    pub fn up(job: Job, hosts: ResourceConfig, survey: Survey, options: &Options) -> Result<Self> {
        survey.check()?;
        let modes = |mode| survey.channels.iter().filter(move |c| c.request.mode == mode);
        if modes(InputMode::FastFile).next().is_some() {
            fast::check()?;
        }
        let channels = described(&survey.channels)?;
        let root = Root::claim(&options.root)?;
        let parameters = serde_json::to_vec(&job.request.hyperparameters)
            .map_err(|error| Error::job(error.to_string()))?;
        root.lay_out(&[
            ("inputdataconfig.json", channels.to_bytes()),
            ("resourceconfig.json", hosts.to_bytes()),
            ("hyperparameters.json", parameters),
        ])?;
        let watchdog = Watchdog::start(&options.watchdog, root.path())?;
        let stop = Stop::default();
        let (pipes, mounts) = (Vec::new(), Vec::new());
        let launcher = options.launcher.clone();
        let mut agent =
            Self { pipes, mounts, watchdog, root, stop, channels, hosts, job, launcher };
        let (seat, over) = (Arc::clone(agent.root.seat()), Stop::default());
        thread::scope(|scope| {
            scope.spawn(|| seat.watch(&over, &options.stop));
            let up = agent.bring_up(survey.channels, options);
            over.set();
            up
        })?;
        Ok(agent)
    }

    fn bring_up(&mut self, channels: Vec<Surveyed>, options: &Options) -> Result<()> {
        let memory = Memory::new(options.memory);
        for channel in &channels {
            let (name, mode) = (&channel.request.name, channel.request.mode);
            let (folder, journal) = (self.root.channel(name), self.root.journal(name));
            let target = file::Target { folder: &folder, journal: &journal };
            match (&channel.contents, mode) {
                (Contents::Objects { .. }, InputMode::File) => {
                    let (stop, progress) = (&options.stop, &options.progress);
                    file::fetch(channel, &target, options.io_depth, stop, progress)?;
                }
                // The same channel in another mode: what was fetched for File would be in the way.
                _ => file::forget(&target)?,
            }
        }
        let name = |channel: &Surveyed| channel.request.name.clone();
        let of = |mode| {
            let served = channels.iter().filter(move |channel| {
                channel.request.mode == mode && !matches!(channel.contents, Contents::Folder(_))
            });
            served.map(name).collect::<Vec<_>>()
        };
        let folders = channels.iter().filter(|c| matches!(c.contents, Contents::Folder(_)));
        let bound = folders.clone().filter(|channel| binds(channel)).map(name);
        let made = Made {
            mounts: of(InputMode::FastFile).into_iter().chain(bound).collect(),
            pipes: of(InputMode::Pipe),
            links: folders.map(name).collect(),
        };
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.note(&made);
        }
        self.root.note(made)?;
        let crew = Arc::new(Crew::start(options.io_depth)?);
        let link = Arc::new(Link::new(options.faults.clone(), self.stop.clone()));
        let shared = Shared { crew, memory, link, tell: options.tell.clone() };
        for channel in channels {
            let name = &channel.request.name;
            match (&channel.contents, channel.request.mode) {
                (Contents::Folder(to), _) => self.folder(&channel, to, &shared.tell)?,
                (_, InputMode::File) => {}
                (_, InputMode::FastFile) => {
                    let at = self.root.mount_point(name)?;
                    self.mounts.push(Mount::start(&channel, &at, &shared)?);
                }
                (_, InputMode::Pipe) => {
                    let path = self.root.channel(name);
                    self.pipes.push(Pipe::start(Arc::new(channel), path, shared.clone())?);
                }
            }
            if options.stop.is_set() {
                return Err(Error::Stopped);
            }
        }
        Ok(())
    }

    /// A file system's folder in the place of a channel: a link, or where nobody is to write a mount.
    fn folder(&self, channel: &Surveyed, to: &Path, tell: &Tell) -> Result<()> {
        let name = &channel.request.name;
        if binds(channel) {
            let at = self.root.mount_point(name)?;
            if folder::bind_read_only(to, &at)? {
                return Ok(());
            }
            let _ = fs::remove_dir(at);
        }
        if is_read_only(channel) {
            tell.say(&format!(
                "channel {name} is read-only in a job, and can be written to here: this process \
                 may not mount {}",
                to.display()
            ));
        }
        self.root.link(name, to)
    }

    /// What the container's environment says, for a command with these arguments.
    pub fn environment(&self, args: &[String]) -> BTreeMap<String, String> {
        env::variables(&self.job, &self.hosts, &self.channels, self.root.path(), args)
    }

    /// What somebody outside wants of it.
    pub(crate) fn wish(&self) -> Option<Wish> {
        self.root.seat().wish()
    }

    /// What runs the training command: see [`Options::launcher`].
    pub(crate) fn launcher(&self) -> &[OsString] {
        &self.launcher
    }

    /// Has the watchdog end a group of processes if this one is killed.
    pub(crate) fn guard(&mut self, group: u32) {
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.guard(group);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.set();
        self.pipes.clear();
        self.mounts.clear();
        self.root.tidy();
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.end();
        }
    }
}

/// Whether a job could not write to the channel's file system.
fn is_read_only(channel: &Surveyed) -> bool {
    matches!(&channel.request.source, DataSource::FileSystem(s) if s.access == AccessMode::ReadOnly)
}

/// Whether it is mounted here so that nobody can: only root may.
fn binds(channel: &Surveyed) -> bool {
    is_read_only(channel) && rustix::process::geteuid().is_root()
}

/// `inputdataconfig.json` as a job with these channels has it.
fn described(channels: &[Surveyed]) -> Result<InputDataConfig> {
    let config = |channel: &Surveyed| {
        let request = &channel.request;
        let source = request.s3_source();
        let config = ChannelConfig {
            mode: request.mode,
            distribution: source.map_or(Distribution::FullyReplicated, |s| s.distribution),
            wrapper: request.wrapper,
            content_type: request.content_type.clone(),
        };
        (request.name.clone(), config)
    };
    let all: BTreeMap<String, ChannelConfig> = channels.iter().map(config).collect();
    Ok(InputDataConfig::try_from(all)?)
}
