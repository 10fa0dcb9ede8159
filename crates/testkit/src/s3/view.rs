//! Ranges and parts of objects.

use std::ops::Range;

use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::objects::Object;

/// The part of an object that a request is about.
pub(super) struct View {
    pub(super) range: Range<usize>,
    len: usize,
    /// All of it, asked for without a range.
    pub(super) whole: bool,
    pub(super) parts: Option<i32>,
}

impl View {
    pub(super) fn of(
        object: &Object,
        range: Option<s3s::dto::Range>,
        part: Option<i32>,
    ) -> S3Result<Self> {
        let len = object.bytes.len();
        let (range, parts) = match (range, part) {
            (Some(_), Some(_)) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "Cannot specify both Range header and partNumber query parameter"
                ));
            }
            (None, None) => (None, None),
            (Some(range), None) => (Some(within(&range, len)?), None),
            (None, Some(part)) => {
                (Some(part_range(object, part)?), i32::try_from(object.parts.len()).ok())
            }
        };
        let whole = range.is_none();
        let parts = parts.filter(|&parts| parts > 0);
        Ok(Self { range: range.unwrap_or(0..len), len, whole, parts })
    }

    pub(super) fn describe(&self, length: &mut Option<i64>, range: &mut Option<String>) {
        let Range { start, end } = self.range;
        *length = i64::try_from(end - start).ok();
        if !self.whole && end > start {
            *range = Some(format!("bytes {start}-{}/{}", end - 1, self.len));
        }
    }
}

fn within(range: &s3s::dto::Range, len: usize) -> S3Result<Range<usize>> {
    let checked = range.check(len as u64).ok().filter(|range| !range.is_empty());
    let Some(range) = checked else {
        return Err(s3_error!(InvalidRange, "The requested range is not satisfiable"));
    };
    Ok(range.start as usize..range.end as usize)
}

fn part_range(object: &Object, part: i32) -> S3Result<Range<usize>> {
    let len = object.bytes.len();
    let index = usize::try_from(part).ok().and_then(|part| part.checked_sub(1));
    match (index, object.parts.as_slice()) {
        (Some(0), []) => Ok(0..len),
        (Some(index), parts) if index < parts.len() => {
            let end: u64 = parts.iter().take(index + 1).sum();
            let start = end - parts.get(index).copied().unwrap_or_default();
            Ok((start as usize).min(len)..(end as usize).min(len)) // a fault may have cut it
        }
        _ => {
            let message = "The requested partnumber is not satisfiable";
            let mut error = S3Error::with_message(
                "InvalidPartNumber".parse().unwrap_or(S3ErrorCode::InvalidRange),
                message,
            );
            error.set_status_code(hyper::StatusCode::RANGE_NOT_SATISFIABLE);
            Err(error)
        }
    }
}
