//! Local file systems: a disk, or whatever is mounted at a path.

mod list;
mod pinned;
mod tree;
mod walk;

pub use tree::LocalTree;
pub use walk::{Rule, Symlinks, WalkOptions};
