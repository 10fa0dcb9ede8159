//! The S3 room against a server that speaks HTTP, whole and at fault.
#![cfg(feature = "s3")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use shardpack_formats::Crc64Nvme;
use shardpack_store::{
    ErrorKind, PutMode, S3, S3Encryption, S3Options, S3Store, S3Tree, S3Uri, Source, Store,
};
use shardpack_testkit::s3::{Fault, FaultRule, S3Config, S3Server};
use shardpack_testkit::store_suite::{assert_changed, fetch, pattern, source_suite, store_suite};

/// Parts of so many bytes, so that small objects have many.
const PART: u64 = 64 << 10;

fn server() -> S3Server {
    S3Server::start_with(S3Config { least_part: 1, ..S3Config::default() })
}

fn options(server: &S3Server) -> S3Options {
    S3Options {
        credentials: Some((S3Server::ACCESS_KEY.into(), S3Server::SECRET_KEY.into())),
        region: Some(S3Server::REGION.into()),
        endpoint_url: Some(server.endpoint()),
        backoff: Duration::from_millis(1),
        stall: Duration::from_millis(400),
        part: PART,
        ..S3Options::default()
    }
}

fn uri(prefix: &str) -> S3Uri {
    format!("s3://{}/{prefix}", S3Server::BUCKET).parse().unwrap()
}

fn connect(options: S3Options) -> S3 {
    S3::connect(&uri(""), options).unwrap()
}

fn store(server: &S3Server) -> S3Store {
    S3Store::open(connect(options(server)), uri("data"))
}

fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = Crc64Nvme::default();
    crc.update(bytes);
    crc.value()
}

fn read(store: &dyn Store, key: &str) -> Vec<u8> {
    let object = store.open(key).unwrap();
    let mut bytes = vec![0; object.len() as usize];
    assert_eq!(object.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

/// Writes an object of several parts and one of a single one.
fn write(store: &dyn Store) -> shardpack_store::Result<()> {
    let bytes = pattern(5 * PART as usize / 2);
    let upload = store.create("shards/large", Some(bytes.len() as u64))?;
    for (i, piece) in bytes.chunks(10_000).enumerate() {
        upload.write_at(i as u64 * 10_000, piece)?;
    }
    upload.seal(bytes.len() as u64, Some(crc64(&bytes)))?;
    store.put("index/small", b"small", PutMode::Replace)?;
    store.put("manifest", b"head", PutMode::Create)
}

fn assert_written(server: &S3Server) {
    let bytes = pattern(5 * PART as usize / 2);
    assert_eq!(server.get("data/shards/large").unwrap(), bytes);
    assert_eq!(server.get("data/index/small").unwrap(), "small");
    assert_eq!(server.get("data/manifest").unwrap(), "head");
    assert_eq!(server.keys().len(), 3);
    assert!(server.uploads().is_empty(), "{:?}", server.uploads());
}

#[test]
fn it_is_a_store() {
    let server = server();
    let prefix = AtomicU64::new(0);
    store_suite(&|| {
        let prefix = uri(&format!("{}/", prefix.fetch_add(1, SeqCst)));
        Box::new(S3Store::open(connect(options(&server)), prefix))
    });
    assert!(server.uploads().is_empty());
}

#[test]
fn it_is_a_source() {
    let server = server();
    let files: Vec<(&[u8], Vec<u8>)> = vec![
        (b"a.jpg", pattern(10)),
        (b"empty", vec![]),
        (b"z.jpg", pattern(100_000)),
        (b"a/b.jpg", pattern(7)),
        (b"a/\xc3\xbc %+&?#\x01.jpg", pattern(300)),
        (b"a.b/c", pattern(1)),
    ];
    let mut sorted: Vec<(&[u8], &[u8])> = files.iter().map(|(p, b)| (*p, &b[..])).collect();
    sorted.sort_by_key(|(path, _)| {
        let slash = path.iter().rposition(|b| *b == b'/');
        (slash.map_or(&b""[..], |slash| &path[..slash]), *path)
    });
    for (path, bytes) in &files {
        server.put(&format!("in/{}", std::str::from_utf8(path).unwrap()), bytes.clone());
    }
    server.put("in/", ""); // what consoles make for a folder
    server.put("in/a/", "");
    server.put("inside", "another file");
    let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
    source_suite(&tree, &sorted);
    assert_eq!(tree.uri(0), "s3://bucket/in/a.jpg");

    let uris: Vec<_> =
        sorted.iter().map(|(p, _)| uri(&format!("in/{}", str::from_utf8(p).unwrap()))).collect();
    let named = S3Tree::from_uris(connect(options(&server)), uris, "list").unwrap();
    for (id, (_, bytes)) in (0..).zip(&sorted) {
        assert_eq!(fetch(&named, id, 0, bytes.len() as u64).unwrap(), *bytes);
    }

    server.put("in/z.jpg", pattern(99_999)); // shorter
    server.put("in/a.jpg", vec![7; 10]); // as long, other bytes
    for changed in ["a.jpg", "z.jpg"] {
        let id = tree.listing().iter().position(|f| f.display() == changed).unwrap();
        assert_changed(&tree, id as u32);
    }
    server.remove("in/z.jpg");
    let id = tree.listing().iter().position(|f| f.display() == "z.jpg").unwrap();
    assert!(fetch(&tree, id as u32, 0, 1).unwrap_err().is_not_found());
}

#[test]
fn small_reads_take_one_request_each_and_share_connections() {
    let server = server();
    let keys = ["a b", "a+b", "ü/é", "x%2Fy", "q?=&#", "~t-._", "(b)!*'", "tab\tc", "$,;:@"];
    keys.iter().for_each(|key| server.put(&format!("in/{key}"), pattern(1000)));
    let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
    server.forget_calls();
    for id in 0..keys.len() as u32 {
        assert_eq!(fetch(&tree, id, 0, 1000).unwrap(), pattern(1000));
        assert_eq!(fetch(&tree, id, 10, 20).unwrap(), pattern(1000)[10..30]);
    }
    let calls = server.calls();
    assert_eq!(calls.len(), 2 * keys.len(), "no request was sent twice");
    for call in calls {
        let agent = call.header("user-agent").unwrap_or_default();
        assert!(agent.starts_with("shardpack/"), "{:?} went the long way", call.key);
        assert!(matches!(call.status, Some(200 | 206)), "{:?}: {:?}", call.key, call.status);
    }
}

#[test]
fn prefixes_are_taken_as_channels_take_them() {
    let server = server();
    for key in ["data/train/x.jpg", "data/train/y/z.jpg", "data/val-01.jpg", "data/val-02.jpg"] {
        server.put(key, "1");
    }
    server.put("both/x", "1");
    server.put("both.txt", "1");
    let s3 = connect(options(&server));
    let names = |prefix: &str| {
        let tree = S3Tree::open(s3.clone(), &uri(prefix), &|_| None)?;
        let names: Vec<_> = tree.listing().iter().map(|file| file.display()).collect();
        for id in 0..names.len() as u32 {
            assert_eq!(fetch(&tree, id, 0, 1).unwrap(), b"1");
        }
        Ok::<_, shardpack_store::Error>(names)
    };
    for (prefix, expected) in [
        ("data/train", &["x.jpg", "y/z.jpg"][..]),
        ("data/train/", &["x.jpg", "y/z.jpg"]),
        ("data/val", &["val-01.jpg", "val-02.jpg"]),
        ("data/val-01.jpg", &["val-01.jpg"]),
        ("nothing", &[]),
    ] {
        assert_eq!(names(prefix).unwrap(), expected, "{prefix}");
    }
    let error = names("both").unwrap_err().to_string();
    assert!(
        error.contains("both/x") && error.contains("both.txt") && error.contains("end it in /")
    );
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
fn large_reads_come_in_parts_and_in_order() {
    let server = server();
    let bytes = pattern(40_000_000);
    server.put("in/large", bytes.clone());
    let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
    assert!(fetch(&tree, 0, 0, bytes.len() as u64).unwrap() == bytes);
    assert!(fetch(&tree, 0, 1, 20_000_000).unwrap() == bytes[1..20_000_001]);
    let ranges = server.calls().iter().filter(|call| call.range.is_some()).count();
    assert!(ranges >= 5, "{ranges} ranges");
    assert!(
        server.calls().iter().any(|call| call.header("if-match").is_some()),
        "parts are of one version"
    );

    let store = S3Store::open(connect(options(&server)), uri("in"));
    let object = store.open("large").unwrap();
    let mut read = Vec::new();
    let mut buf = vec![0; 100_001];
    loop {
        match object.read_at(read.len() as u64, &mut buf).unwrap() {
            0 => break,
            n => read.extend_from_slice(&buf[..n]),
        }
    }
    assert!(read == bytes);
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

/// Every fault that a repetition mends, at every call of the work, one at a time.
#[test]
fn faults_at_any_call_lose_nothing() {
    let clean = server();
    write(&store(&clean)).unwrap();
    let calls = clean.calls().len() as u64;
    for fault in [
        Fault::SlowDown,
        Fault::InternalError,
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Error(400, "RequestTimeout"),
        Fault::SlowFirstByte(Duration::from_secs(3600)),
    ] {
        for k in 1..=calls {
            let server = server();
            server.inject(FaultRule::new(fault.clone()).from(k));
            let store = store(&server);
            write(&store).unwrap_or_else(|error| panic!("{fault:?} at call {k}: {error}"));
            drop(store);
            assert_written(&server);
        }
    }
}

#[test]
fn broken_bodies_are_resumed_where_they_broke() {
    let bytes = pattern(300_000);
    for fault in [
        Fault::ResetWithin(0),
        Fault::ResetWithin(100_000),
        Fault::ShortBody(1),
        Fault::ShortBody(299_999),
        Fault::Stall(70_000),
        Fault::Trickle(50_000, Duration::from_millis(1)),
        Fault::SlowDown,
        Fault::ResetAfter,
    ] {
        let server = server();
        server.put("in/a", bytes.clone());
        server.inject(FaultRule::new(fault.clone()).on("GetObject").times(3));
        let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
        let read = fetch(&tree, 0, 0, 300_000).unwrap_or_else(|e| panic!("{fault:?}: {e}"));
        assert!(read == bytes, "{fault:?}");
    }
}

#[test]
fn a_flipped_byte_is_never_taken() {
    let server = server();
    let store = store(&server);
    store.put("object", &pattern(1000), PutMode::Create).unwrap();
    server.inject(FaultRule::new(Fault::WrongBody).on("GetObject").forever());
    let tree = S3Tree::open(connect(options(&server)), &uri("data/"), &|_| None).unwrap();
    let error = fetch(&tree, 0, 0, 1000).unwrap_err();
    assert!(error.is_changed() && error.to_string().contains("checksum"), "{error}");
}

#[test]
fn an_object_that_changes_between_two_tries_is_told() {
    let server = server();
    server.put("in/a", pattern(100_000));
    let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
    server.inject(FaultRule::new(Fault::ResetWithin(1000)).on("GetObject"));
    let changing = Arc::new(server);
    let other = Arc::clone(&changing);
    let retried = S3Options {
        on_retry: Some(Arc::new(move |_| other.put("in/a", vec![1; 100_000]))),
        ..options(&changing)
    };
    drop(tree);
    let tree = S3Tree::open(connect(retried), &uri("in/"), &|_| None).unwrap();
    let error = fetch(&tree, 0, 0, 100_000).unwrap_err();
    assert!(error.is_changed(), "{error}");
}

#[test]
fn what_no_repetition_mends_fails_at_once_and_says_what_to_do() {
    for (status, code, words) in [
        (403, "AccessDenied", "policies"),
        (404, "NoSuchBucket", "no such bucket"),
        (301, "PermanentRedirect", "--region"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "SignatureDoesNotMatch", "credentials"),
    ] {
        let server = server();
        server.inject(FaultRule::new(Fault::Error(status, code)).forever());
        let store = store(&server);
        let error = store.put("a", b"1", PutMode::Create).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error:?}");
        let text = error.to_string();
        for word in ["s3://bucket/data/a", "PutObject", code, words] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert_eq!(server.calls().len(), 1, "{code} is not repeated");
    }
}

#[test]
fn patience_ends_after_the_tries_and_the_errors_allowed() {
    let server = server();
    server.inject(FaultRule::new(Fault::SlowDown).forever());
    let told = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&told);
    let tries = S3Options {
        attempts: 4,
        on_retry: Some(Arc::new(move |_| {
            count.fetch_add(1, SeqCst);
        })),
        ..options(&server)
    };
    let store = S3Store::open(connect(tries), uri("data"));
    let error = store.put("a", b"1", PutMode::Replace).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("4 tries") && error.to_string().contains("SlowDown"));
    assert_eq!((server.calls().len(), told.load(SeqCst)), (4, 3));

    server.forget_calls();
    let few = S3Options { max_errors: Some(2), ..options(&server) };
    let store = S3Store::open(connect(few), uri("data"));
    let error = store.put("a", b"1", PutMode::Replace).unwrap_err();
    assert!(error.to_string().contains("--max-errors"), "{error}");
    assert_eq!(server.calls().len(), 3);

    server.heal();
    server.inject(FaultRule::new(Fault::Error(400, "ExpiredToken")).forever());
    let store = self::store(&server);
    let error = store.put("a", b"1", PutMode::Replace).unwrap_err();
    assert!(error.to_string().contains("renew them"), "{error}");
}

#[test]
fn a_server_that_dies_and_comes_back_is_waited_for() {
    let server = Arc::new(server());
    let back = Arc::clone(&server);
    let once = AtomicU64::new(0);
    let waiting = S3Options {
        on_retry: Some(Arc::new(move |_| {
            if once.fetch_add(1, SeqCst) == 2 {
                back.restart();
            }
        })),
        ..options(&server)
    };
    let store = S3Store::open(connect(waiting), uri("data"));
    store.put("before", b"1", PutMode::Create).unwrap();
    server.stop();
    store.put("after", b"2", PutMode::Create).unwrap();
    assert_eq!(read(&store, "before"), b"1");
    assert_eq!(server.keys(), ["data/after", "data/before"]);
}

#[test]
fn damage_at_the_server_is_found_before_anyone_vouches() {
    for fault in [Fault::Truncated, Fault::Zeroed, Fault::Missing] {
        for operation in ["PutObject", "CompleteMultipartUpload"] {
            let server = server();
            server.inject(FaultRule::new(fault.clone()).on(operation));
            let store = store(&server);
            let len = if operation == "PutObject" { 1000 } else { 3 * PART as usize };
            let bytes = pattern(len);
            let upload = store.create("a", Some(len as u64)).unwrap();
            upload.write_at(0, &bytes).unwrap();
            let sealed = upload.seal(len as u64, Some(crc64(&bytes)));
            let proven = sealed.and_then(|()| store.prove("a", len as u64, crc64(&bytes)));
            // Zeros under the right checksum are for reading back to find.
            match fault {
                Fault::Zeroed => {
                    let mut read = vec![1; len];
                    let answer = store.open("a").unwrap().read_at(0, &mut read);
                    assert!(answer.is_err() || read != bytes);
                }
                _ => assert!(proven.is_err(), "{fault:?} {operation}"),
            }
        }
    }
}

#[test]
fn a_shard_whose_checksum_differs_is_not_sent_as_if_it_were_right() {
    let server = server();
    let store = store(&server);
    for len in [1000, 3 * PART as usize] {
        let bytes = pattern(len);
        let upload = store.create("a", Some(len as u64)).unwrap();
        upload.write_at(0, &bytes).unwrap();
        let error = upload.seal(len as u64, Some(!crc64(&bytes))).unwrap_err();
        assert!(error.is_changed(), "{error}");
        assert!(server.keys().is_empty() && server.uploads().is_empty());
    }
}

#[test]
fn servers_that_ignore_conditions_or_checksums_are_told_of() {
    for (conditions, checksums) in [(false, false), (true, false), (false, true), (true, true)] {
        let server = server();
        server.ignore_conditions(conditions);
        server.ignore_checksums(checksums);
        let doubts = store(&server).doubts("probe").unwrap();
        let told = |word: &str| doubts.iter().any(|doubt| doubt.contains(word));
        assert_eq!((told("If-None-Match"), told("CRC-64")), (conditions, checksums), "{doubts:?}");
        assert!(server.keys().is_empty(), "the probe is gone");
    }
}

#[test]
fn uploads_of_killed_runs_are_swept_and_those_elsewhere_are_not() {
    let server = server();
    let bytes = pattern(2 * PART as usize);
    for prefix in ["data", "data-2", "elsewhere"] {
        let store = S3Store::open(connect(options(&server)), uri(prefix));
        let upload = store.create("a", Some(3 * PART)).unwrap();
        upload.write_at(0, &bytes).unwrap();
        while server.uploads().iter().all(|key| !key.starts_with(&format!("{prefix}/"))) {
            std::thread::yield_now();
        }
        std::mem::forget(upload); // as a killed process would
    }
    let store = store(&server);
    assert_eq!(store.unfinished().unwrap(), ["s3://bucket/data/a"]);
    assert_eq!(store.sweep("").unwrap(), 1);
    assert_eq!(server.uploads(), ["data-2/a", "elsewhere/a"]);
}

#[test]
fn new_objects_are_dressed_as_asked() {
    let server = server();
    let dressed = S3Options {
        storage_class: Some("STANDARD_IA".into()),
        encryption: Some(S3Encryption::Kms(Some("key-1".into()))),
        acl: Some("bucket-owner-full-control".into()),
        tags: Some("team=vision&keep=yes".into()),
        request_payer: true,
        ..options(&server)
    };
    write(&S3Store::open(connect(dressed), uri("data"))).unwrap();
    for call in server.calls() {
        let creates = matches!(&*call.operation, "PutObject" | "CreateMultipartUpload");
        assert_eq!(call.header("x-amz-request-payer"), Some("requester"), "{}", call.operation);
        for (name, value) in [
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
            ("x-amz-acl", "bucket-owner-full-control"),
            ("x-amz-tagging", "team=vision&keep=yes"),
        ] {
            assert_eq!(call.header(name), creates.then_some(value), "{} {name}", call.operation);
        }
    }
}

#[test]
fn secrets_are_in_no_message() {
    let server = server();
    server.inject(FaultRule::new(Fault::Error(403, "SignatureDoesNotMatch")).forever());
    let s3 = connect(options(&server));
    let store = S3Store::open(s3.clone(), uri("data"));
    let error = store.put("a", b"1", PutMode::Create).unwrap_err();
    for text in [
        format!("{error} {error:?}"),
        format!("{s3:?} {store:?}"),
        format!("{:?}", options(&server)),
    ] {
        assert!(!text.contains(S3Server::SECRET_KEY), "{text}");
    }
}

/// The same rules on any server that the standard AWS configuration leads to, Amazon's included:
/// `SHARDPACK_S3_TEST=s3://bucket/prefix cargo test -p shardpack-store --test s3 -- --ignored`.
/// Writes some megabytes below that prefix, and removes them.
#[test]
#[ignore = "needs a bucket"]
fn a_bucket_of_yours_is_a_store() {
    let place = std::env::var("SHARDPACK_S3_TEST").expect("SHARDPACK_S3_TEST=s3://bucket/prefix");
    let place = place.trim_end_matches('/');
    let run = std::process::id();
    let number = AtomicU64::new(0);
    let s3 = S3::connect(&place.parse().unwrap(), S3Options::default()).unwrap();
    store_suite(&|| {
        let uri = format!("{place}/{run}/{}", number.fetch_add(1, SeqCst)).parse().unwrap();
        Box::new(S3Store::open(s3.clone(), uri))
    });
    let all = S3Store::open(s3, place.parse().unwrap());
    assert_eq!(
        all.doubts("probe").unwrap(),
        Vec::<String>::new(),
        "conditions and checksums count"
    );
    all.remove(&run.to_string()).unwrap();
    assert!(all.list(&run.to_string()).unwrap().is_empty());
}
