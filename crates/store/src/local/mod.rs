//! Local file systems: a disk, or whatever is mounted at a path.

mod direct;
mod guard;
mod list;
mod pinned;
mod pressure;
mod reserve;
mod store;
mod tree;
mod upload;
mod walk;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use reserve::reserve;
pub use store::{Direct, LocalOptions, LocalStore};
pub use tree::LocalTree;
pub use walk::{Rule, Symlinks, WalkOptions};

/// What the mutexes here guard is whole at every step, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
