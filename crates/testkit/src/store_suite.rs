//! What every store must do. A new one passes these before it is used.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use shardpack_store::{Error, ErrorKind, PutMode, Store};

pub use crate::source_suite::{assert_changed, fetch, source_suite};

/// Runs every rule on stores that `new` makes, each empty.
pub fn store_suite(new: &dyn Fn() -> Box<dyn Store>) {
    put_creates_or_replaces(&*new());
    one_of_many_creators_wins(&*new());
    swaps_replace_only_what_was_read(&*new());
    rules(new, &[]);
}

/// The same for a store whose server takes `If-None-Match` for granted. What rests on that is not
/// left out: its opposite must hold, and the store must tell of it among its doubts.
pub fn store_suite_without_conditions(new: &dyn Fn() -> Box<dyn Store>) {
    what_is_created_replaces(&*new());
    rules(new, &["If-None-Match"]);
}

/// The rules that need no conditions, and that doubts are about these things and no others.
fn rules(new: &dyn Fn() -> Box<dyn Store>, doubted: &[&str]) {
    doubts_are_about(&*new(), doubted);
    sealed_objects_are_visible_and_whole(&*new());
    unsealed_objects_leave_nothing(&*new());
    ranges_come_in_any_order_from_any_thread(&*new());
    seals_that_do_not_add_up_are_refused(&*new());
    reads_stop_at_the_end(&*new());
    match new().moves() {
        true => prefixes_move_whole_and_replace_nothing(&*new()),
        false => renames_are_refused(&*new()),
    }
    lists_are_sorted_and_end_at_whole_parts(&*new());
    removing_takes_all_below_and_minds_no_absence(&*new());
    if new().locks() {
        locks_let_in_one_at_a_time(&*new());
    }
    hostile_keys_are_refused(&*new());
}

/// Bytes that tell their place, so that a range written elsewhere shows.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sealed_objects_are_visible_and_whole(store: &dyn Store) {
    // Around the blocks of direct writers, and 0.
    for len in [0, 1, 4095, 4096, 4097, 8192, 3_000_001] {
        for declared in [Some(len as u64), None] {
            let bytes = pattern(len);
            let upload = store.create("a/b/object", declared).unwrap();
            upload.write_at(0, &bytes).unwrap();
            upload.seal(len as u64, None).unwrap();
            assert_eq!(read(store, "a/b/object"), bytes);
            assert_eq!(list(store, ""), [("a/b/object".to_owned(), len as u64)]);
        }
    }
}

fn unsealed_objects_leave_nothing(store: &dyn Store) {
    store.put("kept", b"old", PutMode::Create).unwrap();
    for key in ["new/object", "kept"] {
        let upload = store.create(key, Some(2_000_000)).unwrap();
        upload.write_at(0, &pattern(2_000_000)).unwrap();
        assert_eq!(list(store, ""), [("kept".to_owned(), 3)], "not listed before it is sealed");
        drop(upload);
    }
    assert!(store.open("new/object").unwrap_err().is_not_found());
    assert_eq!(read(store, "kept"), b"old");
    assert_eq!(store.sweep("").unwrap(), 0, "nothing is left to sweep");
    assert_eq!(store.sweep("not-there").unwrap(), 0);
}

fn ranges_come_in_any_order_from_any_thread(store: &dyn Store) {
    // Pieces of 1 byte, of primes and of whole blocks, so that blocks are shared by two and many.
    for piece in [1, 7, 1021, 4096, 5003, 70_001, 1 << 20] {
        let bytes = pattern((piece * 900).min(2_500_000));
        let upload = store.create("object", None).unwrap();
        let mut pieces: Vec<(usize, &[u8])> = bytes.chunks(piece).enumerate().collect();
        pieces.reverse();
        thread::scope(|scope| {
            for thread in 0..4 {
                let (upload, pieces) = (&upload, &pieces);
                scope.spawn(move || {
                    for (i, range) in pieces.iter().skip(thread).step_by(4) {
                        upload.write_at((i * piece) as u64, range).unwrap();
                    }
                });
            }
        });
        upload.seal(bytes.len() as u64, None).unwrap();
        assert!(read(store, "object") == bytes, "pieces of {piece}");
    }
}

fn seals_that_do_not_add_up_are_refused(store: &dyn Store) {
    let upload = store.create("short", None).unwrap();
    upload.write_at(0, b"1234").unwrap();
    assert!(matches!(upload.seal(5, None).unwrap_err().kind(), ErrorKind::Invalid { .. }));
    let upload = store.create("short", Some(5)).unwrap();
    upload.write_at(0, b"1234").unwrap();
    assert!(matches!(upload.seal(4, None).unwrap_err().kind(), ErrorKind::Invalid { .. }));
    let upload = store.create("short", Some(5)).unwrap();
    for (offset, bytes) in [(2, &b"1234"[..]), (u64::MAX, b"1")] {
        let error = upload.write_at(offset, bytes).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    }
    drop(upload);
    assert_eq!(list(store, ""), []);
}

fn reads_stop_at_the_end(store: &dyn Store) {
    store.put("object", b"0123456789", PutMode::Create).unwrap();
    let object = store.open("object").unwrap();
    assert_eq!((object.len(), object.is_empty()), (10, false));
    for (offset, want, found) in [
        (0, 4, "0123"),
        (8, 4, "89"),
        (10, 4, ""),
        (11, 1, ""),
        (u64::MAX, 1, ""),
        (u64::MAX - 1, 4, ""),
        (3, 0, ""),
    ] {
        let mut buf = vec![b'-'; want];
        let n = object.read_at(offset, &mut buf).unwrap();
        assert_eq!(&buf[..n], found.as_bytes(), "{want} bytes at {offset}");
    }
}

fn put_creates_or_replaces(store: &dyn Store) {
    store.put("a/key", b"1", PutMode::Create).unwrap();
    let again = store.put("a/key", b"2", PutMode::Create);
    let error = again.expect_err("what is there is not created: conditions count");
    assert!(matches!(error.kind(), ErrorKind::Exists), "{error}");
    assert_eq!(read(store, "a/key"), b"1");
    store.put("a/key", b"three", PutMode::Replace).unwrap();
    store.put("b/new", b"", PutMode::Replace).unwrap();
    assert_eq!(read(store, "a/key"), b"three");
    assert_eq!(list(store, ""), [("a/key".to_owned(), 5), ("b/new".to_owned(), 0)]);
}

fn what_is_created_replaces(store: &dyn Store) {
    store.put("a/key", b"1", PutMode::Create).unwrap();
    store.put("a/key", b"2", PutMode::Create).expect("a server that asks no questions");
    assert_eq!(read(store, "a/key"), b"2");
    store.put("a/key", b"three", PutMode::Replace).unwrap();
    assert_eq!(list(store, ""), [("a/key".to_owned(), 5)]);
}

fn doubts_are_about(store: &dyn Store, things: &[&str]) {
    let doubts = store.doubts("probe").unwrap();
    assert_eq!(doubts.len(), things.len(), "{doubts:?}, not {things:?}");
    for (doubt, thing) in doubts.iter().zip(things) {
        assert!(doubt.contains(thing), "{doubt}, not {thing}");
    }
    assert_eq!(list(store, ""), [], "the probe is gone");
}

fn one_of_many_creators_wins(store: &dyn Store) {
    const WRITERS: usize = 8;
    for round in 0..20 {
        let key = format!("round-{round}/head");
        let start = Barrier::new(WRITERS);
        let winners: Vec<usize> = thread::scope(|scope| {
            let write = |writer: usize| {
                let (key, start) = (&key, &start);
                scope.spawn(move || {
                    start.wait();
                    store.put(key, format!("writer {writer}").as_bytes(), PutMode::Create)
                })
            };
            let writers: Vec<_> = (0..WRITERS).map(write).collect();
            let results = writers.into_iter().map(|writer| writer.join().unwrap());
            let won = results.enumerate().filter_map(|(writer, result)| match result {
                Ok(()) => Some(writer),
                Err(error) => {
                    assert!(matches!(error.kind(), ErrorKind::Exists), "{error}");
                    None
                }
            });
            won.collect()
        });
        let [winner] = winners[..] else { panic!("winners: {winners:?}") };
        assert_eq!(read(store, &key), format!("writer {winner}").as_bytes());
    }
    assert_eq!(store.sweep("").unwrap(), 0, "the losers left nothing");
}

fn swaps_replace_only_what_was_read(store: &dyn Store) {
    assert!(store.swap("head", b"", b"1").unwrap_err().is_not_found());
    store.put("head", b"one", PutMode::Create).unwrap();
    store.swap("head", b"one", b"three").unwrap();
    for old in [&b""[..], b"one", b"thre", b"three4", b"thrEe"] {
        let error = store.swap("head", old, b"lost").unwrap_err();
        assert!(error.is_changed(), "{error}");
    }
    store.swap("head", b"three", b"").unwrap();
    store.swap("head", b"", b"four").unwrap();
    assert_eq!(read(store, "head"), b"four");
    if store.locks() {
        return; // looks and then writes: callers hold the lock
    }
    let barrier = Barrier::new(8);
    let won: usize = thread::scope(|scope| {
        let swap = |i: u8| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                usize::from(store.swap("head", b"four", &[i]).is_ok())
            })
        };
        (0..8).map(swap).collect::<Vec<_>>().into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(won, 1);
}

fn prefixes_move_whole_and_replace_nothing(store: &dyn Store) {
    for key in ["work/x", "work/deep/y", "workshop", "taken/z"] {
        store.put(key, key.as_bytes(), PutMode::Create).unwrap();
    }
    for (from, to) in [("work", "taken"), ("work/", "taken/"), ("workshop", "taken/z")] {
        let error = store.rename(from, to).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Exists), "{error}");
    }
    assert!(store.rename("not-there", "anywhere").unwrap_err().is_not_found());
    assert!(store.rename("work", "work/inside").is_err());
    store.rename("work", "new/place").unwrap();
    store.rename("workshop", "moved").unwrap();
    let keys = ["moved", "new/place/deep/y", "new/place/x", "taken/z"];
    assert_eq!(list(store, "").into_iter().map(|(key, _)| key).collect::<Vec<_>>(), keys);
    assert_eq!(read(store, "new/place/deep/y"), b"work/deep/y");
    assert_eq!(read(store, "taken/z"), b"taken/z");
}

fn renames_are_refused(store: &dyn Store) {
    store.put("work/x", b"1", PutMode::Create).unwrap();
    let error = store.rename("work", "elsewhere").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    assert_eq!(list(store, ""), [("work/x".to_owned(), 1)]);
}

fn lists_are_sorted_and_end_at_whole_parts(store: &dyn Store) {
    for key in ["b", "a/b", "a.b", "a/bc/d", "a/b.c", "ü\n", "a/a"] {
        store.put(key, b"1", PutMode::Create).unwrap();
    }
    let keys = |prefix| list(store, prefix).into_iter().map(|(k, _)| k).collect::<Vec<_>>();
    assert_eq!(keys(""), ["a.b", "a/a", "a/b", "a/b.c", "a/bc/d", "b", "ü\n"]);
    assert_eq!(keys("a"), ["a/a", "a/b", "a/b.c", "a/bc/d"]);
    assert_eq!(keys("a/"), ["a/a", "a/b", "a/b.c", "a/bc/d"]);
    assert_eq!(keys("a/b"), ["a/b"]);
    assert_eq!(keys("a/bc/"), ["a/bc/d"]);
    assert!(keys("c").is_empty() && keys("b/c").is_empty());
}

fn removing_takes_all_below_and_minds_no_absence(store: &dyn Store) {
    for key in ["a/b/c", "a/b/d", "a/bc", "e"] {
        store.put(key, b"1", PutMode::Create).unwrap();
    }
    for key in ["a/b", "a/b", "a/b/", "e", "not/there", "e/below"] {
        store.remove(key).unwrap();
    }
    assert_eq!(list(store, ""), [("a/bc".to_owned(), 1)]);
    assert!(store.open("e").unwrap_err().is_not_found());
}

fn locks_let_in_one_at_a_time(store: &dyn Store) {
    let busy = |prefix: &str| {
        let error = store.lock(prefix).expect_err("it is held");
        assert!(matches!(error.kind(), ErrorKind::Busy), "{error}");
    };
    let whole = store.lock("").unwrap();
    busy("");
    let part = store.lock("part").unwrap(); // another prefix is another lock
    busy("part/");
    assert_eq!(list(store, ""), [], "a lock is no object");
    assert_eq!(store.sweep("").unwrap(), 0, "nor is it a leftover");
    store.put("part/object", b"1", PutMode::Create).unwrap();
    busy("part");
    drop(part);
    drop(store.lock("part").unwrap());
    busy("");
    drop(whole);

    // Everyone tries until all have had their turns, while holders come and go.
    const TURNS: u64 = 200;
    let (inside, turns) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while turns.load(SeqCst) < TURNS {
                    match store.lock("") {
                        Ok(lock) => {
                            assert!(!inside.swap(true, SeqCst), "two hold one lock");
                            turns.fetch_add(1, SeqCst);
                            thread::yield_now();
                            inside.store(false, SeqCst);
                            drop(lock);
                        }
                        Err(error) => assert!(matches!(error.kind(), ErrorKind::Busy), "{error}"),
                    }
                }
            });
        }
    });
    assert_eq!(list(store, ""), [("part/object".to_owned(), 1)]);
}

fn hostile_keys_are_refused(store: &dyn Store) {
    let long = "x".repeat(300);
    for key in ["", "/", "/etc/passwd", "../up", "a/../../up", "a//b", "./a", "a\0b", "..", "."] {
        let refused = |result: Result<(), Error>| {
            let error = result.expect_err(key);
            assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{key:?}: {error}");
        };
        refused(store.open(key).map(drop));
        refused(store.create(key, None).map(drop));
        refused(store.put(key, b"1", PutMode::Replace));
        refused(store.remove(key));
        refused(store.rename(key, "a"));
        refused(store.rename("a", key));
        if !key.is_empty() {
            refused(store.list(key).map(drop));
            refused(store.lock(key).map(drop));
        }
    }
    // A name may be too long for some stores: an error then, and never a panic.
    let _ = store.put(&long, b"1", PutMode::Replace);
}

fn read(store: &dyn Store, key: &str) -> Vec<u8> {
    let object = store.open(key).unwrap();
    let mut bytes = vec![0; object.len() as usize + 1];
    let n = object.read_at(0, &mut bytes).unwrap();
    assert_eq!(n as u64, object.len(), "{key}");
    bytes.truncate(n);
    bytes
}

fn list(store: &dyn Store, prefix: &str) -> Vec<(String, u64)> {
    let objects = store.list(prefix).unwrap();
    let keys = objects.iter().map(|object| object.key.clone());
    assert_eq!(store.keys(prefix).unwrap(), keys.collect::<Vec<_>>());
    objects.into_iter().map(|object| (object.key, object.len)).collect()
}
