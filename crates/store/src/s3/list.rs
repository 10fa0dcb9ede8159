//! Lists the objects below a prefix, from several places at a time.

use std::sync::Arc;

use aws_sdk_s3::types::EncodingType;
use tokio::task::JoinSet;

use super::calls::Calls;
use super::connect::S3;
use super::keys::decode;
use super::range::stamp;
use crate::{Error, Result};

/// Objects of a listing, keys end to end: 24 bytes an object beside its key.
#[derive(Debug, Default)]
pub(super) struct Found {
    keys: String,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    end: u64,
    len: u64,
    stamp: u64,
}

/// One object of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) key: &'a str,
    pub(super) len: u64,
    /// Hash of its ETag.
    pub(super) stamp: u64,
}

impl Found {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn push(&mut self, entry: Entry<'_>) {
        self.keys.push_str(entry.key);
        let end = self.keys.len() as u64;
        self.rows.push(Row { end, len: entry.len, stamp: entry.stamp });
    }

    pub(super) fn get(&self, i: usize) -> Entry<'_> {
        let start = if i == 0 { 0 } else { self.rows[i - 1].end };
        let Row { end, len, stamp } = self.rows[i];
        Entry { key: &self.keys[start as usize..end as usize], len, stamp }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).map(|i| self.get(i))
    }

    /// In the order of keys, each once. A page that came twice is no harm; two answers that
    /// differ are.
    pub(super) fn sorted(self, bucket: &str) -> Result<Self> {
        let keys: Vec<_> = self.iter().map(|entry| entry.key).collect();
        if keys.is_sorted_by(|a, b| a < b) {
            return Ok(self);
        }
        drop(keys);
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&i| self.get(i).key);
        let mut sorted = Self::default();
        let mut last: Option<Entry<'_>> = None;
        for entry in order.into_iter().map(|i| self.get(i)) {
            match last.filter(|last| last.key == entry.key) {
                Some(last) if last == entry => continue,
                Some(_) => {
                    let name = format!("s3://{bucket}/{}", entry.key);
                    return Err(Error::changed(name, "it was written while it was being listed"));
                }
                None => sorted.push(entry),
            }
            last = Some(entry);
        }
        Ok(sorted)
    }
}

/// Times in a row that a page may say of itself that it comes next.
const MOST_AGAIN: u32 = 3;
/// Places from which a listing starts, at most: each reads up to a page beyond its part.
const MOST_RANGES: usize = 32;

/// All objects whose key starts with `prefix`, sorted by key.
pub(super) fn list(s3: &S3, bucket: &str, prefix: &str) -> Result<Found> {
    s3.wait(list_all(s3.calls(), bucket, prefix))?.sorted(bucket)
}

async fn list_all(calls: &Arc<Calls>, bucket: &str, prefix: &str) -> Result<Found> {
    let place = Place { bucket: bucket.into(), prefix: prefix.into() };
    let mut found = Found::default();
    // One page tells whether there is anything to share out.
    let (next, _) = page(calls, &place, Start::Beginning, None, &mut found).await?;
    let Some(token) = next else { return Ok(found) };
    let after = found.len().checked_sub(1).map(|last| found.get(last).key.to_owned());
    let bounds = bounds(calls, &place, after.as_deref().unwrap_or_default()).await?;
    let mut tasks = JoinSet::new();
    let ends = bounds.iter().cloned().map(Some).chain([None]);
    let starts = [Start::Token(token)].into_iter().chain(bounds.iter().cloned().map(Start::After));
    for (start, end) in starts.zip(ends) {
        let (calls, place) = (Arc::clone(calls), place.clone());
        tasks.spawn(async move { list_range(&calls, &place, start, end).await });
    }
    while let Some(done) = tasks.join_next().await {
        let part = done.map_err(|e| Error::io(std::io::Error::other(e), place.name()))??;
        part.iter().for_each(|entry| found.push(entry));
    }
    Ok(found)
}

#[derive(Clone, Debug)]
struct Place {
    bucket: String,
    prefix: String,
}

impl Place {
    fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.prefix)
    }
}

/// Where a page starts.
#[derive(Clone, Debug)]
enum Start {
    Beginning,
    After(String),
    Token(String),
}

/// Keys after `after` that cut what is left into parts: the folders of the first level with more
/// than a few of them. Where keys have none, pages come one after another: only S3 knows where
/// the next one starts.
async fn bounds(calls: &Calls, place: &Place, after: &str) -> Result<Vec<String>> {
    let most = (calls.options.io_depth / 4).clamp(1, MOST_RANGES);
    let mut level = vec![place.prefix.clone()];
    let mut bounds: Vec<String> = Vec::new();
    for _ in 0..3 {
        let mut folders = Vec::new();
        for prefix in level {
            let place = Place { bucket: place.bucket.clone(), prefix };
            folders_of(calls, &place, &mut folders).await?;
        }
        bounds.extend(folders.iter().filter(|folder| folder.as_str() > after).cloned());
        level = folders;
        if level.is_empty() || bounds.len() >= most || level.len() > 16 {
            break;
        }
    }
    bounds.sort_unstable();
    bounds.dedup();
    let step = bounds.len().div_ceil(most).max(1);
    Ok(bounds.into_iter().step_by(step).collect())
}

/// Common prefixes up to the next slash; of very many those of the first pages.
async fn folders_of(calls: &Calls, place: &Place, folders: &mut Vec<String>) -> Result<()> {
    let mut start = Start::Beginning;
    for _ in 0..16 {
        let (next, found) = page(calls, place, start, Some("/"), &mut Found::default()).await?;
        folders.extend(found);
        match next {
            Some(token) => start = Start::Token(token),
            None => break,
        }
    }
    Ok(())
}

/// Pages from `start` until keys reach `end`.
async fn list_range(
    calls: &Calls,
    place: &Place,
    mut start: Start,
    end: Option<String>,
) -> Result<Found> {
    let mut found = Found::default();
    let mut again = 0;
    loop {
        let mut one = Found::default();
        let before = match &start {
            Start::Token(token) => Some(token.clone()),
            _ => None,
        };
        let (next, _) = page(calls, place, start, None, &mut one).await?;
        let inside = |entry: &Entry<'_>| end.as_deref().is_none_or(|end| entry.key < end);
        // Whatever the order within a page: as long as one key lies inside, so may the next page's.
        let any = one.len() == 0 || one.iter().any(|entry| inside(&entry));
        one.iter().filter(inside).for_each(|entry| found.push(entry));
        // A page may come twice, but a listing must get on.
        again = if next.is_some() && next == before { again + 1 } else { 0 };
        match next {
            Some(_) if again > MOST_AGAIN => {
                return Err(Error::invalid(
                    place.name(),
                    "the listing comes back to the same page",
                ));
            }
            Some(token) if any => start = Start::Token(token),
            _ => return Ok(found),
        }
    }
}

/// One page: its objects go to `found`; the token of the next one and the common prefixes.
async fn page(
    calls: &Calls,
    place: &Place,
    start: Start,
    delimiter: Option<&str>,
    found: &mut Found,
) -> Result<(Option<String>, Vec<String>)> {
    let name = place.name();
    let answer = calls
        .read("ListObjectsV2", &name, || {
            let mut request = calls
                .client
                .list_objects_v2()
                .bucket(&place.bucket)
                .prefix(&place.prefix)
                .encoding_type(EncodingType::Url)
                .set_delimiter(delimiter.map(str::to_owned))
                .set_request_payer(calls.payer());
            match &start {
                Start::Beginning => {}
                Start::After(key) => request = request.start_after(key),
                Start::Token(token) => request = request.continuation_token(token),
            }
            async move { Ok(request.send().await?) }
        })
        .await?;
    // A server that does not know the encoding does not say that it used it.
    let encoded = answer.encoding_type() == Some(&EncodingType::Url);
    let plain = |text: &str| -> Result<String> {
        match if encoded { decode(text) } else { Some(text.into()) } {
            Some(key) => Ok(key.into_owned()),
            None => Err(Error::invalid(
                &name,
                format!("the listing has a key that is no UTF-8: {text}"),
            )),
        }
    };
    for object in answer.contents() {
        let key = plain(object.key().unwrap_or_default())?;
        if !key.starts_with(&place.prefix) {
            return Err(Error::invalid(
                &name,
                format!("the listing has the key {key}, which lies elsewhere"),
            ));
        }
        let len = u64::try_from(object.size().unwrap_or(-1))
            .map_err(|_| Error::invalid(&name, format!("the listing has no length for {key}")))?;
        let stamp = object.e_tag().map_or(0, stamp);
        found.push(Entry { key: &key, len, stamp });
    }
    let folders: Result<Vec<String>> =
        answer.common_prefixes().iter().filter_map(|p| p.prefix()).map(plain).collect();
    let more = answer.is_truncated().unwrap_or(false);
    let next = answer.next_continuation_token().filter(|_| more).map(str::to_owned);
    if more && next.is_none() {
        return Err(Error::invalid(&name, "the listing goes on, but does not say where"));
    }
    Ok((next, folders?))
}
