//! What a process has to itself, and one that is forked off makes anew.

use std::convert::Infallible;
use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A value that does not outlive a fork: threads, sockets, and whatever a thread may hold locked at
/// that moment are the parent's, or nobody's. The child makes its own when it first asks. What it
/// inherited is neither used there nor dropped: that would wait for threads which do not exist.
///
/// ```
/// use shardpack_store::PerProcess;
///
/// let value = PerProcess::new("made here");
/// assert_eq!(*value.or_make(|| "made after a fork"), "made here");
/// ```
#[derive(Debug)]
pub struct PerProcess<T> {
    process: u32,
    value: Arc<T>,
    /// Of a process that was forked off from this one.
    child: OnceLock<Box<PerProcess<T>>>,
    // Taken in a child only, so no thread of the parent can hold it during the fork.
    making: Mutex<()>,
}

impl<T> PerProcess<T> {
    /// The value of this process.
    pub fn new(value: T) -> Self {
        Self {
            process: process::id(),
            value: Arc::new(value),
            child: OnceLock::new(),
            making: Mutex::default(),
        }
    }

    /// The value of the process that runs this; made first where it was forked off.
    pub fn get<E>(&self, make: impl Fn() -> Result<T, E>) -> Result<&T, E> {
        let mine = process::id();
        let mut at = self;
        while at.process != mine {
            at = match at.child.get() {
                Some(child) => child,
                None => {
                    let _turn = at.making.lock().unwrap_or_else(PoisonError::into_inner);
                    if at.child.get().is_none() {
                        let _ = at.child.set(Box::new(Self::new(make()?)));
                    }
                    continue;
                }
            };
        }
        Ok(&at.value)
    }

    /// The same for a value whose making cannot fail.
    pub fn or_make(&self, make: impl Fn() -> T) -> &T {
        let Ok(value) = self.get(|| Ok::<T, Infallible>(make()));
        value
    }

    /// The value of the process that began.
    pub fn first(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.process != process::id() {
            std::mem::forget(Arc::clone(&self.value));
        }
    }
}
