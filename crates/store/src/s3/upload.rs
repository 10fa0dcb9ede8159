//! Objects in the making: ranges gather into parts, parts are sent while others fill.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ObjectCannedAcl,
    StorageClass,
};
use bytes::Bytes;
use shardpack_formats::combine_crc64;
use std::collections::HashMap;
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::calls::Calls;
use super::connect::S3;
use super::fault::Fault;
use super::put::{Target, crc64nvme, dressed, encoded, head, put};
use crate::{Error, PutMode, Result, Upload};

/// Bytes that uploads hold.
#[derive(Debug)]
pub(super) struct Backlog {
    held: Mutex<Held>,
    sent: Condvar,
    most: u64,
}

#[derive(Debug, Default)]
struct Held {
    /// In parts that wait for bytes.
    filling: u64,
    /// In parts on their way.
    sending: u64,
}

impl Backlog {
    pub(super) fn new(most: u64) -> Self {
        Self { held: Mutex::default(), sent: Condvar::new(), most }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while more may be started.
    pub(super) fn has_room(&self) -> bool {
        let held = self.held();
        held.filling + held.sending < self.most
    }

    /// Waits for parts on their way. Only for those: they need nobody's bytes any more, so this
    /// wait always ends, whereas parts that fill may wait for the very thread that asks.
    fn wait(&self) {
        let held = self.held();
        let full = |held: &mut Held| held.sending >= self.most;
        drop(self.sent.wait_while(held, full).unwrap_or_else(PoisonError::into_inner));
    }

    fn fill(&self, bytes: u64) {
        self.held().filling += bytes;
    }

    fn send(&self, bytes: u64) {
        let mut held = self.held();
        held.filling -= bytes;
        held.sending += bytes;
    }

    fn sent(&self, bytes: u64) {
        self.held().sending -= bytes;
        self.sent.notify_all();
    }

    fn forget(&self, bytes: u64) {
        self.held().filling -= bytes;
    }
}

/// Parts of an object at most: S3's limit.
const MOST_PARTS: u64 = 10_000;
/// Parts of an object whose length nobody knows yet are so many times as long: 160 GB then fit into
/// the parts there may be.
const UNKNOWN: u64 = 2;

/// An object in the making.
#[derive(Debug)]
pub(super) struct S3Upload {
    s3: S3,
    shared: Arc<Shared>,
    len: Option<u64>,
    part: u64,
    state: Mutex<State>,
}

/// What the tasks that send parts need.
#[derive(Debug)]
struct Shared {
    target: Target,
    /// S3's name for the upload, once the first part is to be sent.
    id: OnceCell<String>,
    /// A try to get that name may have made another upload.
    twins: AtomicBool,
    failed: AtomicBool,
    failure: Mutex<Option<Error>>,
}

#[derive(Debug, Default)]
struct State {
    filling: BTreeMap<u64, Part>,
    sending: Vec<JoinHandle<Option<Sent>>>,
    received: u64,
    sealed: bool,
}

#[derive(Debug, Default)]
struct Part {
    bytes: Vec<u8>,
    filled: u64,
}

/// A part that S3 has.
#[derive(Clone, Debug)]
struct Sent {
    number: u64,
    etag: String,
    crc64: u64,
    len: u64,
}

impl S3Upload {
    pub(super) fn new(s3: &S3, target: Target, len: Option<u64>) -> Self {
        let least = s3.calls().options.part;
        let part = match len {
            Some(len) if len.div_ceil(MOST_PARTS) <= least => least,
            Some(len) => len.div_ceil(MOST_PARTS).next_multiple_of(1 << 20),
            None => UNKNOWN * least,
        };
        let shared = Shared {
            target,
            id: OnceCell::new(),
            twins: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            failure: Mutex::new(None),
        };
        Self { s3: s3.clone(), shared: Arc::new(shared), len, part, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invalid(&self, reason: String) -> Error {
        Error::invalid(self.shared.target.name(), reason)
    }

    /// Length of a part that is not the last one of an object of unknown length.
    fn part_len(&self, index: u64) -> u64 {
        match self.len {
            Some(len) => self.part.min(len - index * self.part),
            None => self.part,
        }
    }

    /// Sends a part, behind the caller's back.
    fn send(&self, state: &mut State, index: u64, part: Part) {
        let len = part.bytes.len() as u64;
        let (calls, shared) = (Arc::clone(self.s3.calls()), Arc::clone(&self.shared));
        calls.backlog.send(len);
        state.sending.push(self.s3.handle().spawn(async move {
            let sent = match shared.failed.load(Relaxed) {
                true => None,
                false => shared.send(&calls, index + 1, part.bytes.into()).await,
            };
            calls.backlog.sent(len);
            sent
        }));
    }

    /// Bytes of the object, which all fit into one part: one request then.
    async fn put_whole(&self, bytes: Vec<u8>, crc64: Option<u64>) -> Result<()> {
        self.shared.check(crc64, crc64nvme(&bytes))?;
        put(self.s3.calls(), &self.shared.target, bytes.into(), PutMode::Replace).await
    }

    /// Waits for all parts, and makes them one object.
    async fn complete(
        &self,
        parts: Vec<JoinHandle<Option<Sent>>>,
        crc64: Option<u64>,
    ) -> Result<()> {
        let mut sent = Vec::with_capacity(parts.len());
        for part in parts {
            let joined = part.await;
            sent.extend(
                joined
                    .map_err(|e| Error::io(std::io::Error::other(e), self.shared.target.name()))?,
            );
        }
        if let Some(error) = self.shared.failure() {
            return Err(error);
        }
        sent.sort_unstable_by_key(|part| part.number);
        let (whole, len) = sent.iter().fold((0, 0), |(crc, len), part| match len {
            0 => (part.crc64, part.len),
            _ => (combine_crc64(crc, part.crc64, part.len), len + part.len),
        });
        self.shared.check(crc64, whole)?;
        self.shared.complete(self.s3.calls(), &sent, whole, len).await
    }
}

impl Upload for S3Upload {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64);
        let Some(end) = end.filter(|end| self.len.is_none_or(|len| *end <= len)) else {
            return Err(
                self.invalid(format!("{} bytes at {offset} lie beyond its end", bytes.len()))
            );
        };
        if self.len.is_none() && end.div_ceil(self.part) > MOST_PARTS {
            return Err(
                self.invalid(format!("longer than {MOST_PARTS} parts of {} bytes", self.part))
            );
        }
        let backlog = &self.s3.calls().backlog;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            if let Some(error) = self.shared.failure() {
                return Err(error);
            }
            backlog.wait();
            let index = at / self.part;
            let (from, whole) = (at % self.part, self.part_len(index));
            let n = rest.len().min((whole - from) as usize);
            let mut state = self.state();
            let part = state.filling.entry(index).or_default();
            let needed = match self.len {
                Some(_) => whole,
                None => from + n as u64,
            } as usize;
            if part.bytes.len() < needed {
                part.bytes.resize(needed, 0);
            }
            part.bytes[from as usize..from as usize + n].copy_from_slice(&rest[..n]);
            part.filled += n as u64;
            let full = part.filled == whole;
            state.received += n as u64;
            backlog.fill(n as u64);
            if full
                && self.needs_parts(&state, index)
                && let Some(part) = state.filling.remove(&index)
            {
                self.send(&mut state, index, part);
            }
            drop(state);
            at += n as u64;
            rest = &rest[n..];
        }
        Ok(())
    }

    fn seal(self: Box<Self>, len: u64, crc64nvme: Option<u64>) -> Result<()> {
        let mut state = self.state();
        if state.received != len || self.len.is_some_and(|declared| declared != len) {
            let reason = format!("sealed at {len} bytes, {} were written", state.received);
            return Err(self.invalid(reason));
        }
        if state.sending.is_empty() && state.filling.len() <= 1 {
            let bytes = state.filling.pop_first().map_or_else(Vec::new, |(_, part)| part.bytes);
            let held = bytes.len() as u64;
            let done = self.s3.wait(self.put_whole(bytes, crc64nvme));
            self.s3.calls().backlog.forget(held);
            state.sealed = done.is_ok();
            return done;
        }
        while let Some((index, part)) = state.filling.pop_first() {
            self.send(&mut state, index, part);
        }
        let parts = std::mem::take(&mut state.sending);
        self.s3.wait(self.complete(parts, crc64nvme))?;
        state.sealed = true;
        self.s3.wait(self.shared.abort_twins(self.s3.calls()))
    }
}

impl S3Upload {
    /// False for the only part of an object, which seals it in one request.
    fn needs_parts(&self, state: &State, index: u64) -> bool {
        let only = match self.len {
            Some(len) => len <= self.part,
            None => index == 0 && state.received <= self.part,
        };
        !only
    }
}

impl Drop for S3Upload {
    /// Leaves nothing behind: parts without an end would be kept, and paid for, out of sight.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let filling: u64 = state.filling.values().map(|part| part.filled).sum();
        self.s3.calls().backlog.forget(filling);
        if state.sealed {
            return;
        }
        self.shared.failed.store(true, Relaxed);
        let sending = std::mem::take(&mut state.sending);
        self.s3.wait(async {
            for part in sending {
                let _ = part.await; // an abort does not stop parts that are under way
            }
            // Nobody is left to tell; `sweep` finds what this could not remove.
            if let Some(id) = self.shared.id.get() {
                let _ = abort(self.s3.calls(), &self.shared.target, id).await;
            }
            let _ = self.shared.abort_twins(self.s3.calls()).await;
        });
    }
}

impl Shared {
    fn failure(&self) -> Option<Error> {
        if !self.failed.load(Relaxed) {
            return None;
        }
        let first = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        Some(first.unwrap_or_else(|| {
            Error::invalid(self.target.name(), "a part of it could not be sent")
        }))
    }

    /// The bytes that were sent are those that the caller made a checksum of.
    fn check(&self, expected: Option<u64>, sent: u64) -> Result<()> {
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

    async fn send(&self, calls: &Calls, number: u64, bytes: Bytes) -> Option<Sent> {
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
    async fn abort_twins(&self, calls: &Calls) -> Result<()> {
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

    async fn complete(&self, calls: &Calls, sent: &[Sent], crc64: u64, len: u64) -> Result<()> {
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
