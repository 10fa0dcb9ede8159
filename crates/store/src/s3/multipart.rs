//! S3's protocol of uploads in parts.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use shardpack_formats::combine_crc64;
use tokio::sync::OnceCell;

use super::calls::Calls;
use super::fault::Fault;
use super::put::{Target, crc64nvme, decoded, dressed, encoded, head};
use crate::{Error, Result};

/// Bytes of every part but the last at least: S3's limit.
pub(super) const LEAST_PART: u64 = 5 << 20;
/// Parts of an object at most: S3's limit.
pub(super) const MOST_PARTS: u64 = 10_000;

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
    /// Of one that S3 copied, as S3 tells.
    pub(super) crc64: Option<u64>,
    pub(super) len: u64,
}

/// Length of the parts of an object of `len` bytes, `least` unless there would be too many.
pub(super) fn part_len(len: u64, least: u64) -> u64 {
    match len.div_ceil(MOST_PARTS) {
        enough if enough <= least => least,
        more => more.next_multiple_of(1 << 20),
    }
}

/// CRC-64/NVME of parts in their order, where each one's is known, and their length.
pub(super) fn whole(parts: &[Sent]) -> (Option<u64>, u64) {
    parts.iter().fold((Some(0), 0), |(crc, len), part| {
        let crc = crc.zip(part.crc64).map(|(crc, next)| combine_crc64(crc, next, part.len));
        (crc, len + part.len)
    })
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
    pub(super) fn check(&self, expected: Option<u64>, sent: Option<u64>) -> Result<()> {
        match expected.zip(sent) {
            Some((expected, sent)) if expected != sent => Err(Error::changed(
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
        let id = self.id(calls).await?;
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
        Ok(Sent { number, etag, crc64: Some(crc64), len })
    }

    /// S3's name for the upload, which starts with the first question for it.
    pub(super) async fn id(&self, calls: &Calls) -> Result<&String> {
        self.id.get_or_try_init(|| self.create(calls)).await
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

    /// Ends the upload without an object, once no part of it is under way. Nobody is left to tell
    /// of a failure; `sweep` finds what this could not remove.
    pub(super) async fn give_up(&self, calls: &Calls) {
        if let Some(id) = self.id.get() {
            let _ = abort(calls, &self.target, id).await;
        }
        let _ = self.abort_twins(calls).await;
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

    /// Makes one object of the parts; gives the CRC-64/NVME that S3 tells of it. `crc64` is what it
    /// must be, where that is known.
    pub(super) async fn complete(
        &self,
        calls: &Calls,
        sent: &[Sent],
        crc64: Option<u64>,
        len: u64,
    ) -> Result<Option<u64>> {
        let (name, target) = (self.target.name(), &self.target);
        let parts = sent.iter().map(|part| {
            CompletedPart::builder()
                .part_number(part.number as i32)
                .e_tag(&part.etag)
                .set_checksum_crc64_nvme(part.crc64.map(encoded))
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
                    .set_checksum_crc64_nvme(crc64.map(encoded))
                    .set_request_payer(calls.payer());
                async move {
                    match request.send().await.map_err(Fault::from) {
                        Ok(done) => Ok(Ok(done)),
                        Err(fault) if fault.code == "NoSuchUpload" => Ok(Err(fault)),
                        Err(fault) => Err(fault),
                    }
                }
            })
            .await?;
        let gone = match done {
            Ok(done) => return Ok(done.checksum_crc64_nvme().and_then(decoded)),
            Err(gone) => gone,
        };
        // The answer to an earlier try may have been lost: then the object is there.
        if unknown
            && let Ok(found) = head(calls, target).await
            && found.len == len
            && found.crc64nvme.is_none_or(|found| crc64.is_none_or(|crc64| found == crc64))
        {
            return Ok(found.crc64nvme);
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
