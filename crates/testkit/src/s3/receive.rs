//! What comes with a request, and what of it counts: its body, its checksums, its conditions.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http_body_util::BodyExt;
use s3s::dto::{ChecksumAlgorithm, StreamingBlob};
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Result, s3_error};

use super::checksum::{Algorithm, Sent, verify_md5};
use super::config::Shared;
use super::objects::Conditions;

impl Shared {
    /// The conditions, unless the server is one that does not know them.
    pub(super) fn heed(&self, conditions: Conditions) -> Conditions {
        if self.ignore_conditions.load(Relaxed) { Conditions::default() } else { conditions }
    }

    /// Whether checksums are told, unless the server is one that keeps none.
    pub(super) fn tells(&self) -> bool {
        !self.hide_checksums.load(Relaxed)
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
    let sent = |algorithm: Algorithm| {
        let value = trailers.get(algorithm.header())?.to_str().ok()?.to_owned();
        Some(Sent { algorithm, value })
    };
    Algorithm::ALL.into_iter().filter_map(sent).collect()
}
