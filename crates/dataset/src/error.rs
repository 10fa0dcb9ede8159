//! What can go wrong before the first record is read.

use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of finding a dataset.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No dataset, or no shard; says where was looked, and whether a run is unfinished there.
    NotFound(String),
    /// The caller must say more: the format cannot be told, or there are two.
    Usage(String),
    /// A shard, or what lies beside it, is not what it should be.
    Shard {
        /// By its path in the dataset.
        shard: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An object could not be read.
    Store(shardpack_store::Error),
    /// There is no such format.
    Format(shardpack_formats::Error),
    /// The manifest is not usable.
    Manifest(shardpack_manifest::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NotFound(what) | Error::Usage(what) => write!(f, "{what}"),
            Error::Shard { shard, reason } => write!(f, "shard {shard}: {reason}"),
            Error::Store(_) => write!(f, "reading failed"),
            Error::Format(_) => write!(f, "the format cannot be read"),
            Error::Manifest(_) => write!(f, "the dataset's manifest is not usable"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Store(source) => Some(source),
            Error::Format(source) => Some(source),
            Error::Manifest(source) => Some(source),
            _ => None,
        }
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
