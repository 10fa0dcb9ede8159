//! Copies within the server.

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, MetadataDirective,
    TaggingDirective,
};
use s3s::{S3Request, S3Response, s3_error};

use super::backend::{Answer, fault};
use super::checksum::tell;
use super::config::{Shared, lock};
use super::faults::Fault;
use super::objects::{Conditions, Object, attributes};

pub(super) fn copy_object(
    shared: &Shared,
    mut request: S3Request<CopyObjectInput>,
) -> Answer<CopyObjectOutput> {
    let fault = fault(&request);
    let input = &mut request.input;
    let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
        return Err(s3_error!(NotImplemented, "Access points are not implemented"));
    };
    let mut state = lock(&shared.state);
    let source = state.object(bucket, key)?;
    let conditions = Conditions {
        matches: input.copy_source_if_match.take(),
        none_match: input.copy_source_if_none_match.take(),
        modified_since: input.copy_source_if_modified_since.take(),
        unmodified_since: input.copy_source_if_unmodified_since.take(),
    };
    // A copy has no 304: what would be one for a read is a 412.
    if shared.heed(conditions).admit_read(&source).is_err() {
        return Err(s3_error!(PreconditionFailed));
    }
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
    tell!(result, algorithm, object.checksum.value.clone());
    let stored = Fault::damage(fault.as_ref(), object.bytes.clone());
    state.bucket(&input.bucket)?.put(input.key.clone(), object, stored);
    let output =
        CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
    Ok(S3Response::new(output))
}
