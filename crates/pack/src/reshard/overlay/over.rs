//! The shards of an overlay, which are those of its base.

use std::collections::{BTreeMap, HashSet};

use shardpack_formats::{Compression, Format};
use shardpack_manifest::{Base, Manifest};

use crate::options::PackOptions;
use crate::plan::{ShardPlan, WHOLE};
use crate::{Error, Result};

/// What an overlay lies over.
#[derive(Clone, Debug)]
pub(crate) struct Over {
    pub(crate) base: Base,
    pub(crate) manifest: Manifest,
}

/// Options that say which samples go to which shard: the base says that.
const THE_BASES: [&str; 6] = ["order", "split", "target", "max-samples", "shard-multiple", "name"];

impl Over {
    /// The plan's shards, over records of these lengths.
    pub(crate) fn shards(
        &self,
        lens: &[u64],
        format: &dyn Format,
        options: &PackOptions,
    ) -> Result<Vec<ShardPlan>> {
        let Manifest { format: theirs, compression, shards, .. } = &self.manifest;
        let theirs = suffix(&*theirs.open()?, *compression);
        let ours = suffix(format, options.compression);
        let overhead = format.trailer().len() as u64;
        let (mut start, mut planned, mut paths) = (0, Vec::new(), HashSet::new());
        for shard in shards {
            let end = start + shard.samples as usize;
            let records: u64 = lens.get(start..end).map_or(0, |lens| lens.iter().sum());
            let path = path(&shard.path, shard.split.as_deref(), &theirs, &ours);
            if !paths.insert(path.clone()) {
                return Err(Error::Usage(format!(
                    "two shards of the dataset would both be {path} in an overlay; reshard it first"
                )));
            }
            let split = shard.split.clone().unwrap_or_else(|| WHOLE.into());
            planned.push(ShardPlan { path, split, start, end, bytes: records + overhead });
            start = end;
        }
        Ok(planned)
    }

    /// Whether shards are in splits.
    pub(crate) fn is_split(&self) -> bool {
        !self.manifest.splits.is_empty()
    }

    /// Says in the manifest of the overlay what it lies over, and what is deleted there.
    pub(crate) fn note(&self, overlay: &mut Manifest) {
        let theirs = &self.manifest;
        overlay.base = Some(self.base.clone());
        overlay.order = theirs.order;
        overlay.tombstones.clone_from(&theirs.tombstones);
        overlay.tombstone_places.clone_from(&theirs.tombstone_places);
        overlay.by_place = theirs.by_place;
    }

    /// Leaves the options that decide bytes of an overlay.
    pub(crate) fn describe(options: &mut BTreeMap<String, String>) {
        for name in THE_BASES {
            options.remove(name);
        }
        options.insert("overlay".into(), "yes".into());
    }
}

/// What the names of shards end in.
fn suffix(format: &dyn Format, compression: Compression) -> String {
    match compression.extension() {
        None => format!(".{}", format.extension()),
        Some(compressed) => format!(".{}.{compressed}", format.extension()),
    }
}

/// Where the shard lies that belongs to one of the base: below `shards/`, in the folder of its split.
/// Shards that something else wrote may lie anywhere, in folders that are no splits.
fn path(base: &str, split: Option<&str>, theirs: &str, ours: &str) -> String {
    let stem = base.strip_suffix(theirs).unwrap_or(base);
    let stem = stem.strip_prefix("shards/").unwrap_or(stem);
    match split {
        None => format!("shards/{}{ours}", stem.replace('/', "-")),
        Some(split) => {
            let name = stem.strip_prefix(split).and_then(|rest| rest.strip_prefix('/'));
            format!("shards/{split}/{}{ours}", name.unwrap_or(stem).replace('/', "-"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_called_like_those_they_belong_to() {
        for (base, split, theirs, ours, want) in [
            ("shards/a-0.tar", None, ".tar", ".tar", "shards/a-0.tar"),
            (
                "shards/train/a-0.tar.gz",
                Some("train"),
                ".tar.gz",
                ".tfrecord",
                "shards/train/a-0.tfrecord",
            ),
            ("cat/1.tar", None, ".tar", ".rec", "shards/cat-1.rec"),
            ("shards/cat/1.tar", None, ".tar", ".tar", "shards/cat-1.tar"),
            ("x/val/1.tar", Some("val"), ".tar", ".tar", "shards/val/x-val-1.tar"),
            ("part-00001", None, ".tfrecord", ".tfrecord", "shards/part-00001.tfrecord"),
        ] {
            assert_eq!(path(base, split, theirs, ours), want);
        }
    }
}
