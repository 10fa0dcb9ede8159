//! One request, tried until it is answered.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::calls::Calls;
use super::fault::{Class, Fault};
use super::options::{Retried, S3Options};
use crate::{Error, ErrorKind, Result};

/// Tries of a request whose credentials ran out: enough for a provider that is about to renew
/// them.
const EXPIRED_ATTEMPTS: u32 = 3;

/// Counts the tries of one request.
#[derive(Debug)]
pub(super) struct Retry<'c> {
    calls: &'c Calls,
    operation: &'static str,
    name: &'c str,
    attempt: u32,
}

impl<'c> Retry<'c> {
    pub(super) fn new(calls: &'c Calls, operation: &'static str, name: &'c str) -> Self {
        Self { calls, operation, name, attempt: 0 }
    }

    /// Bytes arrived since the last try: the count starts again. A long download over a bad line
    /// ends, however often it breaks.
    pub(super) fn progressed(&mut self) {
        self.attempt = 0;
    }

    /// Waits until the next try, or fails when there is to be none.
    pub(super) async fn after(&mut self, fault: Fault) -> Result<()> {
        let options = &self.calls.options;
        self.attempt += 1;
        let most = match fault.class {
            Class::Slow | Class::Passing => options.attempts,
            Class::Expired => options.attempts.min(EXPIRED_ATTEMPTS),
            Class::Missing | Class::Condition | Class::Final => 1,
        };
        if most <= 1 || (self.attempt >= most && fault.class == Class::Expired) {
            return Err(fault.error(self.operation, self.name));
        }
        let errors = self.calls.retries.fetch_add(1, Relaxed) + 1;
        if self.attempt >= most {
            return Err(self.give_up(format!("{} tries", self.attempt), fault));
        }
        if options.max_errors.is_some_and(|most| errors > most) {
            return Err(self.give_up(format!("{errors} errors in this run (--max-errors)"), fault));
        }
        let wait = wait(options, self.attempt);
        if let Some(tell) = &options.on_retry {
            tell(&Retried {
                operation: self.operation,
                name: self.name,
                why: &fault.text,
                attempt: self.attempt,
                wait,
            });
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    fn give_up(&self, after: String, fault: Fault) -> Error {
        let kind = ErrorKind::Unavailable { operation: self.operation, after, last: fault.text };
        Error::new(kind, self.name)
    }
}

/// Anything up to twice as long as the time before ("full jitter"): callers that failed together
/// do not come back together.
fn wait(options: &S3Options, attempt: u32) -> Duration {
    let most = options.backoff.saturating_mul(1 << (attempt - 1).min(20));
    let most = most.min(S3Options::LONGEST_WAIT);
    // Keys of a hash map are the one source of chance in the standard library.
    let chance = RandomState::new().hash_one(attempt) as f64 / u64::MAX as f64;
    most.mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_differ() {
        let options = S3Options::default();
        for (attempt, most) in [(1, 100), (2, 200), (5, 1600), (9, 15_000), (4_000_000_000, 15_000)]
        {
            let waits: Vec<_> = (0..50).map(|_| wait(&options, attempt).as_millis()).collect();
            assert!(waits.iter().all(|wait| *wait <= most), "{attempt}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait > most / 4), "{attempt}: {waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]), "{attempt}: {waits:?}");
        }
    }
}
