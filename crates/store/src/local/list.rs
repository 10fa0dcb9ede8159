//! Files that a list names.

use std::borrow::Cow;
use std::collections::HashMap;

use rayon::prelude::*;

use crate::listing::{check_count, display};
use crate::{Error, FileId, Listing, ListingBuilder, Result};

/// Paths, one after each separator.
pub(super) struct List<'a> {
    pub(super) root: &'a [u8],
    pub(super) bytes: &'a [u8],
    pub(super) separator: u8,
}

impl List<'_> {
    /// The files in the order of the list; lengths are still 0. Runs on the current rayon pool.
    pub(super) fn parse(&self) -> Result<Listing> {
        let lines = self.lines();
        let (files, bytes) =
            lines.fold((0, 0), |(n, bytes), (_, line)| (n + 1, bytes + line.len()));
        check_count(files, "the list")?;
        let mut listing = ListingBuilder::default();
        listing.reserve(files, bytes);
        let mut folders: HashMap<Box<[u8]>, u32> = HashMap::new();
        for (number, line) in self.lines() {
            let path = self.relative(line).map_err(|reason| {
                Error::invalid(format!("line {number}: {}", display(line)), reason)
            })?;
            let (folder, name) = match path.iter().rposition(|&byte| byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&b""[..], &path[..]),
            };
            let folder = match folders.get(folder) {
                Some(&id) => id,
                None => {
                    let id = listing.dir(folder);
                    folders.insert(folder.into(), id);
                    id
                }
            };
            listing.file(folder, name, 0, 0);
        }
        let listing = listing.finish(Vec::new());
        self.refuse_duplicates(&listing)?;
        Ok(listing)
    }

    /// Puts the line in front of the path in `error`.
    pub(super) fn name_line(&self, id: FileId, error: Error) -> Error {
        let number = self.line(id);
        error.rename(|path| format!("line {number}: {path}"))
    }

    /// Lines that name something, each with its number from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let lines = self.bytes.split(|&byte| byte == self.separator);
        (1..).zip(lines).filter(|(_, line)| !line.is_empty())
    }

    fn line(&self, id: FileId) -> usize {
        self.lines().nth(id as usize).map_or(0, |(number, _)| number)
    }

    /// The path below the root, without the `./` and `//` that tools leave in.
    fn relative<'a>(&self, line: &'a [u8]) -> std::result::Result<Cow<'a, [u8]>, String> {
        if line.contains(&0) {
            return Err("holds a NUL byte".to_owned());
        }
        let below = match line.strip_prefix(b"/") {
            None => line,
            Some(_) => match line.strip_prefix(self.root) {
                Some(below) if self.root.ends_with(b"/") || below.starts_with(b"/") => below,
                _ => return Err(format!("lies outside of {}", display(self.root))),
            },
        };
        let parts = || below.split(|&byte| byte == b'/');
        match parts().next_back() {
            Some(b"" | b".") => return Err("names a folder, not a file".to_owned()),
            _ if parts().any(|part| part == b"..") => return Err("has a .. in it".to_owned()),
            _ => {}
        }
        if parts().all(|part| !matches!(part, b"" | b".")) {
            return Ok(Cow::Borrowed(below));
        }
        let parts: Vec<&[u8]> = parts().filter(|part| !matches!(part, &(b"" | b"."))).collect();
        Ok(Cow::Owned(parts.join(&b'/')))
    }

    fn refuse_duplicates(&self, listing: &Listing) -> Result<()> {
        let place = |&id: &FileId| {
            let file = listing.file(id);
            (file.dir_id, file.name)
        };
        let mut ids: Vec<FileId> = (0..listing.len() as FileId).collect();
        ids.par_sort_unstable_by(|a, b| place(a).cmp(&place(b)).then(a.cmp(b)));
        // The first in the list of those named again, whatever its place in the alphabet.
        let again = ids.windows(2).filter(|pair| place(&pair[0]) == place(&pair[1]));
        match again.map(|pair| (pair[1], pair[0])).min() {
            None => Ok(()),
            Some((again, first)) => {
                let name = format!("line {}: {}", self.line(again), listing.file(again).display());
                let reason = format!("line {} names it already", self.line(first));
                Err(Error::invalid(name, reason))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(bytes: &[u8]) -> List<'_> {
        List { root: b"/data", bytes, separator: b'\n' }
    }

    #[test]
    fn paths_are_brought_below_the_root() {
        for (line, path) in [
            ("a/b.jpg", Ok("a/b.jpg")),
            ("./a//b.jpg", Ok("a/b.jpg")),
            ("/data/a/b.jpg", Ok("a/b.jpg")),
            ("/data//b.jpg", Ok("b.jpg")),
            ("..a/b..", Ok("..a/b..")),
            ("/database/b.jpg", Err("lies outside of /data")),
            ("/data", Err("lies outside of /data")),
            ("a/../b.jpg", Err("has a .. in it")),
            ("a/", Err("names a folder, not a file")),
            ("a/.", Err("names a folder, not a file")),
            ("a\0b", Err("holds a NUL byte")),
        ] {
            let found = list(b"").relative(line.as_bytes()).map(Cow::into_owned);
            assert_eq!(found, path.map(Into::into).map_err(Into::into), "{line:?}");
        }
    }

    #[test]
    fn order_is_the_lists_and_folders_are_shared() {
        let listing = list(b"z/2\n\na/1\nz/1\nr\n").parse().unwrap();
        let paths: Vec<_> = listing.iter().map(|file| file.display()).collect();
        assert_eq!(paths, ["z/2", "a/1", "z/1", "r"]);
        assert_eq!(listing.dirs(), 3);
    }

    #[test]
    fn a_file_named_twice_is_refused_with_both_lines() {
        let error = list(b"\nb\na\n./b\na\n").parse().unwrap_err();
        assert_eq!(error.to_string(), "line 4: b: line 2 names it already");
    }
}
