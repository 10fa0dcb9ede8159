//! What is written beside the shards, as bytes <-> checked values.
//!
//! A dataset is shards and a [`Manifest`]; each shard has an [`Index`] of its records; [`foreign`]
//! holds the indexes that other tools want, [`sagemaker`] the files that SageMaker wants. A
//! [`Digest`] says which samples are in a shard or a dataset, whatever their order and sharding.
//!
//! This crate opens no file and starts no thread. Whatever `parse` accepts was checked: lengths,
//! checksums, paths, sums. Whatever is written would be accepted.

mod digest;
mod error;
pub mod foreign;
mod hex;
mod index;
mod label;
mod lines;
mod manifest;
mod path;
mod quarantine;
pub mod sagemaker;
mod seal;

pub use digest::{Digest, SampleHasher};
pub use error::{Error, ErrorKind, Place, Result};
pub use index::{Fields, Index, IndexBuilder, IndexEntry, IndexField, IndexRecord, ShardFile};
pub use label::LabelRef;
pub use manifest::{
    Base, Event, FieldTotals, Fingerprint, Labels, Manifest, Order, RecordFormat, Row, Shard,
    Sidecar, Split, Summary, Tool, Totals, Version,
};
pub use quarantine::{Quarantine, Quarantined};
