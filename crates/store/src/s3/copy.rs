//! Copies that S3 makes by itself.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use aws_sdk_s3::types::{ChecksumAlgorithm, MetadataDirective, TaggingDirective};
use tokio::task::JoinSet;

use super::calls::Calls;
use super::fault::{Class, Fault};
use super::keys::encode;
use super::multipart::{Sent, Shared, part_len, whole};
use super::put::{Target, decoded, dressed};
use super::range::Pinned;
use crate::{Copied, Error, Result};

/// Copies an object as it was when it was looked at; None where the service will not: the bytes may
/// be readable with these credentials and yet not be for it to copy, and some servers cannot at all.
pub(super) async fn copy(
    calls: &Arc<Calls>,
    target: &Target,
    from: &Pinned,
) -> Result<Option<Copied>> {
    let part = part_len(from.len, calls.options.copy_part);
    let crc64 = match from.len <= part {
        true => copy_object(calls, target, from).await?,
        false => copy_parts(calls, target, from, part).await?,
    };
    Ok(crc64.map(|crc64| crc64.map_or(Copied::Unchecked, Copied::Checked)))
}

/// What S3 tells of the CRC-64/NVME of what it copied; nothing where it will not copy.
type Told = Option<Option<u64>>;

async fn copy_object(calls: &Calls, target: &Target, from: &Pinned) -> Result<Told> {
    let source = source(from);
    let (answer, _) = calls
        .write("CopyObject", &target.name(), 0, || {
            let request = calls.client.copy_object().bucket(&target.bucket).key(&target.key);
            let request = dressed!(request, calls, &target.key)
                .copy_source(&source)
                .set_copy_source_if_match(from.etag.clone())
                .metadata_directive(MetadataDirective::Replace)
                .tagging_directive(TaggingDirective::Replace)
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
            async move { willing(request.send().await.map_err(Fault::from)) }
        })
        .await?;
    Ok(answer.map(|answer| {
        answer
            .copy_object_result()
            .and_then(|result| result.checksum_crc64_nvme())
            .and_then(decoded)
    }))
}

/// Copies in parts of `part` bytes, all of the same version, many at a time.
async fn copy_parts(calls: &Arc<Calls>, target: &Target, from: &Pinned, part: u64) -> Result<Told> {
    let upload = Arc::new(Shared::new(target.clone()));
    let pieces = (1..).zip(parts(from.len, part));
    let copied = match every_part(calls, &upload, from, pieces).await {
        Ok(Some(parts)) => {
            let (crc64, len) = whole(&parts);
            upload.complete(calls, &parts, crc64, len).await.map(Some)
        }
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    match copied {
        Ok(Some(_)) => upload.abort_twins(calls).await?,
        _ => upload.give_up(calls).await,
    }
    copied
}

/// Makes parts of an upload of ranges of an object, by number; gives them in their order, once none is
/// under way, or None where S3 will not copy one of them.
pub(super) async fn every_part(
    calls: &Arc<Calls>,
    upload: &Arc<Shared>,
    from: &Pinned,
    pieces: impl Iterator<Item = (u64, Range<u64>)>,
) -> Result<Option<Vec<Sent>>> {
    upload.id(calls).await?;
    let (from, over) = (Arc::new(from.clone()), Arc::new(AtomicBool::new(false)));
    let mut tasks = JoinSet::new();
    for (number, range) in pieces {
        let (calls, upload, from) = (Arc::clone(calls), Arc::clone(upload), Arc::clone(&from));
        let over = Arc::clone(&over);
        tasks.spawn(async move {
            if over.load(Relaxed) {
                return Ok(None);
            }
            let copied = copy_part(&calls, &upload, number, &from, range).await;
            over.fetch_or(!matches!(copied, Ok(Some(_))), Relaxed);
            copied
        });
    }
    let (mut sent, mut all, mut failure) = (Vec::new(), true, None);
    while let Some(done) = tasks.join_next().await {
        let name = || upload.target.name();
        match done.map_err(|e| Error::io(std::io::Error::other(e), name())).flatten() {
            Ok(Some(part)) => sent.push(part),
            Ok(None) => all = false,
            Err(error) => _ = failure.get_or_insert(error),
        }
    }
    sent.sort_unstable_by_key(|part| part.number);
    match failure {
        Some(error) => Err(error),
        None => Ok(all.then_some(sent)),
    }
}

/// Makes a range of an object a part of an upload; None where S3 will not.
async fn copy_part(
    calls: &Calls,
    upload: &Shared,
    number: u64,
    from: &Pinned,
    range: Range<u64>,
) -> Result<Option<Sent>> {
    let (id, source) = (upload.id(calls).await?, source(from));
    let len = range.end - range.start;
    let (answer, _) = calls
        .write("UploadPartCopy", &upload.target.name(), 0, || {
            let request = calls
                .client
                .upload_part_copy()
                .bucket(&upload.target.bucket)
                .key(&upload.target.key)
                .upload_id(id)
                .part_number(number as i32)
                .copy_source(&source)
                .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
                .set_copy_source_if_match(from.etag.clone())
                .set_request_payer(calls.payer());
            async move { willing(request.send().await.map_err(Fault::from)) }
        })
        .await?;
    let Some(answer) = answer else { return Ok(None) };
    let result = answer.copy_part_result();
    let etag = result.and_then(|result| result.e_tag()).unwrap_or_default().to_owned();
    let crc64 = result.and_then(|result| result.checksum_crc64_nvme()).and_then(decoded);
    Ok(Some(Sent { number, etag, crc64, len }))
}

/// Ranges of `part` bytes; the last one is what is left.
fn parts(len: u64, part: u64) -> impl Iterator<Item = Range<u64>> {
    (0..len.div_ceil(part)).map(move |i| i * part..len.min((i + 1) * part))
}

/// An object as requests name what they copy.
fn source(from: &Pinned) -> String {
    format!("{}/{}", from.bucket, encode(&from.key))
}

/// None for an answer by which S3 will not copy. Also for an object that is another one by now:
/// whoever reads it will say so.
fn willing<T>(answer: std::result::Result<T, Fault>) -> std::result::Result<Option<T>, Fault> {
    let codes = ["AccessDenied", "AllAccessDisabled", "InvalidRequest", "NotImplemented"];
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(fault) if fault.class == Class::Condition => Ok(None),
        Err(fault) if codes.contains(&fault.code.as_str()) => Ok(None),
        Err(fault) => Err(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of an object of `len` bytes: how long its parts are, how many, and the last one.
    fn cut(len: u64) -> (u64, usize, u64) {
        let part = part_len(len, 256 << 20);
        let all: Vec<_> = parts(len, part).collect();
        assert!(all.is_sorted_by(|a, b| a.end == b.start), "one after another");
        assert_eq!(all.first().map(|first| first.start), Some(0));
        let last = all.last().expect("a part");
        assert_eq!(last.end, len);
        (part, all.len(), last.end - last.start)
    }

    #[test]
    fn parts_keep_within_the_limits_of_s3() {
        const MIB: u64 = 1 << 20;
        for (len, expected) in [
            (1, (256 * MIB, 1, 1)),
            (256 * MIB, (256 * MIB, 1, 256 * MIB)),
            (256 * MIB + 1, (256 * MIB, 2, 1)),
            (5 << 30, (256 * MIB, 20, 256 * MIB)),
            (2_560_000 * MIB, (256 * MIB, 10_000, 256 * MIB)),
            (2_560_000 * MIB + 1, (257 * MIB, 9_962, 23 * MIB + 1)),
        ] {
            assert_eq!(cut(len), expected, "{len}");
        }
        let longest = 50_000_000_000_000; // 50 TB: no object is longer
        let (part, count, _) = cut(longest);
        assert!(part <= 5 << 30 && count <= 10_000, "{count} of {part}");
    }
}
