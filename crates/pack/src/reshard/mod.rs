//! Datasets as a source: what is packed already is packed anew, in another order, size or format.
//!
//! There is one packing path. A [`DatasetSource`] lists each field of each sample of one or more
//! datasets as a file `KEY.FIELD`, with its length and its place in a shard; reading it is a range of
//! that shard. Planning, units, writing, resuming and publishing know nothing else.
//!
//! ```text
//! SRC ... -> index of each shard -> select -> merge -> catalog -> pack -> prove -> manifest
//!            index.rs, labels.rs    select.rs merge.rs catalog.rs pack.rs  proof.rs
//! ```
//!
//! - An **input** is one SRC: a dataset with a manifest, or shards that something else wrote, which
//!   are decoded once from end to end for an index in memory.
//! - The **catalog** is what is known of the samples that are taken, as arrays: a file costs 32 bytes
//!   and its name in the listing and 24 here (where its key ends, shard, record, offset), a sample
//!   8, and 8 more where it has a header id. With short names that is about 80 bytes a file.
//! - A key ends where the source says, not at its first dot: grouping takes it from the catalog.
//! - A body that the format split or keeps in another form has no place of its own. Its record is
//!   read and decoded each time it is wanted, within a share of the memory ([`shards`]).
//! - Compressed shards are decompressed once, into a scratch folder (`scratch.rs`).
//! - **Proof**: an index has the crc32c of each body, and a body that has another one ends the run
//!   with its shard, record and offset. Before the manifest is written, its digest must be the sum
//!   of those that the indexes give for the samples taken, and the sources' manifests must be what
//!   they were.
//!
//! Labels that a format carries as fields (`cls`) are labels again where the source says that they
//! were: the next format carries them its own way.
