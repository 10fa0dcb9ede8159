//! Copies within the server.

use std::ops;
use std::sync::Arc;

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource,
    MetadataDirective, Range, TaggingDirective, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::backend::{Answer, fault};
use super::checksum::{base64, tell};
use super::config::{Shared, lock};
use super::faults::Fault;
use super::multipart::numbered;
use super::objects::{Conditions, Object, Part, attributes};

/// The conditions on what is copied.
macro_rules! copying {
    ($input:expr) => {
        Conditions {
            matches: $input.copy_source_if_match.take(),
            none_match: $input.copy_source_if_none_match.take(),
            modified_since: $input.copy_source_if_modified_since.take(),
            unmodified_since: $input.copy_source_if_unmodified_since.take(),
        }
    };
}

/// What is to be copied.
fn source(shared: &Shared, from: &CopySource, conditions: Conditions) -> S3Result<Arc<Object>> {
    let CopySource::Bucket { bucket, key, .. } = from else {
        return Err(s3_error!(NotImplemented, "Access points are not implemented"));
    };
    let source = lock(&shared.state).object(bucket, key)?;
    // A copy has no 304: what would be one for a read is a 412.
    match shared.heed(conditions).admit_read(&source) {
        Ok(()) => Ok(source),
        Err(_) => Err(s3_error!(PreconditionFailed)),
    }
}

pub(super) fn copy_object(
    shared: &Shared,
    mut request: S3Request<CopyObjectInput>,
) -> Answer<CopyObjectOutput> {
    let fault = fault(&request);
    let input = &mut request.input;
    let conditions = copying!(input);
    let source = source(shared, &input.copy_source, conditions)?;
    let replace = |directive: Option<&str>| directive == Some("REPLACE");
    let retag = replace(input.tagging_directive.as_ref().map(TaggingDirective::as_str));
    let rewrite = replace(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
    let algorithm = match &input.checksum_algorithm {
        Some(algorithm) => super::Algorithm::parse(algorithm.as_str())?,
        None => source.checksum.algorithm,
    };
    let mut object = Object::new(source.bytes.clone(), shared.config.md5, Some(algorithm));
    let sent = attributes!(input);
    let kept = source.attributes.clone();
    let content = if rewrite { sent.clone() } else { kept.clone() };
    object.attributes = super::Attributes {
        storage_class: sent.storage_class,
        tagging: if retag { sent.tagging } else { kept.tagging },
        acl: sent.acl,
        encryption: sent.encryption,
        kms_key: sent.kms_key,
        bucket_key: sent.bucket_key,
        ..content
    };
    let mut result = CopyObjectResult {
        e_tag: Some(object.tag()),
        last_modified: Some(object.modified.into()),
        ..Default::default()
    };
    if shared.tells() {
        tell!(result, algorithm, object.checksum.value.clone());
    }
    let stored = Fault::damage(fault.as_ref(), object.bytes.clone());
    lock(&shared.state).bucket(&input.bucket)?.put(input.key.clone(), object, stored);
    let output =
        CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
    Ok(S3Response::new(output))
}

pub(super) fn upload_part_copy(
    shared: &Shared,
    mut request: S3Request<UploadPartCopyInput>,
) -> Answer<UploadPartCopyOutput> {
    let fault = fault(&request);
    let input = &mut request.input;
    let number = numbered(input.part_number)?;
    let conditions = copying!(input);
    let source = source(shared, &input.copy_source, conditions)?;
    let bytes = match &input.copy_source_range {
        None => source.bytes.clone(),
        Some(text) => source.bytes.slice(within(text, &source, shared.config.least_part)?),
    };
    let (bucket, key, id) = (&input.bucket, &input.key, &input.upload_id);
    let expected = lock(&shared.state).bucket(bucket)?.upload(key, id)?.checksum;
    let algorithm = expected.map_or(super::Algorithm::Crc64Nvme, |(algorithm, _)| algorithm);
    let part = Part::new(bytes, shared.config.md5, algorithm);
    let mut result = CopyPartResult {
        e_tag: Some(part.tag()),
        last_modified: Some(part.modified.into()),
        ..Default::default()
    };
    if expected.is_some() && shared.tells() {
        tell!(result, algorithm, base64(&part.digest));
    }
    lock(&shared.state).bucket(bucket)?.upload(key, id)?.keep(number, part, fault.as_ref());
    let output =
        UploadPartCopyOutput { copy_part_result: Some(result), ..UploadPartCopyOutput::default() };
    Ok(S3Response::new(output))
}

/// The range of a source that a part is. Unlike that of a read it has both ends, within the source,
/// which must itself be longer than a part has to be.
fn within(text: &str, source: &Object, least: u64) -> S3Result<ops::Range<usize>> {
    let Ok(Range::Int { first, last: Some(last) }) = Range::parse(text) else {
        return Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy"
        ));
    };
    let len = source.bytes.len() as u64;
    if last >= len {
        return Err(s3_error!(
            InvalidArgument,
            "Range specified is not valid for source object of size: {len}"
        ));
    }
    if len <= least {
        return Err(s3_error!(
            InvalidRequest,
            "The specified copy source is not supported as a byte-range copy source"
        ));
    }
    Ok(first as usize..last as usize + 1)
}
