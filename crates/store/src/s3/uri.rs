//! Addresses of objects.

use std::fmt;
use std::str::FromStr;

use crate::{Error, Result};

/// `s3://bucket/key`: an object, or a prefix of many.
///
/// ```
/// use shardpack_store::S3Uri;
///
/// let uri: S3Uri = "s3://pictures/train/".parse()?;
/// assert_eq!((uri.bucket(), uri.key()), ("pictures", "train/"));
/// assert!("s3:/pictures/train".parse::<S3Uri>().is_err());
/// # Ok::<(), shardpack_store::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct S3Uri {
    bucket: String,
    key: String,
}

/// Longest key that S3 takes, in bytes.
pub(super) const LONGEST_KEY: usize = 1024;

impl S3Uri {
    /// True when `text` starts as such an address does: it is not a path.
    pub fn is_one(text: &str) -> bool {
        text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3://"))
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// What follows the bucket's slash; empty for the whole bucket.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same address with the key taken for a folder: it ends in a slash, or is empty.
    pub fn folder(mut self) -> Self {
        if !self.key.is_empty() && !self.key.ends_with('/') {
            self.key.push('/');
        }
        self
    }

    /// The address of an object below this one.
    pub(super) fn join(&self, key: &str) -> String {
        format!("{self}{key}")
    }
}

impl FromStr for S3Uri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = |reason: &str| Err(Error::invalid(text.escape_debug().to_string(), reason));
        if !Self::is_one(text) {
            return invalid("no address on S3: s3://BUCKET/KEY");
        }
        let (bucket, key) = text[5..].split_once('/').unwrap_or((&text[5..], ""));
        // Names of buckets and access points; what exactly is allowed, S3 says better.
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if bucket.len() < 3 || !bucket.chars().all(plain) {
            return invalid("the bucket's name has 3 or more letters, digits, dots and hyphens");
        }
        if key.len() > LONGEST_KEY {
            return invalid("a key has at most 1,024 bytes");
        }
        if key.contains('\0') {
            return invalid("a key must not hold NUL");
        }
        Ok(Self { bucket: bucket.into(), key: key.into() })
    }
}

impl fmt::Display for S3Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_bucket_and_a_key() {
        for (text, bucket, key) in [
            ("s3://abc", "abc", ""),
            ("s3://abc/", "abc", ""),
            ("S3://abc/x", "abc", "x"),
            ("s3://a-b.c/x//y/", "a-b.c", "x//y/"),
            ("s3://abc/ü ?#%", "abc", "ü ?#%"),
        ] {
            let uri: S3Uri = text.parse().unwrap();
            assert_eq!((uri.bucket(), uri.key()), (bucket, key), "{text}");
        }
        for text in ["", "s3:", "s3://", "s3://ab", "s3://a b/c", "/s3://abc", "https://abc/d"] {
            assert!(text.parse::<S3Uri>().is_err(), "{text}");
        }
        assert!(format!("s3://abc/{}", "k".repeat(1025)).parse::<S3Uri>().is_err());
    }

    #[test]
    fn folders_end_in_a_slash() {
        for (text, folder) in [
            ("s3://abc", "s3://abc/"),
            ("s3://abc/d", "s3://abc/d/"),
            ("s3://abc/d/", "s3://abc/d/"),
        ] {
            assert_eq!(text.parse::<S3Uri>().unwrap().folder().to_string(), folder);
        }
    }
}
