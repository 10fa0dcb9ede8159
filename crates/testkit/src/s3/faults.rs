//! Faults, and the calls they strike.

use std::sync::Mutex;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::config::lock;

/// What goes wrong with a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503 `SlowDown`; the request is not processed.
    SlowDown,
    /// 500 `InternalError`; the request is not processed.
    InternalError,
    /// This status with this error code, as 400 `ExpiredToken`, 403 `RequestTimeTooSkewed`, or 200
    /// with an error for a body, as Complete may answer; the request is not processed.
    Error(u16, &'static str),
    /// The connection is reset; the request is not processed.
    ResetBefore,
    /// The connection is closed after the header, which is right, and this many bytes of the body.
    ResetWithin(usize),
    /// The request is processed, and the connection reset in place of an answer.
    ResetAfter,
    /// The header is right, the body this many bytes shorter, then the connection is closed.
    ShortBody(usize),
    /// Answered as if all were well, but only the first half is stored. For PutObject, UploadPart,
    /// UploadPartCopy, CompleteMultipartUpload and CopyObject; ETag and checksums stay those of what was
    /// sent.
    Truncated,
    /// As `Truncated`, with zeros for every byte.
    Zeroed,
    /// As `Truncated`, with nothing stored at all.
    Missing,
    /// One byte in the middle of the body is flipped; the header is that of the right bytes.
    WrongBody,
    /// Processed at once, answered this much later.
    SlowFirstByte(Duration),
    /// The body comes in pieces of so many bytes, with a pause after each.
    Trickle(usize, Duration),
    /// The header and so many bytes come, then nothing until the client gives up.
    Stall(usize),
    /// ListObjectsV2: the page after this one is this one again.
    DuplicatePages,
    /// ListObjectsV2: the entries come in reverse order.
    ShuffledPages,
    /// ListObjectsV2: so many of the last keys of the listing are not there yet.
    StaleList(usize),
}

impl Fault {
    /// The error that is answered without processing the request.
    pub(super) fn refusal(&self) -> Option<(u16, &'static str)> {
        match *self {
            Self::SlowDown => Some((503, "SlowDown")),
            Self::InternalError => Some((500, "InternalError")),
            Self::Error(status, code) => Some((status, code)),
            _ => None,
        }
    }

    /// What is stored of `bytes`; `None` for nothing.
    pub(super) fn damage(fault: Option<&Self>, bytes: Bytes) -> Option<Bytes> {
        match fault {
            Some(Self::Truncated) => Some(bytes.slice(..bytes.len() / 2)),
            Some(Self::Zeroed) => Some(BytesMut::zeroed(bytes.len()).freeze()),
            Some(Self::Missing) => None,
            _ => Some(bytes),
        }
    }
}

/// Which calls a fault strikes. Without more, the first call of any operation, once.
///
/// ```
/// use shardpack_testkit::s3::{Fault, FaultRule};
///
/// // The third and fourth part of any upload below "shards/".
/// let rule = FaultRule::new(Fault::SlowDown).on("UploadPart").key("shards/").from(3).times(2);
/// # let _ = rule;
/// ```
#[derive(Clone, Debug)]
pub struct FaultRule {
    fault: Fault,
    operation: Option<String>,
    key: Option<String>,
    first: u64,
    times: u64,
    seen: u64,
}

impl FaultRule {
    /// Strikes the first call of any operation, once.
    pub fn new(fault: Fault) -> Self {
        Self { fault, operation: None, key: None, first: 1, times: 1, seen: 0 }
    }

    /// Only calls of this operation, by S3's name: `GetObject`.
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.into());
        self
    }

    /// Only calls whose key has this in it. Listings have no key.
    pub fn key(mut self, part: &str) -> Self {
        self.key = Some(part.into());
        self
    }

    /// From the `first`-th such call on, counted from 1 and from the rule's injection.
    pub fn from(mut self, first: u64) -> Self {
        self.first = first;
        self
    }

    /// So many calls in a row.
    pub fn times(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// All calls from the first on.
    pub fn forever(self) -> Self {
        self.times(u64::MAX)
    }

    /// Counts the call where it matches; true when the fault strikes it.
    fn strikes(&mut self, operation: &str, key: Option<&str>) -> bool {
        let operates = self.operation.as_deref().is_none_or(|wanted| wanted == operation);
        let keyed =
            self.key.as_deref().is_none_or(|part| key.is_some_and(|key| key.contains(part)));
        if !(operates && keyed) {
            return false;
        }
        self.seen += 1;
        self.seen >= self.first && self.seen - self.first < self.times
    }
}

/// The rules in force, oldest first.
#[derive(Debug, Default)]
pub(super) struct Rules(Mutex<Vec<FaultRule>>);

impl Rules {
    pub(super) fn add(&self, rule: FaultRule) {
        lock(&self.0).push(rule);
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }

    /// The fault of the oldest rule that strikes this call. Every rule counts it.
    pub(super) fn next(&self, operation: &str, key: Option<&str>) -> Option<Fault> {
        let mut fault = None;
        for rule in lock(&self.0).iter_mut() {
            if rule.strikes(operation, key) {
                fault = fault.or_else(|| Some(rule.fault.clone()));
            }
        }
        fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_count_the_calls_that_match() {
        let rules = Rules::default();
        rules.add(FaultRule::new(Fault::SlowDown).on("GetObject").key("b").from(2).times(2));
        rules.add(FaultRule::new(Fault::InternalError).from(3).forever());
        for (operation, key, fault) in [
            ("GetObject", Some("a/b"), None),
            ("PutObject", Some("a/b"), None),
            ("GetObject", Some("b"), Some(Fault::SlowDown)),
            ("GetObject", Some("a"), Some(Fault::InternalError)),
            ("GetObject", Some("abc"), Some(Fault::SlowDown)),
            ("GetObject", Some("b"), Some(Fault::InternalError)),
            ("ListObjectsV2", None, Some(Fault::InternalError)),
        ] {
            assert_eq!(rules.next(operation, key), fault, "{operation} {key:?}");
        }
        rules.clear();
        assert_eq!(rules.next("GetObject", Some("b")), None);
    }
}
