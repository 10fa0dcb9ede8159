//! Pages of listings.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, EncodingType, ListObjectsV2Input, ListObjectsV2Output, Object as Listed,
};
use s3s::{S3Result, s3_error};

use super::faults::Fault;
use super::objects::Object;

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

/// Where a page starts.
#[derive(Clone, Debug, PartialEq)]
enum Start {
    After(String),
    Past(String), // all keys of a common prefix
}

impl Start {
    fn parse(token: &str) -> S3Result<Self> {
        let text = URL_SAFE_NO_PAD.decode_to_vec(token).ok();
        let text = text.and_then(|text| String::from_utf8(text).ok());
        text.as_deref()
            .and_then(|text| match text.split_at_checked(1)? {
                ("k", key) => Some(Self::After(key.into())),
                ("p", prefix) => Some(Self::Past(prefix.into())),
                _ => None,
            })
            .ok_or_else(|| {
                s3_error!(InvalidArgument, "The continuation token provided is incorrect")
            })
    }

    fn token(&self) -> String {
        let text = match self {
            Self::After(key) => format!("k{key}"),
            Self::Past(prefix) => format!("p{prefix}"),
        };
        URL_SAFE_NO_PAD.encode_to_string(text)
    }
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

/// One page of ListObjectsV2, or what a fault makes of it.
pub(super) fn objects(
    objects: &BTreeMap<String, Arc<Object>>,
    input: ListObjectsV2Input,
    fault: Option<&Fault>,
) -> S3Result<ListObjectsV2Output> {
    let write = encoder(input.encoding_type.as_ref())?;
    let max = limit(input.max_keys, "max-keys")?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let start = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Some(Start::parse(token)?),
        (None, Some(key)) => Some(Start::After(key.clone())),
        (None, None) => None,
    };
    let from = match &start {
        Some(Start::After(key)) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
        Some(Start::Past(past)) if past.as_str() >= prefix => Bound::Included(past.as_str()),
        _ => Bound::Included(prefix),
    };
    let end = unseen(objects, prefix, fault);
    let items = objects
        .range::<str, _>((from, Bound::Unbounded))
        .map(|(key, object)| (key.as_str(), object))
        .skip_while(|(key, _)| matches!(&start, Some(Start::Past(past)) if key.starts_with(past)))
        .take_while(|(key, _)| end.is_none_or(|end| *key < end));
    let (mut entries, mut more) = group(items, prefix, delimiter, max as usize);

    let mut next = entries.last().filter(|_| more).map(|entry| match entry {
        Entry::Key(key, _) => Start::After((*key).into()),
        Entry::Prefix(prefix) => Start::Past((*prefix).into()),
    });
    match fault {
        Some(Fault::DuplicatePages) => {
            more = true;
            next = Some(start.unwrap_or(Start::After(String::new())));
        }
        Some(Fault::ShuffledPages) => entries.reverse(),
        _ => {}
    }
    let count = entries.len();
    let (contents, prefixes) = split(entries, write);
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(write(prefix)),
        delimiter: delimiter.map(write),
        start_after: input.start_after.as_deref().map(write),
        encoding_type: input.encoding_type,
        max_keys: Some(max),
        key_count: i32::try_from(count).ok(),
        is_truncated: Some(more),
        continuation_token: input.continuation_token,
        next_continuation_token: next.map(|start| start.token()),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        ..Default::default()
    })
}

fn split(
    entries: Vec<Entry<'_, &Arc<Object>>>,
    write: fn(&str) -> String,
) -> (Vec<Listed>, Vec<CommonPrefix>) {
    let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Key(key, object) => contents.push(object.listed(write(key))),
            Entry::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(write(prefix)) }),
        }
    }
    (contents, prefixes)
}

/// The first of the keys that a stale listing does not show.
fn unseen<'a>(
    objects: &'a BTreeMap<String, Arc<Object>>,
    prefix: &str,
    fault: Option<&Fault>,
) -> Option<&'a str> {
    let Some(&Fault::StaleList(missing)) = fault else { return None };
    let keys = objects.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
    let keys: Vec<&str> =
        keys.map(|(key, _)| key.as_str()).take_while(|key| key.starts_with(prefix)).collect();
    keys.get(keys.len().saturating_sub(missing)..)?.first().copied()
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

    #[test]
    fn tokens_come_back_and_foreign_ones_are_refused() {
        for start in [Start::After("a/ü".into()), Start::Past("a/".into()), Start::After("".into())]
        {
            assert_eq!(Start::parse(&start.token()).ok(), Some(start));
        }
        for token in ["", "!", "YQ", "%"] {
            assert!(Start::parse(token).is_err(), "{token}");
        }
    }
}
