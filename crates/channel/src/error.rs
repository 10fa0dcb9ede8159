//! What can be wrong with a container's configuration.

use std::fmt;

use crate::request::Violation;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error and the file or variable it is in. One pointer wide.
#[derive(Debug)]
pub struct Error(Box<(ErrorKind, Option<String>)>);

/// Each kind is a different thing for a caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Not the JSON it should be. Look whether the file is the right one, and whole.
    Json {
        /// What is wrong, with its place in the text.
        reason: String,
    },
    /// Longer than any such file. Look whether the file is the right one.
    TooLarge {
        /// Its length in bytes.
        len: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A key that must be there is not.
    Missing {
        /// The key.
        key: String,
    },
    /// A value that means nothing here. Correct it.
    Value {
        /// Its key, with those that lead to it (`train.TrainingInputMode`), or its variable.
        key: String,
        /// The value.
        value: String,
        /// Why not, and what would do.
        reason: String,
    },
    /// Hosts or instance groups contradict each other.
    Hosts {
        /// What contradicts what.
        reason: String,
    },
    /// Variables that belong together are set in part, or disagree. Set or unset them.
    Variables {
        /// The variables.
        names: Vec<String>,
        /// What is wrong, with the values, and what to do.
        reason: String,
    },
    /// No name that a channel can have.
    Name {
        /// The name.
        name: String,
    },
    /// No channel or instance group of this name.
    Unknown {
        /// What is asked for: "channel", "instance group".
        what: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A prefix that cannot be mounted as a folder. Write it another way.
    Prefix {
        /// The prefix.
        prefix: String,
        /// Why not, with the keys, and what to do.
        reason: String,
    },
    /// A request that breaks these rules.
    Refused {
        /// All that were found.
        violations: Vec<Violation>,
    },
}

impl Error {
    /// An error without a place.
    pub fn new(kind: ErrorKind) -> Self {
        Self(Box::new((kind, None)))
    }

    pub(crate) fn json(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Json { reason: reason.into() })
    }

    pub(crate) fn value(
        key: impl Into<String>,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let (key, value, reason) = (key.into(), value.into(), reason.into());
        Self::new(ErrorKind::Value { key, value, reason })
    }

    pub(crate) fn missing(key: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing { key: key.into() })
    }

    pub(crate) fn hosts(reason: impl Into<String>) -> Self {
        Self::new(ErrorKind::Hosts { reason: reason.into() })
    }

    pub(crate) fn variables(
        names: impl IntoIterator<Item = impl Into<String>>,
        reason: impl Into<String>,
    ) -> Self {
        let names = names.into_iter().map(Into::into).collect();
        Self::new(ErrorKind::Variables { names, reason: reason.into() })
    }

    /// The same error, in this file or variable.
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.1 = Some(place.into());
        self
    }

    /// What is wrong.
    pub fn kind(&self) -> &ErrorKind {
        &self.0.0
    }

    /// The file or variable, where it is known.
    pub fn place(&self) -> Option<&str> {
        self.0.1.as_deref()
    }
}

impl From<serde_json::Error> for Error {
    fn from(source: serde_json::Error) -> Self {
        Self::json(source.to_string())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        match self.kind() {
            ErrorKind::Json { reason } => write!(f, "not the JSON it should be: {reason}"),
            ErrorKind::TooLarge { len, limit } => {
                write!(f, "{len} bytes are over the limit of {limit}")
            }
            ErrorKind::Missing { key } => write!(f, "{key} is missing"),
            ErrorKind::Value { key, value, reason } => write!(f, "{key} is {value:?}: {reason}"),
            ErrorKind::Hosts { reason } => write!(f, "{reason}"),
            ErrorKind::Variables { names, reason } => write!(f, "{}: {reason}", names.join(", ")),
            ErrorKind::Name { name } => write!(
                f,
                "{name:?} is no name of a channel: 1 to 64 letters, digits, `.`, `_` and `-`, but not `.` or `..`"
            ),
            ErrorKind::Unknown { what, name, known } => match known.is_empty() {
                true => write!(f, "no {what} {name:?}, nor any other"),
                false => write!(f, "no {what} {name:?}, but {}", known.join(", ")),
            },
            ErrorKind::Prefix { prefix, reason } => write!(f, "prefix {prefix:?}: {reason}"),
            ErrorKind::Refused { violations } => {
                let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
                write!(f, "{}", lines.join("\n"))
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_and_what() {
        let error = Error::value("train.TrainingInputMode", "Fifo", "File, FastFile, Pipe");
        assert_eq!(
            error.at("inputdataconfig.json").to_string(),
            "inputdataconfig.json: train.TrainingInputMode is \"Fifo\": File, FastFile, Pipe"
        );
        let known = vec!["train".into(), "val".into()];
        let error = ErrorKind::Unknown { what: "channel", name: "tran".into(), known };
        assert_eq!(Error::new(error).to_string(), "no channel \"tran\", but train, val");
        assert_eq!(
            Error::variables(["A", "B"], "A is 1, B is missing").to_string(),
            "A, B: A is 1, B is missing"
        );
    }
}
