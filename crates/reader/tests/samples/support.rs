//! Datasets in memory, read by seeking and as a stream.

use std::io::Cursor;
use std::sync::Arc;

use shardpack_manifest::Manifest;
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::stream::{Contents, Source, Stop, Stream, Streamed, Streams};
use shardpack_reader::{ReadOptions, Reader, Result, Sample};
use shardpack_store::{MemoryStore, MemoryTree, Store};

pub(crate) fn packed(format: &str, files: &[(String, Vec<u8>)]) -> Arc<MemoryStore> {
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let labels = Some(shardpack_pack::Labels::Folder);
    let max_samples = Some(8);
    let options =
        PackOptions { format: format.into(), labels, max_samples, ..PackOptions::default() };
    let store = MemoryStore::new();
    pack(&files, &store, &options, &Progress::default()).unwrap();
    Arc::new(store)
}

/// Thirty samples of one field in two classes.
pub(crate) fn thirty() -> Vec<(String, Vec<u8>)> {
    let file = |i: usize| (format!("{}/{i:02}.jpg", i % 2), vec![i as u8; 40 + i]);
    (0..30).map(file).collect()
}

pub(crate) fn manifest(store: &MemoryStore) -> Manifest {
    Manifest::parse(&shardpack_dataset::read(store, "manifest.json").unwrap()).unwrap()
}

/// All shards, as a FIFO has them.
pub(crate) fn joined(store: &MemoryStore) -> Arc<Joined> {
    let shards = manifest(store).shards;
    let read = |path: &str| shardpack_dataset::read(store, path).unwrap();
    Arc::new(Joined(shards.iter().flat_map(|shard| read(&shard.path)).collect()))
}

/// One stream in every epoch.
#[derive(Debug)]
pub(crate) struct Joined(pub(crate) Vec<u8>);

impl Source for Joined {
    fn epoch(&self, _: u64, _: &Stop) -> Result<Box<dyn Streams>> {
        Ok(Box::new(Once(Some(self.0.clone()))))
    }

    fn is_joined(&self) -> bool {
        true
    }
}

struct Once(Option<Vec<u8>>);

impl Streams for Once {
    fn next(&mut self) -> Result<Option<Stream>> {
        Ok(self
            .0
            .take()
            .map(|bytes| ("train_0".to_owned(), Box::new(Cursor::new(bytes)) as Box<_>)))
    }
}

pub(crate) fn streamed(store: &Arc<MemoryStore>, options: ReadOptions) -> Result<Streamed> {
    let contents = Contents::Dataset {
        manifest: Box::new(manifest(store)),
        indexes: Arc::clone(store) as Arc<dyn Store>,
        host: None,
    };
    let part = options.part.unwrap_or_default();
    Streamed::new(joined(store), contents, part, options, None)
}

/// The samples of an epoch, by seeking and as a stream.
pub(crate) fn both(store: &Arc<MemoryStore>, options: &ReadOptions) -> [Vec<Sample>; 2] {
    let sought = Reader::of_store(store.clone(), options.clone()).unwrap();
    let streamed = streamed(store, options.clone()).unwrap();
    [
        sought.epoch(0).collect::<Result<_>>().unwrap(),
        streamed.epoch(0).collect::<Result<_>>().unwrap(),
    ]
}
