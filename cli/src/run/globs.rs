//! `--include` and `--exclude`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::exit::{Failure, Result};

/// Chooses files by their path below the source.
#[derive(Debug)]
pub(super) struct Globs {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

impl Globs {
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self> {
        Ok(Self { include: set("--include", include)?, exclude: set("--exclude", exclude)? })
    }

    /// True when nothing is chosen, so that nothing has to be asked.
    pub(super) fn is_empty(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether a file takes part.
    pub(super) fn keep(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        self.include.as_ref().is_none_or(|globs| globs.is_match(path))
            && self.exclude.as_ref().is_none_or(|globs| !globs.is_match(path))
    }

    /// Whether a folder is entered.
    pub(super) fn enter(&self, path: &[u8]) -> bool {
        let path = Path::new(OsStr::from_bytes(path));
        self.exclude.as_ref().is_none_or(|globs| !globs.is_match(path))
    }
}

fn set(flag: &str, globs: &[String]) -> Result<Option<GlobSet>> {
    if globs.is_empty() {
        return Ok(None);
    }
    let bad = |glob: &str, why: &dyn std::fmt::Display| {
        Failure::new(format!("{flag} {glob:?}: {why}"))
            .hint("* matches within a name, ** across folders, ? one character, [a-z] one of a set, {a,b} either")
    };
    let mut set = GlobSetBuilder::new();
    for text in globs {
        // A glob without a folder is held against the name, wherever it lies; ** and */ say more.
        let anchored = match text.strip_prefix("./").unwrap_or(text) {
            rest if rest.contains('/') => rest.trim_start_matches('/').to_owned(),
            rest => format!("**/{rest}"),
        };
        // `train/` is the folder and all below it.
        let anchored = match anchored.strip_suffix('/') {
            Some(folder) => format!("{folder}/**"),
            None => anchored,
        };
        let glob = GlobBuilder::new(&anchored).literal_separator(true).build();
        set.add(glob.map_err(|e| bad(text, e.kind()))?);
    }
    set.build().map(Some).map_err(|e| bad(&globs.join(" "), e.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globs(include: &[&str], exclude: &[&str]) -> Globs {
        let owned = |globs: &[&str]| globs.iter().map(ToString::to_string).collect::<Vec<_>>();
        Globs::new(&owned(include), &owned(exclude)).expect("globs")
    }

    #[test]
    fn names_match_anywhere_and_paths_where_they_are() {
        for (glob, path, want) in [
            ("*.jpg", "a.jpg", true),
            ("*.jpg", "x/y/a.jpg", true),
            ("*.jpg", "a.jpg/b", false),
            ("x/*.jpg", "x/a.jpg", true),
            ("x/*.jpg", "x/y/a.jpg", false),
            ("x/*.jpg", "z/x/a.jpg", false),
            ("x/**", "x/y/a.jpg", true),
            ("x/", "x/y/a.jpg", true),
            ("/x/*", "x/a", true),
            ("./a*", "b/ab", true),
            ("**/y/*", "x/y/a", true),
            ("n0[1-3]/*", "n02/a", true),
            ("*.{jpg,png}", "a.png", true),
            ("?.jpg", "ab.jpg", false),
        ] {
            assert_eq!(globs(&[glob], &[]).keep(path.as_bytes()), want, "{glob} on {path}");
        }
    }

    #[test]
    fn exclude_is_stronger_and_prunes_folders() {
        let globs = globs(&["*.jpg", "*.json"], &["tmp", "*_small.jpg"]);
        assert!(globs.keep(b"a.jpg") && globs.keep(b"x/a.json"));
        assert!(!globs.keep(b"a_small.jpg") && !globs.keep(b"a.png"));
        assert!(!globs.enter(b"x/tmp") && globs.enter(b"x"));
        assert!(globs.keep(b"\xff/a.jpg"), "names need not be UTF-8");
    }

    #[test]
    fn a_glob_that_is_none_names_its_flag() {
        let failure = Globs::new(&[], &["[a".into()]).expect_err("no glob");
        assert!(failure.message.starts_with("--exclude \"[a\""), "{}", failure.message);
    }
}
