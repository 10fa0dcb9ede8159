//! A dataset in a store: ours, with a manifest, or shards that something else wrote.

use serde::Deserialize;
use shardpack_formats::{Compression, DecodeOptions, Format, FormatOptions, Schema};
use shardpack_manifest::{Digest, Manifest};
use shardpack_store::Store;

use crate::{Error, MANIFEST, PLAN, Result, find, manifest, read, staged, version};

/// Shards in a store, and what is known of them.
///
/// ```
/// use shardpack_dataset::{Dataset, ForeignOptions};
/// use shardpack_store::{MemoryStore, PutMode, Store};
///
/// let store = MemoryStore::new();
/// store.put("shards/a.tar", &[0; 1024], PutMode::Create)?; // an empty archive
///
/// let dataset = Dataset::find(&store, "", &ForeignOptions::default())?;
/// assert_eq!(dataset.format(), "webdataset");
/// assert_eq!(dataset.shards().len(), 1);
/// assert!(dataset.manifest().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Dataset<'s> {
    store: &'s dyn Store,
    manifest: Option<Manifest>,
    format: Box<dyn Format>,
    format_options: FormatOptions,
    decode: DecodeOptions,
    shards: Vec<DatasetShard>,
    /// Places of deleted samples, sorted.
    deleted: Vec<(u64, u64)>,
}

/// One shard of a [`Dataset`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatasetShard {
    /// Path under the dataset's root.
    pub path: String,
    /// Its split, where the dataset is split.
    pub split: Option<String>,
    /// Length of the file in bytes: as the manifest says, or as it was found.
    pub bytes: u64,
    /// How it is compressed.
    pub compression: Compression,
}

/// How to read shards that have no manifest.
#[derive(Clone, Debug, Default)]
pub struct ForeignOptions {
    /// Name of the format; none goes by the shards' names, then by their first bytes.
    pub format: Option<String>,
    /// How the shards are compressed; none goes by names and first bytes.
    pub compression: Option<Compression>,
    /// TFRecord: what a payload is; none looks at the first record.
    pub schema: Option<Schema>,
    /// RecordIO-protobuf: parts of a split record are joined as MXNet joins them.
    pub dmlc_parts: bool,
    /// A tar may go on after end blocks.
    pub concatenated: bool,
    /// A tar may lack its end blocks.
    pub missing_end: bool,
}

/// As much of an unfinished run's identity as tells how far it came.
#[derive(Deserialize)]
struct Unfinished {
    shards: u64,
}

impl<'s> Dataset<'s> {
    /// The dataset whose `manifest.json` is at the root of `store`.
    ///
    /// Fails with [`Error::NotFound`] without one, which tells an unfinished pack from shards that
    /// never had one; with [`Error::Manifest`] when it is damaged or of a later release.
    pub fn open(store: &'s dyn Store) -> Result<Self> {
        match Self::with_manifest(store)? {
            Some(dataset) => Ok(dataset),
            None => Err(Error::NotFound(format!(
                "{}: no dataset here: there is no {MANIFEST}",
                store.describe()
            ))),
        }
    }

    /// Shards under `prefix` (a folder, or one shard; empty for all of the store), whoever wrote
    /// them: no manifest and no index is looked at.
    ///
    /// Fails with [`Error::NotFound`] when no shard is there, and with [`Error::Usage`] when the
    /// format cannot be told: RecordIO and RecordIO-protobuf have the same bytes.
    pub fn foreign(store: &'s dyn Store, prefix: &str, options: &ForeignOptions) -> Result<Self> {
        let found = find::shards(store, prefix, options)?;
        let mut format_options = FormatOptions::default();
        format_options.dmlc_parts = options.dmlc_parts && found.format == "recordio-protobuf";
        format_options.schema = match options.schema {
            Some(schema) => schema,
            None if found.format == "tfrecord" => find::schema(store, &found.shards)?,
            None => Schema::default(),
        };
        let mut decode = DecodeOptions::default();
        decode.concatenated = options.concatenated;
        decode.missing_end = options.missing_end;
        Ok(Self {
            store,
            manifest: None,
            format: shardpack_formats::open(&found.format, &format_options)?,
            format_options,
            decode,
            shards: found.shards,
            deleted: Vec::new(),
        })
    }

    /// [`Dataset::open`] where there is a manifest, [`Dataset::foreign`] where there is none: what
    /// a command does with a path. An unfinished pack is neither.
    pub fn find(store: &'s dyn Store, prefix: &str, options: &ForeignOptions) -> Result<Self> {
        if prefix.is_empty()
            && let Some(dataset) = Self::with_manifest(store)?
        {
            return Ok(dataset);
        }
        Self::foreign(store, prefix, options)
    }

    /// The version of a dataset whose samples have this digest: as it was, whatever was done since.
    ///
    /// Fails as [`open`](Self::open), and with [`Error::NotFound`] when there never was such a
    /// version, or it is kept no more.
    pub fn pinned(store: &'s dyn Store, digest: Digest) -> Result<Self> {
        match manifest(store) {
            Ok(_) => Self::of(store, version::pinned(store, digest)?),
            Err(Error::Store(error)) if error.is_not_found() => Self::open(store),
            Err(error) => Err(error),
        }
    }

    /// None when there is neither a manifest nor unfinished work.
    fn with_manifest(store: &'s dyn Store) -> Result<Option<Self>> {
        match manifest(store) {
            Ok(manifest) => Self::of(store, manifest).map(Some),
            Err(Error::Store(error)) if error.is_not_found() => {
                unfinished(store).map_or(Ok(None), Err)
            }
            Err(error) => Err(error),
        }
    }

    /// The dataset that a manifest tells of, whose shards are in `store`.
    pub fn of(store: &'s dyn Store, manifest: Manifest) -> Result<Self> {
        let shard = |s: &shardpack_manifest::Shard| DatasetShard {
            path: s.path.clone(),
            split: s.split.clone(),
            bytes: s.bytes,
            compression: manifest.compression,
        };
        let mut decode = DecodeOptions::default();
        // A tar that was adopted may lack its end blocks or go on after them; its index and
        // checksum say where it ends.
        decode.concatenated = manifest.plan.is_none();
        decode.missing_end = manifest.plan.is_none();
        let mut deleted = manifest.tombstone_places.clone();
        deleted.sort_unstable();
        Ok(Self {
            store,
            deleted,
            format: manifest.format.open()?,
            format_options: manifest.format.options.clone(),
            decode,
            shards: manifest.shards.iter().map(shard).collect(),
            manifest: Some(manifest),
        })
    }

    /// The manifest; none for foreign shards.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// Name of the record format.
    pub fn format(&self) -> &'static str {
        self.format.name()
    }

    /// The shards, in dataset order.
    pub fn shards(&self) -> &[DatasetShard] {
        &self.shards
    }

    /// The record format itself.
    pub fn codec(&self) -> &dyn Format {
        &*self.format
    }

    /// The choices that belong to the format.
    pub fn format_options(&self) -> &FormatOptions {
        &self.format_options
    }

    /// How strictly its shards are decoded.
    pub fn decode(&self) -> &DecodeOptions {
        &self.decode
    }

    /// Where it lives.
    pub fn store(&self) -> &'s dyn Store {
        self.store
    }

    /// Where the dataset is, for messages.
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// True for a sample that the manifest says is to be skipped: record `record` of shard number
    /// `shard`, whose key is `key`. Keys decide only where the manifest has no places: a key may be
    /// deleted in one shard and live in another.
    pub fn is_deleted(&self, shard: usize, record: u64, key: &str) -> bool {
        if !self.deleted.is_empty() {
            return self.deleted.binary_search(&(shard as u64, record)).is_ok();
        }
        let deleted = self.manifest.as_ref().map_or(&[][..], |m| &m.tombstones);
        deleted.binary_search_by(|deleted| deleted.as_str().cmp(key)).is_ok()
    }
}

/// The error for a destination that a pack left unfinished; none when there is no such work.
fn unfinished(store: &dyn Store) -> Option<Error> {
    let bytes = read(store, PLAN).ok()?;
    let shards = serde_json::from_slice::<Unfinished>(&bytes).map(|plan| plan.shards.to_string());
    let indexes = |folder: &str| {
        let objects = store.list(folder).unwrap_or_default();
        objects.iter().filter(|o| o.key.ends_with(".index")).count()
    };
    let moved = if store.moves() { indexes("index") } else { 0 };
    let sealed = indexes(&staged(store, "index")) + moved;
    Some(Error::NotFound(format!(
        "{}: unfinished: {sealed} of {} shards are sealed; run the same pack command \
         again to finish",
        store.describe(),
        shards.unwrap_or("an unknown number of".into()),
    )))
}
