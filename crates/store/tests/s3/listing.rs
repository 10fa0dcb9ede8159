//! Listings of many pages, from several places at a time.

use proptest::prelude::*;

use super::*;

/// A server whose pages are small.
fn paged(page: i32) -> S3Server {
    S3Server::start_with(S3Config { page, ..S3Config::default() })
}

/// The keys that a listing of `prefix` tells.
fn keys(server: &S3Server, prefix: &str) -> shardpack_store::Result<Vec<String>> {
    let listed = S3Store::open(connect(options(server)), uri(prefix)).list("")?;
    Ok(listed.into_iter().map(|object| format!("{prefix}/{}", object.key)).collect())
}

#[test]
fn listings_of_many_pages_are_whole_and_sorted() {
    let server = server();
    let mut keys: Vec<String> = (0..2_300).map(|i| format!("in/f{:02}/{i}.jpg", i % 7)).collect();
    keys.extend((0..1_700).map(|i| format!("in/flat-{i}")));
    keys.iter().for_each(|key| server.put(key, key.clone()));
    keys.sort();
    for fault in [None, Some(Fault::DuplicatePages), Some(Fault::ShuffledPages)] {
        server.heal();
        if let Some(fault) = fault.clone() {
            server.inject(FaultRule::new(fault).on("ListObjectsV2").times(2));
        }
        let listed = S3Store::open(connect(options(&server)), uri("in")).list("");
        let listed = listed.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        let listed: Vec<_> =
            listed.into_iter().map(|object| format!("in/{}", object.key)).collect();
        assert!(listed == keys, "{fault:?}: {} of {}", listed.len(), keys.len());
    }
}

#[test]
fn a_listing_that_goes_in_circles_ends() {
    let server = server();
    (0..3_000).for_each(|i| server.put(&format!("in/{i}"), "1"));
    server.inject(FaultRule::new(Fault::DuplicatePages).on("ListObjectsV2").forever());
    let store = S3Store::open(connect(options(&server)), uri("in"));
    let error = store.list("").unwrap_err().to_string();
    assert!(error.contains("same page"), "{error}");
}

/// Trees as people make them, and names that no one can guess.
fn names() -> impl Strategy<Value = Vec<String>> {
    let name = prop_oneof![
        "[0-9a-f]{8}",
        "img_0000[0-9]{3}\\.jpg",
        "[a-c]{1,3}/[0-9]{1,4}",
        "[a-z]{0,2}[ÄÖ本語\u{10000}~]{1,3}",
        "2024/0[1-9]/[0-3][0-9]/x",
        "\\PC{1,6}",
    ];
    proptest::collection::vec(name, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What many places find together is what is there, in its order, with pages that come twice
    /// or turned round now and then.
    #[test]
    fn a_listing_is_what_is_there(
        names in names(),
        page in 1i32..20,
        io_depth in prop_oneof![Just(4usize), Just(64), Just(256)], // one place, some, most
        faults in proptest::collection::vec((1u64..60, any::<bool>()), 0..4),
    ) {
        let server = paged(page);
        server.put_many(names.iter().map(|name| format!("in/{name}")), "1");
        server.put_many(["im", "in", "in0", "inn/a"].map(String::from), "other");
        for (call, twice) in faults {
            let fault = if twice { Fault::DuplicatePages } else { Fault::ShuffledPages };
            server.inject(FaultRule::new(fault).on("ListObjectsV2").from(call));
        }
        let s3 = connect(S3Options { io_depth, ..options(&server) });
        let found = S3Store::open(s3, uri("in")).list("").unwrap();
        let found: Vec<_> = found.into_iter().map(|object| object.key).collect();
        let mut there = names;
        there.retain(|name| !name.ends_with('/')); // stands for a folder
        there.sort();
        there.dedup();
        prop_assert_eq!(found, there);
    }
}

/// However keys are made, many places list them, with few more requests than a chain of pages takes.
/// Seen: a tenth more for random names, a quarter for counters.
#[test]
fn few_requests_are_wasted_on_guesses() {
    let hash = |i: u32| i.wrapping_mul(2_654_435_761);
    let shapes: [(&str, &dyn Fn(u32) -> String); 5] = [
        ("counter", &|i| format!("in/img_{i:07}.jpg")),
        ("unpadded", &|i| format!("in/{i}.jpg")),
        ("random", &|i| format!("in/{:08x}", hash(i))),
        ("folders", &|i| format!("in/d{:03}/{i:05}.jpg", i / 100)),
        ("skewed", &|i| format!("in/{}/{i:05}", if i % 100 == 0 { "a" } else { "zebra" })),
    ];
    for (shape, key) in shapes {
        let server = paged(20);
        server.put_many((0..10_000).map(key), "1");
        server.latency(Duration::from_millis(2));
        assert_eq!(keys(&server, "in").unwrap(), server.keys(), "{shape}");
        let (pages, calls) = (500, server.call_count());
        assert!(calls < pages * 3 / 2, "{shape}: {calls} requests for {pages} pages");
        let chained =
            |call: &shardpack_testkit::s3::Call| call.query.contains("continuation-token");
        let starts = server.calls().iter().filter(|call| !chained(call)).count();
        assert!(starts > 16, "{shape}: listed from {starts} places");
    }
}
