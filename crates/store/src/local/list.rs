//! Files that a list names.

use std::borrow::Cow;

use crate::listing::check_count;
use crate::path::{clean, display};
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
        for (number, line) in self.lines() {
            let name = || format!("line {number}: {}", display(line));
            let path = self.relative(line).map_err(|reason| Error::invalid(name(), reason))?;
            listing.path(&path, 0, 0);
        }
        let listing = listing.finish(Vec::new());
        match listing.duplicate() {
            None => Ok(listing),
            Some((first, again)) => {
                let name = format!("line {}: {}", self.line(again), listing.file(again).display());
                let reason = format!("line {} names it already", self.line(first));
                Err(Error::invalid(name, reason))
            }
        }
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

    /// The path below the root.
    fn relative<'a>(&self, line: &'a [u8]) -> std::result::Result<Cow<'a, [u8]>, String> {
        let mut below = line;
        if line.starts_with(b"/") {
            below = match line.strip_prefix(self.root) {
                Some(below) if self.root.ends_with(b"/") || below.starts_with(b"/") => below,
                _ => return Err(format!("the path lies outside of {}", display(self.root))),
            };
            while let [b'/', rest @ ..] = below {
                below = rest;
            }
        }
        clean(below).map_err(str::to_owned)
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
            ("/data/a//b.jpg", Ok("a/b.jpg")),
            ("/data//b.jpg", Ok("b.jpg")),
            ("/database/b.jpg", Err("the path lies outside of /data")),
            ("/data", Err("the path lies outside of /data")),
            ("/data/../b.jpg", Err("the path has .. in it")),
        ] {
            let found = list(b"").relative(line.as_bytes()).map(Cow::into_owned);
            assert_eq!(
                found,
                path.map(|p| p.as_bytes().to_vec()).map_err(str::to_owned),
                "{line:?}"
            );
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
