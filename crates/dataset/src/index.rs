//! The index of a shard, believed only when the manifest proves it.

use shardpack_formats::crc64nvme;
use shardpack_manifest::{Index, Manifest, Shard, Sidecar};
use shardpack_store::Store;

use crate::{Dataset, Error, Result, read};

/// The index of a shard, or why it is none: damage is for the caller to report.
pub fn examine(
    store: &dyn Store,
    manifest: &Manifest,
    row: &Shard,
) -> Result<std::result::Result<Index<'static>, String>> {
    let bytes = match proved(store, &row.index, "the index")? {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    let index = match Index::parse(bytes) {
        Ok(index) => index,
        Err(error) => return Ok(Err(error.to_string())),
    };
    Ok(match disagrees(manifest, row, &index) {
        Some(reason) => Err(reason),
        None => Ok(index),
    })
}

/// The bytes of a file if they are those that the manifest proves, or why not; `what` it is.
pub fn proved(
    store: &dyn Store,
    file: &Sidecar,
    what: &str,
) -> Result<std::result::Result<Vec<u8>, String>> {
    let bytes = match read(store, &file.path) {
        Ok(bytes) => bytes,
        Err(Error::Store(error)) if error.is_not_found() => {
            return Ok(Err(format!("{what} is missing")));
        }
        Err(error) => return Err(error),
    };
    let (len, crc) = (bytes.len() as u64, crc64nvme(&bytes));
    Ok(match (len, crc) == (file.bytes, file.crc64nvme) {
        true => Ok(bytes),
        false => Err(format!(
            "{what} has {len} bytes with CRC-64/NVME {crc:016x}, the manifest says {} with {:016x}",
            file.bytes, file.crc64nvme
        )),
    })
}

/// The index of shard `number`; none without a manifest. A damaged one is an error.
pub fn index(dataset: &Dataset<'_>, number: usize) -> Result<Option<Index<'static>>> {
    let Some(manifest) = dataset.manifest() else { return Ok(None) };
    let Some(row) = manifest.shards.get(number) else { return Ok(None) };
    let damaged = |reason| Error::Shard { shard: row.index.path.clone(), reason };
    examine(dataset.store(), manifest, row)?.map(Some).map_err(damaged)
}

/// How manifest and index contradict each other.
fn disagrees(manifest: &Manifest, row: &Shard, index: &Index<'_>) -> Option<String> {
    let (file, sums) = (index.shard(), index.summary());
    let numbers = [
        ("bytes", file.bytes, row.bytes),
        ("bytes before compression", file.stream_bytes, row.stream_bytes),
        ("CRC-64/NVME", file.crc64nvme, row.crc64nvme),
        ("samples", sums.samples, row.samples),
        ("files", sums.files, row.files),
        ("bytes of files", sums.body_bytes, row.body_bytes),
    ];
    if let Some((what, index, manifest)) = numbers.into_iter().find(|(_, a, b)| a != b) {
        return Some(format!("{what}: the index says {index}, the manifest {manifest}"));
    }
    if index.digest() != row.digest {
        return Some(format!(
            "digest: the index says {}, the manifest {}",
            index.digest(),
            row.digest
        ));
    }
    let same = file.format == manifest.format.name && file.compression == manifest.compression;
    (!same).then(|| format!("the index is of a {} shard", file.format))
}
