//! Memory that uploads hold.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that uploads hold.
#[derive(Debug)]
pub(super) struct Backlog {
    held: Mutex<Held>,
    sent: Condvar,
    most: u64,
}

#[derive(Debug, Default)]
struct Held {
    /// In parts that wait for bytes.
    filling: u64,
    /// In parts on their way.
    sending: u64,
}

impl Backlog {
    pub(super) fn new(most: u64) -> Self {
        Self { held: Mutex::default(), sent: Condvar::new(), most }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while more may be started.
    pub(super) fn has_room(&self) -> bool {
        let held = self.held();
        held.filling + held.sending < self.most
    }

    /// Waits for parts on their way. Only for those: they need nobody's bytes any more, so this
    /// wait always ends, whereas parts that fill may wait for the very thread that asks.
    pub(super) fn wait(&self) {
        let held = self.held();
        let full = |held: &mut Held| held.sending >= self.most;
        drop(self.sent.wait_while(held, full).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn fill(&self, bytes: u64) {
        self.held().filling += bytes;
    }

    pub(super) fn send(&self, bytes: u64) {
        let mut held = self.held();
        held.filling -= bytes;
        held.sending += bytes;
    }

    pub(super) fn sent(&self, bytes: u64) {
        self.held().sending -= bytes;
        self.sent.notify_all();
    }

    pub(super) fn forget(&self, bytes: u64) {
        self.held().filling -= bytes;
    }
}
