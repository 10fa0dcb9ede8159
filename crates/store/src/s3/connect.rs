//! A connection: credentials, region, endpoint, and the bridge between threads and futures.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Credentials, Region, SharedHttpClient, StalledStreamProtectionConfig,
};
use aws_smithy_http_client::tls;
use tokio::runtime::{Handle, Runtime};

use super::calls::Calls;
use super::credentials::Keys;
use super::fetch::{PART, Reach};
use super::options::S3Options;
use super::parts::Buffers;
use super::put::Target;
use super::uri::S3Uri;
use super::wire::{Signer, Wire};
use crate::{Address, Error, ErrorKind, PerProcess, Result};

/// A connection to S3, which all sources and stores of a run share. Clones are the same one.
///
/// Nothing is sent before the first call, except that a bucket's region is looked up where the
/// configuration has none. A process that is forked off connects anew at its first call.
#[derive(Clone)]
pub struct S3(Arc<Shared>);

struct Shared {
    uri: S3Uri,
    options: S3Options,
    retries: Arc<AtomicU64>,
    line: PerProcess<Line>,
}

/// What one process has of a connection.
struct Line {
    calls: Arc<Calls>,
    keys: Keys,
    /// The short way to each bucket.
    wires: Mutex<HashMap<String, Option<Arc<Wire>>>>,
    buffers: Arc<Buffers>,
    reach: Reach,
    handle: Handle,
    runtime: Option<Runtime>,
}

/// Threads that drive sockets and encryption, beside those that wait for answers.
const DRIVERS: usize = 2;
/// For a TCP and a TLS handshake across the world.
const CONNECT: Duration = Duration::from_secs(10);

impl S3 {
    /// Connects for work on the bucket of `uri`.
    pub fn connect(uri: &S3Uri, options: S3Options) -> Result<Self> {
        let retries = Arc::default();
        let line = PerProcess::new(Line::new(uri, &options, &retries)?);
        Ok(Self(Arc::new(Shared { uri: uri.clone(), options, retries, line })))
    }

    /// Repetitions of failed requests so far.
    pub fn retries(&self) -> u64 {
        self.0.retries.load(Relaxed)
    }

    /// Connects anew in a process that was forked off. Fails when threads cannot be started.
    pub(super) fn revive(&self) -> Result<&Self> {
        self.try_line().map(|_| self)
    }

    fn try_line(&self) -> Result<&Line> {
        let Shared { uri, options, retries, line } = &*self.0;
        line.get(|| Line::new(uri, options, retries))
    }

    /// Of this process. Whoever did not [`revive`](Self::revive) a connection that cannot be gets
    /// the parent's, which answers nothing.
    fn line(&self) -> &Line {
        self.try_line().unwrap_or_else(|_| self.0.line.first())
    }

    /// The short way to a bucket's objects, where there is one.
    pub(super) fn wire(&self, bucket: &str) -> Result<Option<Arc<Wire>>> {
        let (Line { calls, keys, wires, .. }, options) = (self.line(), &self.0.options);
        let mut wires = wires.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wire) = wires.get(bucket) {
            return Ok(wire.clone());
        }
        let signs = !options.anonymous && keys.are_there();
        let wire = match signs.then(|| self.wait(Signer::new(&calls.client, bucket))).flatten() {
            Some(signer) => Wire::new(signer, options.stall, options.request_payer)?,
            None => None,
        };
        let wire = wire.map(Arc::new);
        wires.insert(bucket.to_owned(), wire.clone());
        Ok(wire)
    }

    /// The credentials of this moment; none where the SDK has to tell why there are none.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        self.wait(self.line().keys.get())
    }

    /// The server that was asked for, where it is not the environment's or Amazon's.
    pub(super) fn endpoint(&self) -> Option<String> {
        self.0.options.endpoint_url.clone()
    }

    /// The object at an address that the same service knows, and may copy.
    pub(super) fn beside(&self, address: &Address) -> Option<Target> {
        match address {
            Address::S3 { endpoint, bucket, key } if *endpoint == self.endpoint() => {
                Some(Target { bucket: bucket.clone(), key: key.clone() })
            }
            _ => None,
        }
    }

    pub(super) fn calls(&self) -> &Arc<Calls> {
        &self.line().calls
    }

    /// Memory for parts.
    pub(super) fn buffers(&self) -> &Arc<Buffers> {
        &self.line().buffers
    }

    /// How far to read ahead.
    pub(super) fn reach(&self) -> &Reach {
        &self.line().reach
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.line().handle
    }

    /// The bridge: runs a future on the calling thread until it ends.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.line().handle.block_on(future)
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("options", &self.0.options).finish_non_exhaustive()
    }
}

impl Line {
    fn new(uri: &S3Uri, options: &S3Options, retries: &Arc<AtomicU64>) -> Result<Self> {
        check_endpoints(options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(DRIVERS)
            .thread_name("s3")
            .enable_all()
            .build()
            .map_err(|e| Error::io(e, "threads"))?;
        let (client, provider) = runtime.block_on(client(uri, options));
        let calls = Arc::new(Calls::new(client, options.clone(), Arc::clone(retries)));
        Ok(Self {
            calls,
            keys: Keys::new(provider),
            wires: Mutex::default(),
            buffers: Buffers::new((options.memory / 2 / PART).max(1) as usize),
            reach: Reach::default(),
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // By whoever comes last, which may be a thread of the runtime's own: none waits for others.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn client(uri: &S3Uri, options: &S3Options) -> (Client, Option<SharedCredentialsProvider>) {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http());
    if let Some(profile) = &options.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &options.endpoint_url {
        loader = loader.endpoint_url(endpoint);
    }
    if options.anonymous {
        loader = loader.no_credentials();
    } else if let Some((id, secret)) = &options.credentials {
        loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "caller"));
    }
    let shared = loader.load().await;
    let own = shared.endpoint_url().is_some() || endpoint_in_environment();
    let known = shared.region().is_some();
    let build = |region: Option<Region>| {
        let mut builder = Builder::from(&shared)
            // Repeating, pacing and timing are ours: the SDK repeats no body that broke off, and
            // counts tries of all threads against one small allowance.
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
            .force_path_style(options.path_style.unwrap_or(own));
        if let Some(region) = region {
            builder = builder.region(region);
        }
        if options.anonymous {
            builder = builder.allow_no_auth();
        }
        Client::from_conf(builder.build())
    };
    let provider = shared.credentials_provider();
    if known {
        return (build(None), provider);
    }
    let fallback = build(Some(Region::from_static("us-east-1")));
    let region = if own { None } else { region_of(&fallback, uri.bucket()).await };
    let client = region.map_or(fallback, |region| build(Some(Region::new(region))));
    (client, provider)
}

/// The service's own variable is for the SDK to read; whether it is there tells what kind of
/// server that is.
const ENDPOINTS: [&str; 2] = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];

fn endpoint_in_environment() -> bool {
    ENDPOINTS.iter().any(|name| std::env::var_os(name).is_some())
}

/// Fails for a server that is no URL, an empty one above all: to the SDK that is trouble on the way,
/// and each request would be tried again and again.
fn check_endpoints(options: &S3Options) -> Result<()> {
    let variables = ENDPOINTS.iter().map(|name| (*name, std::env::var(name).ok()));
    let all = variables.chain([("--endpoint-url", options.endpoint_url.clone())]);
    for (name, value) in all {
        if let Some(value) = value.filter(|value| !is_url(value)) {
            let reason =
                format!("`{value}` is no URL: give http://... or https://..., or unset it");
            return Err(Error::new(ErrorKind::Invalid { reason }, name));
        }
    }
    Ok(())
}

fn is_url(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty() && !host.starts_with('/'))
}

/// S3 tells a bucket's region even to those it refuses.
async fn region_of(client: &Client, bucket: &str) -> Option<String> {
    match client.head_bucket().bucket(bucket).send().await {
        Ok(found) => found.bucket_region().map(str::to_owned),
        Err(error) => {
            let headers = error.raw_response()?.headers();
            headers.get("x-amz-bucket-region").map(str::to_owned)
        }
    }
}

/// rustls with ring: no C library but what Rust's own toolchain compiles.
fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url() {
        for good in ["http://127.0.0.1:9000", "https://s3.example.org/", "http://[::1]:1"] {
            assert!(is_url(good), "{good}");
        }
        for bad in ["", "localhost:9000", "s3://bucket", "http://", "https:///x", " http://x"] {
            let options = S3Options { endpoint_url: Some(bad.into()), ..S3Options::default() };
            let error = check_endpoints(&options).unwrap_err().to_string();
            assert!(error.contains("--endpoint-url") && error.contains("is no URL"), "{error}");
        }
    }
}
