//! Writes objects in one request, and looks at what became of them.

use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ServerSideEncryption};
use aws_smithy_types::base64;
use shardpack_formats::Crc64Nvme;

use super::calls::Calls;
use super::fault::{Class, Fault};
use super::options::S3Encryption;
use super::range::{Pinned, stamp};
use crate::store::REWRITTEN;
use crate::{Error, ErrorKind, PutMode, Result};

/// A bucket and a key that are being written.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) bucket: String,
    pub(super) key: String,
}

impl Target {
    pub(super) fn name(&self) -> String {
        format!("s3://{}/{}", self.bucket, self.key)
    }
}

/// What `HEAD` tells.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) len: u64,
    pub(super) etag: Option<String>,
    /// When it was written, in seconds since 1970; 0 where the server does not tell.
    pub(super) modified: u32,
    /// CRC-64/NVME of the whole object, where the server keeps one.
    pub(super) crc64nvme: Option<u64>,
}

/// Sets on a request what the options say of new objects. A macro, because the SDK's builders have
/// the same methods and no trait.
macro_rules! dressed {
    ($request:expr, $calls:expr, $key:expr) => {{
        let options = &$calls.options;
        let (sse, kms) = super::put::encryption(options.encryption.as_ref());
        $request
            .content_type(super::put::content_type($key))
            .set_storage_class(
                options.storage_class.as_deref().map(aws_sdk_s3::types::StorageClass::from),
            )
            .set_acl(options.acl.as_deref().map(aws_sdk_s3::types::ObjectCannedAcl::from))
            .set_server_side_encryption(sse)
            .set_ssekms_key_id(kms)
            .set_tagging(options.tags.clone())
            .set_request_payer($calls.payer())
            .set_metadata(Some(std::collections::HashMap::from([(
                "shardpack".into(),
                env!("CARGO_PKG_VERSION").into(),
            )])))
    }};
}
pub(super) use dressed;

pub(super) fn encryption(
    choice: Option<&S3Encryption>,
) -> (Option<ServerSideEncryption>, Option<String>) {
    match choice {
        None => (None, None),
        Some(S3Encryption::S3) => (Some(ServerSideEncryption::Aes256), None),
        Some(S3Encryption::Kms(key)) => (Some(ServerSideEncryption::AwsKms), key.clone()),
    }
}

/// A type that makes browsers save shards and show manifests. Compressed shards get no
/// `Content-Encoding`: clients that undo it would hand out other bytes than the manifest proves.
pub(super) fn content_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map_or("", |(_, ext)| ext) {
        "json" | "manifest" => "application/json",
        "tar" => "application/x-tar",
        "gz" => "application/gzip",
        "zst" => "application/zstd",
        _ => "application/octet-stream",
    }
}

/// A checksum as S3 writes it.
pub(super) fn encoded(crc64nvme: u64) -> String {
    base64::encode(crc64nvme.to_be_bytes())
}

pub(super) fn decoded(text: &str) -> Option<u64> {
    Some(u64::from_be_bytes(base64::decode(text).ok()?.try_into().ok()?))
}

pub(super) fn crc64nvme(bytes: &[u8]) -> u64 {
    let mut crc = Crc64Nvme::default();
    crc.update(bytes);
    crc.value()
}

/// What must hold of a key for a write to count.
enum Condition {
    Any,
    /// Nothing is there.
    Free,
    /// The object of this ETag is there.
    Still(String),
}

/// Writes an object whose bytes are all here.
pub(super) async fn put(
    calls: &Calls,
    target: &Target,
    bytes: bytes::Bytes,
    mode: PutMode,
) -> Result<()> {
    let condition = match mode {
        PutMode::Create => Condition::Free,
        PutMode::Replace => Condition::Any,
    };
    match put_if(calls, target, bytes, condition).await? {
        true => Ok(()),
        false => Err(Error::new(ErrorKind::Exists, target.name())),
    }
}

/// Replaces an object that still holds `old`: its bytes are read with the ETag that the write then
/// asks for.
pub(super) async fn swap(
    calls: &Calls,
    target: &Target,
    old: &[u8],
    new: bytes::Bytes,
) -> Result<()> {
    let found = head(calls, target).await?;
    let same = found.len == old.len() as u64 && holds(calls, target, &found, old).await?;
    let condition = found.etag.filter(|_| same).map(Condition::Still);
    if let Some(condition) = condition
        && put_if(calls, target, new, condition).await?
    {
        return Ok(());
    }
    Err(Error::changed(target.name(), REWRITTEN))
}

/// False when the condition does not hold.
async fn put_if(
    calls: &Calls,
    target: &Target,
    bytes: bytes::Bytes,
    condition: Condition,
) -> Result<bool> {
    let name = target.name();
    let crc64 = crc64nvme(&bytes);
    let (none, etag) = match condition {
        Condition::Any => (None, None),
        Condition::Free => (Some("*".to_owned()), None),
        Condition::Still(etag) => (None, Some(etag)),
    };
    let (written, unknown) = calls
        .write("PutObject", &name, bytes.len() as u64, || {
            let request = calls.client.put_object().bucket(&target.bucket).key(&target.key);
            let request = dressed!(request, calls, &target.key)
                .set_if_none_match(none.clone())
                .set_if_match(etag.clone())
                .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
                .checksum_crc64_nvme(encoded(crc64))
                .content_length(bytes.len() as i64)
                .body(ByteStream::from(bytes.clone()));
            // Over plain HTTP the SDK would hash every byte for its signature: six seconds a
            // gigabyte. The checksum proves the body already.
            let request = request.customize().disable_payload_signing();
            async move {
                match request.send().await.map_err(Fault::from) {
                    Ok(_) => Ok(true),
                    Err(fault) if fault.class == Class::Condition => Ok(false),
                    Err(fault) => Err(fault),
                }
            }
        })
        .await?;
    if written || !unknown {
        return Ok(written);
    }
    // An earlier try of ours may be what is there now.
    let found = head(calls, target).await?;
    Ok(found.len == bytes.len() as u64 && holds(calls, target, &found, &bytes).await?)
}

async fn holds(calls: &Calls, target: &Target, found: &Head, bytes: &[u8]) -> Result<bool> {
    let Some(etag) = &found.etag else { return Ok(false) };
    let mut object = target.pinned(found.len, etag);
    let there = super::get::collect(calls, &mut object, 0..found.len).await?;
    Ok(there == bytes)
}

impl Target {
    /// The object as it is now.
    pub(super) fn pinned(&self, len: u64, etag: &str) -> Pinned {
        Pinned {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            len,
            stamp: stamp(etag),
            etag: Some(etag.to_owned()),
        }
    }
}

/// Seconds since 1970 of a time that S3 tells; 0 of none, and of one that 32 bits do not hold.
pub(super) fn seconds(time: Option<&DateTime>) -> u32 {
    time.and_then(|time| u32::try_from(time.secs()).ok()).unwrap_or(0)
}

/// Looks at an object.
pub(super) async fn head(calls: &Calls, target: &Target) -> Result<Head> {
    let name = target.name();
    let found = calls
        .read("HeadObject", &name, || {
            let request = calls
                .client
                .head_object()
                .bucket(&target.bucket)
                .key(&target.key)
                .checksum_mode(ChecksumMode::Enabled)
                .set_request_payer(calls.payer());
            async move { Ok(request.send().await?) }
        })
        .await?;
    let len = found.content_length().and_then(|len| u64::try_from(len).ok());
    Ok(Head {
        len: len.ok_or_else(|| Error::invalid(name, "the server tells no length"))?,
        etag: found.e_tag().map(str::to_owned),
        modified: seconds(found.last_modified()),
        crc64nvme: found.checksum_crc64_nvme().and_then(decoded),
    })
}

/// Whether the server keeps its promises about conditions and checksums; what it does not keep.
pub(super) async fn doubts(calls: &Calls, target: &Target) -> Result<Vec<String>> {
    let bytes =
        bytes::Bytes::from_static(b"shardpack looks whether conditions and checksums count\n");
    put(calls, target, bytes.clone(), PutMode::Replace).await?;
    let mut doubts = Vec::new();
    // Other bytes: equal ones would pass for the answer to an earlier try that got lost.
    let other = bytes::Bytes::from_static(b"shardpack looks whether conditions count\n");
    match put(calls, target, other, PutMode::Create).await {
        Err(error) if matches!(error.kind(), ErrorKind::Exists) => {}
        Ok(()) => doubts.push(
            "the server does not honour If-None-Match: of two runs that write the same dataset at once, the last one wins unnoticed".into(),
        ),
        Err(error) => return Err(error),
    }
    let request = calls
        .client
        .put_object()
        .bucket(&target.bucket)
        .key(&target.key)
        .checksum_algorithm(ChecksumAlgorithm::Crc64Nvme)
        .checksum_crc64_nvme(encoded(!crc64nvme(&bytes)))
        .set_request_payer(calls.payer())
        .body(ByteStream::from(bytes))
        .customize()
        .disable_payload_signing();
    if request.send().await.is_ok() {
        doubts.push(
            "the server does not check CRC-64/NVME: damage on the way is found only by reading back".into(),
        );
    }
    remove(calls, &target.bucket, std::slice::from_ref(&target.key)).await?;
    Ok(doubts)
}

/// Removes objects, a thousand a request. What is not there is no error.
pub(super) async fn remove(calls: &Calls, bucket: &str, keys: &[String]) -> Result<()> {
    use aws_sdk_s3::types::{Delete, ObjectIdentifier};
    for keys in keys.chunks(1000) {
        let Some(first) = keys.first() else { continue };
        let name = format!("s3://{bucket}/{first}");
        let objects: std::result::Result<Vec<_>, _> =
            keys.iter().map(|key| ObjectIdentifier::builder().key(key).build()).collect();
        let delete = objects
            .and_then(|objects| Delete::builder().set_objects(Some(objects)).quiet(true).build())
            .map_err(|e| Error::invalid(&name, e.to_string()))?;
        let (answer, _) = calls
            .write("DeleteObjects", &name, 0, || {
                let request = calls
                    .client
                    .delete_objects()
                    .bucket(bucket)
                    .delete(delete.clone())
                    .set_request_payer(calls.payer());
                async move { Ok(request.send().await?) }
            })
            .await?;
        if let Some(error) = answer.errors().first() {
            let name = format!("s3://{bucket}/{}", error.key().unwrap_or(first));
            let code = error.code().unwrap_or("InternalError").to_owned();
            let text = format!("{code}: {}", error.message().unwrap_or_default());
            let fault = Fault { class: Class::Final, code, text, unknown: false };
            return Err(fault.error("DeleteObjects", &name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_written_as_s3_does() {
        // Amazon's test value of the algorithm: "123456789".
        assert_eq!(crc64nvme(b"123456789"), 0xae8b_1486_0a79_9888);
        assert_eq!(encoded(0xae8b_1486_0a79_9888), "rosUhgp5mIg=");
        assert_eq!(decoded("rosUhgp5mIg="), Some(0xae8b_1486_0a79_9888));
        assert_eq!((decoded("rosU"), decoded("-")), (None, None));
    }

    #[test]
    fn types_suit_browsers() {
        for (key, expected) in [
            ("a/manifest.json", "application/json"),
            ("a/x.tar", "application/x-tar"),
            ("a/x.tar.gz", "application/gzip"),
            ("a/x.tfrecord", "application/octet-stream"),
            ("json", "application/octet-stream"),
        ] {
            assert_eq!(content_type(key), expected, "{key}");
        }
    }
}
