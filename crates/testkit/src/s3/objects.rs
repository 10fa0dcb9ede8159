//! Buckets, objects and unfinished uploads, and the conditions on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Result, s3_error};

use super::checksum::{Algorithm, Checksum, Extent, fingerprint, hex};
use super::faults::Fault;

/// An object as it is stored.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Without quotes: 32 hex digits, followed by `-` and the number of parts after a multipart
    /// upload.
    pub etag: String,
    /// Whole seconds, as S3 keeps them.
    pub modified: SystemTime,
    /// CRC-64/NVME of the whole where the client chose none.
    pub checksum: Checksum,
    /// Lengths of the parts of a multipart upload, in order; empty after a plain one.
    pub parts: Vec<u64>,
    /// What was sent beside the content.
    pub attributes: Attributes,
}

/// What was sent beside the content of an object. `None` where nothing was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `x-amz-meta-*`, by what follows `x-amz-meta-`.
    pub metadata: BTreeMap<String, String>,
    /// `x-amz-storage-class`.
    pub storage_class: Option<String>,
    /// `x-amz-tagging`, as sent: `a=1&b=2`.
    pub tagging: Option<String>,
    /// `x-amz-acl`.
    pub acl: Option<String>,
    /// `x-amz-server-side-encryption`.
    pub encryption: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`.
    pub kms_key: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`.
    pub bucket_key: Option<bool>,
}

/// The attributes of a request that creates an object.
macro_rules! attributes {
    ($input:expr) => {
        $crate::s3::objects::Attributes {
            content_type: $input.content_type.take(),
            content_encoding: $input.content_encoding.take(),
            content_disposition: $input.content_disposition.take(),
            content_language: $input.content_language.take(),
            cache_control: $input.cache_control.take(),
            metadata: $input.metadata.take().into_iter().flatten().collect(),
            storage_class: $input.storage_class.take().map(|class| class.as_str().to_owned()),
            tagging: $input.tagging.take(),
            acl: $input.acl.take().map(|acl| acl.as_str().to_owned()),
            encryption: $input.server_side_encryption.take().map(|sse| sse.as_str().to_owned()),
            kms_key: $input.ssekms_key_id.take(),
            bucket_key: $input.bucket_key_enabled.take(),
        }
    };
}

/// Tells of an object in the output of GetObject or HeadObject, all but its body.
macro_rules! describe {
    ($output:expr, $object:expr) => {{
        let (output, object) = (&mut $output, &$object);
        let attributes = &object.attributes;
        output.accept_ranges = Some("bytes".into());
        output.e_tag = Some(object.tag());
        output.last_modified = Some(object.modified.into());
        output.content_type =
            attributes.content_type.clone().or_else(|| Some("binary/octet-stream".into()));
        output.content_encoding = attributes.content_encoding.clone();
        output.content_disposition = attributes.content_disposition.clone();
        output.content_language = attributes.content_language.clone();
        output.cache_control = attributes.cache_control.clone();
        let metadata = &attributes.metadata;
        output.metadata = Some(metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        // S3 leaves the class out where it is the usual one, and encrypts where nothing is asked.
        output.storage_class =
            attributes.storage_class.clone().filter(|class| class != "STANDARD").map(Into::into);
        let encryption = attributes.encryption.clone().unwrap_or_else(|| "AES256".into());
        output.server_side_encryption = Some(encryption.into());
        output.ssekms_key_id = attributes.kms_key.clone();
        output.bucket_key_enabled = attributes.bucket_key;
    }};
}

pub(super) use {attributes, describe};

impl Object {
    /// An object as a plain upload stores it.
    pub(super) fn new(bytes: Bytes, md5: bool, algorithm: Option<Algorithm>) -> Self {
        Self {
            etag: hex(&fingerprint(&bytes, md5)),
            modified: now(),
            checksum: Checksum::of(algorithm.unwrap_or(Algorithm::Crc64Nvme), &bytes),
            parts: Vec::new(),
            attributes: Attributes::default(),
            bytes,
        }
    }

    /// Its ETag for a header.
    pub(super) fn tag(&self) -> ETag {
        ETag::Strong(self.etag.clone())
    }

    /// As listings tell it.
    pub(super) fn listed(&self, key: String) -> s3s::dto::Object {
        let class = self.attributes.storage_class.as_deref().unwrap_or("STANDARD");
        s3s::dto::Object {
            key: Some(key),
            e_tag: Some(self.tag()),
            size: i64::try_from(self.bytes.len()).ok(),
            last_modified: Some(self.modified.into()),
            storage_class: Some(class.to_owned().into()),
            checksum_algorithm: Some(vec![self.checksum.algorithm.name().to_owned().into()]),
            checksum_type: Some(self.checksum.extent.name().to_owned().into()),
            ..Default::default()
        }
    }
}

impl Extent {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }
}

/// An unfinished multipart upload.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) started: SystemTime,
    pub(super) attributes: Attributes,
    pub(super) checksum: Option<(Algorithm, Extent)>,
    pub(super) parts: BTreeMap<i32, Part>,
}

/// A part of an unfinished upload. All but the bytes tell of what was sent.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) len: u64,
    pub(super) etag: [u8; 16],
    pub(super) digest: Vec<u8>,
    pub(super) modified: SystemTime,
}

impl Part {
    /// A part of an upload that is checked with `algorithm`.
    pub(super) fn new(bytes: Bytes, md5: bool, algorithm: Algorithm) -> Self {
        Self {
            len: bytes.len() as u64,
            etag: fingerprint(&bytes, md5),
            digest: algorithm.digest(&bytes),
            modified: now(),
            bytes,
        }
    }

    /// Its ETag for an answer.
    pub(super) fn tag(&self) -> ETag {
        ETag::Strong(hex(&self.etag))
    }
}

/// A bucket. Keys are in the order of their UTF-8 bytes, as S3 lists them.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) created: SystemTime,
    pub(super) objects: BTreeMap<String, Arc<Object>>,
    /// By key, then by id, which grow in the order of creation.
    pub(super) uploads: BTreeMap<(String, String), Upload>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { created: now(), objects: BTreeMap::new(), uploads: BTreeMap::new() }
    }
}

/// Everything the server holds.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) buckets: BTreeMap<String, Bucket>,
    pub(super) uploads: u64,
}

impl State {
    pub(super) fn bucket(&mut self, name: &str) -> S3Result<&mut Bucket> {
        self.buckets
            .get_mut(name)
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    pub(super) fn object(&mut self, bucket: &str, key: &str) -> S3Result<Arc<Object>> {
        let object = self.bucket(bucket)?.objects.get(key).cloned();
        object.ok_or_else(|| s3_error!(NoSuchKey, "The specified key does not exist."))
    }
}

impl Upload {
    /// Keeps a part, or what a fault leaves of it.
    pub(super) fn keep(&mut self, number: i32, part: Part, fault: Option<&Fault>) {
        match Fault::damage(fault, part.bytes.clone()) {
            Some(bytes) => self.parts.insert(number, Part { bytes, ..part }),
            None => self.parts.remove(&number),
        };
    }
}

impl Bucket {
    pub(super) fn upload(&mut self, key: &str, id: &str) -> S3Result<&mut Upload> {
        self.uploads.get_mut(&(key.to_owned(), id.to_owned())).ok_or_else(no_such_upload)
    }

    /// Puts an object, or what a fault leaves of it.
    pub(super) fn put(&mut self, key: String, object: Object, bytes: Option<Bytes>) {
        match bytes {
            Some(bytes) => self.objects.insert(key, Arc::new(Object { bytes, ..object })),
            None => self.objects.remove(&key),
        };
    }
}

pub(super) fn no_such_upload() -> s3s::S3Error {
    s3_error!(
        NoSuchUpload,
        "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
    )
}

/// The time in whole seconds.
pub(super) fn now() -> SystemTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The conditions of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Conditions {
    pub(super) matches: Option<ETagCondition>,
    pub(super) none_match: Option<ETagCondition>,
    pub(super) modified_since: Option<Timestamp>,
    pub(super) unmodified_since: Option<Timestamp>,
}

fn is(condition: &ETagCondition, object: &Object) -> bool {
    condition.as_etag().is_none_or(|tag| tag.value() == object.etag)
}

fn failed() -> s3s::S3Error {
    s3_error!(PreconditionFailed, "At least one of the pre-conditions you specified did not hold")
}

impl Conditions {
    /// For a read. A tag goes before a time: RFC 9110, section 13.2.2.
    pub(super) fn admit_read(&self, object: &Object) -> S3Result<()> {
        let later = |time: &Timestamp| Timestamp::from(object.modified) > *time;
        match (&self.matches, &self.unmodified_since) {
            (Some(tag), _) if !is(tag, object) => return Err(failed()),
            (None, Some(time)) if later(time) => return Err(failed()),
            _ => {}
        }
        match (&self.none_match, &self.modified_since) {
            (Some(tag), _) if is(tag, object) => Err(s3_error!(NotModified)),
            (None, Some(time)) if !later(time) => Err(s3_error!(NotModified)),
            _ => Ok(()),
        }
    }

    /// For a write over what is there now.
    pub(super) fn admit_write(&self, there: Option<&Object>) -> S3Result<()> {
        match (&self.none_match, there) {
            (Some(ETagCondition::ETag(_)), _) => {
                return Err(s3_error!(
                    NotImplemented,
                    "A header you provided implies functionality that is not implemented"
                ));
            }
            (Some(ETagCondition::Any), Some(_)) => return Err(failed()),
            _ => {}
        }
        match (&self.matches, there) {
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(tag), Some(object)) if !is(tag, object) => Err(failed()),
            _ => Ok(()),
        }
    }
}
