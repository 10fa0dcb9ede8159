use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, Delete, MetadataDirective, ObjectCannedAcl, ObjectIdentifier,
    ServerSideEncryption, StorageClass,
};

use super::{B, client, get, put, refusal, run, settings};
use crate::s3::{Algorithm, Attributes, Checksum, Extent, S3Config, S3Server};

// Checksums of "123456789": the catalogue of parametrised CRC algorithms (reveng) gives cbf43926,
// e3069283 and ae8b14860a799888; Python's hashlib the others.
const NINE: &[u8] = b"123456789";
const SUMS: [(ChecksumAlgorithm, &str); 5] = [
    (ChecksumAlgorithm::Crc32, "y/Q5Jg=="),
    (ChecksumAlgorithm::Crc32C, "4waSgw=="),
    (ChecksumAlgorithm::Crc64Nvme, "rosUhgp5mIg="),
    (ChecksumAlgorithm::Sha1, "98O8HYCOBHMq32eZZczDTKeuNEE="),
    (ChecksumAlgorithm::Sha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="),
];

#[test]
fn an_object_comes_back_with_all_that_was_sent() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        let put = client.put_object().bucket(B).key("a/ü +%?#&<>\"'.txt");
        let put = put
            .body(ByteStream::from_static(NINE))
            .content_type("text/plain")
            .metadata("shard", "7")
            .storage_class(StorageClass::StandardIa)
            .tagging("a=1&b=2")
            .acl(ObjectCannedAcl::BucketOwnerFullControl)
            .server_side_encryption(ServerSideEncryption::AwsKms)
            .ssekms_key_id("key")
            .bucket_key_enabled(true);
        // As md5sum has it.
        let tag = "\"25f9e794323b453885f5181f1b624d0b\"";
        assert_eq!(put.send().await.unwrap().e_tag(), Some(tag));

        let key = "a/ü +%?#&<>\"'.txt";
        let got = client.get_object().bucket(B).key(key).send().await.unwrap();
        assert_eq!(got.e_tag(), Some(tag));
        assert_eq!(got.content_type(), Some("text/plain"));
        assert_eq!(got.content_length(), Some(9));
        assert_eq!(got.content_range(), None);
        assert_eq!(got.storage_class(), Some(&StorageClass::StandardIa));
        assert_eq!(got.metadata().unwrap()["shard"], "7");
        assert_eq!(got.server_side_encryption(), Some(&ServerSideEncryption::AwsKms));
        assert_eq!(got.tag_count(), Some(2));
        let modified = *got.last_modified().unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), NINE);

        let head = client.head_object().bucket(B).key(key).send().await.unwrap();
        assert_eq!((head.content_length(), head.e_tag()), (Some(9), Some(tag)));
        assert_eq!(head.last_modified(), Some(&modified));
        assert_eq!(head.checksum_crc32(), None, "only where it is asked for");

        let object = server.object(key).unwrap();
        let sent = Attributes {
            content_type: Some("text/plain".into()),
            metadata: [("shard".to_owned(), "7".to_owned())].into(),
            storage_class: Some("STANDARD_IA".into()),
            tagging: Some("a=1&b=2".into()),
            acl: Some("bucket-owner-full-control".into()),
            encryption: Some("aws:kms".into()),
            kms_key: Some("key".into()),
            bucket_key: Some(true),
            ..Attributes::default()
        };
        assert_eq!(object.attributes, sent);
    });
}

#[test]
fn ranges_are_those_of_http() {
    let server = S3Server::start();
    server.put("nine", NINE);
    server.put("empty", "");
    let client = client(&server);
    let ask = async |key: &str, range: &str| {
        let got = client.get_object().bucket(B).key(key).range(range).send().await;
        match got {
            Err(_) => refusal(got),
            Ok(got) => {
                let range = got.content_range().unwrap_or("whole").to_owned();
                let bytes = got.body.collect().await.unwrap().to_vec();
                format!("{range}: {}", String::from_utf8(bytes).unwrap())
            }
        }
    };
    run(async {
        for (key, range, answer) in [
            ("nine", "bytes=0-0", "bytes 0-0/9: 1"),
            ("nine", "bytes=2-4", "bytes 2-4/9: 345"),
            ("nine", "bytes=7-", "bytes 7-8/9: 89"),
            ("nine", "bytes=7-100", "bytes 7-8/9: 89"),
            ("nine", "bytes=-3", "bytes 6-8/9: 789"),
            ("nine", "bytes=-100", "bytes 0-8/9: 123456789"),
            ("nine", "bytes=0-8", "bytes 0-8/9: 123456789"),
            ("nine", "bytes=9-", "416 InvalidRange"),
            ("nine", "bytes=9-20", "416 InvalidRange"),
            ("nine", "bytes=-0", "416 InvalidRange"),
            ("empty", "bytes=0-", "416 InvalidRange"),
            ("empty", "bytes=-1", "416 InvalidRange"),
        ] {
            assert_eq!(ask(key, range).await, answer, "{key} {range}");
        }
        assert_eq!(get(&client, "empty").await.unwrap(), b"");
    });
    let ranges: Vec<_> = server.calls().into_iter().filter_map(|call| call.range).collect();
    assert_eq!((ranges.len(), ranges[1].as_str()), (12, "bytes=2-4"));
}

#[test]
fn conditions_hold_or_refuse() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        let tag = put(&client, "k", b"one").await;
        let other = "\"00000000000000000000000000000000\"";
        let get = || client.get_object().bucket(B).key("k");
        let head = || client.head_object().bucket(B).key("k");
        let put = |key: &str| client.put_object().bucket(B).key(key);

        assert_eq!(refusal(get().if_match(&tag).send().await), "accepted");
        assert_eq!(refusal(get().if_match("*").send().await), "accepted");
        assert_eq!(refusal(get().if_match(other).send().await), "412 PreconditionFailed");
        assert_eq!(refusal(head().if_match(other).send().await).get(..3), Some("412"));
        assert_eq!(refusal(get().if_none_match(other).send().await), "accepted");
        assert_eq!(refusal(get().if_none_match(&tag).send().await).get(..3), Some("304"));
        let ranged = get().range("bytes=0-1").if_match(other).send().await;
        assert_eq!(refusal(ranged), "412 PreconditionFailed");

        assert_eq!(refusal(put("k").if_none_match("*").send().await), "412 PreconditionFailed");
        assert_eq!(server.get("k").unwrap(), "one");
        assert_eq!(refusal(put("new").if_none_match("*").send().await), "accepted");
        assert_eq!(refusal(put("x").if_none_match(&tag).send().await), "501 NotImplemented");
        assert_eq!(refusal(put("k").if_match(other).send().await), "412 PreconditionFailed");
        assert_eq!(refusal(put("none").if_match(&tag).send().await), "404 NoSuchKey");
        assert_eq!(refusal(put("k").if_match(&tag).send().await), "accepted");
        assert_eq!(server.keys(), ["k", "new"]);

        server.ignore_conditions(true);
        assert_eq!(refusal(put("k").if_none_match("*").send().await), "accepted");
        assert_eq!(refusal(get().if_match(other).send().await), "accepted");
    });
}

#[test]
fn of_many_creators_one_wins() {
    let server = S3Server::start();
    let create = || {
        let put = client(&server).put_object().bucket(B).key("k").if_none_match("*");
        refusal(run(put.send()))
    };
    let mut answers: Vec<_> = std::thread::scope(|scope| {
        let creators: Vec<_> = (0..8).map(|_| scope.spawn(create)).collect();
        creators.into_iter().map(|creator| creator.join().unwrap()).collect()
    });
    answers.sort();
    assert_eq!(answers[0], "412 PreconditionFailed");
    assert_eq!(answers.iter().filter(|answer| *answer == "accepted").count(), 1);
    assert_eq!(answers.iter().filter(|answer| *answer == &answers[0]).count(), 7);
}

#[test]
fn checksums_are_verified_kept_and_told() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        for (algorithm, sum) in SUMS {
            let key = algorithm.as_str();
            let put = || client.put_object().bucket(B).key(key).body(NINE.to_vec().into());
            let with = |sum: &str| {
                let (put, sum) = (put(), sum.to_owned());
                match algorithm {
                    ChecksumAlgorithm::Crc32 => put.checksum_crc32(sum),
                    ChecksumAlgorithm::Crc32C => put.checksum_crc32_c(sum),
                    ChecksumAlgorithm::Crc64Nvme => put.checksum_crc64_nvme(sum),
                    ChecksumAlgorithm::Sha1 => put.checksum_sha1(sum),
                    _ => put.checksum_sha256(sum),
                }
            };
            let wrong = format!("AAAA{}", &sum[4..]);
            assert_eq!(refusal(with(&wrong).send().await), "400 BadDigest", "{key}");
            assert_eq!(refusal(with("AAA=").send().await), "400 InvalidRequest", "{key}");
            assert!(server.get(key).is_none(), "{key}");
            assert_eq!(refusal(with(sum).send().await), "accepted", "{key}");
            assert_eq!(server.object(key).unwrap().checksum.value, sum);
            server.remove(key);
            // The SDK's own computation.
            put().checksum_algorithm(algorithm.clone()).send().await.unwrap();
            assert_eq!(server.object(key).unwrap().checksum.value, sum);
            let head = client.head_object().bucket(B).key(key);
            let head = head.checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
            let told = [
                head.checksum_crc32(),
                head.checksum_crc32_c(),
                head.checksum_crc64_nvme(),
                head.checksum_sha1(),
                head.checksum_sha256(),
            ];
            let told: Vec<_> = told.into_iter().flatten().collect();
            assert_eq!(told, [sum], "{key}");
            assert_eq!(get(&client, key).await.unwrap(), NINE, "{key}");
        }
        let md5 = |sum: &str| client.put_object().bucket(B).key("md5").content_md5(sum).send();
        assert_eq!(refusal(md5("1B2M2Y8AsgTpgAmY7PhCfg==").await), "accepted");
        assert_eq!(refusal(md5("2B2M2Y8AsgTpgAmY7PhCfg==").await), "400 BadDigest");
        assert_eq!(refusal(md5("AAAA").await), "400 InvalidDigest");

        server.ignore_checksums(true);
        let put = client.put_object().bucket(B).key("wrong").checksum_crc32("AAAAAA==");
        assert_eq!(refusal(put.body(NINE.to_vec().into()).send().await), "accepted");
    });
    server.put("plain", NINE);
    let sum = SUMS[2].1.to_owned();
    let own = Checksum { algorithm: Algorithm::Crc64Nvme, extent: Extent::FullObject, value: sum };
    assert_eq!(server.object("plain").unwrap().checksum, own);
}

#[test]
fn a_body_that_is_streamed_brings_its_checksum_after_it() {
    let server = S3Server::start();
    let client = client(&server);
    let file = std::env::temp_dir().join(format!("s3-server-{}", std::process::id()));
    std::fs::write(&file, NINE).unwrap();
    run(async {
        let put = |key: &str, body| client.put_object().bucket(B).key(key).body(body);
        let body = ByteStream::from_path(&file).await.unwrap();
        put("stream", body).send().await.unwrap();
        let unsigned = put("unsigned", NINE.to_vec().into()).customize();
        unsigned.disable_payload_signing().send().await.unwrap();
    });
    std::fs::remove_file(&file).unwrap();
    let call = &server.calls()[0];
    assert_eq!(call.header("x-amz-trailer"), Some("x-amz-checksum-crc32"));
    for key in ["stream", "unsigned"] {
        assert_eq!(server.get(key).unwrap(), NINE);
        assert_eq!(server.object(key).unwrap().checksum.value, SUMS[0].1, "{key}");
    }
}

#[test]
fn objects_are_copied_and_deleted() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        let put = client.put_object().bucket(B).key("a b").body(NINE.to_vec().into());
        let tag = put.content_type("x/y").metadata("m", "1").send().await.unwrap().e_tag.unwrap();
        let copy = || client.copy_object().bucket(B).copy_source("bucket/a%20b");
        let copied = copy().key("c").send().await.unwrap();
        assert_eq!(copied.copy_object_result().unwrap().e_tag(), Some(tag.as_str()));
        assert_eq!(server.object("c").unwrap().attributes.metadata["m"], "1");
        let replaced = copy().key("d").metadata_directive(MetadataDirective::Replace);
        replaced.content_type("z/z").send().await.unwrap();
        let attributes = server.object("d").unwrap().attributes.clone();
        assert_eq!(attributes.content_type.as_deref(), Some("z/z"));
        assert!(attributes.metadata.is_empty());
        let refused = copy().key("e").copy_source_if_match("\"0\"").send().await;
        assert_eq!(refusal(refused), "412 PreconditionFailed");
        let missing = client.copy_object().bucket(B).copy_source("bucket/none").key("e");
        assert_eq!(refusal(missing.send().await), "404 NoSuchKey");

        let delete = |key: &str| client.delete_object().bucket(B).key(key).send();
        assert_eq!(refusal(delete("c").await), "accepted");
        assert_eq!(refusal(delete("c").await), "accepted", "no error for what is not there");
        let id = |key: &str| ObjectIdentifier::builder().key(key).build().unwrap();
        let all = Delete::builder().objects(id("d")).objects(id("none")).build().unwrap();
        let deleted = client.delete_objects().bucket(B).delete(all).send().await.unwrap();
        let keys: Vec<_> = deleted.deleted().iter().filter_map(|object| object.key()).collect();
        assert_eq!(keys, ["d", "none"]);
    });
    assert_eq!(server.keys(), ["a b"]);
}

#[test]
fn what_is_not_there_or_not_allowed_is_refused() {
    let server = S3Server::start();
    server.put("k", NINE);
    let client = client(&server);
    let other = |change: &dyn Fn(aws_sdk_s3::config::Builder) -> aws_sdk_s3::config::Builder| {
        aws_sdk_s3::Client::from_conf(change(settings(&server)).build())
    };
    run(async {
        let get = |client: &aws_sdk_s3::Client, bucket: &str, key: &str| {
            client.get_object().bucket(bucket).key(key).send()
        };
        assert_eq!(refusal(get(&client, B, "none").await), "404 NoSuchKey");
        assert_eq!(refusal(get(&client, "nobucket", "k").await), "404 NoSuchBucket");
        let head = client.head_object().bucket(B).key("none").send().await;
        assert_eq!(refusal(head).get(..3), Some("404"));
        let long = "k".repeat(1025);
        assert_eq!(refusal(get(&client, B, &long).await), "400 KeyTooLongError");
        let list = client.list_objects_v2().bucket("nobucket").send().await;
        assert_eq!(refusal(list), "404 NoSuchBucket");
        let put = client.put_object().bucket("nobucket").key("k").send().await;
        assert_eq!(refusal(put), "404 NoSuchBucket");

        let unknown =
            other(&|c| c.credentials_provider(Credentials::new("K", "s", None, None, "t")));
        assert_eq!(refusal(get(&unknown, B, "k").await), "403 InvalidAccessKeyId");
        let key = S3Server::ACCESS_KEY;
        let wrong = other(&|c| c.credentials_provider(Credentials::new(key, "s", None, None, "t")));
        assert_eq!(refusal(get(&wrong, B, "k").await), "403 SignatureDoesNotMatch");
        let elsewhere = other(&|c| c.region(Region::new("eu-west-1")));
        let refused = get(&elsewhere, B, "k").await;
        let response = refused.as_ref().unwrap_err().raw_response().unwrap();
        assert_eq!(response.headers().get("x-amz-bucket-region"), Some(S3Server::REGION));
        assert_eq!(refusal(refused), "400 AuthorizationHeaderMalformed");
    });
    let call = &server.calls()[0];
    assert_eq!((call.operation.as_str(), call.status), ("GetObject", Some(404)));
    assert_eq!((call.bucket.as_str(), call.key.as_deref()), (B, Some("none")));
}

#[test]
fn requests_without_a_signature_are_let_in_where_the_server_is_open() {
    for (anonymous, answer) in [(false, "403 AccessDenied"), (true, "accepted")] {
        let server = S3Server::start_with(S3Config { anonymous, ..S3Config::default() });
        server.put("k", NINE);
        let settings = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(Region::new(S3Server::REGION))
            .endpoint_url(server.endpoint())
            .force_path_style(true)
            .allow_no_auth()
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let client = aws_sdk_s3::Client::from_conf(settings.build());
        let got = run(client.get_object().bucket(B).key("k").send());
        assert_eq!(refusal(got), answer);
        assert_eq!(server.calls()[0].header("authorization"), None);
    }
}

#[test]
fn buckets_are_made_found_and_listed() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        let head = |bucket: &str| client.head_bucket().bucket(bucket).send();
        assert_eq!(refusal(head("another").await).get(..3), Some("404"));
        client.create_bucket().bucket("another").send().await.unwrap();
        let found = head("another").await.unwrap();
        assert_eq!(found.bucket_region(), Some(S3Server::REGION));
        let all = client.list_buckets().send().await.unwrap();
        let names: Vec<_> = all.buckets().iter().filter_map(|bucket| bucket.name()).collect();
        assert_eq!(names, ["another", B]);
        client.delete_bucket().bucket("another").send().await.unwrap();
        server.put("k", "");
        let full = client.delete_bucket().bucket(B).send().await;
        assert_eq!(refusal(full), "409 BucketNotEmpty");
    });
}
