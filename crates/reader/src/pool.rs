//! Memory that samples lie in, used again: fresh pages cost as much as the reading itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers without use. There never are more, in use or not, than were in use at once.
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

/// Buffers are so much longer than they need be, in bytes, that the next piece fits them too.
const GRAIN: usize = 256 << 10;

/// Bytes of one piece of a shard. Dropped, their memory goes back.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    /// None of memory that is used once.
    pool: Option<Arc<Pool>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer of `len` bytes. What was in the memory before is in it still.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Buffer {
        let found = {
            let mut idle = self.idle();
            // The one that was used last may be in the core's cache; one that is too short makes
            // room for its successor.
            let fits = idle.iter().rposition(|bytes| bytes.len() >= len);
            fits.or(idle.len().checked_sub(1)).map(|at| idle.remove(at))
        };
        // A vector that grows would be copied.
        let bytes = found.filter(|bytes| bytes.len() >= len);
        let bytes = bytes.unwrap_or_else(|| vec![0; len.next_multiple_of(GRAIN)]);
        Buffer { bytes, len, pool: Some(Arc::clone(self)) }
    }
}

impl Buffer {
    /// Leaves its first `len` bytes.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(crate) fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Self { len: bytes.len(), bytes, pool: None }
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
        if let Some(pool) = &self.pool
            && pool.process == std::process::id()
        {
            pool.idle().push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_no_more_of_it_than_was_needed_at_once() {
        let pool = Arc::<Pool>::default();
        let (small, large) = (pool.take(10), pool.take(GRAIN + 1));
        assert_eq!((small.as_ref().len(), large.as_ref().len()), (10, GRAIN + 1));
        let place = large.as_ref().as_ptr();
        drop((large, small));
        assert_eq!(pool.take(GRAIN + 7).as_ref().as_ptr(), place, "the one that fits");
        let longer = pool.take(3 * GRAIN);
        assert_eq!(pool.idle().len(), 1, "made in place of one that was too short");
        drop(longer);
        let all = (pool.take(1), pool.take(1), pool.take(1));
        drop(all);
        assert_eq!(pool.idle().len(), 3);
    }
}
