//! The server's port, and the connections that come in.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinHandle, JoinSet};

use super::config::{Shared, lock};
use super::connection::serve;

/// A server that listens.
pub(super) struct Serving {
    accepting: JoinHandle<()>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Serving {
    /// Listens on `port` of the loopback interface. To be called on the server's runtime.
    pub(super) fn start(port: u16, shared: Arc<Shared>, service: S3Service) -> io::Result<Self> {
        let listener = listen(port)?;
        let connections = Arc::<Mutex<JoinSet<()>>>::default();
        let accepting = tokio::spawn(accept(listener, shared, service, connections.clone()));
        Ok(Self { accepting, connections })
    }

    /// Refuses new connections and cuts those that are there.
    pub(super) async fn stop(self) {
        self.accepting.abort();
        let _ = self.accepting.await; // the listener is gone now
        let mut connections = std::mem::take(&mut *lock(&self.connections));
        connections.shutdown().await;
    }
}

/// A port that is this process's from now on; 0 for any that is free.
pub(super) fn bind(port: u16) -> io::Result<TcpSocket> {
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
