//! Where bytes live.
//!
//! A [`Source`] is a set of files, listed once and pinned: what is read later must be what was
//! listed. A [`Store`] is a tree of objects that datasets are written to and read from. Both are
//! plain blocking traits; a store that needs futures keeps them to itself. This crate knows keys
//! and bytes, not samples or shards.

mod aligned;
#[cfg(any(feature = "tar", feature = "zip"))]
mod archive;
mod cache;
mod error;
mod key;
mod listing;
mod local;
mod memory;
mod path;
mod process;
#[cfg(feature = "s3")]
mod s3;
mod source;
mod store;

pub use aligned::{AlignedBuf, BLOCK};
#[cfg(feature = "tar")]
pub use archive::TarTree;
#[cfg(feature = "zip")]
pub use archive::ZipTree;
pub use cache::{Cache, CacheOptions, CachedStore};
pub use error::{Error, ErrorKind, Result};
pub use listing::{File, FileId, Listing, ListingBuilder};
pub use local::{
    Direct, LocalOptions, LocalStore, LocalTree, Rule, Symlinks, WalkOptions, reserve,
};
pub use memory::{MemoryStore, MemoryTree};
pub use process::PerProcess;
#[cfg(feature = "s3")]
pub use s3::{
    OnRetry, Retried, S3, S3Encryption, S3Objects, S3Options, S3Rules, S3Store, S3Tree, S3Uri,
};
pub use source::{Bytes, Sink, Source, pour_at};
pub use store::{Address, Copied, Lock, Object, ObjectMeta, PutMode, Store, Traffic, Upload};
