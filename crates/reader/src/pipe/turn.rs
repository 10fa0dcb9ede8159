//! Whose turn it is: the FIFOs of a channel are read one after the other.

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use shardpack_channel::fifo;

use crate::stream::Stop;
use crate::{Error, Result};

/// Which FIFO is next, and whether one is being read.
#[derive(Debug)]
pub(super) struct Turns {
    state: Mutex<State>,
    /// The one that was being read is closed.
    closed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Number of the next FIFO: those below were opened, or are passed over.
    next: u64,
    /// Tells the one who reads to stop.
    reader: Option<Stop>,
}

/// The right to read. Dropped after the FIFO is closed.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

impl Turns {
    pub(super) fn new(first: u64) -> Self {
        Self { state: Mutex::new(State { next: first, reader: None }), closed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next(&self) -> u64 {
        self.state().next
    }

    /// Waits until a reader that was told to stop has closed its FIFO; one that was not is an
    /// error.
    pub(super) fn take(self: &Arc<Self>, channel: &Path, stop: &Stop) -> Result<Turn> {
        let mut state = self.state();
        while let Some(reader) = &state.reader {
            if !reader.is_set() {
                let pipe = name(&fifo(channel, state.next));
                let last = name(&fifo(channel, state.next.saturating_sub(1)));
                let holder = format!("this process, which is not done with {last}");
                return Err(Error::Busy { pipe, holder });
            }
            state = self.closed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.reader = Some(stop.clone());
        Ok(Turn(Arc::clone(self)))
    }
}

impl Turn {
    /// Number of the FIFO to open, if it is there. FIFOs are made in their order, so one that is
    /// not there while a later one is has been used up.
    pub(super) fn find(&self, channel: &Path) -> io::Result<Option<u64>> {
        let next = self.0.next();
        let exists = |number| fs::exists(fifo(channel, number));
        if exists(next)? {
            return Ok(Some(next));
        }
        let later = later(channel, next)?;
        // It may have come between the two looks.
        if later.is_some() && exists(next)? {
            return Ok(Some(next));
        }
        Ok(later)
    }

    /// Notes that a FIFO was opened.
    pub(super) fn opened(&self, number: u64) {
        self.0.state().next = number.saturating_add(1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state().reader = None;
        self.0.closed.notify_all();
    }
}

/// The lowest number above `next` that has a FIFO.
fn later(channel: &Path, next: u64) -> io::Result<Option<u64>> {
    let (Some(folder), Some(prefix)) = (channel.parent(), channel.file_name()) else {
        return Ok(None);
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Some(prefix) = prefix.to_str() else { return Ok(None) };
    let mut lowest = None;
    for entry in fs::read_dir(folder)? {
        let found = entry?.file_name();
        let number = found.to_str().and_then(|found| {
            let digits = found.strip_prefix(prefix)?.strip_prefix('_')?;
            let number = digits.parse::<u64>().ok()?;
            (number > next && number.to_string() == digits).then_some(number)
        });
        lowest = match (lowest, number) {
            (Some(a), Some(b)) => Some(std::cmp::min::<u64>(a, b)),
            (a, b) => a.or(b),
        };
    }
    Ok(lowest)
}

/// The name of a FIFO for messages.
pub(super) fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
