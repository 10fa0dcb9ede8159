//! Threads that wait for bytes, and the memory that bytes wait in.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use shardpack_store::{Error, Result, Sink};

use crate::Stop;
use crate::objects::Objects;

/// Bytes that one request brings: Amazon advises 8 to 16 MB.
pub(crate) const PIECE: u64 = 8 << 20;
/// How long the end waits for threads that hang in the network.
const PATIENCE: Duration = Duration::from_secs(5);

/// How the names of its threads start.
const NAME: &str = "fetch-";

type Work = Box<dyn FnOnce() + Send>;

/// Threads that do what is handed to them, first come first served. Dropped, it ends them: what is
/// under way is waited for, what is queued is done in no time once the [`Stop`] is set.
pub(crate) struct Crew {
    work: Option<Sender<Work>>,
    /// Disconnected when the last thread has ended.
    ended: Receiver<()>,
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").finish_non_exhaustive()
    }
}

impl Crew {
    pub(crate) fn start(threads: usize) -> crate::Result<Self> {
        let (work, queue) = unbounded::<Work>();
        let (alive, ended) = unbounded::<()>();
        for i in 0..threads.max(1) {
            let (queue, alive) = (queue.clone(), alive.clone());
            thread::Builder::new()
                .name(format!("{NAME}{i}"))
                .spawn(move || {
                    queue.iter().for_each(|work| work());
                    drop(alive);
                })
                .map_err(|error| Error::io(error, "threads"))?;
        }
        Ok(Self { work: Some(work), ended })
    }

    pub(crate) fn hand(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(queue) = &self.work {
            let _ = queue.send(Box::new(work)); // threads end after this sender only
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.work = None;
        // The last work under way may hold the crew itself, and a thread cannot wait for its own end.
        let is_own = thread::current().name().is_some_and(|name| name.starts_with(NAME));
        if !is_own {
            let _ = self.ended.recv_timeout(PATIENCE); // nothing is ever sent: it ends, or it hangs
        }
    }
}

/// A limit for memory, and buffers that are used again: fresh memory costs as much time as the
/// network does.
#[derive(Debug)]
pub(crate) struct Memory(Mutex<Pool>);

#[derive(Debug)]
struct Pool {
    idle: Vec<Vec<u8>>,
    /// Buffers that may still be taken; negative while those that had to be exceed the limit.
    left: isize,
}

/// A buffer of [`PIECE`] bytes at most; it goes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    filled: usize,
    memory: Arc<Memory>,
    stop: Stop,
}

impl Memory {
    /// Room for `limit` bytes, two buffers at least.
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        let left = isize::try_from(limit / PIECE).unwrap_or(isize::MAX).max(2);
        Arc::new(Self(Mutex::new(Pool { idle: Vec::new(), left })))
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A buffer; none above the limit, unless it `must` be.
    pub(crate) fn take(self: &Arc<Self>, len: u64, must: bool, stop: &Stop) -> Option<Buffer> {
        let mut pool = self.pool();
        if pool.left <= 0 && !must {
            return None;
        }
        pool.left -= 1;
        let mut bytes = pool.idle.pop().unwrap_or_default();
        drop(pool);
        let len = len.min(PIECE) as usize;
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        let (memory, stop) = (Arc::clone(self), stop.clone());
        Some(Buffer { bytes, len, filled: 0, memory, stop })
    }
}

impl Buffer {
    /// Fills it from an object, from `start`.
    pub(crate) fn fill(mut self, objects: &dyn Objects, i: usize, start: u64) -> Result<Self> {
        objects.fetch(i, start, self.len as u64, &mut self)?;
        Ok(self)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }
}

/// Ends a read whose bytes nobody wants any more.
pub(crate) fn nobody_waits() -> Error {
    Error::io(std::io::Error::other("nobody waits any more"), "a read")
}

impl Sink for Buffer {
    fn space(&mut self) -> Result<&mut [u8]> {
        if self.stop.is_set() {
            return Err(nobody_waits());
        }
        Ok(self.bytes.get_mut(self.filled..self.len).unwrap_or_default())
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.filled = self.len.min(self.filled + n);
        Ok(())
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut pool = self.memory.pool();
        pool.left += 1;
        if pool.left > 0 && pool.idle.len() < pool.left.unsigned_abs() {
            pool.idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn a_crew_does_all_its_work_and_ends() {
        let done = Arc::new(AtomicUsize::new(0));
        let crew = Crew::start(3).unwrap();
        for _ in 0..100 {
            let done = Arc::clone(&done);
            crew.hand(move || _ = done.fetch_add(1, Relaxed));
        }
        drop(crew);
        assert_eq!(done.load(Relaxed), 100);
    }

    #[test]
    fn memory_has_an_end_and_is_used_again() {
        let (memory, stop) = (Memory::new(2 * PIECE), Stop::default());
        let two = [memory.take(10, false, &stop), memory.take(PIECE, false, &stop)];
        assert!(two.iter().all(Option::is_some) && memory.take(1, false, &stop).is_none());
        let beyond = memory.take(5, true, &stop).unwrap();
        drop((two, beyond));
        let mut again = memory.take(3, false, &stop).unwrap();
        assert_eq!(again.space().unwrap().len(), 3);
        stop.set();
        assert!(again.space().is_err(), "nobody waits for it");
        assert_eq!(memory.pool().left, 1);
    }
}
