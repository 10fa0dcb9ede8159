//! Files that other tools want beside the shards: their indexes under `index/`, SageMaker's
//! manifests and channels under `sagemaker/`.
//!
//! Per shard, beside our own index: `NAME.idx`, `NAME.tfindex`, `NAME.lst`, where NAME is the
//! shard's without its extension. Per split: `shardindex.json` and `all.idx`.

use shardpack_formats::{Format, SampleShape};
use shardpack_manifest::foreign::{mxnet, tfrecord, wds, wids};
use shardpack_manifest::sagemaker::{self, Distribution, InputMode, ManifestFile};
use shardpack_manifest::{Index, Manifest};
use shardpack_store::{PutMode, Store};

use crate::options::{ForeignIndex, PackOptions};
use crate::plan::ShardPlan;
use crate::staging::{self, index_path, sealed_index};
use crate::{Error, Result};

/// Why a tool whose index is asked for would misread a sample; asked before anything is written.
pub(crate) fn complaint(shape: &SampleShape<'_>, options: &PackOptions) -> Option<String> {
    let blank = || shape.key.contains(char::is_whitespace);
    let long = || shape.fields.iter().any(|f| shape.key.len() + 1 + f.name.len() > 100);
    options.indexes.iter().find_map(|index| match index {
        ForeignIndex::Dali if options.format == "webdataset" && blank() => {
            Some("white space in the key: DALI's index parser splits there (--index dali)".into())
        }
        ForeignIndex::Wids if long() => {
            Some("a member name over 100 bytes: wids reads only so much (--index wids)".into())
        }
        ForeignIndex::Mxnet if shape.key.contains('\t') || shape.key.trim() != shape.key => {
            Some("a TAB, or a blank at an end: .lst readers change it (--index mxnet)".into())
        }
        _ => None,
    })
}

/// The shards that get files beside them.
pub(crate) struct Beside<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) format: &'a dyn Format,
    pub(crate) indexes: &'a [ForeignIndex],
    /// Shards that have no files yet.
    pub(crate) new: &'a [ShardPlan],
    /// All shards of the dataset, which have their indexes.
    pub(crate) all: &'a [ShardPlan],
    /// Where a file that readers know by a path is written.
    pub(crate) at: &'a dyn Fn(&str) -> String,
}

/// What the files for single shards end in.
pub(crate) const SUFFIXES: [&str; 3] = ["idx", "tfindex", "lst"];

/// Writes the indexes asked for beside our own: of each new shard, and over all shards of a split.
pub(crate) fn write(context: &Beside<'_>) -> Result<()> {
    for whole in context.all.chunk_by(|a, b| a.split == b.split) {
        let is_here = |shard: &&ShardPlan| whole.first().is_some_and(|s| s.split == shard.split);
        let part: Vec<&ShardPlan> = context.new.iter().filter(is_here).collect();
        let part = &part[..];
        for index in context.indexes {
            match (index, context.format.name()) {
                (ForeignIndex::Dali, "webdataset") => {
                    each(context, part, "idx", |i| wds::write(i, wds::Version::V1_2))?;
                }
                (ForeignIndex::Dali, "tfrecord") => each(context, part, "idx", tfrecord::write)?,
                (ForeignIndex::Dali, _) => all(context, whole)?,
                (ForeignIndex::Tfrecord, _) => each(context, part, "tfindex", tfrecord::write)?,
                (ForeignIndex::Wids, _) => list(context, whole)?,
                (ForeignIndex::Mxnet, _) => {
                    each(context, part, "idx", |i| mxnet::write(i, mxnet::Keys::Id))?;
                    each(context, part, "lst", mxnet::write_lst)?;
                    all(context, whole)?;
                }
            }
        }
    }
    Ok(())
}

type Text = shardpack_manifest::Result<String>;

/// One text a shard.
fn each(
    context: &Beside<'_>,
    shards: &[&ShardPlan],
    suffix: &str,
    text: impl Fn(&Index<'_>) -> Text,
) -> Result<()> {
    for shard in shards {
        let text = with_index(context, shard, &text)?;
        put(context, &(context.at)(&format!("{}.{suffix}", stem(context, shard))), &text)?;
    }
    Ok(())
}

/// MXNet's index over all shards of a split: DALI and MXNet's C++ reader take exactly one.
fn all(context: &Beside<'_>, shards: &[ShardPlan]) -> Result<()> {
    let mut writer = mxnet::IdxWriter::new(mxnet::Keys::Id);
    for shard in shards {
        with_index(context, shard, |index| writer.push(index))?;
    }
    put(context, &(context.at)(&format!("{}all.idx", folder(&shards[0]))), &writer.finish())
}

/// The list of shards that wids opens; its URLs are relative to the file.
fn list(context: &Beside<'_>, shards: &[ShardPlan]) -> Result<()> {
    let folder = folder(&shards[0]);
    let up = "../".repeat(folder.matches('/').count());
    let mut writer = wids::WidsIndex::new(shards[0].split.clone());
    for shard in shards {
        with_index(context, shard, |index| {
            writer.push(&format!("{up}{}", shard.path), index, None)
        })?;
    }
    put(context, &(context.at)(&format!("{folder}shardindex.json")), &writer.finish()?)
}

fn with_index<T>(
    context: &Beside<'_>,
    shard: &ShardPlan,
    use_index: impl FnOnce(&Index<'_>) -> shardpack_manifest::Result<T>,
) -> Result<T> {
    let bytes = sealed_index(context.store, shard)?.ok_or_else(|| Error::Shard {
        shard: shard.path.clone(),
        reason: "its index is gone since it was sealed; run again".into(),
    })?;
    Ok(use_index(&Index::parse(bytes)?)?)
}

/// Folder of a shard's indexes, with its final slash.
fn folder(shard: &ShardPlan) -> String {
    let path = index_path(&shard.path);
    path.rsplit_once('/').map_or_else(String::new, |(folder, _)| format!("{folder}/"))
}

/// Path of a shard's indexes without their suffix.
fn stem(context: &Beside<'_>, shard: &ShardPlan) -> String {
    let name = shard.path.rsplit('/').next().unwrap_or(&shard.path);
    let ext = format!(".{}", context.format.extension());
    format!("{}{}", folder(shard), name.strip_suffix(&ext).unwrap_or(name))
}

fn put(context: &Beside<'_>, path: &str, text: &str) -> Result<()> {
    staging::put(context.store, path, text.as_bytes(), PutMode::Replace)
}

/// Writes `sagemaker/`: `shards.manifest` over all shards, `SPLIT.manifest` for each split, and the
/// `InputDataConfig` of a training job for each input mode.
pub(crate) fn write_sagemaker(store: &dyn Store, prefix: &str, manifest: &Manifest) -> Result<()> {
    let put = |name: &str, bytes: Vec<u8>| {
        staging::put(store, &format!("sagemaker/{name}"), &bytes, PutMode::Replace)
    };
    let paths = |shards: &[shardpack_manifest::Shard]| {
        let paths: Vec<String> = shards.iter().map(|s| s.path.clone()).collect();
        ManifestFile::new(prefix, paths)
    };
    put("shards.manifest", paths(&manifest.shards)?.to_bytes())?;
    for split in &manifest.splits {
        let shards = manifest.shards_of(&split.name).unwrap_or_default();
        put(&format!("{}.manifest", split.name), paths(shards)?.to_bytes())?;
    }
    for (name, mode) in [
        ("file.json", InputMode::File),
        ("fastfile.json", InputMode::FastFile),
        ("pipe.json", InputMode::Pipe),
    ] {
        let channels = sagemaker::channels(manifest, prefix, mode, Distribution::FullyReplicated)?;
        put(name, sagemaker::to_json(&channels)?)?;
    }
    Ok(())
}
