//! URIs in SageMaker's files.

use crate::{Error, Result};

/// Longest URI in characters (`S3Uri` of the API).
const MAX_URI: usize = 1024;
/// Longest key of an object in bytes, as S3 has it.
const MAX_KEY: usize = 1024;
/// Longest local path in bytes (`PATH_MAX` of Linux).
const MAX_PATH: usize = 4096;

/// `s3://bucket/…` or `https://host/…`, as the API's pattern has it.
pub(super) fn check_uri(uri: &str) -> Result<()> {
    let rest = uri.strip_prefix("s3://").or_else(|| uri.strip_prefix("https://"));
    let bucket = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if bucket.is_empty() || uri.chars().any(char::is_control) {
        return Err(Error::name(uri, "is no URI of the form s3://bucket/prefix/"));
    }
    match uri.chars().count() <= MAX_URI {
        true => Ok(()),
        false => Err(Error::name(uri, "longer than SageMaker's 1024 characters")),
    }
}

/// A URI that paths can be appended to: SageMaker adds no slash.
pub(super) fn check_prefix(prefix: &str) -> Result<()> {
    check_uri(prefix)?;
    match prefix.ends_with('/') {
        true => Ok(()),
        false => Err(Error::name(prefix, "must end with a slash: paths are appended as they are")),
    }
}

/// The local path that an entry of a manifest names; none for an object of a store.
///
/// What follows `file://` is the path as it stands: nothing in it is percent-encoded, because
/// nothing in the other URIs of a manifest is.
///
/// ```
/// use shardpack_manifest::sagemaker::local_path;
///
/// assert_eq!(local_path("file:///data/a b.jpg"), Some("/data/a b.jpg"));
/// assert_eq!(local_path("data/a.jpg"), Some("data/a.jpg"));
/// assert_eq!(local_path("s3://bucket/a.jpg"), None);
/// ```
pub fn local_path(uri: &str) -> Option<&str> {
    match uri.strip_prefix("file://") {
        Some(path) => Some(path),
        None => (!uri.contains("://")).then_some(uri),
    }
}

/// What an object of a `ManifestFile` starts with: an S3 URI, or `file:///` or a path for objects
/// on a local disk.
pub(super) fn check_start(prefix: &str) -> Result<()> {
    if prefix.is_empty() {
        return Err(Error::name(prefix, "is empty; write s3://bucket/ or s3://bucket/prefix/"));
    }
    match prefix.starts_with("s3://") || prefix.starts_with("https://") {
        true => check_uri(prefix),
        false => check_local(prefix),
    }
}

/// One object: of a bucket, of a web server, or a local file.
pub(super) fn check_object(uri: &str) -> Result<()> {
    if uri.ends_with('/') {
        return Err(Error::name(uri, "names a folder; name the objects in it"));
    }
    match uri.strip_prefix("s3://") {
        Some(place) => check_s3(uri, place),
        None if uri.starts_with("https://") => check_uri(uri),
        None => check_local(uri),
    }
}

/// What a `-ref` attribute holds: `s3://bucket/key`, or `file:///path` for a local file.
pub(super) fn check_ref(uri: &str) -> Result<()> {
    match uri.starts_with("s3://") || uri.starts_with("file://") {
        true => check_object(uri),
        false => Err(Error::name(
            uri,
            "is no URI of an object; write s3://bucket/key, or file:///path for a local file",
        )),
    }
}

fn check_s3(uri: &str, place: &str) -> Result<()> {
    let (bucket, key) = place.split_once('/').unwrap_or((place, ""));
    if bucket.is_empty() || key.is_empty() {
        return Err(Error::name(uri, "has no bucket or no key; write s3://bucket/key"));
    }
    check_text(uri, key, MAX_KEY)
}

fn check_local(uri: &str) -> Result<()> {
    match local_path(uri) {
        Some(path) if path.starts_with('/') || !uri.starts_with("file://") => {
            check_text(uri, path, MAX_PATH)
        }
        Some(_) => Err(Error::name(uri, "names no absolute path; write file:///path")),
        None => Err(Error::name(uri, "has a scheme that is none of s3://, https:// and file:///")),
    }
}

fn check_text(uri: &str, path: &str, most: usize) -> Result<()> {
    if uri.chars().any(char::is_control) {
        return Err(Error::name(uri, "has a control character; rename the object"));
    }
    match path.len() <= most {
        true => Ok(()),
        false => Err(Error::name(uri, format!("the path is longer than {most} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_an_object() {
        let long = format!("s3://b/{}", "k".repeat(MAX_KEY));
        for (uri, object, reference) in [
            ("s3://b/k", true, true),
            ("s3://b//k", true, true),
            ("s3://b/d\u{e9}j\u{e0} vu?#%.jpg", true, true),
            (&long, true, true),
            (&format!("{long}k"), false, false),
            ("s3://b/k/", false, false),
            ("s3://b/", false, false),
            ("s3://b", false, false),
            ("s3:///k", false, false),
            ("s3://b/a\nb", false, false),
            ("https://h/k", true, false),
            ("https:///k", false, false),
            ("file:///d/k", true, true),
            ("file:///", false, false),
            ("file://host/k", false, false),
            ("file:d/k", true, false), // a path with a colon in it
            ("/d/k", true, false),
            ("d/k", true, false),
            ("gs://b/k", false, false),
            ("S3://b/k", false, false),
            (&"k".repeat(MAX_PATH + 1), false, false),
        ] {
            assert_eq!(check_object(uri).is_ok(), object, "{uri}");
            assert_eq!(check_ref(uri).is_ok(), reference, "{uri}");
        }
    }
}
