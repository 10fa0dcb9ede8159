//! What can be wrong with a manifest or an index.

use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error and its place. One pointer wide.
#[derive(Debug)]
pub struct Error(Box<(ErrorKind, Place)>);

/// Where the error is; each part only where it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file. This crate reads bytes, so the caller adds it: [`Error::in_file`].
    pub file: Option<String>,
    /// Line in a text file, from 1.
    pub line: Option<u64>,
    /// Field, with the numbers that lead to it: `shards[3].path`.
    pub field: Option<String>,
}

/// Each kind is a different thing for a caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not a file of this kind at all. Look whether the path is right.
    NotThis {
        /// What it should have been, and how that was seen.
        reason: String,
    },
    /// The file ends too early. Fetch it again.
    Truncated {
        /// What was cut off.
        what: String,
    },
    /// Values contradict the format, a checksum or each other. Restore the file or index again.
    Corrupt {
        /// What is wrong, with the values.
        reason: String,
    },
    /// Written by a later release. Upgrade.
    Version {
        /// The version found.
        found: u64,
        /// The newest version that this release reads.
        newest: u64,
    },
    /// A length is over the limit. Split the input.
    TooLarge {
        /// What is too large: "manifest", "keys of the index".
        what: &'static str,
        /// Its length in bytes, or its count.
        len: u64,
        /// The limit in the same unit.
        limit: u64,
    },
    /// A key, field, path or URI that the file's reader would misread. Rename it.
    Name {
        /// The offending name.
        name: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Well-formed, but not something this file can say of this dataset. Change an option.
    Unsupported {
        /// What is asked for, and what to do.
        what: String,
    },
}

impl Error {
    /// An error without a place.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new((kind, Place::default())))
    }

    pub(crate) fn corrupt(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt { reason: reason.into() })
    }

    pub(crate) fn truncated(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Truncated { what: what.into() })
    }

    pub(crate) fn name(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Name { name: name.into(), reason: reason.into() })
    }

    pub(crate) fn unsupported(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported { what: what.into() })
    }

    /// The same error, in the file called `file`.
    pub fn in_file(mut self, file: impl Into<String>) -> Self {
        self.0.1.file = Some(file.into());
        self
    }

    pub(crate) fn in_line(mut self, line: u64) -> Self {
        self.0.1.line = Some(line);
        self
    }

    pub(crate) fn in_field(mut self, field: impl Into<String>) -> Self {
        self.0.1.field = Some(field.into());
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.0
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.0.1
    }

    /// True when the bytes are at fault, not the path, the release or an option.
    pub fn is_damage(&self) -> bool {
        matches!(self.kind(), ErrorKind::Truncated { .. } | ErrorKind::Corrupt { .. })
    }
}

/// JSON that does not parse: cut off, or contradicting the format, at a line.
impl From<serde_json::Error> for Error {
    fn from(source: serde_json::Error) -> Self {
        let line = source.line() as u64;
        let error = match source.classify() {
            serde_json::error::Category::Eof => Self::truncated("the JSON text"),
            _ => Self::corrupt(source.to_string()),
        };
        if line == 0 { error } else { error.in_line(line) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { file, line, field } = self.place();
        if let Some(file) = file {
            write!(f, "{file}: ")?;
        }
        if let Some(line) = line {
            write!(f, "line {line}: ")?;
        }
        if let Some(field) = field {
            write!(f, "{field}: ")?;
        }
        match self.kind() {
            ErrorKind::NotThis { reason } => write!(f, "{reason}"),
            ErrorKind::Truncated { what } => write!(f, "truncated: the file ends inside {what}"),
            ErrorKind::Corrupt { reason } => write!(f, "corrupt: {reason}"),
            ErrorKind::Version { found, newest } => {
                write!(f, "version {found} is newer than {newest}, the newest this release reads")
            }
            ErrorKind::TooLarge { what, len, limit } => {
                write!(f, "{what}: {len} is over the limit of {limit}")
            }
            ErrorKind::Name { name, reason } => write!(f, "name {name:?}: {reason}"),
            ErrorKind::Unsupported { what } => write!(f, "not supported: {what}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_what() {
        let error = Error::corrupt("sum is 3, not 4").in_field("totals.samples");
        assert!(error.is_damage());
        assert_eq!(
            error.in_line(7).in_file("d/manifest.json").to_string(),
            "d/manifest.json: line 7: totals.samples: corrupt: sum is 3, not 4"
        );
        let version = Error::new(ErrorKind::Version { found: 2, newest: 1 });
        assert!(!version.is_damage());
        assert_eq!(version.to_string(), "version 2 is newer than 1, the newest this release reads");
    }
}
