//! Every request passes here: it is named, remembered, struck by a fault or refused.

use std::sync::{Arc, Mutex, OnceLock};

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::config::{Shared, lock};
use super::faults::Fault;
use super::loans::{Loans, Standing, token_of};
use super::server::S3Server;

/// A request that reached the server.
#[derive(Clone, Debug)]
pub struct Call {
    /// S3's name of the operation, as `GetObject`; empty for a request that was refused before it
    /// could be named, as for a wrong signature.
    pub operation: String,
    /// The bucket; empty where there is none.
    pub bucket: String,
    /// The key of the object.
    pub key: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The query as sent, as `uploads=&prefix=a%2F`.
    pub query: String,
    /// The fault that struck the call.
    pub fault: Option<Fault>,
    /// The status answered; `None` while there is no answer, or where there never was one.
    pub status: Option<u16>,
    headers: HeaderMap,
}

impl Call {
    /// A header of the request, where it has it and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// A request from its arrival to its answer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    uri: Uri,
    headers: HeaderMap,
    name: OnceLock<Name>,
    status: OnceLock<u16>,
}

#[derive(Debug)]
struct Name {
    operation: String,
    bucket: String,
    key: Option<String>,
    fault: Option<Fault>,
}

impl Exchange {
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.name.get()?.fault.as_ref()
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let _ = self.status.set(status.as_u16()); // once for each request
    }

    fn call(&self) -> Call {
        let name = self.name.get();
        Call {
            operation: name.map(|name| name.operation.clone()).unwrap_or_default(),
            bucket: name.map(|name| name.bucket.clone()).unwrap_or_default(),
            key: name.and_then(|name| name.key.clone()),
            range: self.headers.get("range").and_then(|range| Some(range.to_str().ok()?.into())),
            query: self.uri.query().unwrap_or_default().into(),
            fault: self.fault().cloned(),
            status: self.status.get().copied(),
            headers: self.headers.clone(),
        }
    }
}

/// Every request so far, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<Vec<Arc<Exchange>>>);

impl Log {
    pub(super) fn open<B>(&self, request: &Request<B>, keep: bool) -> Arc<Exchange> {
        if !keep {
            return Arc::default();
        }
        let exchange = Arc::new(Exchange {
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            ..Exchange::default()
        });
        lock(&self.0).push(exchange.clone());
        exchange
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        lock(&self.0).iter().map(|exchange| exchange.call()).collect()
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.0).len()
    }

    pub(super) fn clear(&self) {
        lock(&self.0).clear();
    }
}

/// The keys that sign: one that lasts, and those that were lent.
pub(super) struct Keys(pub(super) Arc<Loans>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match (access_key, self.0.standing(access_key)) {
            (S3Server::ACCESS_KEY, _) | (_, Standing::Good) => Ok(S3Server::SECRET_KEY.into()),
            (_, Standing::Over) => Err(s3_error!(ExpiredToken, "The provided token has expired.")),
            (_, Standing::Unknown) => Err(s3_error!(
                InvalidAccessKeyId,
                "The AWS Access Key Id you provided does not exist in our records."
            )),
        }
    }
}

/// Runs after the signature is checked and before anything is done.
pub(super) struct Gate(pub(super) Arc<Shared>);

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let (bucket, key) = match cx.s3_path() {
            S3Path::Object { bucket, key } => (bucket.to_string(), Some(key.to_string())),
            S3Path::Bucket { bucket } => (bucket.to_string(), None),
            S3Path::Root => Default::default(),
        };
        let operation = cx.s3_op().name().to_string();
        let fault = self.0.rules.next(&operation, key.as_deref());
        if let Some(exchange) = cx.extensions_mut().get::<Arc<Exchange>>() {
            let _ = exchange.name.set(Name { operation, bucket, key, fault: fault.clone() });
        }
        match &fault {
            Some(fault) if fault.refusal().is_some() => Err(refusal(fault)),
            Some(Fault::ResetBefore) => Err(s3_error!(ConnectionClosedByRequester)), // never sent
            _ => self.admit(cx),
        }
    }
}

impl Gate {
    fn admit(&self, cx: &S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_none() && !self.0.config.anonymous {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        if let Some(keys) = cx.credentials().filter(|keys| keys.access_key != S3Server::ACCESS_KEY)
        {
            let token = cx.headers().get("x-amz-security-token");
            if token.is_none_or(|token| token.as_bytes() != token_of(&keys.access_key).as_bytes()) {
                return Err(s3_error!(InvalidToken, "The provided token is malformed or invalid."));
            }
        }
        match signing_region(cx.headers()) {
            Some(region) if region != S3Server::REGION => Err(wrong_region(region)),
            _ => Ok(()),
        }
    }
}

fn refusal(fault: &Fault) -> S3Error {
    let (status, code) = fault.refusal().unwrap_or((500, "InternalError"));
    let mut error = S3Error::with_message(code.parse().unwrap_or(S3ErrorCode::InternalError), code);
    if let Ok(status) = StatusCode::from_u16(status) {
        error.set_status_code(status);
    }
    error
}

/// The region of `Credential=KEY/DATE/REGION/s3/aws4_request`.
fn signing_region(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(AUTHORIZATION)?.to_str().ok()?;
    authorization.split_once("Credential=")?.1.split('/').nth(2)
}

fn wrong_region(region: &str) -> S3Error {
    let expected = S3Server::REGION;
    let mut error = s3_error!(
        AuthorizationHeaderMalformed,
        "The authorization header is malformed; the region '{region}' is wrong; expecting '{expected}'"
    );
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-bucket-region", HeaderValue::from_static(S3Server::REGION));
    error.set_headers(headers);
    error
}
