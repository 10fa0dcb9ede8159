//! Which file of a channel's directory is which object.

use std::collections::{HashMap, HashSet};
use std::fmt;

use shardpack_manifest::sagemaker::{InputMode, PrefixNames};

use crate::{Error, ErrorKind, Result};

/// Longest name of a file or folder in bytes (`NAME_MAX` of Linux).
const MAX_SEGMENT: usize = 255;

/// What a key is called in the channel's directory.
#[derive(Clone, Debug)]
pub enum Naming<'p> {
    /// `S3Prefix`: what the prefix does not say.
    ///
    /// Everything through its last slash goes, and so does the folder that it names in full:
    /// `data/train` makes `cat/x.jpg` of `data/train/cat/x.jpg` and keeps `train-01.csv` of
    /// `data/train-01.csv` whole. (SDK local mode would make `-01.csv` of that.)
    Prefix(PrefixNames<'p>),
    /// `ManifestFile`: the whole key, as a user of 2019 saw it. AWS documents nothing.
    Key,
    /// `ManifestFile`, as an option: what follows the key of the manifest's prefix.
    Below(&'p str),
}

impl<'p> Naming<'p> {
    /// The names of an `S3Prefix` channel, by the key of its URI.
    pub fn prefix(key: &'p str) -> Self {
        Self::Prefix(PrefixNames::new(key))
    }

    /// The text that every key must start with.
    fn start(&self) -> &'p str {
        match self {
            Self::Prefix(names) => names.prefix(),
            Self::Key => "",
            Self::Below(prefix) => prefix,
        }
    }

    /// The path of a key, and whether it is in the folder that was named.
    fn path<'k>(&self, key: &'k str) -> (&'k str, bool) {
        match self {
            Self::Prefix(names) => names.name(key),
            Self::Key => (key, true),
            Self::Below(prefix) => (key.get(prefix.len()..).unwrap_or_default(), true),
        }
    }
}

/// What of a channel's objects reaches the container.
#[derive(Debug, Default)]
pub struct Layout<'k> {
    /// Objects by number, in the order they came in, and their paths below the channel's
    /// directory. In Pipe mode the paths mean nothing.
    pub files: Vec<(usize, &'k str)>,
    /// Objects that only stand for a folder, and the path of that folder without a final slash.
    /// A mount shows it, a copy passes it over.
    pub folders: Vec<(usize, &'k str)>,
    /// Objects that the container does not see, by number. Where this is not empty, a copy to a
    /// disk should be refused and a mount should tell.
    pub left_out: Vec<(usize, LeftOut)>,
    /// A key in the folder that the prefix names, and a key that merely starts like it, if there
    /// are both. Their names follow two rules, and AWS documents neither for this case: warn.
    pub mixed: Option<(&'k str, &'k str)>,
}

/// Why the container does not see an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeftOut {
    /// The key does not start with the prefix.
    Outside,
    /// The key ends in a slash, but the object has bytes: no file can be called so.
    Folder,
    /// The path has an empty part, or none at all.
    Empty,
    /// The path has a part `.` or `..`.
    Dots,
    /// The path has a NUL byte.
    Nul,
    /// A part of the path is longer than 255 bytes.
    Long,
    /// Other objects are below this path, so it is a directory.
    Directory,
    /// This object, by number, has the same path.
    Taken(usize),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Outside => "is not below the prefix",
            Self::Folder => "ends in a slash but has bytes",
            Self::Empty => "has an empty part in its path",
            Self::Dots => "has . or .. in its path",
            Self::Nul => "has a NUL byte in its path",
            Self::Long => "has a part of more than 255 bytes in its path",
            Self::Directory => "has the path of a directory of others",
            Self::Taken(_) => "has the path of another object",
        })
    }
}

/// Lays out the objects of a channel: keys and lengths in bytes.
///
/// Not documented by AWS, so decided here: objects of no length whose key ends in a slash stand
/// for folders. A path with an empty part, `.`, `..` or NUL is nobody's, as in Mountpoint for S3;
/// so is one that is also a directory: `blue` beside `blue/x.jpg`. Of two objects with the same
/// path the first has it. A backslash is a letter like any other.
///
/// In Pipe mode keys are no paths, and every object is delivered but those of folders.
///
/// Fails with [`ErrorKind::Prefix`] in FastFile mode for a prefix that is no whole folder nor
/// exactly one key: SageMaker refuses it, and where its documents contradict each other (no final
/// slash, and other keys that start alike) the rivals are named.
///
/// ```
/// use shardpack_channel::{InputMode, Naming, layout};
///
/// let objects = [("data/train/a.tar", 9), ("data/train/b.tar", 9), ("data/train-2/c.tar", 9)];
/// let layout_of = |prefix| layout(InputMode::FastFile, &Naming::prefix(prefix), objects);
/// assert_eq!(layout_of("data/train/")?.files, [(0, "a.tar"), (1, "b.tar")]);
/// assert!(layout_of("data/train").is_err());
/// # Ok::<(), shardpack_channel::Error>(())
/// ```
pub fn layout<'k>(
    mode: InputMode,
    naming: &Naming<'_>,
    objects: impl IntoIterator<Item = (&'k str, u64)>,
) -> Result<Layout<'k>> {
    let mut layout = Layout::default();
    let mut first = Firsts::default();
    for (object, (key, len)) in objects.into_iter().enumerate() {
        if !key.starts_with(naming.start()) {
            layout.left_out.push((object, LeftOut::Outside));
            continue;
        }
        let (path, is_inside) = naming.path(key);
        first.see(key, is_inside);
        match (path.strip_suffix('/').or(path.is_empty().then_some("")), len) {
            (Some(folder), 0) => layout.folders.push((object, folder)),
            (Some(_), _) if mode != InputMode::Pipe => {
                layout.left_out.push((object, LeftOut::Folder));
            }
            _ => layout.files.push((object, path)),
        }
    }
    if mode == InputMode::FastFile {
        first.check_folder(naming.start())?;
    }
    layout.mixed = first.inside.zip(first.outside);
    if mode != InputMode::Pipe {
        layout.settle(mode);
    }
    layout.left_out.sort_unstable_by_key(|(object, _)| *object);
    Ok(layout)
}

/// The first keys of each kind.
#[derive(Default)]
struct Firsts<'k> {
    /// In the folder that the prefix names.
    inside: Option<&'k str>,
    /// That the prefix is, or merely begins.
    outside: Option<&'k str>,
    /// Another one of those.
    rival: Option<&'k str>,
}

impl<'k> Firsts<'k> {
    fn see(&mut self, key: &'k str, is_inside: bool) {
        match (is_inside, self.outside) {
            (true, _) => _ = self.inside.get_or_insert(key),
            (false, None) => self.outside = Some(key),
            (false, Some(first)) if first != key => _ = self.rival.get_or_insert(key),
            (false, Some(_)) => {}
        }
    }

    /// A mount shows a folder, or one object that the prefix is the key of.
    fn check_folder(&self, prefix: &str) -> Result<()> {
        let reason = match (self.inside, self.outside, self.rival) {
            (_, None, _) => return Ok(()),
            (None, Some(key), None) if key == prefix => return Ok(()),
            (None, Some(key), Some(rival)) if key == prefix => format!(
                "is a key and the beginning of {rival:?}; FastFile takes a folder or one key"
            ),
            (None, Some(key), _) => {
                format!(
                    "is the beginning of {key:?} and no folder; name the folder and end it in /"
                )
            }
            (Some(inside), Some(key), _) => format!(
                "is the folder of {inside:?} and the beginning of {key:?}; end it in / to take the folder"
            ),
        };
        Err(Error::new(ErrorKind::Prefix { prefix: prefix.to_owned(), reason }))
    }
}

impl<'k> Layout<'k> {
    /// Takes out what no directory can hold.
    fn settle(&mut self, mode: InputMode) {
        let Self { files, folders, left_out, .. } = self;
        keep(files, left_out, |(_, path)| match unusable(path) {
            Some(why) => Err(why),
            None => Ok(()),
        });
        folders.retain(|(_, folder)| unusable(folder).is_none());
        // A copy makes no empty folders.
        let mounted = folders.iter().filter(|_| mode == InputMode::FastFile);
        let mut directories: HashSet<&str> = mounted.clone().map(|(_, folder)| *folder).collect();
        for (_, path) in files.iter().chain(mounted) {
            let mut rest = *path;
            while let Some((folder, _)) = rest.rsplit_once('/') {
                if !directories.insert(folder) {
                    break;
                }
                rest = folder;
            }
        }
        let mut taken: HashMap<&str, usize> = HashMap::with_capacity(files.len());
        keep(files, left_out, |(object, path)| {
            if directories.contains(path) {
                return Err(LeftOut::Directory);
            }
            match *taken.entry(path).or_insert(object) {
                first if first == object => Ok(()),
                first => Err(LeftOut::Taken(first)),
            }
        });
    }
}

fn keep<'k>(
    files: &mut Vec<(usize, &'k str)>,
    left_out: &mut Vec<(usize, LeftOut)>,
    mut test: impl FnMut((usize, &'k str)) -> std::result::Result<(), LeftOut>,
) {
    files.retain(|file| match test(*file) {
        Ok(()) => true,
        Err(why) => {
            left_out.push((file.0, why));
            false
        }
    });
}

/// Why a path can be no file's.
fn unusable(path: &str) -> Option<LeftOut> {
    path.split('/').find_map(|part| match part {
        "" => Some(LeftOut::Empty),
        "." | ".." => Some(LeftOut::Dots),
        _ if part.contains('\0') => Some(LeftOut::Nul),
        _ => (part.len() > MAX_SEGMENT).then_some(LeftOut::Long),
    })
}

#[cfg(test)]
mod tests;
