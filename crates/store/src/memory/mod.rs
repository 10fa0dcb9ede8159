//! Memory as a store and as a source: for tests, and for what never needs a disk.

mod store;
mod tree;

pub use store::MemoryStore;
pub use tree::MemoryTree;
