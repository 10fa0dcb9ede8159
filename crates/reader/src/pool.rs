//! Memory that samples lie in, used again: fresh pages cost as much as the reading itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers without use.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
    /// The process whose threads use it.
    process: u32,
}

impl Default for Pool {
    fn default() -> Self {
        Self { idle: Mutex::default(), process: std::process::id() }
    }
}

/// Buffers that are kept: as many as a few windows have pieces.
const MOST: usize = 64;

/// Bytes of one piece of a shard. Dropped, their memory goes back.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    pool: Arc<Pool>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `len` bytes. What was in the memory before is in it still.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let mut bytes = self.idle().pop().unwrap_or_default();
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        Buffer { bytes, len, pool: Arc::clone(self) }
    }
}

impl Buffer {
    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // A fork has its parent's samples too, but nobody who would give the lock back.
        if self.pool.process != std::process::id() {
            return;
        }
        let mut idle = self.pool.idle();
        if idle.len() < MOST {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}
