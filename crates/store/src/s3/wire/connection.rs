//! Sockets that wait no longer than they should, with and without TLS.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::sign::Endpoint;
use crate::{Error, Result};

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Connector {
    host: String,
    port: u16,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    stall: Duration,
}

/// For a handshake across the world.
const CONNECT: Duration = Duration::from_secs(10);
/// Idle connections are dropped before S3 does, which is after some 20 s.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes read before it is known whose they are: a head.
const AHEAD: usize = 4 << 10;

impl Connector {
    /// None where only the SDK knows the way: through a proxy, or to a name that TLS has no words
    /// for.
    pub(super) fn new(endpoint: &Endpoint, stall: Duration) -> Result<Option<Self>> {
        let proxy =
            ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];
        if proxy.iter().any(|name| std::env::var_os(name).is_some()) {
            return Ok(None);
        }
        let tls = match endpoint.tls {
            false => None,
            true => {
                let Ok(name) = ServerName::try_from(endpoint.host.clone()) else { return Ok(None) };
                Some((Arc::new(trusting_the_system()?), name))
            }
        };
        Ok(Some(Self { host: endpoint.host.clone(), port: endpoint.port, tls, stall }))
    }

    pub(super) fn connect(&self) -> io::Result<Connection> {
        let mut addresses: Vec<_> = (&*self.host, self.port).to_socket_addrs()?.collect();
        if addresses.len() > 1 {
            // S3 answers with some of many addresses: connections spread over them.
            let first = RandomState::new().hash_one(()) as usize % addresses.len();
            addresses.rotate_left(first);
        }
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(socket) => return self.dress(socket),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn dress(&self, socket: TcpStream) -> io::Result<Connection> {
        socket.set_nodelay(true)?;
        // A read that waits longer fails: this is all there is to notice a dead line.
        socket.set_read_timeout(Some(self.stall))?;
        socket.set_write_timeout(Some(self.stall))?;
        let stream = match &self.tls {
            None => Stream::Plain(socket),
            Some((config, name)) => {
                let client = ClientConnection::new(Arc::clone(config), name.clone());
                Stream::Tls(Box::new(StreamOwned::new(client.map_err(io::Error::other)?, socket)))
            }
        };
        Ok(Connection { stream, ahead: Vec::with_capacity(AHEAD), taken: 0, used: Instant::now() })
    }
}

/// The certificates that the system trusts, `SSL_CERT_FILE` included.
fn trusting_the_system() -> Result<ClientConfig> {
    let tls = |error: rustls::Error| Error::io(io::Error::other(error), "TLS");
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(config.map_err(tls)?.with_root_certificates(roots).with_no_client_auth())
}

/// A connection; what was read beyond a head waits in it.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    ahead: Vec<u8>,
    taken: usize,
    used: Instant,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Connection {
    /// False for one that the other side is about to close.
    pub(super) fn is_fresh(&self) -> bool {
        self.used.elapsed() < IDLE && self.taken == self.ahead.len()
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.used = Instant::now();
        self.ahead.clear();
        self.taken = 0;
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Reads what there is; 0 at the end.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let held = &self.ahead[self.taken..];
        if !held.is_empty() {
            let n = held.len().min(buf.len());
            buf[..n].copy_from_slice(&held[..n]);
            self.taken += n;
            return Ok(n);
        }
        loop {
            let read = match &mut self.stream {
                Stream::Plain(socket) => socket.read(buf),
                Stream::Tls(stream) => stream.read(buf),
            };
            match read {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "nothing arrived for as long as --stall-timeout allows",
                    ));
                }
                read => return read,
            }
        }
    }

    /// Reads on into what waits; the whole of it.
    pub(super) fn more(&mut self) -> io::Result<&[u8]> {
        let filled = self.ahead.len();
        let mut piece = [0; AHEAD];
        let read = {
            self.taken = filled;
            self.read(&mut piece)?
        };
        self.taken = 0;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed before it answered"));
        }
        self.ahead.extend_from_slice(&piece[..read]);
        Ok(&self.ahead)
    }

    /// Passes over the head, which has `len` bytes.
    pub(super) fn pass(&mut self, len: usize) {
        self.taken = len.min(self.ahead.len());
    }
}
