//! Channels: named training inputs, wherever this container has them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use shardpack_channel::{
    Candidate, ChannelConfig, Container, Distribution, InputMode, Place, Rank, Ranks,
    ResourceConfig,
};
use shardpack_store::Error as StoreError;

use crate::plan::Part;
use crate::{Error, Result};

/// The environment, by name of a variable.
type Env<'e> = &'e dyn Fn(&str) -> Option<std::ffi::OsString>;

/// A training input by name, as this container has it: where it is, how it arrives, and which part
/// of the job this process is.
///
/// The same code runs on a laptop: a path or an `s3://` address in place of the container's.
///
/// ```no_run
/// use shardpack_reader::{Channel, ReadOptions};
///
/// let channel = Channel::open("train")?; // or Channel::at("train", "/data/flowers")?
/// let reader = channel.reader(ReadOptions::default())?;
/// for sample in reader.epoch(0) {
///     println!("{}", sample?.key());
/// }
/// # Ok::<(), shardpack_reader::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Channel {
    name: String,
    config: ChannelConfig,
    found: Candidate,
    ranks: Ranks,
    host: Rank,
}

impl Channel {
    /// The channel called `name`: looked for where `SAGEMAKER_BASE_DIR` says, then where
    /// `SM_CHANNEL_<NAME>` says, then below `/opt/ml/input/data`.
    pub fn open(name: &str) -> Result<Self> {
        Self::find(name, None, &|variable| std::env::var_os(variable))
    }

    /// The channel called `name` at a path or an `s3://` address, and nowhere else.
    pub fn at(name: &str, place: &str) -> Result<Self> {
        Self::find(name, Some(place), &|variable| std::env::var_os(variable))
    }

    /// The same with an environment of the caller's.
    pub fn find(name: &str, given: Option<&str>, env: Env<'_>) -> Result<Self> {
        let container = Container::new(env);
        let resources = read(&container.resource_config_path())?;
        let resources = container.resource_config(resources.as_deref())?;
        let channels = read(&container.input_data_config_path())?;
        let mut config = match container.input_data_config(channels.as_deref())? {
            // What is given is a path on a laptop, or a stand-in for a channel of the job.
            Some(channels) if given.is_none() => channels.channel(name)?.clone(),
            Some(channels) => channels.channel(name).cloned().unwrap_or_default(),
            None => ChannelConfig::default(),
        };
        let candidates = container.channel(name, given)?;
        let Some(found) = candidates.iter().find(|c| is_there(&c.place, config.mode)) else {
            let places: Vec<String> = candidates.iter().map(ToString::to_string).collect();
            return Err(Error::NotFound(format!(
                "no channel {name:?} in {:?} mode: looked at {}",
                config.mode,
                places.join(", ")
            )));
        };
        // What stands in for a channel of FIFOs need not be FIFOs.
        if given.is_some() && is_seekable(&found.place) {
            config.mode = match config.mode {
                InputMode::Pipe => InputMode::File,
                mode => mode,
            };
        }
        Ok(Self {
            name: name.to_owned(),
            config,
            found: found.clone(),
            ranks: Ranks::find(env, resources.as_ref())?,
            host: resources.as_ref().map_or(Rank { rank: 0, world: 1 }, ResourceConfig::rank),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it arrives.
    pub fn mode(&self) -> InputMode {
        self.config.mode
    }

    /// What the container is told of it.
    pub fn config(&self) -> &ChannelConfig {
        &self.config
    }

    /// Where it is, and who says so.
    pub fn place(&self) -> &Candidate {
        &self.found
    }

    /// Whether this host has a part of the shards that no other has.
    pub fn is_sharded(&self) -> bool {
        self.config.distribution == Distribution::ShardedByS3Key && self.host.world > 1
    }

    /// Hosts of the job.
    pub fn hosts(&self) -> u64 {
        self.host.world.into()
    }

    /// Which of them this one is.
    pub fn host(&self) -> Rank {
        self.host
    }

    /// The part of the channel's samples that is this process's. Where every host has its own
    /// shards they are divided among the processes of this host only.
    pub fn part(&self) -> Result<Part> {
        let Ranks { rank, world, local_rank, local_world } = self.ranks;
        let (rank, world) = match (self.is_sharded(), local_rank, local_world) {
            (false, ..) => (rank, world),
            (true, Some(rank), Some(world)) => (rank, world),
            (true, ..) if world == self.host.world => (0, 1),
            (true, ..) => {
                return Err(Error::usage(format!(
                    "channel {:?} is ShardedByS3Key, and {world} ranks run on {} hosts: the rank \
                     within the host is not known; set LOCAL_RANK and LOCAL_WORLD_SIZE",
                    self.name, self.host.world
                )));
            }
        };
        Ok(Part { rank: rank.into(), world: world.into(), replicas: 1 })
    }
}

/// Whether there is something. Of a Pipe channel only the folder that its FIFOs will be in is.
fn is_there(place: &Place, mode: InputMode) -> bool {
    match (place, mode) {
        (Place::Uri(_), _) => true,
        (Place::Path(path), InputMode::Pipe) => path.parent().is_some_and(Path::is_dir),
        (Place::Path(path), _) => path.exists(),
    }
}

fn is_seekable(place: &Place) -> bool {
    match place {
        Place::Uri(_) => true,
        Place::Path(path) => path.is_dir(),
    }
}

/// The bytes of a file of the configuration; none where there is none.
fn read(path: &PathBuf) -> Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(error, path.display().to_string()).into()),
    }
}
