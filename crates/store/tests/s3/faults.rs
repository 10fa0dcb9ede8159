//! What goes wrong: on the way, at the server, with what is sent.

use super::*;

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
    assert!(error.is_damaged(), "{error}");
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
