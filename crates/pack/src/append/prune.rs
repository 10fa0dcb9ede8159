//! What no version needs any more.

use std::collections::HashSet;

use shardpack_formats::{FormatOptions, NAMES};
use shardpack_manifest::Manifest;
use shardpack_store::Store;

use crate::sources::sources_path;
use crate::staging::{index_path, staged};
use crate::{Result, foreign};

/// What was removed.
#[derive(Debug, Default)]
pub(super) struct Pruned {
    pub(super) versions: u64,
    pub(super) shards: u64,
    pub(super) bytes: u64,
}

/// Shards that versions from `first` on name.
pub(super) fn named(store: &dyn Store, first: u64) -> Result<HashSet<String>> {
    let versions = shardpack_dataset::versions(store)?;
    let wanted = versions.into_iter().filter(|(number, _)| *number >= first);
    Ok(wanted.flat_map(|(_, manifest)| manifest.shards).map(|shard| shard.path).collect())
}

/// Removes the versions before number `first`, and the shards that only they have. With `dry_run`
/// it only counts them.
pub(super) fn prune(store: &dyn Store, first: u64, dry_run: bool) -> Result<Pruned> {
    let named = named(store, first)?;
    let (mut pruned, mut gone) = (Pruned::default(), HashSet::new());
    for (number, manifest) in shardpack_dataset::versions(store)? {
        if number >= first {
            continue;
        }
        let mut shards = Vec::new();
        for shard in manifest.shards.into_iter().filter(|shard| !named.contains(&shard.path)) {
            if gone.insert(shard.path.clone()) {
                pruned.shards += 1;
                pruned.bytes += shard.bytes;
                shards.push(shard.path);
            }
        }
        pruned.versions += 1;
        if !dry_run {
            discard(store, &shards, &named)?;
            // Last: as long as it is there, a run that was killed finds what is to be removed.
            store.remove(&Manifest::kept_path(number))?;
        }
    }
    Ok(pruned)
}

/// Removes shards, and what lies beside them, but those in `named`.
pub(super) fn discard(store: &dyn Store, shards: &[String], named: &HashSet<String>) -> Result<()> {
    for shard in shards.iter().filter(|shard| !named.contains(*shard)) {
        // The index says that a shard is sealed: it goes first.
        for path in beside(shard).iter().chain([shard]) {
            store.remove(path)?;
            if store.moves() {
                store.remove(&staged(store, path))?;
            }
        }
    }
    Ok(())
}

/// All that may lie beside a shard: its index and names, and the indexes of other tools.
fn beside(shard: &str) -> Vec<String> {
    let mut paths = vec![index_path(shard), sources_path(shard)];
    let name = shard.strip_prefix("shards/").unwrap_or(shard);
    let stems = NAMES
        .iter()
        .filter_map(|name| shardpack_formats::open(name, &FormatOptions::default()).ok());
    let stem =
        stems.into_iter().find_map(|format| name.strip_suffix(&format!(".{}", format.extension())));
    for suffix in foreign::SUFFIXES {
        paths.push(format!("index/{}.{suffix}", stem.unwrap_or(name)));
    }
    paths
}
