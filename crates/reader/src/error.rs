//! What can go wrong between shards and a training loop.

use std::fmt;

use crate::example::FeatureFault;
use crate::pipe::Stalled;
use crate::stats::Skipped;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of planning or reading.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An option that cannot be used, or not together with another. Change it.
    Usage(String),
    /// A saved state that does not parse or contradicts itself. Restore another one.
    State {
        /// What is wrong, with the value.
        reason: String,
    },
    /// A state saved by a later release. Upgrade.
    Version {
        /// The version found.
        found: u64,
        /// The newest version that this release reads.
        newest: u64,
    },
    /// A state of other samples or other options: going on would repeat and lose samples.
    Different {
        /// What differs: "seed: 7 then, 8 now".
        differences: Vec<String>,
    },
    /// A host sees a number of shards that an even division does not give, so that steps computed
    /// from the manifest would not be the same on all hosts. Pass them explicitly.
    Uneven {
        /// Shards that this host sees.
        visible: u64,
        /// Fewest shards that a host should see.
        fewest: u64,
        /// Most shards that a host should see.
        most: u64,
    },
    /// The container's configuration says something that cannot be.
    Channel(shardpack_channel::Error),
    /// No dataset, shard or split there. Says where was looked.
    NotFound(String),
    /// An overlay that does not lie over the dataset: it is none, or the dataset is another one or was
    /// changed since. Make it anew.
    Overlay {
        /// Where it is.
        overlay: String,
        /// How it differs, and what to do.
        reason: String,
    },
    /// A shard, or its index, is not what the manifest says: truncated, of another length, damaged.
    Shard {
        /// By its path in the dataset.
        shard: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A sample failed its check. Reading can go on behind it.
    Damaged(Skipped),
    /// A sample that does not have a feature as it was asked for. Ask for another name or type.
    Feature {
        /// Path of the sample's shard in the dataset.
        shard: String,
        /// Key of the sample.
        key: String,
        /// Name of the feature.
        feature: String,
        /// What is wrong.
        fault: FeatureFault,
    },
    /// A line of a coverage log that is damaged, or makes no sense where it stands. What was seen
    /// cannot be proved with it.
    Log {
        /// The file.
        file: String,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// More samples failed than may be replaced.
    TooManyDamaged {
        /// How many may be.
        most: u64,
        /// The one too many.
        last: Skipped,
    },
    /// Somebody reads this pipe, or its channel, already: two readers would each get a part of the
    /// bytes.
    Busy {
        /// Name of the pipe: `train_0`.
        pipe: String,
        /// Who: "process 4711, reading train_0".
        holder: String,
    },
    /// A pipe that did not come, or a writer that fell silent.
    Stalled(Stalled),
    /// An object could not be read.
    Store(shardpack_store::Error),
    /// A record could not be decoded.
    Format(shardpack_formats::Error),
    /// The manifest or an index is not usable.
    Manifest(shardpack_manifest::Error),
}

impl Error {
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage(what.into())
    }

    pub(crate) fn state(reason: impl Into<String>) -> Self {
        Self::State { reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(what) => write!(f, "{what}"),
            Error::State { reason } => write!(f, "the saved state is not usable: {reason}"),
            Error::Version { found, newest } => write!(
                f,
                "the saved state has version {found}, newer than {newest}, the newest this release reads"
            ),
            Error::Different { differences } => {
                write!(f, "the saved state is of other samples or options:")?;
                differences.iter().try_for_each(|d| write!(f, "\n  {d}"))
            }
            Error::Uneven { visible, fewest, most } => write!(
                f,
                "this host sees {visible} shards, where an even division gives {fewest} to {most}; \
                 pass the length of an epoch explicitly, the same on every host"
            ),
            Error::Channel(_) => write!(f, "the container's configuration cannot be used"),
            Error::NotFound(what) => write!(f, "{what}"),
            Error::Overlay { overlay, reason } => write!(f, "overlay {overlay}: {reason}"),
            Error::Shard { shard, reason } => write!(f, "shard {shard}: {reason}"),
            Error::Log { file, line, reason } => write!(f, "{file}, line {line}: {reason}"),
            Error::Damaged(sample) => write!(f, "{sample}"),
            Error::Feature { shard, key, feature, fault } => {
                write!(f, "sample {key:?} of {shard}: feature {feature:?} {fault}")
            }
            Error::TooManyDamaged { most, last } => {
                write!(f, "more than {most} samples failed their check; the last: {last}")
            }
            Error::Busy { pipe, holder } => {
                write!(f, "{pipe}: read by {holder}; a pipe has one reader, which shares it out")
            }
            Error::Stalled(stalled) => write!(f, "{stalled}"),
            Error::Store(_) => write!(f, "reading failed"),
            Error::Format(_) => write!(f, "a record could not be decoded"),
            Error::Manifest(_) => write!(f, "the dataset's manifest or index is not usable"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Channel(source) => Some(source),
            Error::Store(source) => Some(source),
            Error::Format(source) => Some(source),
            Error::Manifest(source) => Some(source),
            _ => None,
        }
    }
}

impl From<shardpack_channel::Error> for Error {
    fn from(source: shardpack_channel::Error) -> Self {
        Self::Channel(source)
    }
}

impl From<shardpack_store::Error> for Error {
    fn from(source: shardpack_store::Error) -> Self {
        Self::Store(source)
    }
}

impl From<shardpack_formats::Error> for Error {
    fn from(source: shardpack_formats::Error) -> Self {
        Self::Format(source)
    }
}

impl From<shardpack_manifest::Error> for Error {
    fn from(source: shardpack_manifest::Error) -> Self {
        Self::Manifest(source)
    }
}

impl From<shardpack_dataset::Error> for Error {
    fn from(source: shardpack_dataset::Error) -> Self {
        use shardpack_dataset::Error as Source;
        match source {
            Source::NotFound(what) => Self::NotFound(what),
            Source::Shard { shard, reason } => Self::Shard { shard, reason },
            Source::Store(source) => Self::Store(source),
            Source::Format(source) => Self::Format(source),
            Source::Manifest(source) => Self::Manifest(source),
            other => Self::Usage(other.to_string()),
        }
    }
}
