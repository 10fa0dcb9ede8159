//! The five checksums of S3: what was sent is compared, what was stored is told.

use base64_simd::STANDARD;
use crc_fast::CrcAlgorithm;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use xxhash_rust::xxh3::xxh3_128;

/// What a checksum is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// What a checksum of an object covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The bytes of the object.
    FullObject,
    /// The checksums of its parts.
    Composite,
}

/// A checksum of an object, as headers and listings write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checksum {
    /// What it is computed with.
    pub algorithm: Algorithm,
    /// What it covers.
    pub extent: Extent,
    /// Base64, followed by `-` and the number of parts where it is composite.
    pub value: String,
}

impl Algorithm {
    pub(super) const ALL: [Self; 5] =
        [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// As requests spell it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// As headers spell it.
    pub(super) fn header(self) -> String {
        format!("x-amz-checksum-{}", self.name().to_ascii_lowercase())
    }

    pub(super) fn parse(name: &str) -> S3Result<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| s3_error!(InvalidRequest, "Checksum algorithm provided is unsupported."))
    }

    pub(super) fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Crc32 => Crc32::checksum(bytes).to_vec(),
            Self::Crc32c => Crc32c::checksum(bytes).to_vec(),
            Self::Crc64Nvme => Crc64Nvme::checksum(bytes).to_vec(),
            Self::Sha1 => Sha1::checksum(bytes).to_vec(),
            Self::Sha256 => Sha256::checksum(bytes).to_vec(),
        }
    }

    /// Whether checksums of parts add up to that of the object, and to which.
    pub(super) fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// The full-object checksum of parts, given each one's checksum and length.
    pub(super) fn join<'a>(
        self,
        crc: CrcAlgorithm,
        parts: impl Iterator<Item = (&'a [u8], u64)>,
    ) -> Vec<u8> {
        let whole = parts
            .map(|(digest, len)| (number(digest), len))
            .reduce(|(a, len), (b, more)| (crc_fast::checksum_combine(crc, a, b, more), len + more))
            .map_or(0, |(sum, _)| sum);
        let bytes = whole.to_be_bytes();
        if self == Self::Crc64Nvme { bytes.to_vec() } else { bytes[4..].to_vec() }
    }

    /// The refusal of bytes whose checksum is another one.
    pub(super) fn bad_digest(self) -> S3Error {
        let name = self.name();
        s3_error!(BadDigest, "The {name} you specified did not match the calculated checksum.")
    }
}

fn number(digest: &[u8]) -> u64 {
    digest.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Checksum {
    pub(super) fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        Self::whole(algorithm, &algorithm.digest(bytes))
    }

    pub(super) fn whole(algorithm: Algorithm, digest: &[u8]) -> Self {
        Self { algorithm, extent: Extent::FullObject, value: base64(digest) }
    }
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode_to_string(bytes)
}

/// A checksum that came with a request.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) algorithm: Algorithm,
    pub(super) value: String,
}

impl Sent {
    /// The one checksum of a request; more are refused.
    pub(super) fn one(sent: Vec<Self>) -> S3Result<Option<Self>> {
        let mut sent = sent.into_iter();
        let first = sent.next();
        match sent.next() {
            None => Ok(first),
            Some(_) => Err(s3_error!(
                InvalidRequest,
                "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
            )),
        }
    }

    /// The digest, of the right length.
    pub(super) fn digest(&self) -> S3Result<Vec<u8>> {
        let digest = STANDARD.decode_to_vec(&self.value).ok();
        digest.filter(|digest| digest.len() == self.algorithm.digest(b"").len()).ok_or_else(|| {
            let header = self.algorithm.header();
            s3_error!(InvalidRequest, "Value for {header} header is invalid.")
        })
    }

    /// Fails unless it is the checksum of `bytes`.
    pub(super) fn verify(&self, bytes: &[u8]) -> S3Result<()> {
        let matches = self.digest()? == self.algorithm.digest(bytes);
        if matches { Ok(()) } else { Err(self.algorithm.bad_digest()) }
    }
}

/// Compares a `Content-MD5`.
pub(super) fn verify_md5(sent: Option<&str>, bytes: &[u8]) -> S3Result<()> {
    let Some(sent) = sent else { return Ok(()) };
    match STANDARD.decode_to_vec(sent).ok().filter(|digest| digest.len() == 16) {
        None => Err(s3_error!(InvalidDigest, "The Content-MD5 you specified was invalid.")),
        Some(digest) if digest == Md5::checksum(bytes) => Ok(()),
        Some(_) => Err(S3Error::with_message(
            S3ErrorCode::BadDigest,
            "The Content-MD5 you specified did not match what we received.",
        )),
    }
}

/// The 128 bits of an ETag: MD5, or a hash at memory speed.
pub(super) fn fingerprint(bytes: &[u8], md5: bool) -> [u8; 16] {
    if md5 { Md5::checksum(bytes) } else { xxh3_128(bytes).to_be_bytes() }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the checksums out of a request's input.
macro_rules! sent {
    ($input:expr) => {{
        use $crate::s3::checksum::{Algorithm, Sent};
        [
            (Algorithm::Crc32, $input.checksum_crc32.take()),
            (Algorithm::Crc32c, $input.checksum_crc32c.take()),
            (Algorithm::Crc64Nvme, $input.checksum_crc64nvme.take()),
            (Algorithm::Sha1, $input.checksum_sha1.take()),
            (Algorithm::Sha256, $input.checksum_sha256.take()),
        ]
        .into_iter()
        .filter_map(|(algorithm, value)| Some(Sent { algorithm, value: value? }))
        .collect::<Vec<_>>()
    }};
}

/// Puts a checksum into an answer's output.
macro_rules! tell {
    ($output:expr, $algorithm:expr, $value:expr) => {{
        use $crate::s3::checksum::Algorithm;
        let value = Some($value);
        match $algorithm {
            Algorithm::Crc32 => $output.checksum_crc32 = value,
            Algorithm::Crc32c => $output.checksum_crc32c = value,
            Algorithm::Crc64Nvme => $output.checksum_crc64nvme = value,
            Algorithm::Sha1 => $output.checksum_sha1 = value,
            Algorithm::Sha256 => $output.checksum_sha256 = value,
        }
    }};
}

pub(super) use {sent, tell};
