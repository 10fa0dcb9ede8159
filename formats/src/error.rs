//! What can be wrong with a record or a sample.

use std::fmt;
use std::io;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Where in a shard: the record's number and the byte offset in the uncompressed stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the record, from 0.
    pub record: u64,
    /// Offset in bytes, from 0.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} at offset {}", self.record, self.offset)
    }
}

/// An error, with its position where it has one. One pointer wide.
#[derive(Debug)]
pub struct Error(Box<(ErrorKind, Option<Position>)>);

/// Each kind is a different thing for a caller to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The stream ended inside something. Fetch the shard again.
    Truncated {
        /// What was cut off: "payload", "header".
        what: String,
    },
    /// Bytes contradict the format or a checksum. Skip the record or restore the shard.
    Corrupt {
        /// What is wrong, with the values.
        reason: String,
    },
    /// A stated length is over the limit: hostile, damaged, or the limit is too small.
    TooLarge {
        /// What is too large: "record", "name".
        what: &'static str,
        /// Its length in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A key or field name that the format, or a known reader of it, cannot carry. Rename it.
    Name {
        /// The offending name.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A label that the format cannot carry.
    Label {
        /// Why, and what to do.
        reason: String,
    },
    /// Well-formed, but not something this format (or this version of it) does. Change an option.
    Unsupported {
        /// What is asked for.
        what: String,
    },
    /// Reading the stream failed.
    Io(io::Error),
}

impl Error {
    /// An error without a position.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new((kind, None)))
    }

    /// An error at a position.
    pub fn at(kind: ErrorKind, position: Position) -> Self {
        Self(Box::new((kind, Some(position))))
    }

    /// Shorthand for [`ErrorKind::Corrupt`].
    pub fn corrupt(reason: impl Into<String>, position: Position) -> Self {
        Self::at(ErrorKind::Corrupt { reason: reason.into() }, position)
    }

    /// Shorthand for [`ErrorKind::Truncated`].
    pub fn truncated(what: impl Into<String>, position: Position) -> Self {
        Self::at(ErrorKind::Truncated { what: what.into() }, position)
    }

    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.0
    }

    /// Where it happened, if inside a stream.
    pub fn position(&self) -> Option<Position> {
        self.0.1
    }

    /// The same error at another position: for callers that decode a slice of a larger shard.
    pub fn with_position(mut self, position: Position) -> Self {
        self.0.1 = Some(position);
        self
    }

    /// True when the bytes are at fault, not the caller or the disk.
    pub fn is_damage(&self) -> bool {
        matches!(
            self.kind(),
            ErrorKind::Truncated { .. } | ErrorKind::Corrupt { .. } | ErrorKind::TooLarge { .. }
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(position) = self.position() {
            write!(f, "{position}: ")?;
        }
        match self.kind() {
            ErrorKind::Truncated { what } => write!(f, "truncated: the stream ends inside {what}"),
            ErrorKind::Corrupt { reason } => write!(f, "corrupt: {reason}"),
            ErrorKind::TooLarge { what, len, limit } => {
                write!(f, "{what} of {len} bytes is over the limit of {limit} bytes")
            }
            ErrorKind::Name { name, reason } => write!(f, "name {name:?}: {reason}"),
            ErrorKind::Label { reason } => write!(f, "label: {reason}"),
            ErrorKind::Unsupported { what } => write!(f, "not supported: {what}"),
            ErrorKind::Io(_) => write!(f, "reading the stream failed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.kind() {
            ErrorKind::Io(source) => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(source: io::Error) -> Self {
        Self::new(ErrorKind::Io(source))
    }
}
