//! Pages of listings.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use base64_simd::URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output,
    Object as Listed,
};
use s3s::{S3Result, s3_error};

use super::faults::Fault;
use super::lines::{Entry, encoder, group, limit};
use super::objects::Object;

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

    fn name(&self) -> &str {
        match self {
            Self::After(name) | Self::Past(name) => name,
        }
    }

    fn token(&self) -> String {
        let text = match self {
            Self::After(key) => format!("k{key}"),
            Self::Past(prefix) => format!("p{prefix}"),
        };
        URL_SAFE_NO_PAD.encode_to_string(text)
    }
}

/// What a page is to hold.
struct Wanted<'q> {
    prefix: &'q str,
    delimiter: Option<&'q str>,
    start: Option<Start>,
    max: usize,
}

/// The lines of a page, and where the next one starts.
struct Page<'a> {
    entries: Vec<Entry<'a, &'a Arc<Object>>>,
    next: Option<Start>,
}

impl<'a> Page<'a> {
    /// One page, or what a fault makes of it.
    fn new(
        objects: &'a BTreeMap<String, Arc<Object>>,
        wanted: Wanted<'_>,
        fault: Option<&Fault>,
    ) -> Self {
        let Wanted { prefix, delimiter, start, max } = wanted;
        let from = match &start {
            Some(Start::After(key)) if key.as_str() >= prefix => Bound::Excluded(key.as_str()),
            Some(Start::Past(past)) if past.as_str() >= prefix => Bound::Included(past.as_str()),
            _ => Bound::Included(prefix),
        };
        let end = unseen(objects, prefix, fault);
        let past = |key: &str| matches!(&start, Some(Start::Past(past)) if key.starts_with(past));
        let items = objects
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(key, object)| (key.as_str(), object))
            .skip_while(|(key, _)| past(key))
            .take_while(|(key, _)| end.is_none_or(|end| *key < end));
        let (mut entries, more) = group(items, prefix, delimiter, max);
        let next = entries.last().filter(|_| more).map(|entry| match entry {
            Entry::Key(key, _) => Start::After((*key).into()),
            Entry::Prefix(prefix) => Start::Past((*prefix).into()),
        });
        match fault {
            Some(Fault::DuplicatePages) => {
                let next = Some(start.unwrap_or(Start::After(String::new())));
                return Self { entries, next };
            }
            Some(Fault::ShuffledPages) => entries.reverse(),
            _ => {}
        }
        Self { entries, next }
    }
}

/// One page of ListObjectsV2, `page` lines at most.
pub(super) fn objects(
    objects: &BTreeMap<String, Arc<Object>>,
    input: ListObjectsV2Input,
    page: i32,
    fault: Option<&Fault>,
) -> S3Result<ListObjectsV2Output> {
    let write = encoder(input.encoding_type.as_ref())?;
    let max = limit(input.max_keys, "max-keys")?.min(page);
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let start = match (&input.continuation_token, &input.start_after) {
        (Some(token), _) => Some(Start::parse(token)?),
        (None, Some(key)) => Some(Start::After(key.clone())),
        (None, None) => None,
    };
    let wanted = Wanted { prefix, delimiter, start, max: max as usize };
    let Page { entries, next } = Page::new(objects, wanted, fault);
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
        is_truncated: Some(next.is_some()),
        continuation_token: input.continuation_token,
        next_continuation_token: next.map(|start| start.token()),
        contents: Some(contents),
        common_prefixes: Some(prefixes),
        ..Default::default()
    })
}

/// One page of ListObjects, the first version, whose pages start at names, not tokens.
pub(super) fn objects_v1(
    objects: &BTreeMap<String, Arc<Object>>,
    input: ListObjectsInput,
    page: i32,
) -> S3Result<ListObjectsOutput> {
    let write = encoder(input.encoding_type.as_ref())?;
    let max = limit(input.max_keys, "max-keys")?.min(page);
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let marker = input.marker.as_deref().unwrap_or_default();
    // A common prefix as marker stands for all keys that it groups.
    let groups = |delimiter: &str| {
        let first = marker.strip_prefix(prefix).and_then(|rest| rest.find(delimiter));
        first.is_some_and(|at| prefix.len() + at + delimiter.len() == marker.len())
    };
    let start = match marker {
        "" => None,
        _ if delimiter.is_some_and(groups) => Some(Start::Past(marker.into())),
        _ => Some(Start::After(marker.into())),
    };
    let wanted = Wanted { prefix, delimiter, start, max: max as usize };
    let Page { entries, next } = Page::new(objects, wanted, None);
    // Without a delimiter, the last key tells.
    let named = next.as_ref().filter(|_| delimiter.is_some());
    let next_marker = named.map(|start| write(start.name()));
    let (contents, prefixes) = split(entries, write);
    Ok(ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(write(prefix)),
        delimiter: delimiter.map(write),
        marker: Some(write(marker)),
        next_marker,
        encoding_type: input.encoding_type,
        max_keys: Some(max),
        is_truncated: Some(next.is_some()),
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
