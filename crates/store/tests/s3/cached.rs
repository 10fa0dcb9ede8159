//! S3 behind a cache on a local disk.

use std::path::Path;

use shardpack_store::{Cache, CacheOptions, CachedStore};

use super::*;

fn cached(server: &S3Server, folder: &Path) -> CachedStore {
    CachedStore::new(Arc::new(store(server)), Cache::new(&CacheOptions::new(folder).most(1 << 30)))
}

fn gets(server: &S3Server) -> usize {
    let calls = server.calls();
    server.forget_calls();
    calls.iter().filter(|call| call.operation == "GetObject").count()
}

#[test]
fn it_is_a_store() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    let prefix = AtomicU64::new(0);
    store_suite(&|| {
        let prefix = uri(&format!("{}/", prefix.fetch_add(1, SeqCst)));
        let inner = S3Store::open(connect(options(&server)), prefix);
        let cache = Cache::new(&CacheOptions::new(folder.path()).most(3 << 20));
        Box::new(CachedStore::new(Arc::new(inner), cache))
    });
}

#[test]
fn what_was_read_is_asked_for_by_its_head_alone() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    server.put("data/a", pattern(2_500_000));
    let first = cached(&server, folder.path());
    assert_eq!(read(&first, "a"), pattern(2_500_000));
    assert!(gets(&server) > 0);
    for store in [&first, &cached(&server, folder.path())] {
        assert_eq!(read(store, "a"), pattern(2_500_000));
        let calls = server.calls();
        assert_eq!((calls.len(), &*calls[0].operation), (1, "HeadObject"));
        server.forget_calls();
    }
}

#[test]
fn an_object_that_was_replaced_is_read_anew_or_refused() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    server.put("data/a", pattern(6_000_000));
    let store = cached(&server, folder.path());
    let open = store.open("a").unwrap();
    let mut start = vec![0; 1000];
    open.read_at(0, &mut start).unwrap();
    let new: Vec<u8> = pattern(6_000_000).iter().map(|byte| !byte).collect();
    server.put("data/a", new.clone());
    assert_eq!(read(&store, "a"), new);
    // Whoever has the old one open gets its bytes, or an error; never those of the new one.
    assert_eq!(open.read_at(0, &mut start).unwrap(), 1000);
    assert_eq!(start, pattern(1000));
    assert!(open.read_at(5_900_000, &mut start).unwrap_err().is_changed());
    assert_eq!(read(&store, "a"), new, "nothing of the old one was kept for the new");
}

#[test]
fn repeated_requests_are_counted() {
    let (server, folder) = (server(), tempfile::tempdir().unwrap());
    server.put("data/a", pattern(1000));
    server.inject(FaultRule::new(Fault::InternalError).on("GetObject").times(2));
    let store = cached(&server, folder.path());
    assert_eq!(read(&store, "a"), pattern(1000));
    assert_eq!(store.traffic().retries, 2);
}
