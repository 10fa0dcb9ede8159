//! What can go wrong between shards and a training loop.

use std::fmt;

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
        }
    }
}

impl std::error::Error for Error {}
