//! The samples of an epoch in one row, before lanes and windows.

use std::sync::Arc;

use super::random::{Permutation, Use, key, shuffled};
use super::{Block, Shards, Shuffle};

/// A permutation of the live samples by blocks.
#[derive(Clone, Debug)]
pub(crate) enum Sequence {
    /// The dataset's order.
    Dataset,
    /// Whole shards; the only order that keeps a table, of a few numbers a shard.
    Shards(Arc<ShardOrder>),
    /// Blocks of equally many samples.
    Blocks(BlockOrder),
    /// Every sample by itself.
    Exact(Permutation),
}

impl Sequence {
    pub(crate) fn new(shards: &Shards, shuffle: Shuffle, seed: u64, epoch: u64) -> Self {
        let keyed = |purpose: Use| key([seed, epoch, purpose as u64]);
        match shuffle {
            Shuffle::Off => Self::Dataset,
            Shuffle::Exact => Self::Exact(Permutation::new(keyed(Use::Exact), shards.live())),
            Shuffle::Window { block: Block::Shard, .. } => {
                Self::Shards(Arc::new(ShardOrder::new(shards, keyed(Use::Shards))))
            }
            Shuffle::Window { block: Block::Samples(n), .. } => {
                Self::Blocks(BlockOrder::new(shards.live(), n, keyed(Use::Blocks)))
            }
        }
    }

    /// The live sample at `place`, and how many from there on are neighbours in the dataset.
    pub(crate) fn at(&self, shards: &Shards, place: u64) -> (u64, u64) {
        match self {
            Self::Dataset => (place, shards.live() - place),
            Self::Shards(order) => order.at(shards, place),
            Self::Blocks(order) => order.at(place),
            Self::Exact(permutation) => (permutation.at(place), 1),
        }
    }

    /// The place of live sample `live`; `shard` is its shard.
    pub(crate) fn place(&self, shards: &Shards, live: u64, shard: u32) -> u64 {
        match self {
            Self::Dataset => live,
            Self::Shards(order) => order.places[shard as usize] + live - shards.bounds(shard).0,
            Self::Blocks(order) => order.place(live),
            Self::Exact(permutation) => permutation.inverse(live),
        }
    }
}

#[derive(Debug)]
pub(crate) struct ShardOrder {
    /// Shards in the epoch's order.
    order: Vec<u32>,
    /// Places before each shard, in the epoch's order.
    starts: Vec<u64>,
    /// The same, in the dataset's order.
    places: Vec<u64>,
}

impl ShardOrder {
    fn new(shards: &Shards, key: u64) -> Self {
        let order = shuffled(key, shards.count());
        let mut starts = Vec::with_capacity(order.len());
        let mut places = vec![0; order.len()];
        let mut place = 0;
        for &shard in &order {
            starts.push(place);
            places[shard as usize] = place;
            let (start, end) = shards.bounds(shard);
            place += end - start;
        }
        Self { order, starts, places }
    }

    fn at(&self, shards: &Shards, place: u64) -> (u64, u64) {
        // The last of the shards that start here: those before it are empty.
        let slot = self.starts.partition_point(|&start| start <= place) - 1;
        let (start, end) = shards.bounds(self.order[slot]);
        let live = start + place - self.starts[slot];
        (live, end - live)
    }
}

/// Blocks of `size` samples, permuted. Only the last of the dataset may be shorter, so whatever
/// stands after it in the epoch is shifted by what it lacks: no table.
#[derive(Clone, Debug)]
pub(crate) struct BlockOrder {
    size: u64,
    permutation: Permutation,
    /// Length of the dataset's last block, and where the epoch has it.
    last_len: u64,
    last_start: u64,
    total: u64,
}

impl BlockOrder {
    fn new(total: u64, size: u64, key: u64) -> Self {
        let size = size.min(total).max(1);
        let blocks = total.div_ceil(size);
        let permutation = Permutation::new(key, blocks);
        let last = blocks.saturating_sub(1);
        let last_start = if blocks == 0 { 0 } else { permutation.inverse(last) * size };
        Self { size, permutation, last_len: total - last * size, last_start, total }
    }

    fn at(&self, place: u64) -> (u64, u64) {
        // As if the last block were as long as the others.
        let lacks = self.size - self.last_len;
        let full = place + if place >= self.last_start + self.last_len { lacks } else { 0 };
        let live = self.permutation.at(full / self.size) * self.size + full % self.size;
        (live, (self.size - full % self.size).min(self.total - live))
    }

    fn place(&self, live: u64) -> u64 {
        let start = self.permutation.inverse(live / self.size) * self.size;
        let lacks = self.size - self.last_len;
        start + live % self.size - if start > self.last_start { lacks } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_sample_has_one_place(
            counts in prop::collection::vec(0u64..9, 0..9),
            kind in 0usize..4,
            block in 1u64..12,
            seed in any::<u64>(),
        ) {
            let shards = Shards::new(counts).unwrap();
            let window = |block| Shuffle::Window { block, window: 1 };
            let blocks = window(Block::Samples(block));
            let shuffle = [Shuffle::Off, window(Block::Shard), blocks, Shuffle::Exact][kind];
            let sequence = Sequence::new(&shards, shuffle, seed, 3);
            let mut seen = vec![false; shards.live() as usize];
            for place in 0..shards.live() {
                let (live, run) = sequence.at(&shards, place);
                prop_assert!(!std::mem::replace(&mut seen[live as usize], true));
                prop_assert_eq!(sequence.place(&shards, live, shards.locate(live).0.shard), place);
                prop_assert!(run > 0);
                for i in 0..run {
                    prop_assert_eq!(sequence.at(&shards, place + i).0, live + i);
                }
            }
        }
    }
}
