//! Copies that the server makes: no byte of them passes through here.

use std::slice::from_ref;

use shardpack_store::{Address, Copied, Upload};

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

/// An upload of bytes, two ranges of the source beside each other, and bytes again; what it should be.
fn patchwork(server: &S3Server, store: &S3Store) -> (Box<dyn Upload>, Vec<u8>) {
    let (bytes, _) = source(server, 300_000);
    let mut whole = bytes[..70_000].to_vec();
    whole.extend_from_slice(&bytes[1_000..201_000]);
    whole.extend_from_slice(&bytes[..100_000]);
    whole.extend_from_slice(b"trailer");
    let copies = [70_000..270_000, 270_000..370_000];
    (store.create_around("shards/a", whole.len() as u64, &copies).unwrap(), whole)
}

/// The bytes where nothing was copied.
fn finish(upload: Box<dyn Upload>, whole: &[u8], missing: &[(usize, usize)]) {
    for &(start, end) in missing {
        upload.write_at(start as u64, &whole[start..end]).unwrap();
    }
    upload.seal(whole.len() as u64, Some(crc64(whole))).unwrap();
}

#[test]
fn an_upload_takes_ranges_of_other_objects() {
    let server = server();
    let store = store(&server);
    assert_eq!(store.least_copy(), Some(PART));
    let (upload, whole) = patchwork(&server, &store);
    let (_, from) = source(&server, 300_000);
    let tag = tag(&server);
    upload.write_at(370_000, b"trailer").unwrap();
    let copied = upload.copy_at(70_000, &from, &tag, 1_000..201_000).unwrap();
    assert_eq!(copied, Some(crc64(&whole[70_000..270_000])));
    let copied = upload.copy_at(270_000, &from, &tag, 0..100_000).unwrap();
    assert_eq!(copied, Some(crc64(&whole[270_000..370_000])));
    finish(upload, &whole, &[(0, 70_000)]);
    assert!(server.get("data/shards/a").unwrap() == whole);
    assert_eq!(count(&server, "UploadPartCopy"), 3 + 1, "parts of 64 KiB and more");
    assert_eq!((count(&server, "UploadPart"), count(&server, "GetObject")), (2, 0));
    assert!(server.uploads().is_empty());
    store.prove("shards/a", whole.len() as u64, crc64(&whole)).unwrap();
}

#[test]
fn what_an_upload_may_not_take_is_written() {
    let refusals = [
        Some((501, "NotImplemented")),
        Some((403, "AccessDenied")),
        Some((412, "PreconditionFailed")),
        Some((200, "no checksums")),
        None, // another version than is there
    ];
    for refusal in refusals {
        let server = server();
        let store = store(&server);
        let (upload, whole) = patchwork(&server, &store);
        let (_, from) = source(&server, 300_000);
        let tag = tag(&server);
        server.hide_checksums(refusal.is_some_and(|(status, _)| status == 200));
        if let Some((status @ 400.., code)) = refusal {
            let rule = FaultRule::new(Fault::Error(status, code)).on("UploadPartCopy");
            server.inject(rule.from(2).forever());
        }
        let version = if refusal.is_some() { &*tag } else { "\"0\"" };
        let copied = upload.copy_at(70_000, &from, version, 1_000..201_000).unwrap();
        assert_eq!(copied, None, "{refusal:?}");
        server.heal();
        server.hide_checksums(false);
        upload.copy_at(270_000, &from, &tag, 0..100_000).unwrap().expect("it copies again");
        finish(upload, &whole, &[(0, 270_000), (370_000, whole.len())]);
        assert!(server.get("data/shards/a").unwrap() == whole, "{refusal:?}");
        assert!(server.uploads().is_empty());
    }
}

#[test]
fn ranges_that_an_upload_does_not_know_are_not_copied() {
    let server = server();
    let store = store(&server);
    let (upload, whole) = patchwork(&server, &store);
    let (_, from) = source(&server, 300_000);
    let elsewhere = match from.clone() {
        Address::S3 { bucket, key, .. } => Address::S3 { endpoint: None, bucket, key },
        other => other,
    };
    for (offset, from, range) in [
        (70_000, &elsewhere, 1_000..201_000),
        (70_000, &from, 1_000..200_999),
        (70_001, &from, 1_000..201_000),
        (70_000, &from, 1_000..1_000),
        (70_000, &from, 0..u64::MAX),
    ] {
        assert_eq!(
            upload.copy_at(offset, from, "\"0\"", range.clone()).unwrap(),
            None,
            "{range:?}"
        );
    }
    assert_eq!(server.calls().len(), 0, "nothing was asked for");
    finish(upload, &whole, &[(0, whole.len())]);
    assert!(server.get("data/shards/a").unwrap() == whole);
}

/// A single part is sent whole, in one request, unless there is an upload already.
#[test]
fn an_object_that_is_one_copy_may_be_written_after_all() {
    for refused in [false, true] {
        let server = server();
        let store = store(&server);
        let (bytes, from) = source(&server, PART);
        let upload = store.create_around("shards/a", PART, from_ref(&(0..PART))).unwrap();
        let tag = tag(&server);
        let version = if refused { "\"0\"" } else { &*tag };
        let copied = upload.copy_at(0, &from, version, 0..PART).unwrap();
        assert_eq!(copied, (!refused).then(|| crc64(&bytes)));
        finish(upload, &bytes, if refused { &[(0, PART as usize)] } else { &[] });
        assert!(server.get("data/shards/a").unwrap() == bytes);
        assert!(server.uploads().is_empty());
    }
}

#[test]
fn an_upload_with_copies_that_is_dropped_leaves_nothing() {
    let server = server();
    let store = store(&server);
    let (upload, _) = patchwork(&server, &store);
    let (_, from) = source(&server, 300_000);
    let tag = tag(&server);
    upload.copy_at(70_000, &from, &tag, 1_000..201_000).unwrap().expect("a copy");
    assert_eq!(server.uploads(), ["data/shards/a"]);
    drop(upload);
    assert!(server.uploads().is_empty() && server.get("data/shards/a").is_none());
}
