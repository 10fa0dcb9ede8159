//! What a failed request means: wait and repeat, or tell the caller at once.

use std::error::Error as StdError;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use crate::{Error, ErrorKind};

/// What a try came to.
pub(super) type Answer<T> = std::result::Result<T, Fault>;

/// Why a try failed.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) class: Class,
    /// S3's code, or ours: `AccessDenied`, `timeout`.
    pub(super) code: String,
    /// All there is to tell.
    pub(super) text: String,
    /// The request may have been carried out all the same.
    pub(super) unknown: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// S3 wants fewer requests.
    Slow,
    /// Gone with the next try, most likely.
    Passing,
    /// The credentials ran out: a provider that renews them needs a moment, one that does not
    /// never will.
    Expired,
    /// No such object.
    Missing,
    /// The object is not the one that was asked for (`If-Match`), or is there (`If-None-Match`).
    Condition,
    /// A repetition would be answered alike.
    Final,
}

impl Fault {
    /// A fault that a repetition may mend, found on this side.
    pub(super) fn passing(code: &str, text: impl Into<String>) -> Self {
        Self { class: Class::Passing, code: code.into(), text: text.into(), unknown: true }
    }

    /// Nothing moved for too long.
    pub(super) fn stalled() -> Self {
        Self::passing("timeout", "nothing arrived for as long as --stall-timeout allows")
    }

    /// The error for the caller.
    pub(super) fn error(self, operation: &'static str, name: &str) -> Error {
        let kind = match self.class {
            Class::Missing => ErrorKind::NotFound,
            _ => ErrorKind::Refused { operation, advice: advice(&self.code), answer: self.text },
        };
        Error::new(kind, name)
    }
}

impl<E> From<SdkError<E, HttpResponse>> for Fault
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        let status = error.raw_response().map(|response| response.status().as_u16());
        if let (Some(status), Some(service)) = (status, error.as_service_error()) {
            let region = error.raw_response().and_then(|r| r.headers().get("x-amz-bucket-region"));
            let code = service.code().filter(|code| *code != "NotFound").unwrap_or_default();
            let code = if code.is_empty() { by_status(status) } else { code };
            let mut text = format!("{code} ({status})");
            if let Some(message) = service.message() {
                text.push_str(&format!(": {message}"));
            }
            if let (Some(region), "PermanentRedirect" | "AuthorizationHeaderMalformed") =
                (region, code)
            {
                text.push_str(&format!("; the bucket is in {region}"));
            }
            let class = class(code, status);
            return Self { class, code: code.into(), text, unknown: status >= 500 };
        }
        let text = chain(&error);
        let hopeless = match &error {
            SdkError::ConstructionFailure(_) => true,
            SdkError::DispatchFailure(failure) => failure.is_user() || text.contains("redentials"),
            _ => false,
        };
        match hopeless {
            true if text.contains("redentials") => {
                Self { class: Class::Final, code: "NoCredentials".into(), text, unknown: false }
            }
            true => Self { class: Class::Final, code: "Unsent".into(), text, unknown: false },
            false => Self::passing(
                if matches!(error, SdkError::TimeoutError(_)) { "timeout" } else { "connection" },
                text,
            ),
        }
    }
}

/// Answers to HEAD have no body, and so no code.
fn by_status(status: u16) -> &'static str {
    match status {
        301 | 307 => "PermanentRedirect",
        // Which of the refusals it is, the body would say.
        400 => "BadRequest",
        401 => "AccessDenied",
        403 => "Forbidden",
        404 => "NoSuchKey",
        409 => "OperationAborted",
        412 => "PreconditionFailed",
        416 => "InvalidRange",
        429 | 503 => "SlowDown",
        500.. => "InternalError",
        _ => "Refused",
    }
}

fn class(code: &str, status: u16) -> Class {
    match code {
        "NoSuchKey" => Class::Missing,
        // A range beyond the end: the object is shorter than it was.
        "PreconditionFailed" | "InvalidRange" => Class::Condition,
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => Class::Expired,
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "ServiceUnavailable"
        | "BandwidthLimitExceeded" => Class::Slow,
        "RequestTimeout"
        | "InternalError"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "IncompleteBody"
        | "BadDigest" => Class::Passing,
        _ if status == 429 || status == 503 => Class::Slow,
        _ if status >= 500 => Class::Passing,
        _ => Class::Final,
    }
}

/// What to do about an answer that no repetition changes.
fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AllAccessDisabled" => {
            "the credentials in use may not do this; check the policies of the role, the bucket and its key"
        }
        "Forbidden" => {
            "S3 says no more to this request: the object may not be there and the role lack s3:ListBucket, or the credentials be wrong or without leave; `aws s3api get-object` on it tells which"
        }
        "BadRequest" => {
            "S3 says no more to this request: the credentials may have run out; renew them and run the same command again"
        }
        "NoSuchBucket" => "there is no such bucket; check its name and the endpoint",
        "PermanentRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => {
            "the bucket is in another region; give it with --region or AWS_REGION"
        }
        "NoCredentials" => {
            "no credentials were found; set a profile or a role, or say --no-sign-request for a public bucket"
        }
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" => {
            "the credentials are wrong for this server"
        }
        "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
            "the credentials have run out; renew them and run the same command again"
        }
        "RequestTimeTooSkewed" => "the clock of this machine is wrong; set it and run again",
        "NoSuchUpload" => {
            "another run, or a rule of the bucket, ended this upload; run the same command again"
        }
        "InvalidObjectState" => "the object is archived; restore it first",
        "EntityTooLarge" | "EntityTooSmall" => "the server takes parts of other sizes",
        _ => "S3 refused; its documentation explains the code",
    }
}

/// An error and its causes, without what the SDK repeats.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(&format!(": {cause_text}"));
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_repeated_and_nothing_else() {
        for (code, status, expected) in [
            ("SlowDown", 503, Class::Slow),
            ("Whatever", 503, Class::Slow),
            ("InternalError", 500, Class::Passing),
            ("RequestTimeout", 400, Class::Passing),
            ("BadDigest", 400, Class::Passing),
            ("ExpiredToken", 400, Class::Expired),
            ("NoSuchKey", 404, Class::Missing),
            ("PreconditionFailed", 412, Class::Condition),
            ("AccessDenied", 403, Class::Final),
            ("NoSuchBucket", 404, Class::Final),
            ("PermanentRedirect", 301, Class::Final),
            ("RequestTimeTooSkewed", 403, Class::Final),
        ] {
            assert_eq!(class(code, status), expected, "{code}");
        }
        for (status, code) in
            [(301, "PermanentRedirect"), (403, "Forbidden"), (502, "InternalError")]
        {
            assert_eq!(by_status(status), code);
        }
        // So is a HEAD with credentials that ran out answered.
        assert!(advice(by_status(400)).contains("run out"));
    }
}
