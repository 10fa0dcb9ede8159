//! Versions of a dataset: the head, and those before it that are kept.

use shardpack_manifest::{Digest, Manifest};
use shardpack_store::Store;

use crate::{Error, MANIFEST, Result, read};

/// The folder of the manifests that were replaced.
pub const VERSIONS: &str = "manifests";

/// The manifest at the root of `store`: of the dataset as it is now.
pub fn manifest(store: &dyn Store) -> Result<Manifest> {
    parsed(store, MANIFEST)
}

/// The manifest of version `number`, from 1, which a later one has replaced; none when it is kept
/// no more.
pub fn kept(store: &dyn Store, number: u64) -> Result<Option<Manifest>> {
    match parsed(store, &Manifest::kept_path(number)) {
        Ok(manifest) => Ok(Some(manifest)),
        Err(Error::Store(error)) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// All versions that are kept, by number: those that were replaced, and the head where there is one.
///
/// Fails at a kept manifest that is damaged.
pub fn versions(store: &dyn Store) -> Result<Vec<(u64, Manifest)>> {
    let mut all = Vec::new();
    for key in store.keys(VERSIONS)? {
        let name = key.strip_prefix(VERSIONS).and_then(|name| name.strip_prefix('/'));
        let number = name.and_then(|name| name.strip_suffix(".json")?.parse().ok());
        let Some(number) = number.filter(|number| Manifest::kept_path(*number) == key) else {
            continue;
        };
        all.extend(kept(store, number)?.map(|manifest| (number, manifest)));
    }
    match manifest(store) {
        Ok(head) => {
            // Kept before its successor was published, which did not come to that.
            all.retain(|(number, _)| *number < head.number());
            all.push((head.number(), head));
        }
        Err(Error::Store(error)) if error.is_not_found() => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

/// The manifest of the oldest version that is kept whose samples have this digest: with its shards
/// in its order, so that what was planned over it still holds.
///
/// Fails with [`Error::NotFound`], and with the store's error when there is no dataset.
pub fn pinned(store: &dyn Store, digest: Digest) -> Result<Manifest> {
    let head = manifest(store)?;
    let numbers = head.versions_of(digest);
    for &number in &numbers {
        if number == head.number() {
            return Ok(head);
        }
        if let Some(manifest) = kept(store, number)? {
            return as_told(manifest, &head, number);
        }
    }
    let place = store.describe();
    Err(Error::NotFound(match numbers.last() {
        Some(number) => format!(
            "{place}: version {number} has digest {digest}, but it is kept no more: `compact` has removed its shards"
        ),
        None => format!(
            "{place}: no version has digest {digest}; `shardpack info` tells those that there were"
        ),
    }))
}

/// A kept manifest, if it is the version that the head's history tells of.
fn as_told(manifest: Manifest, head: &Manifest, number: u64) -> Result<Manifest> {
    let told = usize::try_from(number - 1).ok().and_then(|i| head.history.get(i));
    let found = (manifest.number(), manifest.live(), manifest.shards.len() as u64);
    match told.is_some_and(|told| found == (number, told.samples, told.shards)) {
        true => Ok(manifest),
        false => Err(Error::Shard {
            shard: Manifest::kept_path(number),
            reason: format!("is not version {number} of this dataset"),
        }),
    }
}

fn parsed(store: &dyn Store, path: &str) -> Result<Manifest> {
    Ok(Manifest::parse(&read(store, path)?).map_err(|e| e.in_file(path))?)
}
