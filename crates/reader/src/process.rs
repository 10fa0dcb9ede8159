//! State with locks, and forks.

use std::sync::OnceLock;

/// A value for each process. One that is forked off finds the locks of its parent as they were at
/// that moment: held for ever where a thread held them, as it has none of the threads. So it gets a
/// value of its own, and never touches its parent's.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    process: u32,
    value: T,
    /// Of a process that was forked off this one, in that process.
    forked: OnceLock<Box<PerProcess<T>>>,
}

impl<T: Default> PerProcess<T> {
    /// This process's value.
    pub(crate) fn get(&self) -> &T {
        let process = std::process::id();
        let mut own = self;
        while own.process != process {
            own = own.forked.get_or_init(Box::default);
        }
        &own.value
    }
}

impl<T: Default> Default for PerProcess<T> {
    fn default() -> Self {
        Self { process: std::process::id(), value: T::default(), forked: OnceLock::new() }
    }
}
