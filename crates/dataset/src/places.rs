//! Where the parts of a dataset lie.

use shardpack_store::Store;

use crate::{Error, Result};

/// The folder of unfinished work.
pub const STAGING: &str = ".shardpack";
/// The dataset's head; there is a dataset if and only if it is there.
pub const MANIFEST: &str = "manifest.json";
/// Says which run is at work.
pub const PLAN: &str = ".shardpack/plan.json";

/// Where an object of the dataset lies until it is published: out of the way, if the store can
/// move it afterwards; else where it belongs, and the missing manifest says that it is not done.
pub fn staged(store: &dyn Store, path: &str) -> String {
    match store.moves() {
        true => format!("{STAGING}/{path}"),
        false => path.to_owned(),
    }
}

/// Where the index of a shard lies.
pub fn index_path(shard: &str) -> String {
    format!("index/{}.index", shard.strip_prefix("shards/").unwrap_or(shard))
}

/// Largest manifest or index that is read: 1 GiB, some 15 million records in one shard.
const MOST: u64 = 1 << 30;

/// Reads a whole small object: a manifest, an index.
pub fn read(store: &dyn Store, key: &str) -> Result<Vec<u8>> {
    let object = store.open(key)?;
    if object.len() > MOST {
        return Err(Error::Shard {
            shard: key.into(),
            reason: format!("{} bytes; a manifest or index has at most {MOST}", object.len()),
        });
    }
    let mut bytes = vec![0; object.len() as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match object.read_at(filled as u64, &mut bytes[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
