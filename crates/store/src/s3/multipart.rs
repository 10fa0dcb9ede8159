//! S3's protocol of uploads in parts.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use tokio::sync::OnceCell;

use super::calls::Calls;
use super::fault::Fault;
use super::put::{Target, crc64nvme, dressed, encoded, head};
use crate::{Error, Result};

/// What the tasks that send parts need.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) target: Target,
    /// S3's name for the upload, once the first part is to be sent.
    pub(super) id: OnceCell<String>,
    /// A try to get that name may have made another upload.
    pub(super) twins: AtomicBool,
    pub(super) failed: AtomicBool,
    pub(super) failure: Mutex<Option<Error>>,
}

/// A part that S3 has.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) number: u64,
    pub(super) etag: String,
    pub(super) crc64: u64,
    pub(super) len: u64,
}

impl Shared {
    pub(super) fn new(target: Target) -> Self {
        Self {
            target,
            id: OnceCell::new(),
            twins: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        }
    }

    pub(super) fn failure(&self) -> Option<Error> {
        if !self.failed.load(Relaxed) {
            return None;
        }
        let first = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        Some(first.unwrap_or_else(|| {
            Error::invalid(self.target.name(), "a part of it could not be sent")
        }))
    }

    /// The bytes that were sent are those that the caller made a checksum of.
    pub(super) fn check(&self, expected: Option<u64>, sent: u64) -> Result<()> {
        match expected {
            Some(expected) if expected != sent => Err(Error::changed(
                self.target.name(),
                format!(
                    "CRC-64/NVME {expected:016x} when made, {sent:016x} when sent; this machine's memory may be faulty"
                ),
            )),
            _ => Ok(()),
        }
    }

    pub(super) async fn send(&self, calls: &Calls, number: u64, bytes: Bytes) -> Option<Sent> {
        match self.try_send(calls, number, bytes).await {
            Ok(sent) => Some(sent),
            Err(error) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                failure.get_or_insert(error);
                self.failed.store(true, Relaxed);
                None
            }
        }
    }

    async fn try_send(&self, calls: &Calls, number: u64, bytes: Bytes) -> Result<Sent> {
        let id = self.id.get_or_try_init(|| self.create(calls)).await?;
        let name = self.target.name();
        let (crc64, len) = (crc64nvme(&bytes), bytes.len() as u64);
        let (answer, _) = calls
            .write("UploadPart", &name, len, || {
                let request = calls
                    .client
                    .upload_part()
                    .bucket(&self.target.bucket)
                    .key(&self.target.key)
                    .upload_id(id)
                    .part_number(number as i32)
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_crc64_nvme(encoded(crc64))
                    .content_length(len as i64)
                    .set_request_payer(calls.payer())
                    .body(ByteStream::from(bytes.clone()))
                    .customize()
                    .disable_payload_signing();
                async move { Ok(request.send().await?) }
            })
            .await?;
        let etag = answer.e_tag().unwrap_or_default().to_owned();
        Ok(Sent { number, etag, crc64, len })
    }

    async fn create(&self, calls: &Calls) -> Result<String> {
        let name = self.target.name();
        let (answer, unknown) = calls
            .write("CreateMultipartUpload", &name, 0, || {
                let request = calls
                    .client
                    .create_multipart_upload()
                    .bucket(&self.target.bucket)
                    .key(&self.target.key);
                let request = dressed!(request, calls, &self.target.key)
                    .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                    .checksum_type(ChecksumType::FullObject);
                async move { Ok(request.send().await?) }
            })
            .await?;
        self.twins.fetch_or(unknown, Relaxed);
        match answer.upload_id() {
            Some(id) => Ok(id.to_owned()),
            None => Err(Error::invalid(name, "the server gave the upload no id")),
        }
    }

    /// Ends uploads to this very key whose names got lost on the way.
    pub(super) async fn abort_twins(&self, calls: &Calls) -> Result<()> {
        if !self.twins.load(Relaxed) {
            return Ok(());
        }
        for (target, id) in unfinished(calls, &self.target.bucket, &self.target.key).await? {
            if target.key == self.target.key && self.id.get() != Some(&id) {
                abort(calls, &target, &id).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn complete(
        &self,
        calls: &Calls,
        sent: &[Sent],
        crc64: u64,
        len: u64,
    ) -> Result<()> {
        let (name, target) = (self.target.name(), &self.target);
        let parts = sent.iter().map(|part| {
            CompletedPart::builder()
                .part_number(part.number as i32)
                .e_tag(&part.etag)
                .checksum_crc64_nvme(encoded(part.crc64))
                .build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let id = self.id.get().map(String::as_str).unwrap_or_default();
        let (done, unknown) = calls
            .write("CompleteMultipartUpload", &name, 0, || {
                let request = calls
                    .client
                    .complete_multipart_upload()
                    .bucket(&target.bucket)
                    .key(&target.key)
                    .upload_id(id)
                    .multipart_upload(parts.clone())
                    .checksum_type(ChecksumType::FullObject)
                    .checksum_crc64_nvme(encoded(crc64))
                    .set_request_payer(calls.payer());
                async move {
                    match request.send().await.map_err(Fault::from) {
                        Ok(_) => Ok(None),
                        Err(fault) if fault.code == "NoSuchUpload" => Ok(Some(fault)),
                        Err(fault) => Err(fault),
                    }
                }
            })
            .await?;
        let Some(gone) = done else { return Ok(()) };
        // The answer to an earlier try may have been lost: then the object is there.
        if unknown
            && let Ok(found) = head(calls, target).await
            && found.len == len
            && found.crc64nvme.is_none_or(|found| found == crc64)
        {
            return Ok(());
        }
        Err(gone.error("CompleteMultipartUpload", &name))
    }
}

/// Ends an upload without making an object of it.
pub(super) async fn abort(calls: &Calls, target: &Target, id: &str) -> Result<()> {
    let name = target.name();
    let aborted = calls.write("AbortMultipartUpload", &name, 0, || {
        let request = calls
            .client
            .abort_multipart_upload()
            .bucket(&target.bucket)
            .key(&target.key)
            .upload_id(id)
            .set_request_payer(calls.payer());
        async move {
            match request.send().await.map_err(Fault::from) {
                Ok(_) => Ok(()),
                Err(fault) if fault.code == "NoSuchUpload" => Ok(()),
                Err(fault) => Err(fault),
            }
        }
    });
    aborted.await.map(|_| ())
}

/// Uploads below a prefix that have not ended: key and id.
pub(super) async fn unfinished(
    calls: &Calls,
    bucket: &str,
    prefix: &str,
) -> Result<Vec<(Target, String)>> {
    let name = format!("s3://{bucket}/{prefix}");
    let mut found = Vec::new();
    let (mut key_marker, mut id_marker) = (None::<String>, None::<String>);
    loop {
        let answer = calls
            .read("ListMultipartUploads", &name, || {
                let request = calls
                    .client
                    .list_multipart_uploads()
                    .bucket(bucket)
                    .prefix(prefix)
                    .set_key_marker(key_marker.clone())
                    .set_upload_id_marker(id_marker.clone())
                    .set_request_payer(calls.payer());
                async move { Ok(request.send().await?) }
            })
            .await?;
        for upload in answer.uploads() {
            if let (Some(key), Some(id)) = (upload.key(), upload.upload_id())
                && key.starts_with(prefix)
            {
                let target = Target { bucket: bucket.into(), key: key.into() };
                found.push((target, id.to_owned()));
            }
        }
        let next = answer.next_key_marker().map(str::to_owned);
        if answer.is_truncated() != Some(true) || next.is_none() || next == key_marker {
            return Ok(found);
        }
        (key_marker, id_marker) = (next, answer.next_upload_id_marker().map(str::to_owned));
    }
}
