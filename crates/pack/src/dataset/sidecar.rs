//! What lies beside a shard: its index, and the names that its files had.

use shardpack_dataset::proved;

use super::Dataset;
use crate::{Error, Result, sources};

pub(super) use crate::sources::Names;

/// The names of shard `number`'s files; empty where key and field tell them all. Damage is an
/// error: wrong names are worse than none.
pub(crate) fn names(dataset: &Dataset<'_>, number: usize) -> Result<Names> {
    let row = dataset.manifest().and_then(|m| m.shards.get(number));
    let Some((row, file)) = row.and_then(|row| Some((row, row.sources.as_ref()?))) else {
        return Ok(Names::new());
    };
    let names =
        match proved(dataset.store(), file, &format!("the list of file names of {}", row.path))? {
            Ok(bytes) => sources::parse(&bytes),
            Err(reason) => Err(reason),
        };
    names.map_err(|reason| Error::Shard { shard: file.path.clone(), reason })
}

/// Path of the file that a field was; none for a label.
pub(super) fn path_of(names: &Names, record: u64, key: &str, field: &str) -> Option<String> {
    // Most shards have no such names at all.
    let named = match names.is_empty() {
        true => None,
        false => names.get(&(record, field.to_owned())),
    };
    match named {
        Some(path) => path.clone(),
        None => Some(format!("{key}.{field}")),
    }
}
