//! Answers that go wrong on their way: late, slow, cut or never ending.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, HeaderValue};
use s3s::{Body, StdError};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::faults::Fault;

/// What an answer and the connection below it know of each other.
#[derive(Debug, Default)]
pub(super) struct Line {
    full: AtomicBool,
    reset: AtomicBool,
}

impl Line {
    /// Lets the connection end in a reset, not in an orderly close.
    pub(super) fn reset(&self) {
        self.reset.store(true, Relaxed);
    }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    line: Arc<Line>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<Line>) {
        let line = Arc::<Line>::default();
        (Self { stream, line: line.clone() }, line)
    }

    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        self.line.full.store(written.is_pending(), Relaxed);
        written
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.line.reset.load(Relaxed) {
            let _ = self.stream.set_zero_linger(); // closed in order, then: as broken for a client
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The answer with the fault done to its body. Faults of other kinds leave it alone.
pub(super) async fn bend(
    response: Response<Body>,
    fault: &Fault,
    line: &Arc<Line>,
) -> Result<Response<Body>, StdError> {
    if !matches!(
        fault,
        Fault::ResetWithin(_)
            | Fault::ShortBody(_)
            | Fault::WrongBody
            | Fault::Trickle(..)
            | Fault::Stall(_)
    ) {
        return Ok(response);
    }
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    parts.headers.entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(body.len()));
    let script = Script { steps: steps(fault, body), timer: None, line: line.clone() };
    Ok(Response::from_parts(parts, Body::http_body(script)))
}

fn steps(fault: &Fault, body: Bytes) -> VecDeque<Step> {
    let first = |n: usize| body.slice(..n.min(body.len()));
    match *fault {
        Fault::ResetWithin(n) => {
            [Step::Send(first(n)), Step::Flush, Step::Settle, Step::Cut].into()
        }
        Fault::ShortBody(n) => {
            let rest = first(body.len().saturating_sub(n));
            [Step::Send(rest), Step::Flush, Step::Settle, Step::Cut].into()
        }
        Fault::Stall(n) => [Step::Send(first(n)), Step::Hang].into(),
        Fault::Trickle(n, pause) => {
            let piece = n.max(1);
            let starts = (0..body.len()).step_by(piece);
            let pieces = starts.map(|at| body.slice(at..body.len().min(at + piece)));
            pieces.flat_map(|piece| [Step::Send(piece), Step::Pause(pause)]).collect()
        }
        Fault::WrongBody => {
            let mut wrong = BytesMut::from(&body[..]);
            let middle = wrong.len() / 2;
            wrong.iter_mut().skip(middle).take(1).for_each(|byte| *byte ^= 0xff);
            [Step::Send(wrong.freeze())].into()
        }
        _ => [Step::Send(body)].into(),
    }
}

#[derive(Debug)]
enum Step {
    Send(Bytes),
    Pause(Duration),
    /// Lets hyper write what it holds.
    Flush,
    /// Waits until the kernel has taken it: an error drops what hyper still holds.
    Settle,
    Cut,
    Hang,
}

#[derive(Debug)]
struct Script {
    steps: VecDeque<Step>,
    timer: Option<Pin<Box<Sleep>>>,
    line: Arc<Line>,
}

impl hyper::body::Body for Script {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                self.timer = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Send(bytes)) if bytes.is_empty() => {}
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Step::Pause(pause)) => self.wait(pause),
                Some(Step::Flush) => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(Step::Settle) if self.line.full.load(Relaxed) => {
                    self.steps.push_front(Step::Settle);
                    self.wait(Duration::from_millis(1));
                }
                Some(Step::Settle) => {}
                Some(Step::Cut) => return Poll::Ready(Some(Err(io::Error::other("cut")))),
                Some(Step::Hang) => {
                    self.steps.push_front(Step::Hang);
                    return Poll::Pending;
                }
            }
        }
    }
}

impl Script {
    fn wait(&mut self, pause: Duration) {
        self.timer = Some(Box::pin(tokio::time::sleep(pause)));
    }
}
