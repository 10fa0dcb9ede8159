//! Multipart uploads, from their start to their end.

use std::collections::BTreeMap;

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::assembly::{assemble, check};
use super::backend::{Answer, fault, malformed};
use super::checksum::{Algorithm, Extent, Sent, base64, hex, sent, tell};
use super::config::{Shared, lock};
use super::faults::Fault;
use super::objects::{Conditions, Part, Upload, attributes, no_such_upload, now};

pub(super) fn create(
    shared: &Shared,
    mut request: S3Request<CreateMultipartUploadInput>,
) -> Answer<CreateMultipartUploadOutput> {
    let input = &mut request.input;
    let checksum = checksum(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    let attributes = attributes!(input);
    let upload = Upload { started: now(), attributes, checksum, parts: BTreeMap::new() };
    let mut state = lock(&shared.state);
    state.bucket(&input.bucket)?;
    state.uploads += 1;
    let id = format!("upload-{:012}", state.uploads);
    state.bucket(&input.bucket)?.uploads.insert((input.key.clone(), id.clone()), upload);
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm.clone(),
        checksum_type: checksum.map(|(_, extent)| extent.name().to_owned().into()),
        ..Default::default()
    }))
}

/// What an upload is to be checked with. The pairs that S3 knows, and its default for each
/// algorithm: "Checking object integrity" in Amazon's user guide.
fn checksum(
    algorithm: Option<&ChecksumAlgorithm>,
    extent: Option<&ChecksumType>,
) -> S3Result<Option<(Algorithm, Extent)>> {
    let Some(algorithm) = algorithm else {
        return match extent {
            None => Ok(None),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
            )),
        };
    };
    let algorithm = Algorithm::parse(algorithm.as_str())?;
    let extent = match (extent.map(ChecksumType::as_str), algorithm) {
        (None, Algorithm::Crc64Nvme) => Extent::FullObject,
        (None, _) => Extent::Composite,
        (Some("FULL_OBJECT"), algorithm) if algorithm.crc().is_some() => Extent::FullObject,
        (Some("COMPOSITE"), algorithm) if algorithm != Algorithm::Crc64Nvme => Extent::Composite,
        (Some(extent), algorithm) => {
            let name = algorithm.name().to_ascii_lowercase();
            return Err(s3_error!(
                InvalidRequest,
                "The {extent} checksum type cannot be used with the {name} checksum algorithm."
            ));
        }
    };
    Ok(Some((algorithm, extent)))
}

pub(super) async fn upload_part(
    shared: &Shared,
    mut request: S3Request<UploadPartInput>,
) -> Answer<UploadPartOutput> {
    let fault = fault(&request);
    let number = numbered(request.input.part_number)?;
    let checksums = sent!(request.input);
    let body = request.input.body.take();
    let announced = request.input.checksum_algorithm.take();
    let md5 = request.input.content_md5.take();
    let received = shared.receive(&request, body, checksums, announced.as_ref(), md5.as_deref());
    let (bytes, sent) = received.await?;
    let UploadPartInput { bucket, key, upload_id, .. } = request.input;
    let expected = lock(&shared.state).bucket(&bucket)?.upload(&key, &upload_id)?.checksum;
    let algorithm = agree(expected, sent.as_ref())?;

    let part = Part::new(bytes, shared.config.md5, algorithm);
    let mut output = UploadPartOutput { e_tag: Some(part.tag()), ..Default::default() };
    if expected.is_some() {
        tell!(output, algorithm, base64(&part.digest));
    }
    let mut state = lock(&shared.state);
    state.bucket(&bucket)?.upload(&key, &upload_id)?.keep(number, part, fault.as_ref());
    Ok(S3Response::new(output))
}

/// A part's number, if it may be one.
pub(super) fn numbered(number: i32) -> S3Result<i32> {
    match number {
        1..=10_000 => Ok(number),
        _ => Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        )),
    }
}

/// The algorithm of a part: that of its upload, which a part must not contradict.
fn agree(expected: Option<(Algorithm, Extent)>, sent: Option<&Sent>) -> S3Result<Algorithm> {
    let name = |algorithm: Option<Algorithm>| {
        algorithm.map_or("null".into(), |algorithm| algorithm.name().to_ascii_lowercase())
    };
    let sent = sent.map(|sent| sent.algorithm);
    match (expected, sent) {
        (None, None) => Ok(Algorithm::Crc64Nvme),
        (Some((algorithm, Extent::FullObject)), None) => Ok(algorithm),
        (Some((algorithm, _)), Some(sent)) if algorithm == sent => Ok(algorithm),
        (expected, sent) => Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            name(expected.map(|(algorithm, _)| algorithm)),
            name(sent)
        )),
    }
}

pub(super) fn complete(
    shared: &Shared,
    mut request: S3Request<CompleteMultipartUploadInput>,
) -> Answer<CompleteMultipartUploadOutput> {
    let fault = fault(&request);
    let sent = Sent::one(sent!(request.input))?;
    let input = request.input;
    let listed = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
    let conditions = Conditions {
        matches: input.if_match,
        none_match: input.if_none_match,
        ..Default::default()
    };
    let conditions = shared.heed(conditions);
    let trusting = shared.ignore_checksums.load(std::sync::atomic::Ordering::Relaxed);

    let (parts, checksum, attributes) = {
        let mut state = lock(&shared.state);
        let bucket = state.bucket(&input.bucket)?;
        let upload = bucket.upload(&input.key, &input.upload_id)?;
        let parts = choose(upload, listed, shared.config.least_part)?;
        (parts, upload.checksum, upload.attributes.clone())
    };
    if let Some(extent) = &input.checksum_type
        && checksum.is_none_or(|(_, own)| own.name() != extent.as_str())
    {
        let extent = extent.as_str();
        return Err(s3_error!(
            InvalidRequest,
            "The upload was not created with checksum type {extent}"
        ));
    }
    let object = assemble(&parts, checksum, attributes);
    if !trusting {
        check(&object, &parts, sent.as_ref(), input.mpu_object_size)?;
    }

    let stored = Fault::damage(fault.as_ref(), object.bytes.clone());
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        e_tag: Some(object.tag()),
        checksum_type: Some(object.checksum.extent.name().to_owned().into()),
        ..Default::default()
    };
    if shared.tells() {
        tell!(output, object.checksum.algorithm, object.checksum.value.clone());
    }
    let mut state = lock(&shared.state);
    let bucket = state.bucket(&input.bucket)?;
    let id = (input.key, input.upload_id);
    if !bucket.uploads.contains_key(&id) {
        return Err(no_such_upload()); // completed or aborted meanwhile
    }
    conditions.admit_write(bucket.objects.get(&id.0).map(|there| &**there))?;
    bucket.uploads.remove(&id);
    bucket.put(id.0, object, stored);
    Ok(S3Response::new(output))
}

/// The parts that a Complete names, checked.
fn choose(upload: &Upload, listed: Vec<CompletedPart>, least: u64) -> S3Result<Vec<Part>> {
    let mut parts: Vec<Part> = Vec::with_capacity(listed.len());
    let mut before = 0;
    for mut named in listed {
        let number = named.part_number.ok_or_else(malformed)?;
        if number <= before {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order. The parts list must be specified in order by part number."
            ));
        }
        if parts.last().is_some_and(|last| last.len < least) {
            return Err(s3_error!(
                EntityTooSmall,
                "Your proposed upload is smaller than the minimum allowed object size; part {before} is smaller than {least} bytes"
            ));
        }
        let tag = named.e_tag.take();
        let part = upload.parts.get(&number);
        let part = part.filter(|part| tag.is_some_and(|tag| tag.value() == hex(&part.etag)));
        let part = part.ok_or_else(invalid_part)?;
        agree_on_part(upload, part, number, Sent::one(sent!(named))?.as_ref())?;
        before = number;
        parts.push(part.clone());
    }
    if parts.is_empty() { Err(malformed()) } else { Ok(parts) }
}

fn invalid_part() -> s3s::S3Error {
    s3_error!(
        InvalidPart,
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."
    )
}

fn agree_on_part(upload: &Upload, part: &Part, number: i32, sent: Option<&Sent>) -> S3Result<()> {
    match (upload.checksum, sent) {
        (Some((algorithm, Extent::Composite)), None) => {
            let name = algorithm.name().to_ascii_lowercase();
            Err(s3_error!(
                InvalidRequest,
                "The upload was created using a {name} checksum. The complete request must include the checksum for each part. It was missing for part {number} in the request."
            ))
        }
        (Some((algorithm, _)), Some(sent))
            if sent.algorithm != algorithm || sent.digest()? != part.digest =>
        {
            Err(invalid_part())
        }
        _ => Ok(()),
    }
}

pub(super) fn abort(
    shared: &Shared,
    request: S3Request<AbortMultipartUploadInput>,
) -> Answer<AbortMultipartUploadOutput> {
    let AbortMultipartUploadInput { bucket, key, upload_id, .. } = request.input;
    let mut state = lock(&shared.state);
    let removed = state.bucket(&bucket)?.uploads.remove(&(key, upload_id));
    removed.ok_or_else(no_such_upload)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}
