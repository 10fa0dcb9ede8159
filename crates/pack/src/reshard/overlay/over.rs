//! The shards of an overlay, which are those of its base.

use std::collections::BTreeMap;

use shardpack_formats::{Compression, Format};
use shardpack_manifest::{Base, Manifest};

use crate::Result;
use crate::options::PackOptions;
use crate::plan::{ShardPlan, WHOLE};

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
        let mut start = 0;
        let planned = shards.iter().map(|shard| {
            let end = start + shard.samples as usize;
            let records: u64 = lens.get(start..end).map_or(0, |lens| lens.iter().sum());
            let plan = ShardPlan {
                path: path(&shard.path, &theirs, &ours),
                split: shard.split.clone().unwrap_or_else(|| WHOLE.into()),
                start,
                end,
                bytes: records + overhead,
            };
            start = end;
            plan
        });
        Ok(planned.collect())
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

/// Where the shard lies that belongs to one of the base. Of shards that something else wrote, which
/// may lie anywhere, too: an overlay has its own below `shards/`.
fn path(base: &str, theirs: &str, ours: &str) -> String {
    let stem = base.strip_suffix(theirs).unwrap_or(base);
    match stem.starts_with("shards/") {
        true => format!("{stem}{ours}"),
        false => format!("shards/{stem}{ours}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_called_like_those_they_belong_to() {
        for (base, theirs, ours, want) in [
            ("shards/a-0.tar", ".tar", ".tar", "shards/a-0.tar"),
            ("shards/train/a-0.tar.gz", ".tar.gz", ".tfrecord", "shards/train/a-0.tfrecord"),
            ("cat/1.tar", ".tar", ".rec", "shards/cat/1.rec"),
            ("part-00001", ".tfrecord", ".tfrecord", "shards/part-00001.tfrecord"),
        ] {
            assert_eq!(path(base, theirs, ours), want);
        }
    }
}
