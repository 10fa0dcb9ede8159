//! Memory that uploads hold.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that uploads hold, and the buffers that they are held in. Buffers are used again: parts
/// come and go in turn on many threads, and an allocator that keeps what each of them freed held
/// three times the budget.
#[derive(Debug)]
pub(super) struct Backlog {
    held: Mutex<Held>,
    sent: Condvar,
    most: u64,
}

#[derive(Debug, Default)]
struct Held {
    /// In parts that wait for bytes, or are on their way.
    all: u64,
    /// In parts on their way.
    sending: u64,
    /// Buffers without use.
    idle: Vec<Vec<u8>>,
}

/// Memory of one part. Dropped, it makes room for another.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    len: usize,
    counted: u64,
    sending: bool,
    backlog: Arc<Backlog>,
}

impl Backlog {
    pub(super) fn new(most: u64) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), sent: Condvar::new(), most })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while more may be started.
    pub(super) fn has_room(&self) -> bool {
        self.held().all < self.most
    }

    /// Waits for parts on their way. Only for those: they need nobody's bytes any more, so this
    /// wait always ends, whereas parts that fill may wait for the very thread that asks.
    pub(super) fn wait(&self) {
        let held = self.held();
        let full = |held: &mut Held| held.sending >= self.most;
        drop(self.sent.wait_while(held, full).unwrap_or_else(PoisonError::into_inner));
    }

    /// Memory for a part of at most `most` bytes.
    pub(super) fn buffer(self: &Arc<Self>, most: u64) -> Buffer {
        let mut held = self.held();
        held.all += most;
        let bytes = held.idle.pop().unwrap_or_default();
        Buffer { bytes, len: 0, counted: most, sending: false, backlog: Arc::clone(self) }
    }
}

impl Buffer {
    /// Makes it at least so long. What was in the memory before is in it still: a part is sent
    /// when all of it has been written.
    pub(super) fn reach(&mut self, len: usize) {
        self.len = self.len.max(len);
        if self.bytes.len() < self.len {
            self.bytes.resize(self.len, 0);
        }
    }

    /// Its part needs nothing more.
    pub(super) fn leave(&mut self) {
        self.sending = true;
        self.backlog.held().sending += self.counted;
    }

    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut held = self.backlog.held();
        held.all -= self.counted;
        if self.sending {
            held.sending -= self.counted;
        }
        let idle: u64 = held.idle.iter().map(|bytes| bytes.len() as u64).sum();
        if !self.bytes.is_empty() && held.all + idle < self.backlog.most {
            held.idle.push(std::mem::take(&mut self.bytes));
        }
        self.backlog.sent.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_counts_until_it_is_dropped_and_is_used_again() {
        let backlog = Backlog::new(10);
        let (mut first, second) = (backlog.buffer(6), backlog.buffer(6));
        assert!(!backlog.has_room());
        first.reach(3);
        first.write(1, b"ab");
        assert_eq!(first.as_ref(), b"\0ab");
        first.leave();
        drop((first, second));
        assert!(backlog.has_room());
        let again = backlog.buffer(6);
        assert_eq!((again.as_ref(), again.bytes.len()), (&b""[..], 3));
    }

    #[test]
    fn a_writer_waits_for_what_is_sent_and_not_for_what_fills() {
        let backlog = Backlog::new(10);
        let filling = backlog.buffer(20);
        backlog.wait(); // ends at once
        let mut sending = backlog.buffer(10);
        sending.leave();
        let (told, heard) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let backlog = &backlog;
            scope.spawn(move || {
                backlog.wait();
                told.send(()).unwrap();
            });
            assert!(heard.try_recv().is_err());
            drop(sending);
            heard.recv().unwrap();
        });
        drop(filling);
    }
}
