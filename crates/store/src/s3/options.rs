//! How to talk to S3. Who and where come from the standard AWS configuration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Choices of a connection. [`Default`] is what a job on AWS wants.
#[derive(Clone)]
pub struct S3Options {
    /// Profile of the AWS configuration. Default: `AWS_PROFILE`, else `default`.
    pub profile: Option<String>,
    /// Credentials that the caller holds: id and secret. Default: the configuration's, which are
    /// renewed as they run out.
    pub credentials: Option<(String, String)>,
    /// Region. Default: the configuration's; where it has none, the bucket's is looked up.
    pub region: Option<String>,
    /// Where the server is. Default: `AWS_ENDPOINT_URL`, else Amazon's.
    pub endpoint_url: Option<String>,
    /// Whether the bucket is part of the path, not of the host's name. Default: with an endpoint
    /// of one's own, as few such servers have a name for each bucket.
    pub path_style: Option<bool>,
    /// Sends no credentials: public buckets. Default: no.
    pub anonymous: bool,
    /// Pays for what a requester-pays bucket sends. Default: no.
    pub request_payer: bool,
    /// Most requests under way. Fewer when S3 asks to slow down. Default 64.
    pub io_depth: usize,
    /// Bytes that uploads may hold. Default 128 MiB.
    pub memory: u64,
    /// Tries of one request before it is given up. Default 10, which is about a minute of waiting.
    pub attempts: u32,
    /// Wait before the first repetition; it doubles up to [`S3Options::LONGEST_WAIT`] and is drawn
    /// evenly between nothing and that. Default 100 ms.
    pub backoff: Duration,
    /// A connection on which nothing moves for so long is given up and the request repeated.
    /// Default 30 s.
    pub stall: Duration,
    /// Repetitions in the whole run before it is given up. Default: no limit.
    pub max_errors: Option<u64>,
    /// Most requests a second. Default: no limit.
    pub max_requests: Option<f64>,
    /// Most bytes a second, in each direction. Default: no limit.
    pub max_bandwidth: Option<f64>,
    /// Least bytes of a part of an upload. Default 8 MiB; S3 takes no less than 5 MiB.
    pub part: u64,
    /// Longest object that S3 copies in one request, and least bytes of a part of those that it copies
    /// in several. Default 256 MiB, which takes it seconds; S3 takes 5 MiB to 5 GiB.
    pub copy_part: u64,
    /// Storage class of new objects: `STANDARD_IA`. Default: the bucket's.
    pub storage_class: Option<String>,
    /// Encryption of new objects. Default: the bucket's.
    pub encryption: Option<S3Encryption>,
    /// Canned ACL of new objects: `bucket-owner-full-control`. Default: none.
    pub acl: Option<String>,
    /// Tags of new objects, URL-encoded: `team=vision&keep=yes`. Default: none.
    pub tags: Option<String>,
    /// Is told of every repetition. Default: nobody.
    pub on_retry: Option<Arc<OnRetry>>,
}

/// What is called before a request is sent again.
pub type OnRetry = dyn Fn(&Retried<'_>) + Send + Sync;

/// Who encrypts new objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum S3Encryption {
    /// S3 with its own keys (`AES256`).
    S3,
    /// S3 with a key of KMS; none is the account's own.
    Kms(Option<String>),
}

/// A request that failed and is sent again.
#[derive(Clone, Copy, Debug)]
pub struct Retried<'a> {
    /// Operation: `GetObject`.
    pub operation: &'static str,
    /// What it was about.
    pub name: &'a str,
    /// What went wrong.
    pub why: &'a str,
    /// Tries so far.
    pub attempt: u32,
    /// Wait before the next.
    pub wait: Duration,
}

impl S3Options {
    /// The longest wait between two tries: S3's partitions need some tens of seconds to split.
    pub const LONGEST_WAIT: Duration = Duration::from_secs(15);
}

impl Default for S3Options {
    fn default() -> Self {
        Self {
            profile: None,
            credentials: None,
            region: None,
            endpoint_url: None,
            path_style: None,
            anonymous: false,
            request_payer: false,
            io_depth: 64,
            memory: 128 << 20,
            attempts: 10,
            backoff: Duration::from_millis(100),
            stall: Duration::from_secs(30),
            max_errors: None,
            max_requests: None,
            max_bandwidth: None,
            part: 8 << 20,
            copy_part: 256 << 20,
            storage_class: None,
            encryption: None,
            acl: None,
            tags: None,
            on_retry: None,
        }
    }
}

impl fmt::Debug for S3Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Options")
            .field("endpoint_url", &self.endpoint_url)
            .field("region", &self.region)
            .field("io_depth", &self.io_depth)
            .finish_non_exhaustive()
    }
}
