//! What can go wrong on the way from files to a dataset and back.

use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of packing, proving or unpacking.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The source holds no file that could be packed.
    EmptySource {
        /// Where was looked, and what was left out.
        what: String,
    },
    /// Files or samples break a rule; nothing was written.
    Refused {
        /// The rule and the way out.
        rule: String,
        /// The first ten offenders.
        examples: Vec<String>,
        /// How many there are in all.
        count: u64,
    },
    /// An option that cannot be used, or not together with another.
    Usage(String),
    /// The destination holds something else.
    Occupied {
        /// The destination.
        destination: String,
        /// What is there and what to do.
        what: String,
    },
    /// A killed run with other options, or over other files, left work at the destination.
    Different {
        /// The destination.
        destination: String,
        /// What differs: "--target: 150000000 then, 100000000 now".
        differences: Vec<String>,
    },
    /// A shard's record could not be written or read.
    Record {
        /// Shard, by its path in the dataset.
        shard: String,
        /// Key of the sample.
        key: String,
        /// What is wrong with it.
        source: shardpack_formats::Error,
    },
    /// A shard does not hold what it should.
    Shard {
        /// Shard, by its path in the dataset.
        shard: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No sample, field or shard of that name.
    NotFound(String),
    /// Ctrl-C.
    Interrupted {
        /// Shards that are sealed and need not be packed again.
        sealed: usize,
        /// Shards of the plan.
        shards: usize,
    },
    /// A map has no answer for a sample. Repair the sample or the command, or skip such samples.
    Map {
        /// Key of the sample.
        key: String,
        /// What is wrong.
        reason: String,
        /// The last lines that a map command wrote to stderr.
        said: Vec<String>,
    },
    /// Ctrl-C while samples were mapped; what is mapped waits in the scratch folder.
    Unmapped {
        /// Pieces that are mapped and need not be mapped again.
        done: usize,
        /// Pieces in all.
        pieces: usize,
    },
    /// Ctrl-C while shards were read; nothing was changed.
    Stopped {
        /// Shards that were read to their end.
        done: usize,
        /// Shards in all.
        shards: usize,
    },
    /// A file or object failed.
    Store(shardpack_store::Error),
    /// A format refused something.
    Format(shardpack_formats::Error),
    /// A manifest or index is not usable.
    Manifest(shardpack_manifest::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::EmptySource { what } => write!(f, "no file to pack in {what}"),
            Error::Refused { rule, examples, count } => {
                write!(f, "{rule}")?;
                for example in examples {
                    write!(f, "\n  {example}")?;
                }
                match count.saturating_sub(examples.len() as u64) {
                    0 => Ok(()),
                    more => write!(f, "\n  and {more} more ({count} in all)"),
                }
            }
            Error::Usage(what) => write!(f, "{what}"),
            Error::Occupied { destination, what } => write!(f, "{destination}: {what}"),
            Error::Different { destination, differences } => {
                write!(
                    f,
                    "{destination} holds the unfinished work of another run; finish that one with its own options, or give --restart to throw it away. It differs in:"
                )?;
                differences.iter().try_for_each(|d| write!(f, "\n  {d}"))
            }
            Error::Record { shard, key, .. } => write!(f, "shard {shard}, sample {key:?}"),
            Error::Shard { shard, reason } => write!(f, "shard {shard}: {reason}"),
            Error::NotFound(what) => write!(f, "{what}"),
            Error::Interrupted { sealed, shards } => write!(
                f,
                "interrupted: {sealed} of {shards} shards are sealed; run the same command again to finish"
            ),
            Error::Map { key, reason, said } => {
                write!(f, "mapping sample {key:?}: {reason}")?;
                said.iter().try_for_each(|line| write!(f, "\n  it said: {line}"))
            }
            Error::Unmapped { done, pieces } => write!(
                f,
                "interrupted: {done} of {pieces} pieces are mapped; run the same command again to finish"
            ),
            Error::Stopped { done, shards } => {
                write!(f, "interrupted after {done} of {shards} shards")
            }
            Error::Store(_) => write!(f, "reading or writing failed"),
            Error::Format(_) => write!(f, "the format refused a sample"),
            Error::Manifest(_) => write!(f, "the dataset's manifest or index is not usable"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Record { source, .. } | Error::Format(source) => Some(source),
            Error::Store(source) => Some(source),
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

/// Gathers offenders against one rule: the first ten and the count.
#[derive(Debug, Default)]
pub(crate) struct Offenders {
    examples: Vec<String>,
    count: u64,
}

/// How many offenders an error names.
const EXAMPLES: usize = 10;

impl Offenders {
    pub(crate) fn add(&mut self, example: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(example());
        }
        self.count += 1;
    }

    pub(crate) fn merge(&mut self, other: Offenders) {
        self.count += other.count;
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// An error if there is any offender.
    pub(crate) fn refuse(self, rule: impl Into<String>) -> Result<()> {
        match self.count {
            0 => Ok(()),
            count => Err(Error::Refused { rule: rule.into(), examples: self.examples, count }),
        }
    }
}
