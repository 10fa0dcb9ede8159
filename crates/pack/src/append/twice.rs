//! Keys that several live samples have.

use super::compare::live;
use super::head::Place;
use crate::dataset::Dataset;
use crate::parallel::each;
use crate::progress::Progress;
use crate::{Result, hash};

/// A key, and the samples that have it, in order: number of the dataset, and place there.
#[derive(Debug)]
pub(super) struct Twice {
    pub(super) key: String,
    pub(super) places: Vec<(usize, Place)>,
}

/// Looks for keys of several samples, in one dataset or in several. Takes 24 bytes a sample.
pub(super) fn twice(datasets: &[&Dataset<'_>], jobs: usize) -> Result<Vec<Twice>> {
    let shards: Vec<(usize, usize)> = (datasets.iter().enumerate())
        .flat_map(|(input, dataset)| (0..dataset.shards().len()).map(move |shard| (input, shard)))
        .collect();
    let silent = Progress::default();
    let hashed = each(shards.len(), jobs, &silent, |i| {
        let (input, shard) = shards[i];
        let Some(index) = shardpack_dataset::index(datasets[input], shard)? else {
            return Ok(Vec::new());
        };
        let of = |((_, record), r): (Place, shardpack_manifest::IndexRecord<'_>)| {
            (hash(r.key, 0), i as u32, record as u32)
        };
        Ok(live(datasets[input], shard, &index).map(of).collect::<Vec<_>>())
    })?;
    let mut hashed = hashed.concat();
    hashed.sort_unstable();
    let same = hashed.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    // Few, or a mistake: their keys are looked up, as two keys may have one hash.
    let mut wanted: Vec<(u32, u32)> = same.flatten().map(|(_, i, record)| (*i, *record)).collect();
    wanted.sort_unstable();
    let mut found: Vec<(String, usize, Place)> = Vec::new();
    for of_shard in wanted.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(input, shard)) = of_shard.first().and_then(|(i, _)| shards.get(*i as usize))
        else {
            continue;
        };
        let Some(index) = shardpack_dataset::index(datasets[input], shard)? else { continue };
        for (_, record) in of_shard {
            if let Some(row) = index.get(*record as usize) {
                found.push((row.key.to_owned(), input, (shard as u64, u64::from(*record))));
            }
        }
    }
    found.sort();
    let groups = found.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    Ok(groups
        .map(|group| Twice {
            key: group.first().map(|(key, ..)| key.clone()).unwrap_or_default(),
            places: group.iter().map(|(_, input, place)| (*input, *place)).collect(),
        })
        .collect())
}
