//! How a run ends: exit codes, and the one shape of every error message.

use std::error::Error;
use std::process::ExitCode;

use shardpack_pack::Error as PackError;
use shardpack_store::ErrorKind as StoreError;

use crate::log::Log;

/// For `--help`; the README has the same table.
pub(crate) const HELP: &str = "\
Exit codes:
  0    done; what a policy left out (--bad-names skip, --missing skip, ...) is counted in the report
  1    damage or a difference was found: the dataset is not what it should be
  2    could not run: usage, input, output
  130  interrupted; sealed shards are kept, the same command finishes the run";

/// Exit codes. A policy that leaves samples out was asked for, so its run is done, not failed: a
/// batch job that says `--bad-names skip` wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Damage or a difference was found.
    Damage = 1,
    /// Usage, input or output.
    Failed = 2,
    /// SIGINT or SIGTERM.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Result of a command.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a command could not do what it was asked to, ready to be printed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// What went wrong; empty when nobody is left to be told.
    pub(crate) message: String,
    /// What caused it, outermost first.
    pub(crate) causes: Vec<String>,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), causes: Vec::new(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// An error with its chain of sources, each told once.
    pub(crate) fn of(error: &dyn Error) -> Self {
        let mut failure = Self::new(error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }

    /// The reader of stdout went away (`shardpack ls | head`): it has what it wanted.
    pub(crate) fn closed() -> Self {
        Self { exit: Exit::Done, ..Self::new("") }
    }

    /// Tells stderr, and gives the exit code.
    pub(crate) fn report(&self, log: Log) -> Exit {
        if !self.message.is_empty() {
            log.failure(self);
        }
        self.exit
    }
}

impl From<shardpack_store::Error> for Failure {
    fn from(error: shardpack_store::Error) -> Self {
        let hint = match error.kind() {
            StoreError::Busy => "wait until it ends, or stop it, then run again",
            StoreError::Full => "free space there and run the same command again",
            StoreError::Changed { .. } => {
                "run again once nothing writes there any more, with --restart where the command has it"
            }
            StoreError::Denied => "check its permissions, and who runs this command",
            StoreError::Unavailable { .. } => {
                "check the network and the endpoint, then run the same command again"
            }
            _ => return Self::of(&error),
        };
        Self::of(&error).hint(hint)
    }
}

impl From<PackError> for Failure {
    fn from(error: PackError) -> Self {
        match error {
            // These only say that another crate's error follows.
            PackError::Store(source) => source.into(),
            PackError::Format(ref source) => Self { exit: exit(&error), ..Self::of(source) },
            PackError::Manifest(ref source) => Self { exit: exit(&error), ..Self::of(source) },
            PackError::Interrupted { .. }
            | PackError::Unmapped { .. }
            | PackError::Stopped { .. } => Self { exit: Exit::Interrupted, ..Self::of(&error) },
            error => {
                let hint = hint(&error).map(str::to_owned);
                Self { hint, exit: exit(&error), ..Self::of(&error) }
            }
        }
    }
}

impl From<shardpack_reader::Error> for Failure {
    fn from(error: shardpack_reader::Error) -> Self {
        use shardpack_reader::Error as Read;
        match error {
            Read::Store(source) => source.into(),
            Read::Format(source) => PackError::Format(source).into(),
            Read::Manifest(source) => PackError::Manifest(source).into(),
            Read::Shard { .. }
            | Read::Damaged(_)
            | Read::TooManyDamaged { .. }
            | Read::Log { .. } => Self { exit: Exit::Damage, ..Self::of(&error) },
            _ => Self::of(&error),
        }
    }
}

/// Damage in what is read is another thing than a command that cannot run.
fn exit(error: &PackError) -> Exit {
    let damage = match error {
        PackError::Record { source, .. } | PackError::Format(source) => source.is_damage(),
        PackError::Manifest(source) => source.is_damage(),
        PackError::Shard { .. } => true,
        _ => false,
    };
    if damage { Exit::Damage } else { Exit::Failed }
}

/// Most messages of packing tell the way out themselves.
fn hint(error: &PackError) -> Option<&'static str> {
    match error {
        PackError::EmptySource { .. } => {
            Some("see --include, --exclude, --hidden, --symlinks and --fields for what is left out")
        }
        PackError::Map { .. } => Some(
            "run the same command again once that is repaired: what is mapped is kept; or choose --map-errors skip",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrappers_are_left_out_and_causes_told_once() {
        let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let failure = Failure::from(PackError::from(shardpack_store::Error::io(denied, "a/b")));
        assert_eq!(failure.message, "a/b: permission denied");
        assert!(failure.causes.is_empty() && failure.hint.is_some());

        let other = shardpack_store::Error::io(std::io::Error::other("lightning"), "a/b");
        let failure = Failure::from(PackError::from(other));
        assert_eq!(failure.causes, ["lightning"]);
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn an_interrupted_run_exits_130() {
        let failure = Failure::from(PackError::Interrupted { sealed: 3, shards: 9 });
        assert_eq!(failure.exit as u8, 130);
        assert!(failure.message.contains("3 of 9"));
    }
}
