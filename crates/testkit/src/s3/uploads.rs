//! Listings of unfinished uploads and of their parts.

use s3s::dto::{
    CommonPrefix, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput,
    ListPartsOutput, MultipartUpload,
};
use s3s::{S3Request, S3Response};

use super::backend::Answer;
use super::checksum::{Algorithm, Extent, base64, hex, tell};
use super::config::{Shared, lock};
use super::lines::{Entry, encoder, group, limit};
use super::objects::{Part, Upload};

pub(super) fn list_parts(
    shared: &Shared,
    request: S3Request<ListPartsInput>,
) -> Answer<ListPartsOutput> {
    let input = request.input;
    let max = limit(input.max_parts, "max-parts")?;
    let marker = input.part_number_marker.unwrap_or(0);
    let mut state = lock(&shared.state);
    let upload = state.bucket(&input.bucket)?.upload(&input.key, &input.upload_id)?;
    let mut rest = upload.parts.range(marker.saturating_add(1)..);
    let parts: Vec<_> = rest
        .by_ref()
        .take(max as usize)
        .map(|(&number, part)| listed(number, part, upload.checksum))
        .collect();
    let more = max > 0 && rest.next().is_some();
    let class = upload.attributes.storage_class.as_deref().unwrap_or("STANDARD");
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        storage_class: Some(class.to_owned().into()),
        checksum_algorithm: upload
            .checksum
            .map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: upload.checksum.map(|(_, extent)| extent.name().to_owned().into()),
        part_number_marker: Some(marker),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        max_parts: Some(max),
        is_truncated: Some(more),
        parts: Some(parts),
        ..Default::default()
    }))
}

fn listed(number: i32, part: &Part, checksum: Option<(Algorithm, Extent)>) -> s3s::dto::Part {
    let mut told = s3s::dto::Part {
        part_number: Some(number),
        e_tag: Some(ETag::Strong(hex(&part.etag))),
        size: i64::try_from(part.bytes.len()).ok(),
        last_modified: Some(part.modified.into()),
        ..Default::default()
    };
    if let Some((algorithm, _)) = checksum {
        tell!(told, algorithm, base64(&part.digest));
    }
    told
}

pub(super) fn list_uploads(
    shared: &Shared,
    request: S3Request<ListMultipartUploadsInput>,
) -> Answer<ListMultipartUploadsOutput> {
    let input = request.input;
    let write = encoder(input.encoding_type.as_ref())?;
    let max = limit(input.max_uploads, "max-uploads")?;
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let delimiter = input.delimiter.as_deref().filter(|delimiter| !delimiter.is_empty());
    let key_marker = input.key_marker.as_deref().unwrap_or_default();
    let id_marker = input.upload_id_marker.as_deref().filter(|id| !id.is_empty());
    let mut state = lock(&shared.state);
    let bucket = state.bucket(&input.bucket)?;
    // Without an id the marker's key is done with; so is a common prefix that served as marker.
    let done = |key: &str, id: &str| match id_marker {
        _ if key_marker.is_empty() => false,
        Some(marker) => (key, id) <= (key_marker, marker),
        None => {
            let common = delimiter.is_some_and(|delimiter| key_marker.ends_with(delimiter));
            key <= key_marker || (common && key.starts_with(key_marker))
        }
    };
    let items = bucket
        .uploads
        .iter()
        .skip_while(|((key, _), _)| key.as_str() < prefix)
        .filter(|((key, id), _)| !done(key, id))
        .map(|((key, id), upload)| (key.as_str(), (id, upload)));
    let (entries, more) = group(items, prefix, delimiter, max as usize);
    let last = entries.last().filter(|_| more);
    let mut output = ListMultipartUploadsOutput {
        prefix: Some(write(prefix)),
        delimiter: delimiter.map(write),
        key_marker: Some(write(key_marker)),
        upload_id_marker: id_marker.map(Into::into),
        next_key_marker: last.map(|entry| write(entry.name())),
        next_upload_id_marker: last.and_then(|entry| match entry {
            Entry::Key(_, (id, _)) => Some((*id).clone()),
            Entry::Prefix(_) => None,
        }),
        encoding_type: input.encoding_type,
        max_uploads: Some(max),
        is_truncated: Some(more),
        ..Default::default()
    };
    let (mut uploads, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            Entry::Key(key, (id, upload)) => uploads.push(row(write(key), id, upload)),
            Entry::Prefix(prefix) => prefixes.push(CommonPrefix { prefix: Some(write(prefix)) }),
        }
    }
    output.bucket = Some(input.bucket);
    output.uploads = Some(uploads);
    output.common_prefixes = Some(prefixes);
    Ok(S3Response::new(output))
}

fn row(key: String, id: &str, upload: &Upload) -> MultipartUpload {
    let class = upload.attributes.storage_class.as_deref().unwrap_or("STANDARD");
    MultipartUpload {
        key: Some(key),
        upload_id: Some(id.to_owned()),
        initiated: Some(upload.started.into()),
        storage_class: Some(class.to_owned().into()),
        checksum_algorithm: upload
            .checksum
            .map(|(algorithm, _)| algorithm.name().to_owned().into()),
        checksum_type: upload.checksum.map(|(_, extent)| extent.name().to_owned().into()),
        ..Default::default()
    }
}
