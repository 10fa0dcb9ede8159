//! Keys that run out, and the services that lend them.
//!
//! [`Lender`] speaks as the four services do from which programs on AWS get their keys: a
//! container's agent (`/container`), an instance's metadata (IMDSv2), STS (`AssumeRoleWithWebIdentity`)
//! and IAM Identity Center (`GetRoleCredentials`). Each answer is a key of its own, which the S3
//! server takes until it has run out.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Keys that were lent, and when each runs out.
#[derive(Debug, Default)]
pub(super) struct Loans(Mutex<HashMap<String, SystemTime>>);

/// How a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Unknown,
    Good,
    Over,
}

impl Loans {
    fn lend(&self, lifetime: Duration) -> Key {
        let mut loans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (number, expires) = (loans.len(), SystemTime::now() + lifetime);
        let id = format!("ASIA{number:016}");
        loans.insert(id.clone(), expires);
        Key { token: token_of(&id), id, expires }
    }

    pub(super) fn standing(&self, id: &str) -> Standing {
        let loans = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match loans.get(id) {
            None => Standing::Unknown,
            Some(end) if *end > SystemTime::now() => Standing::Good,
            Some(_) => Standing::Over,
        }
    }
}

/// The session token that goes with a key.
pub(super) fn token_of(id: &str) -> String {
    format!("session of {id}")
}

struct Key {
    id: String,
    token: String,
    expires: SystemTime,
}

/// Lends keys over HTTP.
#[derive(Debug)]
pub struct Lender {
    shared: Arc<Shared>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    loans: Arc<Loans>,
    lifetime: Duration,
    lent: AtomicUsize,
    stopped: AtomicBool,
}

impl Lender {
    /// What a container's agent wants to hear in the header `Authorization`.
    pub const AUTHORIZATION: &str = "the container's own";
    /// The token that STS takes for an identity.
    pub const IDENTITY: &str = "header.claims.signature";
    /// The token of somebody who has signed in.
    pub const SIGNED_IN: &str = "signed-in";

    pub(super) fn start(loans: Arc<Loans>, lifetime: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (lent, stopped) = Default::default();
        let shared = Arc::new(Shared { loans, lifetime, lent, stopped });
        let serving = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.stopped.load(Relaxed) {
                    return;
                }
                let _ = serving.answer(&stream); // who hangs up asks again
            }
        });
        Ok(Self { shared, address, thread: Some(thread) })
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many keys it lent.
    pub fn lent(&self) -> usize {
        self.shared.lent.load(Relaxed)
    }
}

impl Drop for Lender {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Relaxed);
        let _ = TcpStream::connect(self.address); // wakes it
        self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        let request = Request::read(stream)?;
        let reply = self.reply(&request);
        let (status, body) = match &reply {
            Some(body) => ("200 OK", &**body),
            None => ("403 Forbidden", "no"),
        };
        write!(
            &*stream,
            "HTTP/1.1 {status}\r\nConnection: close\r\nX-aws-ec2-metadata-token-ttl-seconds: 600\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// None to a stranger.
    fn reply(&self, request: &Request) -> Option<String> {
        const ROLE: &str = "/latest/meta-data/iam/security-credentials";
        let path = request.path.split('?').next().unwrap_or_default();
        match (&*request.method, path.trim_end_matches('/')) {
            ("GET", "/container") => {
                request.has("authorization", Lender::AUTHORIZATION).then(|| self.json("Token"))
            }
            ("PUT", "/latest/api/token") => Some("instance".into()),
            ("GET", path) if path.starts_with(ROLE) => {
                let reply = if path == ROLE { "role".into() } else { self.json("Token") };
                request.has("x-aws-ec2-metadata-token", "instance").then_some(reply)
            }
            ("GET", "/federation/credentials") => request
                .has("x-amz-sso_bearer_token", Lender::SIGNED_IN)
                .then(|| self.single_sign_on()),
            ("POST", "") => request.body.contains(Lender::IDENTITY).then(|| self.assumed()),
            _ => None,
        }
    }

    fn lend(&self) -> Key {
        self.lent.fetch_add(1, Relaxed);
        self.loans.lend(self.lifetime)
    }

    fn json(&self, token_name: &str) -> String {
        let Key { id, token, expires } = self.lend();
        let (secret, expires) = (super::S3Server::SECRET_KEY, time(expires));
        format!(
            r#"{{"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2020-01-01T00:00:00Z",
                "AccessKeyId": "{id}", "SecretAccessKey": "{secret}", "{token_name}": "{token}",
                "Expiration": "{expires}"}}"#
        )
    }

    fn single_sign_on(&self) -> String {
        let Key { id, token, expires } = self.lend();
        let expires = expires.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let secret = super::S3Server::SECRET_KEY;
        format!(
            r#"{{"roleCredentials": {{"accessKeyId": "{id}", "secretAccessKey": "{secret}",
                "sessionToken": "{token}", "expiration": {expires}}}}}"#
        )
    }

    fn assumed(&self) -> String {
        let Key { id, token, expires } = self.lend();
        let (secret, expires) = (super::S3Server::SECRET_KEY, time(expires));
        format!(
            "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
             <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{id}</AccessKeyId>\
             <SecretAccessKey>{secret}</SecretAccessKey><SessionToken>{token}</SessionToken>\
             <Expiration>{expires}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
             </AssumeRoleWithWebIdentityResponse>"
        )
    }
}

/// RFC 3339, in UTC.
fn time(time: SystemTime) -> String {
    let stamp = s3s::dto::Timestamp::from(time);
    let mut text = Vec::new();
    match stamp.format(s3s::dto::TimestampFormat::DateTime, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut input = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if input.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let mut first = lines.first().map(String::as_str).unwrap_or_default().split(' ');
        let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
        let (method, path) = (method.to_owned(), path.to_owned());
        let header = |line: &String| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<_> = lines.iter().skip(1).filter_map(header).collect();
        let len = headers.iter().find(|(name, _)| name == "content-length");
        let len: u64 = len.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
        let mut body = String::new();
        input.take(len.min(1 << 20)).read_to_string(&mut body)?;
        Ok(Self { method, path, headers, body })
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.headers.iter().any(|(n, v)| n == name && v == value)
    }
}
