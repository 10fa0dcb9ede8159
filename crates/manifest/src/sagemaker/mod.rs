//! Files that SageMaker reads: the manifest of a `ManifestFile` channel, and channels for
//! `CreateTrainingJob`. `SPEC.md` beside this file says what is claimed and why.

mod channel;
mod manifest_file;

#[cfg(test)]
mod tests;

pub use channel::{Channel, DataType, Distribution, InputMode, channels, to_json};
pub use manifest_file::ManifestFile;

use crate::{Error, Result};

/// Where a dataset will be, when nobody said: bucket names have no capital letters, so nothing can
/// be read from or written to this place by accident.
pub const PLACEHOLDER: &str = "s3://BUCKET/PREFIX/";

/// Longest URI in characters (`S3Uri` of the API).
const MAX_URI: usize = 1024;

/// `s3://bucket/…` or `https://host/…`, as the API's pattern has it.
fn check_uri(uri: &str) -> Result<()> {
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
fn check_prefix(prefix: &str) -> Result<()> {
    check_uri(prefix)?;
    match prefix.ends_with('/') {
        true => Ok(()),
        false => Err(Error::name(prefix, "must end with a slash: paths are appended as they are")),
    }
}
