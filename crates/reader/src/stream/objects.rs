//! Shards of a store, read from front to back one after the other.

use std::io::{self, Read};
use std::sync::Arc;

use shardpack_dataset::{Dataset, DatasetShard, PIECE};
use shardpack_store::{Object, Store};

use super::{Source, Stop, Stream, Streams};
use crate::plan::random::{Use, key, shuffled};
use crate::{Error, Result};

/// Shards without a manifest, in any store: one stream each, decompressed.
#[derive(Debug)]
pub struct Objects {
    store: Arc<dyn Store>,
    shards: Arc<[DatasetShard]>,
    seed: Option<u64>,
}

impl Objects {
    /// The shards that `dataset` found in `store`, in its order, or shuffled anew in every epoch
    /// by `seed`.
    pub fn new(store: Arc<dyn Store>, dataset: &Dataset<'_>, seed: Option<u64>) -> Self {
        Self { store, shards: dataset.shards().into(), seed }
    }
}

impl Source for Objects {
    fn epoch(&self, epoch: u64, stop: &Stop) -> Result<Box<dyn Streams>> {
        let count = u32::try_from(self.shards.len())
            .map_err(|_| Error::usage(format!("{} shards", self.shards.len())))?;
        let order = match self.seed {
            Some(seed) => shuffled(key([seed, epoch, Use::Shards as u64]), count),
            None => (0..count).collect(),
        };
        let (store, shards) = (Arc::clone(&self.store), Arc::clone(&self.shards));
        Ok(Box::new(Open { store, shards, order: order.into_iter(), stop: stop.clone() }))
    }

    fn is_joined(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        self.store.describe()
    }
}

/// The shards of one epoch that are left.
struct Open {
    store: Arc<dyn Store>,
    shards: Arc<[DatasetShard]>,
    order: std::vec::IntoIter<u32>,
    stop: Stop,
}

impl Streams for Open {
    fn next(&mut self) -> Result<Option<Stream>> {
        let next = self.order.next().and_then(|number| self.shards.get(number as usize));
        let Some(shard) = next else { return Ok(None) };
        let damaged =
            |e: io::Error| Error::Shard { shard: shard.path.clone(), reason: e.to_string() };
        let object = self.store.open(&shard.path)?;
        let whole = Whole { object, offset: 0, stop: self.stop.clone() };
        let whole = io::BufReader::with_capacity(PIECE, whole);
        let bytes = shard.compression.reader(Box::new(whole)).map_err(damaged)?;
        Ok(Some((shard.path.clone(), bytes)))
    }
}

/// The bytes of an object.
struct Whole {
    object: Box<dyn Object>,
    offset: u64,
    stop: Stop,
}

impl Read for Whole {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.stop.check()?;
        let read = self.object.read_at(self.offset, buf).map_err(io::Error::other)?;
        self.offset += read as u64;
        Ok(read)
    }
}
