//! Lists the objects below a prefix, from several places at a time.
//!
//! S3 tells a thousand keys a request and where the next thousand starts, so that a listing is one
//! chain of requests: 20 s for a million keys over a link of 20 ms. But a request may start after
//! any key, there or not. A span of keys that turns out to be long is therefore cut where the next
//! keys are guessed to lie, and the parts are listed side by side, each cut again while it is long
//! and there are requests to spare. Spans adjoin, so a bad guess costs a request and loses nothing.
//! Folders need no treatment of their own: a slash is a letter like others.

mod found;
mod letters;

use std::sync::Arc;

use aws_sdk_s3::types::EncodingType;
use tokio::task::JoinSet;

use super::calls::Calls;
use super::connect::S3;
use super::keys::decode;
use super::put::seconds;
use super::range::stamp;
use crate::{Error, Result};

pub(super) use found::{Entry, Found};
use letters::Letters;

/// Times in a row that a page may say of itself that it comes next.
const MOST_AGAIN: u32 = 3;
/// Spans that are listed at a time, at most: each reads up to a page beyond its end.
const MOST_SPANS: usize = 32;
/// How the names of buckets of S3 Express end, which list keys in no order and start after none.
const DIRECTORY_BUCKET: &str = "--x-s3";

/// All objects whose key starts with `prefix`, sorted by key.
pub(super) fn list(s3: &S3, bucket: &str, prefix: &str) -> Result<Found> {
    s3.wait(list_all(s3.calls(), bucket, prefix))
}

async fn list_all(calls: &Arc<Calls>, bucket: &str, prefix: &str) -> Result<Found> {
    let place = Arc::new(Place { bucket: bucket.into(), prefix: prefix.into() });
    let most = most_spans(bucket, calls.options.io_depth);
    let mut letters = Letters::default();
    let mut done = Vec::new();
    let mut tasks = JoinSet::new();
    let go = |tasks: &mut JoinSet<_>, span: Span| {
        let (calls, place) = (Arc::clone(calls), Arc::clone(&place));
        tasks.spawn(async move { span.page(&calls, &place).await });
    };
    go(&mut tasks, Span::whole());
    while let Some(answer) = tasks.join_next().await {
        let mut span = answer.map_err(|e| Error::io(std::io::Error::other(e), place.name()))??;
        if span.next.is_none() {
            span.found.shrink();
            done.push(span);
            continue;
        }
        let free = most.saturating_sub(tasks.len() + 1);
        for part in span.split(&mut letters, &place.prefix, free) {
            go(&mut tasks, part);
        }
        go(&mut tasks, span);
    }
    done.sort_unstable_by(|a, b| a.after.cmp(&b.after));
    Found::join(done.into_iter().map(|span| span.found).collect(), bucket)
}

/// Spans of a bucket to list at a time.
fn most_spans(bucket: &str, io_depth: usize) -> usize {
    match bucket.ends_with(DIRECTORY_BUCKET) {
        true => 1,
        false => (io_depth / 4).clamp(1, MOST_SPANS),
    }
}

#[derive(Debug)]
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

/// Keys after one and up to another, and what is found of them so far.
#[derive(Debug)]
struct Span {
    after: String,
    /// The last key that belongs to it, there or not; `None` is the end of the listing.
    end: Option<String>,
    found: Found,
    /// Where its next page starts; `None` when it is done.
    next: Option<Start>,
    /// Pages with keys so far, where the last of them starts in `found`, and the greatest of keys.
    pages: usize,
    page: usize,
    last: String,
    /// Times in a row that a page came next to itself.
    again: u32,
}

impl Span {
    fn whole() -> Self {
        Self::new(String::new(), Start::Beginning, None)
    }

    fn new(after: String, start: Start, end: Option<String>) -> Self {
        Self {
            last: after.clone(),
            after,
            end,
            found: Found::default(),
            next: Some(start),
            pages: 0,
            page: 0,
            again: 0,
        }
    }

    /// Cuts parts off the end for others to list: at most `free`, and no more than one for two pages
    /// so far, because a span is likely to go on for as long as it has.
    fn split(&mut self, letters: &mut Letters, prefix: &str, free: usize) -> Vec<Self> {
        let count = free.min(self.pages.div_ceil(2));
        if count == 0 {
            return Vec::new();
        }
        (self.page..self.found.len()).for_each(|i| letters.learn(self.found.get(i).key));
        let bounds = letters.between(prefix, &self.last, self.end.as_deref(), count);
        let ends = bounds.iter().skip(1).cloned().map(Some).chain([self.end.clone()]);
        let parts = bounds
            .iter()
            .zip(ends)
            .map(|(after, end)| Self::new(after.clone(), Start::After(after.clone()), end))
            .collect();
        if let Some(first) = bounds.into_iter().next() {
            self.end = Some(first);
        }
        parts
    }

    /// Lists one more page.
    async fn page(mut self, calls: &Calls, place: &Place) -> Result<Self> {
        let Some(start) = self.next.take() else { return Ok(self) };
        let before = match &start {
            Start::Token(token) => Some(token.clone()),
            _ => None,
        };
        let mut one = Found::default();
        let next = page(calls, place, start, &mut one).await?;
        self.page = self.found.len();
        for entry in one.iter() {
            if self.end.as_deref().is_none_or(|end| entry.key <= end) {
                self.found.push(entry);
                if entry.key > self.last.as_str() {
                    entry.key.clone_into(&mut self.last);
                }
            }
        }
        let inside = self.found.len() - self.page;
        self.pages += usize::from(inside > 0);
        // A page beyond the end is the last. In an order that is not S3's, none of its keys may
        // lie inside: as long as one does, so may the next page's.
        if inside < one.len() && (inside == 0 || one.is_sorted()) {
            return Ok(self);
        }
        // A page may come twice, but a listing must get on.
        self.again = if next.is_some() && next == before { self.again + 1 } else { 0 };
        if self.again > MOST_AGAIN {
            return Err(Error::invalid(place.name(), "the listing comes back to the same page"));
        }
        self.next = next.map(Start::Token);
        Ok(self)
    }
}

/// One page: its objects go to `found`. The token of the next one.
async fn page(
    calls: &Calls,
    place: &Place,
    start: Start,
    found: &mut Found,
) -> Result<Option<String>> {
    let name = place.name();
    let answer = calls
        .read("ListObjectsV2", &name, || {
            let mut request = calls
                .client
                .list_objects_v2()
                .bucket(&place.bucket)
                .prefix(&place.prefix)
                .encoding_type(EncodingType::Url)
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
        let modified = seconds(object.last_modified());
        found.push(Entry { key: &key, len, stamp, modified });
    }
    let more = answer.is_truncated().unwrap_or(false);
    let next = answer.next_continuation_token().filter(|_| more).map(str::to_owned);
    if more && next.is_none() {
        return Err(Error::invalid(&name, "the listing goes on, but does not say where"));
    }
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_go_with_requests_and_directory_buckets_have_one() {
        for (bucket, io_depth, spans) in
            [("b", 1, 1), ("b", 64, 16), ("b", 1024, 32), ("b--use1-az4--x-s3", 64, 1)]
        {
            assert_eq!(most_spans(bucket, io_depth), spans, "{bucket} {io_depth}");
        }
    }
}
