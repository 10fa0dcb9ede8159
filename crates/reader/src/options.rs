//! How a dataset is read.

use shardpack_manifest::Digest;
use shardpack_store::CacheOptions;
#[cfg(feature = "s3")]
use shardpack_store::S3Options;

use crate::plan::{Part, PlanOptions};

/// How a dataset is read.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReadOptions {
    /// Seed, shuffle, tail, subset. The default window is shortened for large samples, so that the
    /// windows of eight lanes hold about 16 MiB; a window that is set stays as it is.
    pub plan: PlanOptions,
    /// Which part of the job this process is. Default: of a channel, what the container says; else
    /// the only one.
    pub part: Option<Part>,
    /// Ranks in a row that get the same samples, where `part` is not given. Default 1.
    pub replicas: u64,
    /// Where `manifest.json` is, with its `index/`: a folder, or an `s3://` address. Default: with
    /// the shards, in the folder above them, or in the channel called `manifest`.
    pub manifest: Option<String>,
    /// The version of the dataset to read, by the digest of its samples: what `shardpack info` and
    /// every change of a dataset tell. It stays as it was, shards and order included, while the
    /// dataset gets new versions, until `shardpack compact` removes it. Every rank and every resumed
    /// run wants the same. Default: the version that is there when the reader is opened.
    pub digest: Option<Digest>,
    /// Name of the format of shards without a manifest. Default: by their names and first bytes; a
    /// FIFO has neither.
    pub format: Option<String>,
    /// Fields that the records of a RecordIO-wrapped FIFO become, in turn: the request's
    /// `AttributeNames`. Default `data`: each record is a whole object.
    pub attributes: Vec<String>,
    /// The split to read. Default: the one that is called like the channel, else all.
    pub split: Option<String>,
    /// Reads under way at the same time, each by a thread; 0 reads on the caller's thread. Default:
    /// as many as cores, at most 4, on local paths; 16 on S3.
    pub threads: Option<usize>,
    /// Bytes that are read ahead of the loop; what the loop holds comes on top, and one window is
    /// read whatever its size. Default 64 MiB.
    pub memory: u64,
    /// Keeps what is read on a local disk, for the next epoch and for the other processes of the
    /// host: of datasets on S3, and of any other place, as a FastFile mount. FIFOs, and files that
    /// were changed less than 2 s ago, are not kept. Default: no cache.
    pub cache: Option<CacheOptions>,
    /// A quarantine of this dataset, as `shardpack verify --quarantine` writes it: a file, or an
    /// `s3://` address. Its samples are left out like deleted ones, on all ranks and in every input
    /// mode; every rank needs the same. Default: none.
    pub quarantine: Option<String>,
    /// How to talk to S3, wherever an `s3://` address is given: of a dataset, its manifest, an overlay or
    /// a quarantine. Default: as the standard AWS configuration says.
    #[cfg(feature = "s3")]
    pub s3: S3Options,
    /// What to do with a sample that fails its check. Default [`Damage::Fail`].
    pub damage: Damage,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            plan: PlanOptions::default(),
            part: None,
            replicas: 1,
            manifest: None,
            digest: None,
            format: None,
            attributes: vec!["data".into()],
            split: None,
            threads: None,
            memory: 64 << 20,
            cache: None,
            quarantine: None,
            #[cfg(feature = "s3")]
            s3: S3Options::default(),
            damage: Damage::default(),
        }
    }
}

/// What to do with a sample that fails its check. A shard that is missing, truncated or of another
/// length than the manifest says is an error in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damage {
    /// Stops with an error that names it.
    #[default]
    Fail,
    /// Hands out a neighbour in its place, marked as not real, so that all ranks keep equally many
    /// steps; more than `most` in an epoch are an error. Each is in the report.
    Skip {
        /// Most in an epoch.
        most: u64,
    },
}
