//! The server's life, and what tests do with it.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Handle, Runtime};

use super::backend::Backend;
use super::config::{S3Config, Shared, lock};
use super::faults::{FaultRule, Rules};
use super::gate::{Call, Gate, Keys, Log};
use super::listener::{Serving, bind};
use super::loans::Lender;
use super::objects::{Bucket, Object, State};
use super::tls::Tls;

/// An S3 server on 127.0.0.1, on threads of its own, until it is dropped. Any number run at once.
///
/// ```
/// use shardpack_testkit::s3::{Fault, FaultRule, S3Server};
///
/// let server = S3Server::start();
/// server.put("images/a.jpg", "bytes");
/// server.inject(FaultRule::new(Fault::SlowDown).on("GetObject").from(2));
/// // ... a client reads from server.endpoint(), with S3Server::ACCESS_KEY ...
/// assert_eq!(server.keys(), ["images/a.jpg"]);
/// assert!(server.calls().is_empty());
/// ```
pub struct S3Server {
    shared: Arc<Shared>,
    service: S3Service,
    address: SocketAddr,
    /// Bound, never listening: while the server is stopped, no one else gets the port.
    _reserved: TcpSocket,
    serving: Mutex<Option<Serving>>,
    handle: Handle,
    runtime: Option<Runtime>, // always there until it is dropped
}

impl S3Server {
    /// The access key that the server knows.
    pub const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
    /// Its secret.
    pub const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    /// The region that requests must be signed for.
    pub const REGION: &str = "us-east-1";
    /// A bucket that is there from the start.
    pub const BUCKET: &str = "bucket";

    /// Starts a server. See [`start_with`](Self::start_with).
    pub fn start() -> Self {
        Self::start_with(S3Config::default())
    }

    /// Starts a server, as [`try_start`](Self::try_start) does.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    pub fn start_with(config: S3Config) -> Self {
        Self::try_start(config).expect("an S3 server")
    }

    /// Starts a server. Fails when the port is taken or threads cannot be started.
    ///
    /// # Panics
    ///
    /// With TLS, when its certificate cannot be written to the folder for temporary files.
    pub fn try_start(config: S3Config) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("s3-server")
            .enable_all()
            .build()?;
        let reserved = bind(config.port)?;
        let address = reserved.local_addr()?;
        let mut state = State::default();
        state.buckets.insert(Self::BUCKET.into(), Bucket::default());
        let shared = Arc::new(Shared {
            tls: config.tls.then(Tls::new),
            config,
            state: Mutex::new(state),
            rules: Rules::default(),
            log: Log::default(),
            loans: Arc::default(),
            latency: AtomicU64::new(0),
            ignore_conditions: AtomicBool::new(false),
            ignore_checksums: AtomicBool::new(false),
            hide_checksums: AtomicBool::new(false),
        });
        let mut service = S3ServiceBuilder::new(Backend(shared.clone()));
        service.set_auth(Keys(Arc::clone(&shared.loans)));
        service.set_access(Gate(shared.clone()));
        let server = Self {
            service: service.build(),
            shared,
            address,
            _reserved: reserved,
            serving: Mutex::new(None),
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        };
        server.listen()?;
        Ok(server)
    }

    /// Where clients find it: `http://127.0.0.1:PORT`, or `https://127.0.0.1:PORT` with TLS.
    pub fn endpoint(&self) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// With TLS, the file with the certificate that clients must trust, as PEM: for 127.0.0.1 and
    /// localhost, signed by itself. It is there as long as the server.
    pub fn certificate(&self) -> Option<&Path> {
        self.shared.tls.as_ref().map(Tls::certificate)
    }

    /// The environment in which a child process that reads AWS's variables uses this server. With
    /// TLS, `SSL_CERT_FILE` has it trust this server's certificate in place of the system's; OpenSSL
    /// and rustls-native-certs read that.
    ///
    /// # Panics
    ///
    /// With TLS, when the folder for temporary files has a name that is not UTF-8.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut environment = vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", Self::ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", Self::SECRET_KEY.into()),
            ("AWS_REGION", Self::REGION.into()),
            ("AWS_EC2_METADATA_DISABLED", "true".into()),
            ("AWS_CONFIG_FILE", "/dev/null".into()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".into()),
        ];
        if let Some(certificate) = self.certificate() {
            let path = certificate.to_str().expect("a path in UTF-8");
            environment.push(("SSL_CERT_FILE", path.into()));
        }
        environment
    }

    /// Starts a service that lends keys of so long a life.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub fn lender(&self, lifetime: Duration) -> Lender {
        Lender::start(Arc::clone(&self.shared.loans), lifetime).expect("a port that is free")
    }

    /// Puts an object into [`BUCKET`](Self::BUCKET), past all faults.
    pub fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        self.put_in(Self::BUCKET, key, bytes);
    }

    /// Puts an object into a bucket, which is created where it is not there.
    pub fn put_in(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        let object = Object::new(bytes.into(), self.shared.config.md5, None);
        let mut state = lock(&self.shared.state);
        let bucket = state.buckets.entry(bucket.into()).or_default();
        bucket.objects.insert(key.into(), Arc::new(object));
    }

    /// Puts an object that was written at this time, to the second.
    pub fn put_at(&self, key: &str, bytes: impl Into<Bytes>, modified: SystemTime) {
        let mut object = Object::new(bytes.into(), self.shared.config.md5, None);
        object.modified = modified;
        let mut state = lock(&self.shared.state);
        let bucket = state.buckets.entry(Self::BUCKET.into()).or_default();
        bucket.objects.insert(key.into(), Arc::new(object));
    }

    /// Puts the same bytes under each of `keys` of [`BUCKET`](Self::BUCKET), for listings: a key
    /// takes its own length and some 50 bytes, whatever is below it.
    pub fn put_many(&self, keys: impl IntoIterator<Item = String>, bytes: impl Into<Bytes>) {
        let object = Arc::new(Object::new(bytes.into(), self.shared.config.md5, None));
        let mut state = lock(&self.shared.state);
        let bucket = state.buckets.entry(Self::BUCKET.into()).or_default();
        bucket.objects.extend(keys.into_iter().map(|key| (key, object.clone())));
    }

    /// The bytes of an object.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        Some(self.object(key)?.bytes.clone())
    }

    /// An object with all that is known of it.
    pub fn object(&self, key: &str) -> Option<Arc<Object>> {
        lock(&self.shared.state).object(Self::BUCKET, key).ok()
    }

    /// Removes an object.
    pub fn remove(&self, key: &str) {
        if let Ok(bucket) = lock(&self.shared.state).bucket(Self::BUCKET) {
            bucket.objects.remove(key);
        }
    }

    /// The keys, in order.
    pub fn keys(&self) -> Vec<String> {
        let mut state = lock(&self.shared.state);
        let bucket = state.bucket(Self::BUCKET).into_iter();
        bucket.flat_map(|bucket| bucket.objects.keys().cloned()).collect()
    }

    /// The keys of unfinished uploads, in order; one with two uploads comes twice.
    pub fn uploads(&self) -> Vec<String> {
        let mut state = lock(&self.shared.state);
        let bucket = state.bucket(Self::BUCKET).into_iter();
        bucket.flat_map(|bucket| bucket.uploads.keys().map(|(key, _)| key.clone())).collect()
    }

    /// Every request so far, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.log.calls()
    }

    /// How many requests there were so far; cheap enough to ask again and again.
    pub fn call_count(&self) -> usize {
        self.shared.log.len()
    }

    /// Forgets the requests so far.
    pub fn forget_calls(&self) {
        self.shared.log.clear();
    }

    /// Adds a rule by which calls go wrong. Where several strike one call, the oldest one does.
    pub fn inject(&self, rule: FaultRule) {
        self.shared.rules.add(rule);
    }

    /// Removes all rules.
    pub fn heal(&self) {
        self.shared.rules.clear();
    }

    /// Every request from now on is answered this much later.
    pub fn latency(&self, latency: Duration) {
        let nanos = latency.as_nanos().try_into().unwrap_or(u64::MAX);
        self.shared.latency.store(nanos, Relaxed);
    }

    /// Whether If-Match and If-None-Match are taken for granted on writes and reads, as servers do
    /// that do not know them.
    pub fn ignore_conditions(&self, ignore: bool) {
        self.shared.ignore_conditions.store(ignore, Relaxed);
    }

    /// Whether wrong checksums are accepted.
    pub fn ignore_checksums(&self, ignore: bool) {
        self.shared.ignore_checksums.store(ignore, Relaxed);
    }

    /// Whether nothing is told of the checksums of objects and of copies, as by servers that keep none.
    pub fn hide_checksums(&self, hide: bool) {
        self.shared.hide_checksums.store(hide, Relaxed);
    }

    /// Cuts all connections and refuses new ones. What was stored stays.
    pub fn stop(&self) {
        let Some(serving) = lock(&self.serving).take() else { return };
        let (done, stopped) = mpsc::channel();
        self.handle.spawn(async move {
            serving.stop().await;
            let _ = done.send(());
        });
        let _ = stopped.recv();
    }

    /// Serves again, on the same port.
    ///
    /// # Panics
    ///
    /// When the port cannot be listened on.
    pub fn restart(&self) {
        self.listen().expect("the server's own port");
    }

    fn listen(&self) -> io::Result<()> {
        let mut serving = lock(&self.serving);
        if serving.is_none() {
            let _runtime = self.handle.enter();
            let (shared, service) = (self.shared.clone(), self.service.clone());
            *serving = Some(Serving::start(self.address.port(), shared, service)?);
        }
        Ok(())
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // a plain drop panics within another runtime
        }
    }
}

impl std::fmt::Debug for S3Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Server").field("address", &self.address).finish_non_exhaustive()
    }
}
