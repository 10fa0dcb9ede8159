//! Keys: those of several samples, those that were never stored, those that are nearly right.

use super::Dataset;
use super::report::Duplicate;
use super::scan::Scanned;
use crate::Result;

/// Where a key was met, at 32 bytes a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyPlace {
    pub(super) hash: u128,
    pub(super) shard: u32,
    pub(super) record: u32,
}

pub(super) fn hash(key: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(key.as_bytes())
}

/// Groups places of the same key. `key` tells the key at a place.
pub(super) fn duplicates(
    dataset: &Dataset<'_>,
    mut places: Vec<KeyPlace>,
    mut key: impl FnMut(KeyPlace) -> Result<String>,
) -> Result<Vec<Duplicate>> {
    places.sort_unstable();
    let mut found = Vec::new();
    for group in places.chunk_by(|a, b| a.hash == b.hash).filter(|group| group.len() > 1) {
        let path = |place: &KeyPlace| {
            let shard = dataset.shards().get(place.shard as usize);
            (shard.map(|s| s.path.clone()).unwrap_or_default(), u64::from(place.record))
        };
        found.push((
            group[0],
            Duplicate { key: key(group[0])?, places: group.iter().map(path).collect() },
        ));
    }
    found.sort_by_key(|(first, _)| (first.shard, first.record));
    Ok(found.into_iter().map(|(_, duplicate)| duplicate).collect())
}

/// The key of a decoded record. One that has none is called by its shard and number, so that keys
/// stay unique over shards.
pub(super) fn of_record(dataset: &Dataset<'_>, shard: usize, scanned: &Scanned<'_>) -> String {
    let key = &scanned.record.sample.key;
    let stored = match dataset.format() {
        "webdataset" => true,
        "recordio" => false, // ids start anew in each shard of many writers
        // Decoders give the number since they started in place of a key.
        _ => *key != (scanned.number - scanned.from).to_string(),
    };
    if stored {
        return key.clone();
    }
    let path = dataset.shards().get(shard).map_or("", |s| s.path.as_str());
    format!("{}/{}", stem(path), scanned.number)
}

/// The shard's path without `shards/` and extensions.
fn stem(path: &str) -> &str {
    let path = path.strip_prefix("shards/").unwrap_or(path);
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    path.get(name + 1..).and_then(|rest| rest.find('.')).map_or(path, |dot| &path[..name + 1 + dot])
}

/// Collects the keys that are nearest to a wrong one.
#[derive(Debug)]
pub(super) struct Nearest<'k> {
    wanted: &'k str,
    found: Vec<(usize, String)>,
}

/// Keys that an error names.
const NEAREST: usize = 3;

impl<'k> Nearest<'k> {
    pub(super) fn new(wanted: &'k str) -> Self {
        Self { wanted, found: Vec::new() }
    }

    pub(super) fn look_at(&mut self, key: &str) {
        // Beyond a third of the letters it is another word.
        let limit = match self.found.get(NEAREST - 1) {
            Some((worst, _)) => *worst,
            None => self.wanted.chars().count() / 3 + 2,
        };
        if key.len().abs_diff(self.wanted.len()) > 4 * limit {
            return;
        }
        let distance = distance(self.wanted, key);
        if distance < limit && !self.found.iter().any(|(_, seen)| seen == key) {
            let at = self.found.partition_point(|(seen, _)| *seen <= distance);
            self.found.insert(at, (distance, key.to_owned()));
            self.found.truncate(NEAREST);
        }
    }

    /// `; nearest: a, b`, or nothing.
    pub(super) fn hint(&self) -> String {
        let keys: Vec<_> = self.found.iter().map(|(_, key)| format!("{key:?}")).collect();
        match keys.is_empty() {
            true => String::new(),
            false => format!("; nearest: {}", keys.join(", ")),
        }
    }
}

/// Insertions, deletions and exchanges of letters that make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(LONGEST).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(LONGEST).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let exchange = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = exchange.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Letters that are compared: a hostile key must not cost its length squared.
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, want) in [
            ("", "", 0),
            ("a", "", 1),
            ("kitten", "sitting", 3),
            ("été", "ete", 2),
            ("ab", "ba", 2),
        ] {
            assert_eq!((distance(a, b), distance(b, a)), (want, want), "{a} {b}");
        }
    }

    #[test]
    fn nearest_first() {
        let mut nearest = Nearest::new("cats/0001");
        for key in ["dogs/9", "cats/0002", "cats/01", "cats/0001x", "cat/0001", "cats/0012"] {
            nearest.look_at(key);
        }
        assert_eq!(nearest.hint(), "; nearest: \"cats/0002\", \"cats/0001x\", \"cat/0001\"");
        assert_eq!(Nearest::new("x").hint(), "");
    }

    #[test]
    fn stems() {
        for (path, want) in [
            ("shards/a-0.tar.gz", "a-0"),
            ("d.v1/a.rec", "d.v1/a"),
            ("a", "a"),
            (".x", ".x"),
            ("shards/t/train-0.tfrecord-00000-of-00001", "t/train-0"),
        ] {
            assert_eq!(stem(path), want);
        }
    }
}
