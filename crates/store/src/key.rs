//! Keys of objects.

use crate::{Error, Result};

/// Starts the names of unfinished files; no key may.
pub(crate) const UNFINISHED: &str = ".shardpack-unfinished-";
/// Name of the files that locks are held on; no part of a key is called so.
pub(crate) const LOCK: &str = ".shardpack-lock";

/// Refuses a key that is no plain relative path: it must name the same object in every store, and
/// nothing outside of the tree.
pub(crate) fn check(key: &str) -> Result<()> {
    match fault(key) {
        None => Ok(()),
        Some(reason) => Err(Error::invalid(key.escape_debug().to_string(), reason)),
    }
}

/// The prefix without its final slash, checked; `None` for the whole tree.
pub(crate) fn prefix(prefix: &str) -> Result<Option<&str>> {
    if prefix.is_empty() { Ok(None) } else { folder(prefix).map(Some) }
}

/// A key or a prefix that may end in a slash, without it, checked.
pub(crate) fn folder(key: &str) -> Result<&str> {
    let key = key.strip_suffix('/').unwrap_or(key);
    check(key).map(|()| key)
}

/// True for the object `prefix` itself and for those below it.
pub(crate) fn is_below(key: &str, prefix: Option<&str>) -> bool {
    prefix.is_none_or(|prefix| {
        key.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn fault(key: &str) -> Option<&'static str> {
    if key.is_empty() {
        return Some("an empty key");
    }
    if key.contains('\0') {
        return Some("a key must not hold NUL");
    }
    if key.starts_with('/') {
        return Some("a key must not start with /");
    }
    key.split('/').find_map(|part| match part {
        "" => Some("a key must not have empty parts"),
        "." | ".." => Some("a key must not have . or .. in it"),
        LOCK => Some("the name is kept for locks"),
        _ if part.starts_with(UNFINISHED) => Some("the name is kept for unfinished files"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_keys() {
        for good in ["a", "a/b", "..a/b..", "a b/ü\n", ".hidden", "-"] {
            assert!(check(good).is_ok(), "{good:?}");
        }
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a\0b"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        assert!(check(&format!("a/{UNFINISHED}1")).is_err());
        assert!(check(&format!("{LOCK}/a")).is_err() && check(&format!("{LOCK}s")).is_ok());
    }

    #[test]
    fn prefixes_end_at_whole_parts() {
        assert_eq!(prefix("").unwrap(), None);
        assert_eq!(prefix("a/b/").unwrap(), Some("a/b"));
        assert!(prefix("/").is_err());
        assert!(is_below("a/b/c", Some("a/b")) && is_below("a/b", Some("a/b")));
        assert!(!is_below("a/bc", Some("a/b")) && is_below("x", None));
    }
}
