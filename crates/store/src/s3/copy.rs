//! Copies that S3 makes by itself.

use aws_sdk_s3::types::{ChecksumAlgorithm, MetadataDirective, TaggingDirective};

use super::calls::Calls;
use super::fault::{Class, Fault};
use super::keys::encode;
use super::put::{Target, decoded, dressed};
use super::range::Pinned;
use crate::{Copied, Result};

/// Longest object that one request copies: 5 GiB (CopyObject). What is longer goes through here: no
/// shard is, but for one of a single long sample.
const LONGEST: u64 = 5 << 30;

/// Copies an object as it was when it was looked at; None where the service will not: the bytes may
/// be readable with these credentials and yet not be for it to copy, and some servers cannot at all.
pub(super) async fn copy(calls: &Calls, target: &Target, from: &Pinned) -> Result<Option<Copied>> {
    if from.len > LONGEST {
        return Ok(None);
    }
    let source = format!("{}/{}", from.bucket, encode(&from.key));
    let (answer, _) = calls
        .write("CopyObject", &target.name(), 0, || {
            let request = calls.client.copy_object().bucket(&target.bucket).key(&target.key);
            let request = dressed!(request, calls, &target.key)
                .copy_source(&source)
                .set_copy_source_if_match(from.etag.clone())
                .metadata_directive(MetadataDirective::Replace)
                .tagging_directive(TaggingDirective::Replace)
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
            async move {
                match request.send().await.map_err(Fault::from) {
                    Ok(done) => Ok(Some(done)),
                    Err(fault) if will_not(&fault) => Ok(None),
                    Err(fault) => Err(fault),
                }
            }
        })
        .await?;
    let Some(answer) = answer else { return Ok(None) };
    let checksum = answer.copy_object_result().and_then(|result| result.checksum_crc64_nvme());
    Ok(Some(checksum.and_then(decoded).map_or(Copied::Unchecked, Copied::Checked)))
}

/// Also for an object that is another one by now: whoever reads it will say so.
fn will_not(fault: &Fault) -> bool {
    let codes = ["AccessDenied", "AllAccessDisabled", "InvalidRequest", "NotImplemented"];
    fault.class == Class::Condition || codes.contains(&fault.code.as_str())
}
