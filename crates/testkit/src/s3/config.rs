//! How a server is to be, and what its requests share.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::faults::Rules;
use super::gate::Log;
use super::loans::Loans;
use super::objects::State;
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
    /// Lines of a page of a listing at most: 1,000, which is also S3's limit. Lower it to test many
    /// pages with few keys.
    pub page: i32,
    /// Remembers every request, about 2 KB each.
    pub remember: bool,
    /// Threads that serve.
    pub threads: usize,
    /// Speaks TLS 1.3 or 1.2, with a certificate that only this server has: see
    /// [`S3Server::certificate`](super::S3Server::certificate). Faults strike the TCP connection below: a client that is cut off
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
            page: super::lines::PAGE,
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
    pub(super) loans: Arc<Loans>,
    pub(super) latency: AtomicU64, // nanoseconds
    pub(super) ignore_conditions: AtomicBool,
    pub(super) ignore_checksums: AtomicBool,
    pub(super) hide_checksums: AtomicBool,
}

/// Takes a lock. What it guards is changed in one step, so a panic elsewhere leaves it whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
