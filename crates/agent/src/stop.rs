//! The wish that everything ends, heard by whoever waits.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Set once, for all clones.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    fn flag(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every wait, now and later.
    pub fn set(&self) {
        *self.flag() = true;
        self.0.1.notify_all();
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        *self.flag()
    }

    /// Waits for `time`; true when it was cut short.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        let mut flag = self.flag();
        while !*flag {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            flag = self.0.1.wait_timeout(flag, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *flag
    }
}
