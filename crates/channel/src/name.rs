//! Names of channels, and the FIFOs that are named after them.

use std::path::{Path, PathBuf};

use shardpack_manifest::sagemaker::InputMode;

use crate::{Error, ErrorKind, Result};

/// Longest name of a channel.
pub(crate) const MAX_NAME: usize = 64;

/// Fails with [`ErrorKind::Name`] for what no channel can be called: the API's pattern, less the
/// two names that it lets through and that lead out of the data directory.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(plain)
        && !matches!(name, "." | "..")
    {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Name { name: name.to_owned() })),
    }
}

/// The FIFO of an epoch of a Pipe channel: `<channel>_<epoch>`, epochs from 0.
///
/// `channel` is the path that the channel has, for example from `SM_CHANNEL_<NAME>`. Nothing lies
/// at that path itself: for a Pipe channel it is the beginning of names.
///
/// ```
/// use std::path::Path;
/// use shardpack_channel::fifo;
///
/// let channel = Path::new("/opt/ml/input/data/train");
/// assert_eq!(fifo(channel, 0), Path::new("/opt/ml/input/data/train_0"));
/// ```
pub fn fifo(channel: &Path, epoch: u64) -> PathBuf {
    let mut path = channel.as_os_str().to_owned();
    path.push(format!("_{epoch}"));
    path.into()
}

/// A Pipe channel and another whose directory has the name of one of its FIFOs: `x` and `x_0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The Pipe channel.
    pub pipe: String,
    /// The other one.
    pub directory: String,
}

/// All such pairs among these channels.
pub fn clashes<'c>(channels: impl IntoIterator<Item = (&'c str, InputMode)>) -> Vec<Clash> {
    let (pipes, directories): (Vec<_>, Vec<_>) =
        channels.into_iter().partition(|(_, mode)| *mode == InputMode::Pipe);
    let clash = |directory: &str| {
        let (pipe, epoch) = directory.rsplit_once('_')?;
        // FIFOs are numbered without leading zeros: x_01 is never one.
        let is_epoch = epoch.parse::<u64>().is_ok_and(|number| number.to_string() == epoch);
        let known = pipes.iter().any(|(name, _)| *name == pipe);
        (is_epoch && known)
            .then(|| Clash { pipe: pipe.to_owned(), directory: directory.to_owned() })
    };
    directories.iter().filter_map(|(name, _)| clash(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use InputMode::{FastFile, File, Pipe};

    #[test]
    fn names_are_those_of_the_api() {
        for good in ["a", "my-val.set_2", "...", ".hidden", &"n".repeat(64)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "\u{e9}", "a b", "a\0", &"n".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn fifos_have_the_epoch_behind_the_name() {
        for (channel, epoch, path) in
            [("d/x", 0, "d/x_0"), ("d/x_1", 12, "d/x_1_12"), ("d/a.b", 3, "d/a.b_3")]
        {
            assert_eq!(fifo(Path::new(channel), epoch), Path::new(path));
        }
    }

    #[test]
    fn directories_with_the_names_of_fifos() {
        for (channels, clash) in [
            (&[("x", Pipe), ("x_0", File)][..], Some(("x", "x_0"))),
            (&[("x_17", FastFile), ("x", Pipe)], Some(("x", "x_17"))),
            (&[("a_b", Pipe), ("a_b_3", File)], Some(("a_b", "a_b_3"))),
            (&[("x", Pipe), ("x_0", Pipe)], None), // no directory, and FIFOs x_0_0
            (&[("x", File), ("x_0", File)], None),
            (&[("x", Pipe), ("x_01", File)], None),
            (&[("x", Pipe), ("x_", File)], None),
            (&[("x", Pipe), ("x_+1", File)], None),
            (&[("x", Pipe), ("x_a", File)], None),
            (&[("x", Pipe), ("y_0", File)], None),
        ] {
            let found = clashes(channels.iter().copied());
            let found: Vec<_> = found.iter().map(|c| (&*c.pipe, &*c.directory)).collect();
            assert_eq!(found, Vec::from_iter(clash), "{channels:?}");
        }
    }
}
