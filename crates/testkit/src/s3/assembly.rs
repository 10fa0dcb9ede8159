//! Parts of an upload become an object.

use bytes::{Bytes, BytesMut};
use s3s::{S3Result, s3_error};

use super::checksum::{Algorithm, Checksum, Extent, Sent, base64, fingerprint, hex};
use super::objects::{Attributes, Object, Part, now};

pub(super) fn assemble(
    parts: &[Part],
    checksum: Option<(Algorithm, Extent)>,
    attributes: Attributes,
) -> Object {
    let count = parts.len();
    let tags: Vec<u8> = parts.iter().flat_map(|part| part.etag).collect();
    let (algorithm, extent) = checksum.unwrap_or((Algorithm::Crc64Nvme, Extent::FullObject));
    let digests = parts.iter().map(|part| (part.digest.as_slice(), part.len));
    let checksum = match (extent, algorithm.crc()) {
        (Extent::FullObject, Some(crc)) => {
            Checksum::whole(algorithm, &algorithm.join(crc, digests))
        }
        _ => {
            let all: Vec<u8> = digests.flat_map(|(digest, _)| digest).copied().collect();
            let value = format!("{}-{count}", base64(&algorithm.digest(&all)));
            Checksum { algorithm, extent: Extent::Composite, value }
        }
    };
    Object {
        bytes: join(parts),
        // Of the MD5s, as Amazon has it, whatever the parts' own tags are made of.
        etag: format!("{}-{count}", hex(&fingerprint(&tags, true))),
        modified: now(),
        checksum,
        parts: parts.iter().map(|part| part.len).collect(),
        attributes,
    }
}

fn join(parts: &[Part]) -> Bytes {
    if let [part] = parts {
        return part.bytes.clone();
    }
    let mut bytes = BytesMut::with_capacity(parts.iter().map(|part| part.bytes.len()).sum());
    parts.iter().for_each(|part| bytes.extend_from_slice(&part.bytes));
    bytes.freeze()
}

/// Compares what a Complete says of the whole object.
pub(super) fn check(
    object: &Object,
    parts: &[Part],
    sent: Option<&Sent>,
    size: Option<i64>,
) -> S3Result<()> {
    let len: u64 = parts.iter().map(|part| part.len).sum();
    if size.is_some_and(|size| u64::try_from(size) != Ok(len)) {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header value does not match what was computed."
        ));
    }
    let Some(sent) = sent else { return Ok(()) };
    // A composite checksum is followed by the number of parts, in the header or not.
    let value = |text: &str| text.split('-').next().unwrap_or_default().to_owned();
    let own = &object.checksum;
    if sent.algorithm == own.algorithm && value(&sent.value) == value(&own.value) {
        return Ok(());
    }
    Err(sent.algorithm.bad_digest())
}
