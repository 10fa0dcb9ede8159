//! From files to a dataset and back.
//!
//! `list -> group into samples -> plan -> for each shard: read, encode, write -> publish`.
//! [`pack`] is the whole path; `map` transforms samples before they are planned; `dataset` is the
//! way back: listing, proving, unpacking. Threads are started in `execute.rs` and `parallel.rs` only.
//! This crate decides which sample goes where; how records look is a format's business, where bytes
//! live a store's.

mod append;
mod augmented;
mod context;
mod crew;
mod dataset;
mod difference;
mod error;
mod execute;
mod foreign;
mod group;
mod labels;
mod map;
mod measure;
mod name;
mod naming;
mod options;
mod pack;
mod parallel;
mod plan;
mod progress;
mod prove;
mod publish;
mod report;
mod reshard;
mod shard;
mod sources;
mod staging;
mod stream;
mod sums;
mod unit;
mod writer;

pub use append::{
    AppendOptions, AppendReport, CompactOptions, CompactReport, DeleteOptions, DeleteReport,
    MergeOptions, MergeReport, append, compact, delete, merge,
};
pub use augmented::{AugmentedOptions, AugmentedSource, SampleKeys, read_augmented};
pub use dataset::{
    AdoptOptions, AdoptReport, AgainstReport, CatOptions, ClassCount, Damage, DiffOptions,
    DiffReport, Difference, Duplicate, Entry, EntryField, FieldInfo, InfoReport, LsOptions,
    ShardReport, ShardSizes, Sightings, SizeBucket, SplitInfo, UnpackOptions, UnpackReport,
    VerifyOptions, VerifyReport, WhyField, WhyReport, adopt, cat, diff, info, ls, quarantine,
    unpack, unpack_into, verify, why,
};
pub use error::{Error, Result};
#[cfg(feature = "image")]
pub use map::{Colour, Encoding, ImageOptions};
pub use map::{Frame, Map, MapCommand, MapErrors, MapReport, Tell, Transform};
pub use name::Template;
pub use options::{Existing, ForeignIndex, Grouping, Labels, Order, PackOptions, Policy, Split};
pub use pack::{dry_run, pack};
pub use progress::{Progress, Stage};
pub use report::{PackReport, PlanReport, PlannedShard};
pub use reshard::{
    Arrangement, BadJson, Column, DEEPEST_EXPRESSION, DatasetSource, Dedupe, Duplicates,
    Expression, ExpressionError, Fold, Join, LONGEST_EXPRESSION, Missing, OverlayReport,
    OverlaySource, ReshardReport, SameSamples, Selection, SourceOptions, Table, TableKind, Term,
    With, dry_overlay, dry_reshard, lies_over, overlay, reshard,
};

pub use shardpack_dataset::{Dataset, DatasetShard, ForeignOptions};

/// The hash that orders and splits samples: xxh3, whose values are fixed for ever.
pub(crate) fn hash(key: &str, seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(key.as_bytes(), seed)
}

/// Formats without a place for labels carry them as fields (`cls`).
pub(crate) fn labels_are_fields(format: &dyn shardpack_formats::Format) -> bool {
    format.name() == "webdataset"
}
