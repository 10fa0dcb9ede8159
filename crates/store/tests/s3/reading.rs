//! Objects as files: names and ranges.

use super::*;

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
    server.put("in//a.jpg", "no path tells it from in/a.jpg");
    server.put("inside", "another file");
    let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
    source_suite(&tree, &sorted);
    assert_eq!(tree.uri(0), "s3://bucket/in/a.jpg");
    assert_eq!(tree.listing().skipped, [("objects with // behind the prefix".into(), 1)]);

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
    assert!(read_on(&*store.open("large").unwrap()) == bytes);
}

/// Reads an object from its start to its end, as a decoder does.
fn read_on(object: &dyn shardpack_store::Object) -> Vec<u8> {
    let mut read = Vec::new();
    let mut buf = vec![0; 100_001];
    loop {
        match object.read_at(read.len() as u64, &mut buf).unwrap() {
            0 => return read,
            n => read.extend_from_slice(&buf[..n]),
        }
    }
}

#[test]
fn parts_that_break_are_resumed() {
    let bytes = pattern(40_000_000);
    for fault in [
        Fault::ResetWithin(100_000),
        Fault::ShortBody(1),
        Fault::Stall(70_000),
        Fault::SlowDown,
        Fault::ResetBefore,
        Fault::Error(400, "RequestTimeout"),
    ] {
        let server = server();
        server.put("in/large", bytes.clone());
        let rule = || FaultRule::new(fault.clone()).on("GetObject").from(2).times(6);
        server.inject(rule());
        let tree = S3Tree::open(connect(options(&server)), &uri("in/"), &|_| None).unwrap();
        assert!(fetch(&tree, 0, 0, bytes.len() as u64).unwrap() == bytes, "{fault:?}");
        server.heal();
        server.inject(rule());
        let store = S3Store::open(connect(options(&server)), uri("in"));
        assert!(read_on(&*store.open("large").unwrap()) == bytes, "{fault:?}");
    }
}

#[test]
fn an_object_that_changes_between_parts_is_told() {
    let server = server();
    server.put("in/large", pattern(40_000_000));
    let store = S3Store::open(connect(options(&server)), uri("in"));
    let object = store.open("large").unwrap();
    let mut buf = vec![0; 1000];
    object.read_at(0, &mut buf).unwrap();
    server.put("in/large", vec![1; 40_000_000]);
    let error = object.read_at(30_000_000, &mut vec![0; 9_000_000]).unwrap_err();
    assert!(error.is_changed() && error.to_string().contains("in/large"), "{error}");
}

/// A server that says nothing any more holds up nobody who has what he wanted.
#[test]
fn a_reader_that_leaves_waits_for_no_part() {
    let server = server();
    let bytes = pattern(1_000_000);
    server.put("in/a", bytes.clone());
    let patient = S3Options { stall: Duration::from_secs(3600), ..options(&server) };
    let store = S3Store::open(connect(patient), uri("in"));
    let object = store.open("a").unwrap();
    let got = |n| {
        while server.calls().iter().filter(|call| call.operation == "GetObject").count() < n {
            std::thread::yield_now();
        }
    };
    let window = |at: usize| {
        let mut buf = [0; 10];
        object.read_at(at as u64, &mut buf).unwrap();
        assert!(buf == bytes[at..at + 10]);
    };
    window(0);
    window(65_536); // that is reading on: the next window is asked for too
    got(3);
    server.inject(FaultRule::new(Fault::Stall(0)).on("GetObject").forever());
    window(3 * 65_536);
    got(4);
    drop((object, store));
}
