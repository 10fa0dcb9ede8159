//! Copies that the server makes: no byte of them passes through here.

use shardpack_store::{Address, Copied};

use super::*;

/// Parts of a copy.
const PIECE: u64 = 10_000;

/// A store whose server copies in parts what is longer than one.
fn copying(server: &S3Server) -> S3Store {
    S3Store::open(connect(S3Options { copy_part: PIECE, ..options(server) }), uri("data"))
}

/// Where what is copied lies.
const FROM: &str = "from/a b+\u{fc}";

/// Puts an object, and tells where it is.
fn source(server: &S3Server, len: u64) -> (Vec<u8>, Address) {
    let bytes = pattern(len as usize);
    server.put(FROM, bytes.clone());
    let key = FROM.into();
    let endpoint = Some(server.endpoint());
    (bytes, Address::S3 { endpoint, bucket: S3Server::BUCKET.into(), key })
}

/// Its version.
fn tag(server: &S3Server) -> String {
    format!("\"{}\"", server.object(FROM).unwrap().etag)
}

fn count(server: &S3Server, operation: &str) -> usize {
    server.calls().iter().filter(|call| call.operation == operation).count()
}

#[test]
fn objects_are_copied_whole_or_in_parts() {
    for (len, whole, parts) in [
        (0, 1, 0),
        (1, 1, 0),
        (PIECE, 1, 0),
        (PIECE + 1, 0, 2),
        (3 * PIECE, 0, 3),
        (70 * PIECE + 5, 0, 71), // more than are under way at once
    ] {
        let server = server();
        let (bytes, from) = source(&server, len);
        let store = copying(&server);
        let copied = store.copy("shards/a", &from).unwrap();
        assert_eq!(copied, Some(Copied::Checked(crc64(&bytes))), "{len}");
        assert!(server.get("data/shards/a").unwrap() == bytes, "{len}");
        let made = (count(&server, "CopyObject"), count(&server, "UploadPartCopy"));
        assert_eq!(made, (whole, parts), "{len}");
        assert_eq!((count(&server, "GetObject"), count(&server, "UploadPart")), (0, 0));
        assert!(server.uploads().is_empty());
        store.prove("shards/a", len, crc64(&bytes)).unwrap();
        let tag = tag(&server);
        for call in server.calls().iter().filter(|call| call.operation.contains("Copy")) {
            assert_eq!(call.header("x-amz-copy-source-if-match"), Some(&*tag), "pinned");
        }
    }
}

/// The caller then reads what is there.
#[test]
fn a_server_that_keeps_no_checksums_tells_none_of_a_copy() {
    for len in [PIECE, 3 * PIECE] {
        let server = server();
        let (bytes, from) = source(&server, len);
        server.hide_checksums(true);
        assert_eq!(copying(&server).copy("a", &from).unwrap(), Some(Copied::Unchecked), "{len}");
        assert!(server.get("data/a").unwrap() == bytes, "{len}");
    }
}

#[test]
fn copies_in_parts_are_dressed_as_asked() {
    let server = server();
    let (_, from) = source(&server, 3 * PIECE);
    let dressed = S3Options {
        copy_part: PIECE,
        storage_class: Some("STANDARD_IA".into()),
        request_payer: true,
        ..options(&server)
    };
    S3Store::open(connect(dressed), uri("data")).copy("a.tar", &from).unwrap().unwrap();
    let attributes = server.object("data/a.tar").unwrap().attributes.clone();
    assert_eq!(attributes.storage_class.as_deref(), Some("STANDARD_IA"));
    assert_eq!(attributes.content_type.as_deref(), Some("application/x-tar"));
    for call in server.calls() {
        assert_eq!(call.header("x-amz-request-payer"), Some("requester"), "{}", call.operation);
    }
}

/// Each fault that a repetition mends, at every call of the copy.
#[test]
fn faults_at_any_call_of_a_copy_lose_nothing() {
    const CALLS: u64 = 6; // HEAD, create, three parts, complete
    for (fault, first) in [
        (Fault::SlowDown, 1),
        (Fault::InternalError, 1),
        (Fault::Error(200, "InternalError"), 3), // what takes long begins its answer before
        (Fault::ResetBefore, 1),
        (Fault::ResetAfter, 1),
        (Fault::SlowFirstByte(Duration::from_secs(3600)), 1),
    ] {
        for k in first..=CALLS {
            let server = server();
            let (bytes, from) = source(&server, 3 * PIECE);
            server.inject(FaultRule::new(fault.clone()).from(k));
            let copied = copying(&server).copy("a", &from);
            let copied = copied.unwrap_or_else(|error| panic!("{fault:?} at call {k}: {error}"));
            assert_eq!(copied, Some(Copied::Checked(crc64(&bytes))), "{fault:?} at call {k}");
            assert!(server.calls().iter().any(|call| call.fault.is_some()), "{fault:?} at {k}");
            assert!(server.get("data/a").unwrap() == bytes, "{fault:?} at call {k}");
            assert!(server.uploads().is_empty(), "{fault:?} at call {k}");
        }
    }
}

/// The caller then copies the bytes himself.
#[test]
fn a_server_that_will_not_copy_a_part_leaves_nothing() {
    for (status, code) in [
        (501, "NotImplemented"),
        (403, "AccessDenied"),
        (400, "InvalidRequest"),
        (412, "PreconditionFailed"),
    ] {
        for k in 1..=3 {
            let server = server();
            let (_, from) = source(&server, 3 * PIECE);
            let refusal = FaultRule::new(Fault::Error(status, code)).on("UploadPartCopy");
            server.inject(refusal.from(k).forever());
            assert_eq!(copying(&server).copy("a", &from).unwrap(), None, "{code} at part {k}");
            assert!(server.get("data/a").is_none() && server.uploads().is_empty());
        }
    }
}

#[test]
fn a_copy_that_fails_leaves_nothing_and_says_what_to_do() {
    for operation in ["CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"] {
        let server = server();
        let (_, from) = source(&server, 3 * PIECE);
        server.inject(FaultRule::new(Fault::Error(403, "RequestTimeTooSkewed")).on(operation));
        let error = copying(&server).copy("a", &from).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Refused { .. }), "{error:?}");
        let text = error.to_string();
        for word in ["s3://bucket/data/a", operation, "clock"] {
            assert!(text.contains(word), "{word} in {text}");
        }
        assert!(server.get("data/a").is_none() && server.uploads().is_empty(), "{operation}");
    }
}
