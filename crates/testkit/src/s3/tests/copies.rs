use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::upload_part_copy::builders::UploadPartCopyFluentBuilder as Copy;
use aws_sdk_s3::operation::upload_part_copy::{UploadPartCopyError, UploadPartCopyOutput};
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, ChecksumType};

use super::multipart::{complete, crc64, create, parts};
use super::{B, client, put, refusal, run};
use crate::s3::{Fault, FaultRule, S3Config, S3Server};

/// Parts of three bytes and more, and so sources of four.
fn start() -> S3Server {
    S3Server::start_with(S3Config { least_part: 3, ..S3Config::default() })
}

/// Part `number` of the upload `id` to "k": bytes of "a b".
fn part(client: &Client, id: &str, number: i32) -> Copy {
    let copy = client.upload_part_copy().bucket(B).key("k").upload_id(id).part_number(number);
    copy.copy_source("bucket/a%20b")
}

type Answer = Result<UploadPartCopyOutput, SdkError<UploadPartCopyError>>;

/// The tag and the CRC-64/NVME of a part that was copied.
fn told(answer: Answer) -> (String, Option<String>) {
    let result = answer.expect("a copy").copy_part_result.expect("its result");
    assert!(result.last_modified().is_some());
    (result.e_tag.expect("a tag"), result.checksum_crc64_nvme)
}

#[test]
fn parts_are_copied_beside_parts_that_are_sent() {
    let server = start();
    let client = client(&server);
    run(async {
        let source = put(&client, "a b", b"0123456789").await;
        let id = create(&client, "k").await;
        let mut all = parts(&client, "k", &id, &[b"abc"]).await;
        let copy = part(&client, &id, 2).copy_source_range("bytes=3-6");
        let (tag, sum) = told(copy.copy_source_if_match(&source).send().await);
        // The MD5 of "3456", as Python's hashlib has it.
        assert_eq!(tag, "\"def7924e3199be5e18060bb3e1d547a7\"");
        assert_eq!(sum, Some(crc64(b"3456")));
        let (last, sum) = told(part(&client, &id, 3).send().await);
        assert_eq!(
            (&last, sum),
            (&source, Some(crc64(b"0123456789"))),
            "without a range, all of it"
        );
        all.extend([(2, tag), (3, last)]);
        let whole = crc64(b"abc34560123456789");
        let wrong = complete(&client, "k", &id, &all).checksum_crc64_nvme(crc64(b"abc"));
        assert_eq!(refusal(wrong.send().await), "400 BadDigest");
        let done = complete(&client, "k", &id, &all).checksum_type(ChecksumType::FullObject);
        let done = done.send().await.unwrap();
        assert_eq!(done.checksum_crc64_nvme(), Some(whole.as_str()));
        assert_eq!(server.get("k").unwrap(), "abc34560123456789");
        let head = client.head_object().bucket(B).key("k").checksum_mode(ChecksumMode::Enabled);
        let head = head.send().await.unwrap();
        assert_eq!(head.checksum_crc64_nvme(), Some(whole.as_str()));
        assert_eq!(head.checksum_type(), Some(&ChecksumType::FullObject));
    });
}

#[test]
fn copies_of_parts_are_checked() {
    let server = start();
    server.put("small", "abc");
    let client = client(&server);
    run(async {
        put(&client, "a b", b"0123456789").await;
        let id = create(&client, "k").await;
        let ranged = |range: &str| part(&client, &id, 1).copy_source_range(range);
        for range in ["bytes=3-", "bytes=-3", "bytes=6-3", "3-6", "bytes=0-10", "bytes=10-12"] {
            assert_eq!(refusal(ranged(range).send().await), "400 InvalidArgument", "{range}");
        }
        for (copy, answer) in [
            (part(&client, &id, 0), "400 InvalidArgument"),
            (part(&client, &id, 10_001), "400 InvalidArgument"),
            (part(&client, "none", 1), "404 NoSuchUpload"),
            (part(&client, &id, 1).copy_source("bucket/none"), "404 NoSuchKey"),
            (part(&client, &id, 1).copy_source("none/a"), "404 NoSuchBucket"),
            (part(&client, &id, 1).copy_source_if_match("\"0\""), "412 PreconditionFailed"),
            (ranged("bytes=0-1").copy_source("bucket/small"), "400 InvalidRequest"),
            (part(&client, &id, 1).copy_source("bucket/small"), "accepted"),
            (ranged("bytes=0-9"), "accepted"),
        ] {
            assert_eq!(refusal(copy.send().await), answer);
        }
        // A part that is too short is one only where it is not the last: told in the end.
        let (tag, _) = told(ranged("bytes=0-1").send().await);
        let short = [(1, tag), (2, told(part(&client, &id, 2).send().await).0)];
        let refused = complete(&client, "k", &id, &short).send().await;
        assert_eq!(refusal(refused), "400 EntityTooSmall");
        server.ignore_conditions(true);
        let blind = part(&client, &id, 1).copy_source_if_match("\"0\"").send().await;
        assert_eq!(refusal(blind), "accepted");
    });
}

/// The checksum that an upload was created with, or none.
#[test]
fn copies_of_parts_tell_the_checksum_of_their_upload() {
    let server = start();
    let client = client(&server);
    run(async {
        put(&client, "a b", b"0123456789").await;
        for algorithm in [None, Some(ChecksumAlgorithm::Crc32C)] {
            let create = client.create_multipart_upload().bucket(B).key("k");
            let create = create.set_checksum_algorithm(algorithm.clone()).send().await.unwrap();
            let copied = part(&client, create.upload_id().unwrap(), 1).send().await.unwrap();
            let result = copied.copy_part_result().unwrap();
            assert_eq!(result.checksum_crc32_c().is_some(), algorithm.is_some());
            assert_eq!(result.checksum_crc64_nvme(), None);
        }
    });
}

#[test]
fn a_server_may_lack_copies_of_parts_lose_their_bytes_or_keep_no_checksums() {
    let server = start();
    let client = client(&server);
    run(async {
        put(&client, "a b", b"0123456789").await;
        let id = create(&client, "k").await;
        server.inject(FaultRule::new(Fault::Error(501, "NotImplemented")).on("UploadPartCopy"));
        assert_eq!(refusal(part(&client, &id, 1).send().await), "501 NotImplemented");
        server.inject(FaultRule::new(Fault::Truncated).on("UploadPartCopy"));
        let (tag, sum) = told(part(&client, &id, 1).send().await);
        assert_eq!(sum, Some(crc64(b"0123456789")), "of what was copied");
        complete(&client, "k", &id, &[(1, tag)]).send().await.unwrap();
        assert_eq!(server.get("k").unwrap(), "01234");

        server.hide_checksums(true);
        let id = create(&client, "k").await;
        let (tag, sum) = told(part(&client, &id, 1).send().await);
        let done = complete(&client, "k", &id, &[(1, tag)]).send().await.unwrap();
        let head = client.head_object().bucket(B).key("k").checksum_mode(ChecksumMode::Enabled);
        let head = head.send().await.unwrap();
        assert_eq!(
            (sum, done.checksum_crc64_nvme(), head.checksum_crc64_nvme()),
            (None, None, None)
        );
    });
}
