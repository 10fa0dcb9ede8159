//! One connection: requests in, answers or faults out.

use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use s3s::service::S3Service;
use s3s::{Body, StdError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::config::{Shared, lock};
use super::faults::Fault;
use super::wire::{Line, Socket, bend};

/// Serves one client until it leaves.
pub(super) async fn serve(stream: TcpStream, shared: Arc<Shared>, service: S3Service) {
    let _ = stream.set_nodelay(true);
    let (socket, line) = Socket::new(stream);
    match &shared.tls {
        None => converse(socket, line, shared.clone(), service).await,
        // Faults act on the socket, so that they strike below TLS.
        Some(tls) => {
            if let Ok(stream) = tls.accept(socket).await {
                converse(stream, line, shared.clone(), service).await;
            }
        }
    }
}

/// Speaks HTTP over `stream`, whose socket `line` tells of.
async fn converse<S>(stream: S, line: Arc<Line>, shared: Arc<Shared>, service: S3Service)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let answer =
        service_fn(move |request| answer(shared.clone(), service.clone(), line.clone(), request));
    // An error is a client that went away, or a fault.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(
    shared: Arc<Shared>,
    service: S3Service,
    line: Arc<Line>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, StdError> {
    let exchange = shared.log.open(&request, shared.config.remember);
    request.extensions_mut().insert(exchange.clone());
    let latency = Duration::from_nanos(shared.latency.load(Relaxed));
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (request, upload) = hold(request);
    let response = service.call(request).await?;
    let fault = exchange.fault();
    if matches!(fault, Some(Fault::ResetBefore | Fault::ResetAfter)) {
        line.reset();
        return Err("reset".into());
    }
    if let Some(upload) = upload {
        drain(upload).await;
    }
    if let Some(Fault::SlowFirstByte(pause)) = fault {
        tokio::time::sleep(*pause).await;
    }
    let response = match fault {
        Some(fault) => bend(response, fault, &line).await?,
        None => response,
    };
    exchange.answered(response.status());
    Ok(response)
}

/// The body of a request that another may finish reading.
#[derive(Clone, Debug)]
struct Upload(Arc<Mutex<Incoming>>);

/// Keeps a hand on a body that is sent.
fn hold(request: Request<Incoming>) -> (Request<Body>, Option<Upload>) {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return (request.map(Body::from), None);
    }
    let (parts, body) = request.into_parts();
    let upload = Upload(Arc::new(Mutex::new(body)));
    (Request::from_parts(parts, Body::http_body(upload.clone())), Some(upload))
}

/// Reads to the end what a refusal left unread: a client that still sends might lose the answer.
async fn drain(mut upload: Upload) {
    while let Some(Ok(_)) = upload.frame().await {}
}

impl hyper::body::Body for Upload {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut *lock(&self.0)).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.0).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.0).size_hint()
    }
}
