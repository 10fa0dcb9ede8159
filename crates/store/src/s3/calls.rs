//! Requests, each repeated until it is answered.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::types::RequestPayer;

use super::backlog::Backlog;
use super::fault::{Answer, Class, Fault};
use super::options::S3Options;
use super::pace::{Pace, Rate, Turn};
use super::retry::Retry;
use crate::Result;

/// What all requests of a connection share.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) client: Client,
    pub(super) options: S3Options,
    pub(super) reads: Pace,
    /// Apart from reads: a read whose bytes wait for room in an upload must not keep that upload
    /// from being sent.
    pub(super) writes: Pace,
    pub(super) retries: Arc<AtomicU64>,
    pub(super) backlog: Arc<Backlog>,
    requests: Rate,
    received: Rate,
    sent: Rate,
}

/// Slowest line on which an upload may still be moving: a request may take `stall` and its bytes
/// at this rate, in bytes a second.
const SLOWEST: u64 = 64 << 10;

impl Calls {
    pub(super) fn new(client: Client, options: S3Options, retries: Arc<AtomicU64>) -> Self {
        Self {
            client,
            reads: Pace::new(options.io_depth),
            writes: Pace::new(options.io_depth),
            retries,
            backlog: Backlog::new(options.memory),
            requests: Rate::new(options.max_requests),
            received: Rate::new(options.max_bandwidth),
            sent: Rate::new(options.max_bandwidth),
            options,
        }
    }

    pub(super) fn payer(&self) -> Option<RequestPayer> {
        self.options.request_payer.then_some(RequestPayer::Requester)
    }

    /// Waits until one more request may be sent.
    pub(super) async fn pass(&self) {
        self.requests.take(1).await;
    }

    /// Waits for a turn to read, and until the request may be sent.
    pub(super) async fn read_turn(&self) -> Turn<'_> {
        let turn = self.reads.enter().await;
        self.pass().await;
        turn
    }

    /// Waits for as long as `bytes` may take to arrive.
    pub(super) async fn receive(&self, bytes: u64) {
        self.received.take(bytes).await;
    }

    /// Sends a request that is answered in one piece, again and again until it is.
    pub(super) async fn read<T, F>(
        &self,
        operation: &'static str,
        name: &str,
        send: impl Fn() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Answer<T>>,
    {
        self.until(&self.reads, operation, name, 0, send).await.map(|(answer, _)| answer)
    }

    /// The same for a request that carries `bytes`. Also tells whether an earlier try may have
    /// been carried out without our hearing of it.
    pub(super) async fn write<T, F>(
        &self,
        operation: &'static str,
        name: &str,
        bytes: u64,
        send: impl Fn() -> F,
    ) -> Result<(T, bool)>
    where
        F: Future<Output = Answer<T>>,
    {
        self.until(&self.writes, operation, name, bytes, send).await
    }

    async fn until<T, F>(
        &self,
        pace: &Pace,
        operation: &'static str,
        name: &str,
        bytes: u64,
        send: impl Fn() -> F,
    ) -> Result<(T, bool)>
    where
        F: Future<Output = Answer<T>>,
    {
        let mut retry = Retry::new(self, operation, name);
        let mut unknown = false;
        let limit = self.options.stall + Duration::from_secs(bytes / SLOWEST);
        loop {
            let turn = pace.enter().await;
            self.pass().await;
            self.sent.take(bytes).await;
            let fault = match tokio::time::timeout(limit, send()).await {
                Ok(Ok(answer)) => {
                    turn.answered();
                    return Ok((answer, unknown));
                }
                Ok(Err(fault)) => fault,
                Err(_) => Fault::stalled(),
            };
            unknown |= fault.unknown;
            match fault.class {
                Class::Slow => turn.throttled(),
                _ => drop(turn),
            }
            retry.after(fault).await?;
        }
    }
}
