//! Shards side by side. With `execute.rs` the only place of this crate that starts threads.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::progress::Progress;
use crate::{Error, Result};

/// Calls `work` for the numbers below `count` on up to `jobs` threads, and gives what came of it
/// in order. Of several errors the one with the lowest number is returned; after an error no
/// further number is started.
pub(crate) fn each<T: Send>(
    count: usize,
    jobs: usize,
    progress: &Progress,
    work: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Result<T>)>> = Mutex::default();
    let worker = || {
        while !progress.stopped() {
            let number = next.fetch_add(1, Relaxed);
            if number >= count {
                return;
            }
            let outcome = work(number);
            if outcome.is_err() {
                next.fetch_max(count, Relaxed);
            } else {
                progress.shards.fetch_add(1, Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..jobs.min(count) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    let finished = done.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    let stopped = Error::Stopped { done: finished, shards: count };
    let results: Result<Vec<T>> = done.into_iter().map(|(_, outcome)| outcome).collect();
    match results {
        Ok(_) if finished < count => Err(stopped),
        Err(Error::Stopped { .. }) => Err(stopped),
        results => results,
    }
}

/// What work returns when it sees that it is to stop. [`each`] fills in how far the run came.
pub(crate) fn check_stopped(progress: &Progress) -> Result<()> {
    match progress.stopped() {
        true => Err(Error::Stopped { done: 0, shards: 0 }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_and_the_first_error_wins() {
        for jobs in [1, 3, 100] {
            let twice = each(50, jobs, &Progress::default(), |i| Ok(2 * i)).unwrap();
            assert_eq!(twice, (0..50).map(|i| 2 * i).collect::<Vec<_>>());
            let failing = |i: usize| match i {
                20.. => Err(Error::NotFound(i.to_string())),
                _ => Ok(()),
            };
            let error = each(50, jobs, &Progress::default(), failing).unwrap_err();
            assert_eq!(error.to_string(), "20", "{jobs} jobs");
        }
    }

    #[test]
    fn stopping_starts_nothing_more() {
        let progress = Progress::default();
        let outcome = each(50, 1, &progress, |i| {
            if i == 3 {
                progress.stop();
            }
            Ok(())
        });
        assert!(matches!(outcome, Err(Error::Stopped { done: 4, shards: 50 })), "{outcome:?}");
    }
}
