//! A stream in which one can step back.

use std::io::{self, Read};
use std::sync::Arc;

use super::queue::Outbox;

/// Bytes that are read at once where they are looked at piece by piece: few enough that they are
/// still in the core's cache when they are decoded.
const BUFFER: usize = 256 << 10;

/// Reads a stream for several who take turns: whoever reads too far steps back.
///
/// Samples are handed over before bytes are waited for.
pub(super) struct Tap {
    stream: Box<dyn Read + Send>,
    outbox: Arc<Outbox>,
    /// Bytes that were read: those before `next` were taken, those from `end` on mean nothing.
    held: Vec<u8>,
    next: usize,
    end: usize,
    /// Offset in the stream of the first byte that is held.
    base: u64,
    /// Nothing is let go: one may step back.
    marked: bool,
}

impl Tap {
    pub(super) fn new(stream: Box<dyn Read + Send>, outbox: &Arc<Outbox>) -> Self {
        let (held, outbox) = (Vec::new(), Arc::clone(outbox));
        Self { stream, outbox, held, next: 0, end: 0, base: 0, marked: false }
    }

    /// Offset in the stream of the next byte.
    pub(super) fn position(&self) -> u64 {
        self.base + self.next as u64
    }

    /// Whether the stream has ended.
    pub(super) fn is_over(&mut self) -> io::Result<bool> {
        if self.next == self.end {
            self.fill()?;
        }
        Ok(self.next == self.end)
    }

    /// From here on nothing is let go, so that [`step_to`](Self::step_to) can come back.
    pub(super) fn mark(&mut self) {
        self.let_go();
        self.marked = true;
    }

    /// Goes to an offset that lies behind the mark and before what was read, and lifts the mark.
    pub(super) fn step_to(&mut self, position: u64) -> io::Result<()> {
        let next = position.checked_sub(self.base).filter(|&next| next <= self.end as u64);
        let Some(next) = next.filter(|_| self.marked) else {
            return Err(io::Error::other("a step to bytes that are gone"));
        };
        (self.next, self.marked) = (next as usize, false);
        Ok(())
    }

    /// Takes bytes without keeping them: those that are held, or those that come. None at the end.
    pub(super) fn take_some(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.next < self.end {
            return self.read(buf);
        }
        self.let_go();
        self.outbox.before_read();
        let read = read_some(&mut *self.stream, buf)?;
        self.outbox.read(read);
        self.base += read as u64;
        Ok(read)
    }

    /// Gives back what was taken last.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        let base = self.position().saturating_sub(bytes.len() as u64);
        let end = bytes.len() + (self.end - self.next);
        if self.held.len() < end {
            self.held.resize(end, 0);
        }
        self.held.copy_within(self.next..self.end, bytes.len());
        self.held[..bytes.len()].copy_from_slice(bytes);
        (self.base, self.next, self.end) = (base, 0, end);
    }

    /// Forgets what was taken.
    fn let_go(&mut self) {
        self.held.copy_within(self.next..self.end, 0);
        self.base += self.next as u64;
        (self.next, self.end) = (0, self.end - self.next);
    }

    /// Holds more bytes, if there are more.
    fn fill(&mut self) -> io::Result<()> {
        if !self.marked {
            self.let_go();
        }
        let end = self.end;
        if self.held.len() - end < BUFFER {
            self.held.resize(end + BUFFER, 0);
        }
        self.outbox.before_read();
        let room = self.held.get_mut(end..).unwrap_or_default();
        let read = read_some(&mut *self.stream, room)?;
        self.outbox.read(read);
        self.end += read;
        Ok(())
    }
}

/// Keeps what is read while there is a mark.
impl Read for Tap {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_over()? {
            return Ok(0);
        }
        let mut held = self.held.get(self.next..self.end).unwrap_or_default();
        let read = held.read(buf)?;
        self.next += read;
        Ok(read)
    }
}

fn read_some(stream: &mut dyn Read, buf: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buf) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::queue::Queue;

    fn tap(len: usize) -> (Tap, Vec<u8>) {
        let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + i / 256) as u8).collect();
        let outbox = Arc::new(Outbox::new(Arc::new(Queue::new(1 << 20)), true));
        (Tap::new(Box::new(io::Cursor::new(bytes.clone())), &outbox), bytes)
    }

    #[test]
    fn whoever_reads_too_far_steps_back_and_nothing_is_lost() {
        let (mut tap, bytes) = tap(3 * BUFFER + 7);
        let mut seen = Vec::new();
        let mut step = 0usize;
        while !tap.is_over().unwrap() {
            let at = tap.position();
            assert_eq!(at, seen.len() as u64);
            step += 1;
            let mut buf = vec![0; [1, 700, BUFFER / 2, BUFFER + 9][step % 4]];
            match step % 3 {
                0 => {
                    tap.mark();
                    let read = tap.read(&mut buf).unwrap() as u64;
                    let _ = tap.read(&mut [0; 100]).unwrap();
                    tap.step_to(at + read / 2).unwrap();
                    seen.extend_from_slice(&buf[..read as usize / 2]);
                }
                1 => {
                    let read = tap.take_some(&mut buf).unwrap();
                    let kept = read - read / 3;
                    tap.put_back(&buf[kept..read]);
                    seen.extend_from_slice(&buf[..kept]);
                }
                _ => {
                    let read = tap.read(&mut buf).unwrap();
                    seen.extend_from_slice(&buf[..read]);
                }
            }
        }
        assert!(seen == bytes);
    }

    #[test]
    fn what_was_let_go_is_gone() {
        let (mut tap, _) = tap(100);
        let _ = tap.read(&mut [0; 10]).unwrap();
        assert!(tap.step_to(0).is_err(), "without a mark");
        tap.mark();
        assert!(tap.step_to(9).is_err(), "before the mark");
        assert!(tap.step_to(101).is_err(), "not read yet");
        tap.step_to(10).unwrap();
        assert_eq!(tap.position(), 10);
    }
}
