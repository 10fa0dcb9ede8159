//! What cannot be answered.

use std::fmt;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Each kind is a different thing for a caller to do.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing to advise on. Look whether the source is the right one.
    Empty,
    /// A number that means nothing. Correct it.
    Number {
        /// What it says.
        what: &'static str,
        /// The number.
        value: f64,
        /// What would do.
        wants: &'static str,
    },
    /// No table of prices. Correct the file.
    Prices {
        /// What is wrong, with its place in the text.
        reason: String,
    },
    /// More requests than a simulation plays. Ask for larger ones.
    Requests {
        /// How many there would be.
        requests: u64,
        /// The limit.
        limit: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no byte to read: nothing to advise on"),
            Self::Number { what, value, wants } => write!(f, "{what}: {value} is not {wants}"),
            Self::Prices { reason } => write!(f, "not a table of prices: {reason}"),
            Self::Requests { requests, limit } => {
                write!(f, "{requests} requests, and at most {limit} are played")
            }
        }
    }
}

impl std::error::Error for Error {}

/// A number above 0, or any that is not below it.
pub(crate) fn check(what: &'static str, value: f64, zero: bool) -> Result<()> {
    let (good, wants) = match zero {
        true => (value >= 0.0, "a number of at least 0"),
        false => (value > 0.0, "a number above 0"),
    };
    if good && value.is_finite() { Ok(()) } else { Err(Error::Number { what, value, wants }) }
}
