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
use shardpack_testkit::source_suite::{assert_changed, fetch, source_suite};
use shardpack_testkit::store_suite::{pattern, store_suite, store_suite_without_conditions};

mod bucket;
mod cached;
mod copying;
mod faults;
mod listing;
mod reading;

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

#[test]
fn a_server_that_ignores_conditions_keeps_the_other_rules() {
    let server = server();
    server.ignore_conditions(true);
    let prefix = AtomicU64::new(0);
    store_suite_without_conditions(&|| {
        let prefix = uri(&format!("{}/", prefix.fetch_add(1, SeqCst)));
        Box::new(S3Store::open(connect(options(&server)), prefix))
    });
}
