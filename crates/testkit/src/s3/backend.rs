//! The operations on buckets and objects, as s3s calls them.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http_body_util::BodyExt;
use s3s::dto::{self, *};
use s3s::{Body, S3, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{Sent, sent, tell, verify_md5};
use super::faults::Fault;
use super::gate::Exchange;
use super::objects::{Bucket, Conditions, Object, State, attributes, describe};
use super::server::{S3Server, Shared, lock};
use super::view::View;
use super::{list, multipart, uploads};

/// What s3s calls.
pub(super) struct Backend(pub(super) Arc<Shared>);

pub(super) type Answer<T> = S3Result<S3Response<T>>;

impl Shared {
    /// The conditions, unless the server is one that does not know them.
    pub(super) fn heed(&self, conditions: Conditions) -> Conditions {
        if self.ignore_conditions.load(Relaxed) { Conditions::default() } else { conditions }
    }

    /// Reads a body to its end and checks it. The checksum that came with it, beside the bytes.
    pub(super) async fn receive<T>(
        &self,
        request: &S3Request<T>,
        body: Option<StreamingBlob>,
        mut checksums: Vec<Sent>,
        announced: Option<&ChecksumAlgorithm>,
        md5: Option<&str>,
    ) -> S3Result<(Bytes, Option<Sent>)> {
        let bytes = match body {
            None => Bytes::new(),
            Some(body) => Body::from(body)
                .collect()
                .await
                .map_err(|error| S3Error::with_source(S3ErrorCode::IncompleteBody, error))?
                .to_bytes(),
        };
        checksums.extend(trailing(request));
        let sent = Sent::one(checksums)?;
        if let (Some(announced), None) = (announced, &sent) {
            let name = announced.as_str();
            return Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found: {name}"
            ));
        }
        if !self.ignore_checksums.load(Relaxed) {
            verify_md5(md5, &bytes)?;
            sent.iter().try_for_each(|sent| sent.verify(&bytes))?;
        }
        Ok((bytes, sent))
    }
}

/// The checksums that follow a body.
fn trailing<T>(request: &S3Request<T>) -> Vec<Sent> {
    let Some(trailers) = request.trailing_headers.as_ref().and_then(s3s::TrailingHeaders::take)
    else {
        return Vec::new();
    };
    let sent = |algorithm: super::Algorithm| {
        let value = trailers.get(algorithm.header())?.to_str().ok()?.to_owned();
        Some(Sent { algorithm, value })
    };
    super::Algorithm::ALL.into_iter().filter_map(sent).collect()
}

/// The fault that strikes this call.
pub(super) fn fault<T>(request: &S3Request<T>) -> Option<Fault> {
    request.extensions.get::<Arc<Exchange>>()?.fault().cloned()
}

/// The conditions of a read.
macro_rules! reading {
    ($input:expr) => {
        Conditions {
            matches: $input.if_match.take(),
            none_match: $input.if_none_match.take(),
            modified_since: $input.if_modified_since.take(),
            unmodified_since: $input.if_unmodified_since.take(),
        }
    };
}

#[async_trait::async_trait]
impl S3 for Backend {
    async fn put_object(&self, mut request: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let fault = fault(&request);
        let body = request.input.body.take();
        let checksums = sent!(request.input);
        let announced = request.input.checksum_algorithm.take();
        let md5 = request.input.content_md5.take();
        let received =
            self.0.receive(&request, body, checksums, announced.as_ref(), md5.as_deref());
        let (bytes, sent) = received.await?;
        let mut object =
            Object::new(bytes, self.0.config.md5, sent.as_ref().map(|sent| sent.algorithm));
        object.attributes = attributes!(request.input);
        let conditions = self.0.heed(Conditions {
            matches: request.input.if_match.take(),
            none_match: request.input.if_none_match.take(),
            ..Default::default()
        });
        let mut output = PutObjectOutput {
            e_tag: Some(object.tag()),
            checksum_type: Some(object.checksum.extent.name().to_owned().into()),
            ..Default::default()
        };
        tell!(output, object.checksum.algorithm, object.checksum.value.clone());
        let stored = Fault::damage(fault.as_ref(), object.bytes.clone());

        let mut state = lock(&self.0.state);
        let bucket = state.bucket(&request.input.bucket)?;
        conditions.admit_write(bucket.objects.get(&request.input.key).map(|there| &**there))?;
        bucket.put(request.input.key, object, stored);
        Ok(S3Response::new(output))
    }

    async fn get_object(&self, mut request: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = &mut request.input;
        let object = lock(&self.0.state).object(&input.bucket, &input.key)?;
        self.0.heed(reading!(input)).admit_read(&object)?;
        let view = View::of(&object, input.range, input.part_number)?;
        let mut output = GetObjectOutput::default();
        describe!(output, object);
        view.describe(&mut output.content_length, &mut output.content_range);
        output.parts_count = view.parts;
        if let Some(tagging) = &object.attributes.tagging {
            output.tag_count = i32::try_from(tagging.split('&').count()).ok();
        }
        if view.whole && input.checksum_mode.is_some() {
            output.checksum_type = Some(object.checksum.extent.name().to_owned().into());
            tell!(output, object.checksum.algorithm, object.checksum.value.clone());
        }
        let body = object.bytes.slice(view.range);
        output.body = Some(StreamingBlob::from(Body::from(body)));
        Ok(S3Response::new(output))
    }

    async fn head_object(
        &self,
        mut request: S3Request<HeadObjectInput>,
    ) -> Answer<HeadObjectOutput> {
        let input = &mut request.input;
        let object = lock(&self.0.state).object(&input.bucket, &input.key)?;
        self.0.heed(reading!(input)).admit_read(&object)?;
        let view = View::of(&object, input.range, input.part_number)?;
        let mut output = HeadObjectOutput::default();
        describe!(output, object);
        view.describe(&mut output.content_length, &mut output.content_range);
        output.parts_count = view.parts;
        if view.whole && input.checksum_mode.is_some() {
            output.checksum_type = Some(object.checksum.extent.name().to_owned().into());
            tell!(output, object.checksum.algorithm, object.checksum.value.clone());
        }
        Ok(S3Response::new(output))
    }

    async fn delete_object(
        &self,
        mut request: S3Request<DeleteObjectInput>,
    ) -> Answer<DeleteObjectOutput> {
        let input = &mut request.input;
        let conditions = Conditions { matches: input.if_match.take(), ..Default::default() };
        let conditions = self.0.heed(conditions);
        let mut state = lock(&self.0.state);
        let bucket = state.bucket(&input.bucket)?;
        conditions.admit_write(bucket.objects.get(&input.key).map(|there| &**there))?;
        bucket.objects.remove(&input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> Answer<DeleteObjectsOutput> {
        let sums = ["content-md5".into()].into_iter();
        let mut sums = sums.chain(super::Algorithm::ALL.map(super::Algorithm::header));
        if !sums.any(|name| request.headers.contains_key(name)) {
            return Err(s3_error!(
                InvalidRequest,
                "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
            ));
        }
        let Delete { objects, quiet } = request.input.delete;
        if objects.is_empty() || objects.len() > 1000 {
            return Err(malformed());
        }
        let mut state = lock(&self.0.state);
        let bucket = state.bucket(&request.input.bucket)?;
        let remove = |ObjectIdentifier { key, .. }: ObjectIdentifier| {
            bucket.objects.remove(&key);
            DeletedObject { key: Some(key), ..Default::default() }
        };
        let deleted: Vec<_> = objects.into_iter().map(remove).collect();
        let deleted = Some(deleted).filter(|_| quiet != Some(true));
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn copy_object(
        &self,
        mut request: S3Request<CopyObjectInput>,
    ) -> Answer<CopyObjectOutput> {
        let input = &mut request.input;
        let CopySource::Bucket { bucket, key, .. } = &input.copy_source else {
            return Err(s3_error!(NotImplemented, "Access points are not implemented"));
        };
        let mut state = lock(&self.0.state);
        let source = state.object(bucket, key)?;
        let conditions = Conditions {
            matches: input.copy_source_if_match.take(),
            none_match: input.copy_source_if_none_match.take(),
            modified_since: input.copy_source_if_modified_since.take(),
            unmodified_since: input.copy_source_if_unmodified_since.take(),
        };
        // A copy has no 304: what would be one for a read is a 412.
        if self.0.heed(conditions).admit_read(&source).is_err() {
            return Err(s3_error!(PreconditionFailed));
        }
        let replace = |directive: Option<&str>| directive == Some("REPLACE");
        let retag = replace(input.tagging_directive.as_ref().map(TaggingDirective::as_str));
        let rewrite = replace(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
        let algorithm = match &input.checksum_algorithm {
            Some(algorithm) => super::Algorithm::parse(algorithm.as_str())?,
            None => source.checksum.algorithm,
        };
        let mut object = Object::new(source.bytes.clone(), self.0.config.md5, Some(algorithm));
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
        let bytes = object.bytes.clone();
        state.bucket(&input.bucket)?.put(input.key.clone(), object, Some(bytes));
        let output =
            CopyObjectOutput { copy_object_result: Some(result), ..CopyObjectOutput::default() };
        Ok(S3Response::new(output))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        let fault = fault(&request);
        let mut state = lock(&self.0.state);
        let bucket = state.bucket(&request.input.bucket)?;
        list::objects(&bucket.objects, request.input, fault.as_ref()).map(S3Response::new)
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> Answer<CreateBucketOutput> {
        let name = request.input.bucket;
        // Creating one's own bucket again is no error in us-east-1, and there alone.
        lock(&self.0.state).buckets.entry(name.clone()).or_default();
        let location = Some(format!("/{name}"));
        Ok(S3Response::new(CreateBucketOutput { location }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> Answer<DeleteBucketOutput> {
        let mut state = lock(&self.0.state);
        if !state.bucket(&request.input.bucket)?.objects.is_empty() {
            return Err(s3_error!(BucketNotEmpty, "The bucket you tried to delete is not empty"));
        }
        state.buckets.remove(&request.input.bucket);
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        lock(&self.0.state).bucket(&request.input.bucket)?;
        let bucket_region = Some(S3Server::REGION.to_owned());
        Ok(S3Response::new(HeadBucketOutput { bucket_region, ..Default::default() }))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> Answer<GetBucketLocationOutput> {
        lock(&self.0.state).bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default())) // none means us-east-1
    }

    async fn list_buckets(
        &self,
        _request: S3Request<ListBucketsInput>,
    ) -> Answer<ListBucketsOutput> {
        let State { buckets, .. } = &*lock(&self.0.state);
        let told = |(name, bucket): (&String, &Bucket)| dto::Bucket {
            name: Some(name.clone()),
            creation_date: Some(bucket.created.into()),
            ..Default::default()
        };
        let buckets = Some(buckets.iter().map(told).collect());
        Ok(S3Response::new(ListBucketsOutput { buckets, ..Default::default() }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        multipart::create(&self.0, request)
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        multipart::upload_part(&self.0, request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        multipart::complete(&self.0, request)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        multipart::abort(&self.0, request)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> Answer<ListPartsOutput> {
        uploads::list_parts(&self.0, request)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> Answer<ListMultipartUploadsOutput> {
        uploads::list_uploads(&self.0, request)
    }
}

pub(super) fn malformed() -> S3Error {
    s3_error!(
        MalformedXML,
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
}
