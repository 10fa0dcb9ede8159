//! Looks at shards where they lie now, before a manifest vouches for them.

use shardpack_formats::{Compression, crc32c};
use shardpack_manifest::Index;
use shardpack_store::Store;

use crate::plan::ShardPlan;
use crate::staging::{index_path, staged};
use crate::{Error, Result};

/// Records of a shard that are read back: the first, the last and one between.
const SAMPLED: usize = 3;
/// Longer records are not read back; the shard's own checksum covers them.
const LONGEST: u64 = 16 << 20;

/// Asks the store whether the shard is what was sent, and reads some of its records back. A shard
/// that is not loses its index, so that the next run packs it again. Nothing to do for a store
/// that moves what it has sealed: it is this machine's own.
pub(crate) fn prove(store: &dyn Store, shard: &ShardPlan, index: &Index<'_>) -> Result<()> {
    if store.moves() {
        return Ok(());
    }
    let Err(error) = look(store, shard, index) else { return Ok(()) };
    let lost = match &error {
        Error::Shard { .. } => true,
        Error::Store(error) => error.is_not_found() || error.is_changed() || error.is_damaged(),
        _ => false,
    };
    if !lost {
        return Err(error);
    }
    store.remove(&staged(store, &index_path(&shard.path)))?;
    Err(Error::Shard {
        shard: shard.path.clone(),
        reason: format!(
            "is not there as it was written ({error}); run the same command again, which packs this shard anew"
        ),
    })
}

fn look(store: &dyn Store, shard: &ShardPlan, index: &Index<'_>) -> Result<()> {
    let file = index.shard();
    let path = staged(store, &shard.path);
    store.prove(&path, file.bytes, file.crc64nvme)?;
    if file.compression != Compression::None {
        return Ok(()); // compressed: records have no place of their own in the file
    }
    let object = store.open(&path)?;
    let count = index.len();
    let mut chosen = [0, count / 2, count.saturating_sub(1)].to_vec();
    chosen.dedup();
    debug_assert!(chosen.len() <= SAMPLED);
    for record in chosen.into_iter().filter_map(|i| index.get(i)) {
        if record.len > LONGEST {
            continue;
        }
        let mut bytes = vec![0; record.len as usize];
        let read = object.read_at(record.offset, &mut bytes)?;
        if (read as u64, crc32c(&bytes)) != (record.len, record.crc32c) {
            let reason =
                format!("record {} at {} reads back as other bytes", record.key, record.offset);
            return Err(Error::Shard { shard: shard.path.clone(), reason });
        }
    }
    Ok(())
}
