//! What can go wrong when channels are brought up.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::Finding;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Each kind is a different thing for a caller to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The job breaks these rules. Nothing was created; correct the job.
    Refused(Vec<Finding>),
    /// The job's description cannot be read.
    Job {
        /// What is wrong, with its place, and what to write.
        reason: String,
    },
    /// Another agent serves this root. Stop it, or take another root.
    Busy {
        /// The root.
        root: String,
    },
    /// The root, or something in it, cannot be made or written. Take another root.
    Root {
        /// What cannot.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No agent serves this root, or has. Name another.
    NotServed {
        /// The root.
        root: String,
    },
    /// The agent at this root was asked to end, and has not. Kill it.
    Deaf {
        /// The root.
        root: String,
        /// Its process.
        process: String,
        /// How long it had.
        patience: Duration,
    },
    /// Something of somebody else is in the way. Move it.
    InTheWay {
        /// Its path.
        path: String,
        /// What it is.
        what: String,
    },
    /// The disk has no room for the channels in File mode; nothing was fetched.
    Space {
        /// Bytes that are needed.
        needed: u64,
        /// Bytes that are free.
        free: u64,
        /// Where.
        path: String,
    },
    /// FUSE cannot be had: no FastFile here.
    Fuse {
        /// What failed, and what to do.
        reason: String,
    },
    /// The command cannot be run.
    Command {
        /// Its name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A source or the disk failed.
    Store(shardpack_store::Error),
    /// A configuration that contradicts itself.
    Channel(shardpack_channel::Error),
    /// A manifest that cannot be read.
    Manifest {
        /// Where it is.
        name: String,
        /// What is wrong with it.
        source: shardpack_manifest::Error,
    },
    /// It was told to stop.
    Stopped,
}

impl Error {
    /// A failed call to the system.
    pub(crate) fn io(error: impl Into<io::Error>, path: &Path) -> Self {
        Self::Store(shardpack_store::Error::io(error, path.display().to_string()))
    }

    /// A root that cannot be had.
    pub(crate) fn root(source: impl Into<io::Error>, path: &Path) -> Self {
        Self::Root { path: path.display().to_string(), source: source.into() }
    }

    pub(crate) fn job(reason: impl Into<String>) -> Self {
        Self::Job { reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(findings) => {
                write!(f, "the job breaks {} of SageMaker's rules", findings.len())?;
                findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
            }
            Self::Job { reason } => write!(f, "job: {reason}"),
            Self::Busy { root } => write!(f, "{root}: another agent serves it"),
            Self::Root { path, .. } => write!(f, "{path}: no agent can work here"),
            Self::NotServed { root } => write!(f, "{root}: no agent has served it"),
            Self::Deaf { root, process, patience } => {
                let seconds = patience.as_secs();
                write!(f, "{root}: its agent, process {process}, has not ended in {seconds} s")
            }
            Self::InTheWay { path, what } => write!(f, "{path}: {what}"),
            Self::Space { needed, free, path } => {
                write!(f, "{path}: {needed} bytes to fetch, and {free} free")
            }
            Self::Fuse { reason } => write!(f, "FastFile needs FUSE: {reason}"),
            Self::Command { name, .. } => write!(f, "{name}: cannot be run"),
            Self::Store(error) => error.fmt(f),
            Self::Channel(error) => error.fmt(f),
            Self::Manifest { name, source } => write!(f, "{name}: {source}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Command { source, .. } | Self::Root { source, .. } => Some(source),
            Self::Store(error) => error.source(),
            Self::Channel(error) => error.source(),
            Self::Manifest { source, .. } => source.source(),
            _ => None,
        }
    }
}

impl From<shardpack_store::Error> for Error {
    fn from(error: shardpack_store::Error) -> Self {
        Self::Store(error)
    }
}

impl From<shardpack_channel::Error> for Error {
    fn from(error: shardpack_channel::Error) -> Self {
        Self::Channel(error)
    }
}
