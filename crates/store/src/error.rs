//! What can go wrong with files and objects.

use std::fmt;
use std::io;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error about one file or object. One pointer wide.
#[derive(Debug)]
pub struct Error(Box<(ErrorKind, String)>);

/// Each kind is a different thing for a caller to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such file or object.
    NotFound,
    /// It may not be read or written: permissions.
    Denied,
    /// It is there already and must not be replaced.
    Exists,
    /// Another process is at work there. Wait for it, then run again.
    Busy,
    /// It is not what was listed: it grew, shrank or was written since. Run again.
    Changed {
        /// What differs, with both values.
        what: String,
    },
    /// What arrived does not have the checksum that the server keeps for it. It was stored or sent
    /// damaged: read it again, and if that fails too, write it anew.
    Damaged {
        /// Both checksums.
        what: String,
    },
    /// The device or quota is full. Free space and run again.
    Full,
    /// The name or the archive cannot be used; the text says why.
    Invalid {
        /// Why, and what to do.
        reason: String,
    },
    /// The server refused, and would again. Do what the advice says.
    Refused {
        /// Operation: `GetObject`.
        operation: &'static str,
        /// The server's answer: code, status and what else it said.
        answer: String,
        /// What to do.
        advice: &'static str,
    },
    /// The server did not do its work, however often it was asked. Run again later.
    Unavailable {
        /// Operation: `GetObject`.
        operation: &'static str,
        /// What was spent on it: `10 tries`.
        after: String,
        /// What it said, or did, in the end.
        last: String,
    },
    /// Anything else the system reported.
    Io(io::Error),
}

impl Error {
    /// An error about `name`, a path or key.
    pub fn new(kind: ErrorKind, name: impl Into<String>) -> Self {
        Self(Box::new((kind, name.into())))
    }

    /// Sorts a system error into its kind.
    pub fn io(source: impl Into<io::Error>, name: impl Into<String>) -> Self {
        let source = source.into();
        let kind = match source.kind() {
            io::ErrorKind::NotFound => ErrorKind::NotFound,
            io::ErrorKind::PermissionDenied => ErrorKind::Denied,
            io::ErrorKind::AlreadyExists => ErrorKind::Exists,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            io::ErrorKind::InvalidFilename => {
                ErrorKind::Invalid { reason: "the name is too long for the file system".into() }
            }
            _ => ErrorKind::Io(source),
        };
        Self::new(kind, name)
    }

    /// An error about a name or an archive that cannot be used.
    pub(crate) fn invalid(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid { reason: reason.into() }, name)
    }

    /// An error about a file that is not what was listed.
    pub(crate) fn changed(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Changed { what: what.into() }, name)
    }

    /// The same error, about a name that says more.
    pub fn rename(mut self, name: impl FnOnce(&str) -> String) -> Self {
        self.0.1 = name(&self.0.1);
        self
    }

    /// What happened.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.0
    }

    /// The file or object it happened to.
    pub fn name(&self) -> &str {
        &self.0.1
    }

    /// True when the thing is not what it was.
    pub fn is_changed(&self) -> bool {
        matches!(self.kind(), ErrorKind::Changed { .. })
    }

    /// True when the thing does not have its own checksum.
    pub fn is_damaged(&self) -> bool {
        matches!(self.kind(), ErrorKind::Damaged { .. })
    }

    /// True when the thing is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind(), ErrorKind::NotFound)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self.kind() {
            ErrorKind::NotFound => write!(f, "{name}: not found"),
            ErrorKind::Denied => write!(f, "{name}: permission denied"),
            ErrorKind::Exists => write!(f, "{name}: exists already"),
            ErrorKind::Busy => write!(f, "{name}: another run is at work there"),
            ErrorKind::Changed { what } => write!(f, "{name}: changed during the run: {what}"),
            ErrorKind::Damaged { what } => {
                write!(f, "{name}: what arrived does not have the object's checksum: {what}")
            }
            ErrorKind::Full => write!(f, "{name}: no space left on the device or quota"),
            ErrorKind::Invalid { reason } => write!(f, "{name}: {reason}"),
            ErrorKind::Refused { operation, answer, advice } => {
                write!(f, "{name}: {operation} was answered {answer}: {advice}")
            }
            ErrorKind::Unavailable { operation, after, last } => {
                write!(f, "{name}: {operation} given up after {after}; the last: {last}")
            }
            ErrorKind::Io(_) => write!(f, "{name}: input or output failed"),
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
