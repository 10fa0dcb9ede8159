//! What was asked for against what is sent.

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

/// The object that a request is about, as it was when it was listed or opened.
#[derive(Clone, Debug)]
pub(super) struct Pinned {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) len: u64,
    /// Hash of its ETag: of a million objects nobody keeps the texts. Every answer carries the
    /// ETag of the bytes it brings, so a hash proves as much as `If-Match`, which goes along as
    /// soon as the text is known, and which some servers pass over. 0 of an object that was listed
    /// without one: then only its length is held against it, and the ETag of the first answer.
    pub(super) stamp: u64,
    /// The ETag itself, once an answer brought it.
    pub(super) etag: Option<String>,
}

impl Pinned {
    /// Whether an answer with this ETag is about the same bytes.
    pub(super) fn is_same(&self, etag: Option<&str>) -> bool {
        match etag {
            Some(etag) if self.stamp != 0 => stamp(etag) == self.stamp,
            _ => true,
        }
    }

    /// Its address.
    pub(super) fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// Hash of an ETag.
pub(super) fn stamp(etag: &str) -> u64 {
    xxh3_64(etag.trim_start_matches("W/").trim_matches('"').as_bytes())
}

/// The header for a range; none for the whole object, whose checksum S3 then sends along.
pub(super) fn header(range: &Range<u64>, len: u64) -> Option<String> {
    (*range != (0..len)).then(|| format!("bytes={}-{}", range.start, range.end - 1))
}

/// The range that an answer says it brings: `bytes 3-9/20` as the range and the object's length.
pub(super) fn parse(header: &str) -> Option<(Range<u64>, u64)> {
    let (range, len) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let range = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    Some((range, len.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_written_and_read() {
        assert_eq!(header(&(0..10), 10), None);
        assert_eq!(header(&(0..9), 10).as_deref(), Some("bytes=0-8"));
        assert_eq!(header(&(9..10), 10).as_deref(), Some("bytes=9-9"));
        assert_eq!(parse("bytes 0-8/10"), Some((0..9, 10)));
        for bad in ["", "bytes 0-8", "bytes */10", "bytes 0-18446744073709551615/1", "octets 0-1/2"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_stamp_is_of_the_tag_itself() {
        assert_eq!(stamp("\"abc\""), stamp("abc"));
        assert_eq!(stamp("W/\"abc\""), stamp("abc"));
        assert_ne!(stamp("abc"), stamp("abc-2"));
    }
}
