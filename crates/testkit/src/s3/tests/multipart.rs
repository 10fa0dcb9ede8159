use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder as Complete;
use aws_sdk_s3::operation::upload_part::{UploadPartError, UploadPartOutput};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumMode, ChecksumType, CompletedMultipartUpload, CompletedPart,
};

use super::{B, client, get, put, refusal, run};
use crate::s3::checksum::base64;
use crate::s3::{Algorithm, Extent, S3Config, S3Server};

/// Parts of any size.
fn start() -> S3Server {
    S3Server::start_with(S3Config { least_part: 0, ..S3Config::default() })
}

pub(super) async fn create(client: &Client, key: &str) -> String {
    let create = client.create_multipart_upload().bucket(B).key(key);
    let create = create.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    let created = create.checksum_type(ChecksumType::FullObject).send().await.expect("an upload");
    created.upload_id.expect("an id")
}

async fn upload(
    client: &Client,
    key: &str,
    id: &str,
    number: i32,
    bytes: &[u8],
) -> Result<UploadPartOutput, SdkError<UploadPartError>> {
    let part = client.upload_part().bucket(B).key(key).upload_id(id).part_number(number);
    let part = part.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
    part.body(bytes.to_vec().into()).send().await
}

pub(super) fn complete(client: &Client, key: &str, id: &str, parts: &[(i32, String)]) -> Complete {
    let part = |(number, tag): &(i32, String)| {
        CompletedPart::builder().part_number(*number).e_tag(tag).build()
    };
    let parts = CompletedMultipartUpload::builder()
        .set_parts(Some(parts.iter().map(part).collect()))
        .build();
    client.complete_multipart_upload().bucket(B).key(key).upload_id(id).multipart_upload(parts)
}

/// Uploads `bodies` as parts 1, 2, ...
pub(super) async fn parts(
    client: &Client,
    key: &str,
    id: &str,
    bodies: &[&[u8]],
) -> Vec<(i32, String)> {
    let mut parts = Vec::new();
    for (number, body) in (1..).zip(bodies) {
        let part = upload(client, key, id, number, body).await.expect("a part");
        parts.push((number, part.e_tag.expect("a tag")));
    }
    parts
}

pub(super) fn crc64(bytes: &[u8]) -> String {
    base64(&Algorithm::Crc64Nvme.digest(bytes))
}

#[test]
fn parts_make_an_object_with_the_checksum_of_the_whole() {
    let server = start();
    let client = client(&server);
    run(async {
        let id = create(&client, "k").await;
        assert_eq!(server.uploads(), ["k"]);
        let parts = parts(&client, "k", &id, &[b"abc", b"defgh", b"i"]).await;
        assert!(server.get("k").is_none(), "nothing before it is complete");
        let whole = crc64(b"abcdefghi");
        let refused = complete(&client, "k", &id, &parts).checksum_crc64_nvme(crc64(b"abc"));
        assert_eq!(refusal(refused.send().await), "400 BadDigest");
        let refused = complete(&client, "k", &id, &parts).mpu_object_size(10);
        assert_eq!(refusal(refused.send().await), "400 InvalidRequest");
        let done = complete(&client, "k", &id, &parts)
            .checksum_crc64_nvme(&whole)
            .checksum_type(ChecksumType::FullObject)
            .mpu_object_size(9)
            .if_none_match("*")
            .send()
            .await
            .unwrap();
        // Of the MD5s of the parts, end to end, as Python's hashlib has it.
        assert_eq!(done.e_tag(), Some("\"7d32193f716edccbd317cd9f63bf3f7c-3\""));
        assert_eq!(done.checksum_crc64_nvme(), Some(whole.as_str()));
        assert_eq!(get(&client, "k").await.unwrap(), b"abcdefghi");

        let head = || client.head_object().bucket(B).key("k");
        let told = head().checksum_mode(ChecksumMode::Enabled).send().await.unwrap();
        assert_eq!(told.checksum_crc64_nvme(), Some(whole.as_str()));
        assert_eq!(told.checksum_type(), Some(&ChecksumType::FullObject));
        let second = client.get_object().bucket(B).key("k").part_number(2).send().await.unwrap();
        assert_eq!(second.content_range(), Some("bytes 3-7/9"));
        assert_eq!(second.parts_count(), Some(3));
        assert_eq!(second.body.collect().await.unwrap().to_vec(), b"defgh");
        assert_eq!(refusal(head().part_number(4).send().await).get(..3), Some("416"));

        let again = complete(&client, "k", &id, &parts).send().await;
        assert_eq!(refusal(again), "404 NoSuchUpload");
        assert!(server.uploads().is_empty());
    });
}

#[test]
fn a_complete_that_does_not_add_up_is_refused_and_the_upload_stays() {
    let server = start();
    let client = client(&server);
    run(async {
        let id = create(&client, "k").await;
        let parts = parts(&client, "k", &id, &[b"abc", b"def"]).await;
        let (one, two) = (parts[0].clone(), parts[1].clone());
        for (list, answer) in [
            (vec![], "400 MalformedXML"),
            (vec![two.clone(), one.clone()], "400 InvalidPartOrder"),
            (vec![one.clone(), one.clone()], "400 InvalidPartOrder"),
            (vec![one.clone(), (3, two.1.clone())], "400 InvalidPart"),
            (vec![one.clone(), (2, one.1.clone())], "400 InvalidPart"),
        ] {
            assert_eq!(refusal(complete(&client, "k", &id, &list).send().await), answer);
        }
        put(&client, "k", b"there").await;
        let refused = complete(&client, "k", &id, &parts).if_none_match("*").send().await;
        assert_eq!(refusal(refused), "412 PreconditionFailed");
        assert_eq!(server.uploads(), ["k"]);
        // A part that is sent again replaces the first; not all parts need be in the object.
        let tag = upload(&client, "k", &id, 1, b"xyz").await.unwrap().e_tag.unwrap();
        assert_eq!(refusal(complete(&client, "k", &id, &parts).send().await), "400 InvalidPart");
        complete(&client, "k", &id, &[(1, tag)]).send().await.unwrap();
        assert_eq!(server.get("k").unwrap(), "xyz");
    });
}

#[test]
fn parts_are_checked_as_they_come() {
    let server = start();
    let client = client(&server);
    run(async {
        let id = create(&client, "k").await;
        for number in [0, 10_001] {
            let part = upload(&client, "k", &id, number, b"a").await;
            assert_eq!(refusal(part), "400 InvalidArgument");
        }
        assert_eq!(refusal(upload(&client, "k", &id, 10_000, b"a").await), "accepted");
        assert_eq!(refusal(upload(&client, "other", &id, 1, b"a").await), "404 NoSuchUpload");
        assert_eq!(refusal(upload(&client, "k", "none", 1, b"a").await), "404 NoSuchUpload");
        let part = || client.upload_part().bucket(B).key("k").upload_id(&id).part_number(1);
        let wrong = part().checksum_crc64_nvme(crc64(b"b")).body(b"a".to_vec().into());
        assert_eq!(refusal(wrong.send().await), "400 BadDigest");
        let other = part().checksum_algorithm(ChecksumAlgorithm::Sha256);
        assert_eq!(refusal(other.send().await), "400 InvalidRequest");
        // The SDK's own CRC32, for an upload that was not announced with one.
        let create = client.create_multipart_upload().bucket(B).key("plain").send().await.unwrap();
        let part = client.upload_part().bucket(B).key("plain").part_number(1);
        let part = part.upload_id(create.upload_id().unwrap()).send().await;
        assert_eq!(refusal(part), "400 InvalidRequest");
        let sha = client.create_multipart_upload().bucket(B).key("sha");
        let sha = sha.checksum_algorithm(ChecksumAlgorithm::Sha256);
        let sha = sha.checksum_type(ChecksumType::FullObject).send().await;
        assert_eq!(refusal(sha), "400 InvalidRequest");
    });
}

#[test]
fn parts_but_the_last_have_five_mebibytes() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        let id = create(&client, "k").await;
        let big = vec![7; 5 << 20];
        let parts = parts(&client, "k", &id, &[&big[1..], b"b"]).await;
        let small = complete(&client, "k", &id, &parts).send().await;
        assert_eq!(refusal(small), "400 EntityTooSmall");
        let tag = upload(&client, "k", &id, 1, &big).await.unwrap().e_tag.unwrap();
        complete(&client, "k", &id, &[(1, tag), parts[1].clone()]).send().await.unwrap();
        assert_eq!(server.get("k").unwrap().len(), (5 << 20) + 1);
    });
}

#[test]
fn a_composite_checksum_is_that_of_the_parts_checksums() {
    let server = start();
    let client = client(&server);
    run(async {
        let create = client.create_multipart_upload().bucket(B).key("k");
        let create = create.checksum_algorithm(ChecksumAlgorithm::Crc32C).send().await.unwrap();
        let id = create.upload_id().unwrap();
        let (mut list, mut sums) = (Vec::new(), Vec::new());
        for (number, body) in [(1, "abc"), (2, "def")] {
            let part = client.upload_part().bucket(B).key("k").upload_id(id).part_number(number);
            let part = part.checksum_algorithm(ChecksumAlgorithm::Crc32C);
            let part = part.body(body.as_bytes().to_vec().into()).send().await.unwrap();
            list.push((number, part.e_tag().unwrap().to_owned()));
            sums.push(part.checksum_crc32_c().unwrap().to_owned());
        }
        let unsummed = complete(&client, "k", id, &list).send().await;
        assert_eq!(refusal(unsummed), "400 InvalidRequest", "sums of parts are required");
        let part = |((number, tag), sum): (&(i32, String), &String)| {
            let part = CompletedPart::builder().part_number(*number).e_tag(tag);
            part.checksum_crc32_c(sum).build()
        };
        let all = list.iter().zip(&sums).map(part).collect();
        let all = CompletedMultipartUpload::builder().set_parts(Some(all)).build();
        let done = client.complete_multipart_upload().bucket(B).key("k").upload_id(id);
        let done = done.multipart_upload(all).send().await.unwrap();
        let digests = [Algorithm::Crc32c.digest(b"abc"), Algorithm::Crc32c.digest(b"def")];
        let sum = base64(&Algorithm::Crc32c.digest(&digests.concat())) + "-2";
        assert_eq!(done.checksum_crc32_c(), Some(sum.as_str()));
        let object = server.object("k").unwrap();
        assert_eq!((object.checksum.extent, &object.checksum.value), (Extent::Composite, &sum));
    });
}

#[test]
fn uploads_and_parts_are_listed_page_by_page_and_aborted() {
    let server = start();
    let client = client(&server);
    run(async {
        let mut ids = Vec::new();
        for key in ["a/1", "a/2", "a/1", "b", "c/x", "c/y"] {
            ids.push((key, create(&client, key).await));
        }
        ids.sort_by_key(|(key, _)| *key); // stable: equal keys by age
        let list = || client.list_multipart_uploads().bucket(B);
        let (mut found, mut key, mut id) = (Vec::new(), None, None);
        loop {
            let page = list().max_uploads(1).set_key_marker(key).set_upload_id_marker(id);
            let page = page.send().await.unwrap();
            for upload in page.uploads() {
                found.push((upload.key().unwrap().to_owned(), upload.upload_id().unwrap().into()));
                assert!(upload.initiated().is_some());
            }
            (key, id) = (page.next_key_marker.clone(), page.next_upload_id_marker.clone());
            if page.is_truncated() != Some(true) {
                break;
            }
        }
        let expected: Vec<_> = ids.iter().map(|(k, id)| (k.to_string(), id.clone())).collect();
        assert_eq!(found, expected);
        let below = list().prefix("a/").send().await.unwrap();
        assert_eq!(below.uploads().len(), 3);
        let grouped = list().delimiter("/").send().await.unwrap();
        let prefixes: Vec<_> =
            grouped.common_prefixes().iter().filter_map(|prefix| prefix.prefix()).collect();
        assert_eq!((prefixes, grouped.uploads().len()), (vec!["a/", "c/"], 1));

        let id = &ids[0].1;
        parts(&client, "a/1", id, &[b"1", b"22", b"333"]).await;
        let list = || client.list_parts().bucket(B).key("a/1").upload_id(id);
        let page = list().max_parts(2).send().await.unwrap();
        let part = &page.parts()[1];
        assert_eq!((part.part_number(), part.size()), (Some(2), Some(2)));
        assert_eq!(part.checksum_crc64_nvme(), Some(crc64(b"22").as_str()));
        assert_eq!(page.is_truncated(), Some(true));
        let marker = page.next_part_number_marker().unwrap();
        let page = list().part_number_marker(marker).send().await.unwrap();
        assert_eq!((page.parts().len(), page.is_truncated()), (1, Some(false)));

        let abort = || client.abort_multipart_upload().bucket(B).key("a/1").upload_id(id).send();
        assert_eq!(refusal(abort().await), "accepted");
        assert_eq!(refusal(abort().await), "404 NoSuchUpload");
        assert_eq!(refusal(list().send().await), "404 NoSuchUpload");
    });
    assert_eq!(server.uploads(), ["a/1", "a/2", "b", "c/x", "c/y"]);
}
