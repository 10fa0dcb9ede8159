//! The operations on buckets and objects, as s3s calls them.

use std::sync::Arc;

use s3s::dto::{self, *};
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, s3_error};

use super::checksum::{sent, tell};
use super::config::{Shared, lock};
use super::faults::Fault;
use super::gate::Exchange;
use super::objects::{Bucket, Conditions, Object, State, attributes, describe};
use super::server::S3Server;
use super::view::View;
use super::{copy, list, multipart, uploads};

/// What s3s calls.
pub(super) struct Backend(pub(super) Arc<Shared>);

pub(super) type Answer<T> = S3Result<S3Response<T>>;

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
        if view.whole && input.checksum_mode.is_some() && self.0.tells() {
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
        if view.whole && input.checksum_mode.is_some() && self.0.tells() {
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

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> Answer<CopyObjectOutput> {
        copy::copy_object(&self.0, request)
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> Answer<ListObjectsOutput> {
        let mut state = lock(&self.0.state);
        let bucket = state.bucket(&request.input.bucket)?;
        let page = self.0.config.page;
        list::objects_v1(&bucket.objects, request.input, page).map(S3Response::new)
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        let fault = fault(&request);
        let mut state = lock(&self.0.state);
        let bucket = state.bucket(&request.input.bucket)?;
        let page = self.0.config.page;
        list::objects(&bucket.objects, request.input, page, fault.as_ref()).map(S3Response::new)
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

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> Answer<UploadPartCopyOutput> {
        copy::upload_part_copy(&self.0, request)
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
