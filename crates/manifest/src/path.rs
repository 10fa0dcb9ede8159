//! Paths under a dataset's root.

use crate::{Error, Result};

/// Longest path in bytes: S3 keys end there.
const MAX_PATH: usize = 1024;

/// Refuses what could lead out of the dataset or mean different objects to different stores:
/// absolute paths, empty, `.` and `..` parts, control characters, backslashes.
pub(crate) fn check(path: &str) -> Result<()> {
    let wrong = |reason: &str| Err(Error::name(path, reason));
    if path.len() > MAX_PATH {
        return wrong("longer than 1024 bytes");
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return wrong("has a control character or a backslash");
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return wrong("must be relative, without empty, `.` or `..` parts");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths() {
        for good in ["a", "shards/train/d-00000.tar", "..a/b..", ".hidden", "d\u{e9}j\u{e0} vu"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let long = "a".repeat(MAX_PATH + 1);
        for bad in
            ["", "/a", "a/", "a//b", ".", "a/./b", "../a", "a/..", "a\\b", "a\nb", "\0", &long]
        {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
