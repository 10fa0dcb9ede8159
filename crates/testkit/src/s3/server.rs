//! The server's life: its port, its threads, its connections.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{JoinHandle, JoinSet};

use super::backend::Backend;
use super::connection::serve;
use super::faults::{FaultRule, Rules};
use super::gate::{Call, Gate, Keys, Log};
use super::objects::{Bucket, Object, State};
use super::tls::Tls;

/// How a server is to be. The default is as strict as Amazon S3.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// The port; 0 for any that is free.
    pub port: u16,
    /// Bytes that every part but the last must have: 5 MiB. Lower it to test with small parts.
    pub least_part: u64,
    /// Lets requests without a signature in.
    pub anonymous: bool,
    /// ETags are MD5, as Amazon's are. Without, another hash of 128 bits, at a twentieth of the
    /// cost.
    pub md5: bool,
    /// Remembers every request, about 2 KB each.
    pub remember: bool,
    /// Threads that serve.
    pub threads: usize,
    /// Speaks TLS 1.3 or 1.2, with a certificate that only this server has: see
    /// [`S3Server::certificate`]. Faults strike the TCP connection below: a client that is cut off
    /// sees it reset, or end without TLS's `close_notify`. Their counts are bytes of the body, as
    /// without TLS; those on the wire are more, by what TLS adds.
    pub tls: bool,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            port: 0,
            least_part: 5 << 20,
            anonymous: false,
            md5: true,
            remember: true,
            threads: 2,
            tls: false,
        }
    }
}

/// What requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) config: S3Config,
    pub(super) tls: Option<Tls>,
    pub(super) state: Mutex<State>,
    pub(super) rules: Rules,
    pub(super) log: Log,
    pub(super) latency: AtomicU64, // nanoseconds
    pub(super) ignore_conditions: AtomicBool,
    pub(super) ignore_checksums: AtomicBool,
}

/// Takes a lock. What it guards is changed in one step, so a panic elsewhere leaves it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

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

struct Serving {
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<JoinSet<()>>>,
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

    /// Starts a server.
    ///
    /// # Panics
    ///
    /// When the port is taken or threads cannot be started; with TLS, when its certificate cannot be
    /// written to the folder for temporary files.
    pub fn start_with(config: S3Config) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("s3-server")
            .enable_all()
            .build()
            .expect("threads for the server");
        let reserved = bind(config.port).expect("a port for the server");
        let address = reserved.local_addr().expect("the port of the server");
        let mut state = State::default();
        state.buckets.insert(Self::BUCKET.into(), Bucket::default());
        let shared = Arc::new(Shared {
            tls: config.tls.then(Tls::new),
            config,
            state: Mutex::new(state),
            rules: Rules::default(),
            log: Log::default(),
            latency: AtomicU64::new(0),
            ignore_conditions: AtomicBool::new(false),
            ignore_checksums: AtomicBool::new(false),
        });
        let mut service = S3ServiceBuilder::new(Backend(shared.clone()));
        service.set_auth(Keys);
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
        server.restart();
        server
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

    /// Cuts all connections and refuses new ones. What was stored stays.
    pub fn stop(&self) {
        let Some(serving) = lock(&self.serving).take() else { return };
        let (done, stopped) = mpsc::channel();
        self.handle.spawn(async move {
            serving.accepting.abort();
            let _ = serving.accepting.await; // the listener is gone now
            let mut connections = std::mem::take(&mut *lock(&serving.connections));
            connections.shutdown().await;
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
        let mut serving = lock(&self.serving);
        if serving.is_some() {
            return;
        }
        let _runtime = self.handle.enter();
        let listener = listen(self.address.port()).expect("the server's own port");
        let connections = Arc::<Mutex<JoinSet<()>>>::default();
        let accepting = self.handle.spawn(accept(
            listener,
            self.shared.clone(),
            self.service.clone(),
            connections.clone(),
        ));
        *serving = Some(Serving { accepting, connections });
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

fn bind(port: u16) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?; // beside the reserving socket and connections that linger
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    Ok(socket)
}

/// Listens, if need be a moment later: a process that another thread starts holds a copy of the
/// listener that was closed, until it becomes the other program.
fn listen(port: u16) -> io::Result<TcpListener> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let start = Instant::now();
    loop {
        match bind(port).and_then(|socket| socket.listen(1024)) {
            Err(error)
                if error.kind() == io::ErrorKind::AddrInUse && start.elapsed() < PATIENCE =>
            {
                std::thread::yield_now();
            }
            listening => return listening,
        }
    }
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    service: S3Service,
    connections: Arc<Mutex<JoinSet<()>>>,
) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = serve(stream, shared.clone(), service.clone());
        let mut connections = lock(&connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(connection);
    }
}
