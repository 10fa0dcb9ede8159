//! Lines of listings: how they are grouped, counted and written.

use s3s::dto::EncodingType;
use s3s::{S3Result, s3_error};

/// Entries of one answer at most.
pub(super) const PAGE: i32 = 1000;

/// One line of a listing.
#[derive(Debug, PartialEq)]
pub(super) enum Entry<'a, T> {
    Key(&'a str, T),
    Prefix(&'a str),
}

impl<'a, T> Entry<'a, T> {
    pub(super) fn name(&self) -> &'a str {
        match self {
            Self::Key(name, _) | Self::Prefix(name) => name,
        }
    }
}

/// Groups the `items`, which are in order, by what precedes the delimiter after `prefix`, up to
/// `max` lines. True beside them when there is more.
pub(super) fn group<'a, T>(
    items: impl Iterator<Item = (&'a str, T)>,
    prefix: &str,
    delimiter: Option<&str>,
    max: usize,
) -> (Vec<Entry<'a, T>>, bool) {
    let mut entries: Vec<Entry<'a, T>> = Vec::new();
    for (key, item) in items.take_while(|(key, _)| key.starts_with(prefix)) {
        let common = delimiter.and_then(|delimiter| {
            let at = key.get(prefix.len()..)?.find(delimiter)?;
            key.get(..prefix.len() + at + delimiter.len())
        });
        match (common, entries.last()) {
            (Some(common), Some(Entry::Prefix(last))) if common == *last => continue,
            _ if entries.len() == max => return (entries, max > 0), // S3: no more of nothing
            (Some(common), _) => entries.push(Entry::Prefix(common)),
            (None, _) => entries.push(Entry::Key(key, item)),
        }
    }
    (entries, false)
}

/// The limit of a page as a request has it.
pub(super) fn limit(max: Option<i32>, name: &str) -> S3Result<i32> {
    match max {
        Some(max) if max < 0 => Err(s3_error!(
            InvalidArgument,
            "Argument {name} must be an integer between 0 and 2147483647"
        )),
        max => Ok(max.unwrap_or(PAGE).min(PAGE)),
    }
}

/// A name as S3 writes it in URL encoding: a space is `+`, a slash stays.
pub(super) fn url(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// What names are written with.
pub(super) fn encoder(encoding: Option<&EncodingType>) -> S3Result<fn(&str) -> String> {
    match encoding.map(EncodingType::as_str) {
        None => Ok(str::to_owned),
        Some("url") => Ok(url),
        Some(_) => Err(s3_error!(InvalidArgument, "Invalid Encoding Method specified in Request")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_s3_does() {
        // The first is the example of Amazon's ListObjectsV2 page.
        assert_eq!(url("test_file(3).png"), "test_file%283%29.png");
        assert_eq!(url("a b+c/ü~*\n%"), "a+b%2Bc/%C3%BC%7E*%0A%25");
    }
}
