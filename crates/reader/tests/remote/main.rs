//! Datasets on S3: through a cache, with a server at fault, and across forks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::{CacheOptions, Error, ReadOptions, Reader, Samples, Stats};
use shardpack_store::{MemoryStore, MemoryTree, S3, S3Options, S3Store, S3Uri, Store};
use shardpack_testkit::s3::{Fault, FaultRule, S3Server};

mod fork;

const SAMPLES: u64 = 400;

/// A server with a dataset of some 2 MB in eight shards below `set/`.
fn server() -> S3Server {
    let body = |i: u64| vec![i as u8; 4000 + (i as usize * 37) % 2000];
    let files: Vec<_> = (0..SAMPLES).map(|i| (format!("{i:03}.bin"), body(i))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let memory = MemoryStore::new();
    let options = PackOptions { target: 260_000, ..PackOptions::default() };
    pack(&files, &memory, &options, &Progress::default()).unwrap();
    let server = S3Server::start();
    for object in memory.list("").unwrap() {
        let bytes = shardpack_dataset::read(&memory, &object.key).unwrap();
        server.put(&format!("set/{}", object.key), bytes);
    }
    server
}

fn store(server: &S3Server) -> Arc<dyn Store> {
    let uri: S3Uri = "s3://bucket/set".parse().unwrap();
    let options = S3Options {
        credentials: Some((S3Server::ACCESS_KEY.into(), S3Server::SECRET_KEY.into())),
        region: Some(S3Server::REGION.into()),
        endpoint_url: Some(server.endpoint()),
        backoff: Duration::from_millis(1),
        ..S3Options::default()
    };
    Arc::new(S3Store::open(S3::connect(&uri, options).unwrap(), uri))
}

fn reader(server: &S3Server, folder: Option<&Path>) -> Reader {
    let mut options = ReadOptions::default();
    options.cache = folder.map(|folder| CacheOptions::new(folder).most(1 << 30));
    options.threads = Some(4);
    Reader::of_store(store(server), options).unwrap()
}

/// Reads the rest of an epoch and checks that all of it was handed out.
fn whole(reader: &Reader, samples: &mut Samples) -> Stats {
    for sample in samples.by_ref() {
        sample.unwrap();
    }
    assert_eq!(samples.digest(), reader.manifest().digest);
    samples.stats().clone()
}

fn gets(server: &S3Server) -> usize {
    let calls = server.calls();
    server.forget_calls();
    calls.iter().filter(|call| call.operation == "GetObject").count()
}

#[test]
fn the_second_epoch_fetches_nothing() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let first = reader(&server, Some(folder.path()));
    let stats = whole(&first, &mut first.epoch(0));
    assert!(stats.fetched >= stats.bytes && stats.retries == 0, "{stats:?}");
    assert!(gets(&server) > 0);
    // The same reader, and one of another process or job: manifest and indexes are there too.
    for (reader, epoch) in [(first, 1), (reader(&server, Some(folder.path())), 7)] {
        let stats = whole(&reader, &mut reader.epoch(epoch));
        assert!(stats.fetched == 0 && stats.cached >= stats.bytes, "{stats:?}");
        assert_eq!((gets(&server), stats.cache_trouble), (0, None));
    }
    let plain = reader(&server, None);
    let stats = whole(&plain, &mut plain.epoch(0));
    assert_eq!((stats.cached, stats.fetched), (0, 0));
}

#[test]
fn a_manifest_that_was_replaced_is_read_anew() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let old = reader(&server, Some(folder.path()));
    whole(&old, &mut old.epoch(0));
    let keys = ["007".to_owned(), "300".to_owned()];
    shardpack_pack::delete(&*store(&server), &keys, &Default::default()).unwrap();
    let new = reader(&server, Some(folder.path()));
    assert_eq!(new.plan().samples(), SAMPLES - 2);
    let stats = new.epoch(0).map(|sample| assert!(!keys.contains(&sample.unwrap().key().into())));
    assert_eq!(stats.count() as u64, SAMPLES - 2);
}

#[test]
fn a_shard_that_was_replaced_is_an_error_as_without_a_cache() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let cached = reader(&server, Some(folder.path()));
    whole(&cached, &mut cached.epoch(0));
    let name = server.keys().into_iter().find(|key| key.starts_with("set/shards/")).unwrap();
    let mut bytes = server.get(&name).unwrap().to_vec();
    bytes.iter_mut().for_each(|byte| *byte ^= 1);
    server.put(&name, bytes);
    for folder in [None, Some(folder.path())] {
        let reader = reader(&server, folder);
        let error = reader.epoch(0).find_map(Result::err).expect("bytes that are not the index's");
        assert!(matches!(error, Error::Damaged(_)), "{error}");
    }
}

#[test]
fn repeated_requests_and_a_cache_that_fails_are_in_the_stats() {
    let (server, scratch) = (server(), tempfile::tempdir().unwrap());
    std::fs::write(scratch.path().join("file"), "").unwrap();
    let reader = reader(&server, Some(&scratch.path().join("file/below")));
    server.inject(FaultRule::new(Fault::SlowDown).on("GetObject").times(3));
    let stats = whole(&reader, &mut reader.epoch(0));
    assert_eq!((stats.retries, stats.cached), (3, 0));
    assert!(stats.cache_trouble.is_some());
    assert!(stats.fetched >= stats.bytes);
}
