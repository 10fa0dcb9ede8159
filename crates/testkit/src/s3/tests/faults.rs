use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{B, both, client, get, put, refusal, run, settings};
use crate::s3::{Fault, FaultRule, S3Config, S3Server};

const BODY: &[u8] = b"0123456789";

/// What arrived of a body, and whether it ended well.
async fn arrived(client: &Client, range: &str) -> (Vec<u8>, bool) {
    let got = client.get_object().bucket(B).key("k").range(range).send().await.expect("a header");
    let (mut body, mut bytes) = (got.body, Vec::new());
    while let Some(next) = body.next().await {
        match next {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(_) => return (bytes, false),
        }
    }
    (bytes, true)
}

#[test]
fn refusals_are_answered_and_nothing_is_done() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        for (fault, answer) in [
            (Fault::SlowDown, "503 SlowDown"),
            (Fault::InternalError, "500 InternalError"),
            (Fault::Error(400, "ExpiredToken"), "400 ExpiredToken"),
            (Fault::Error(403, "AccessDenied"), "403 AccessDenied"),
            (Fault::Error(403, "RequestTimeTooSkewed"), "403 RequestTimeTooSkewed"),
        ] {
            server.inject(FaultRule::new(fault.clone()).on("PutObject"));
            let put = || client.put_object().bucket(B).key("k").body(BODY.to_vec().into()).send();
            assert_eq!(refusal(put().await), answer);
            assert!(server.get("k").is_none());
            assert_eq!(refusal(put().await), "accepted", "once only");
            let calls = server.calls();
            let [bad, good] = calls.as_slice() else { panic!("{calls:?}") };
            assert_eq!((bad.fault.as_ref(), good.fault.as_ref()), (Some(&fault), None));
            assert_eq!(answer.split(' ').next(), bad.status.map(|s| s.to_string()).as_deref());
            server.remove("k");
            server.forget_calls();
        }
    });
}

#[test]
fn a_large_body_is_read_before_it_is_refused() {
    for server in both() {
        server.inject(FaultRule::new(Fault::SlowDown));
        let client = client(&server);
        run(async {
            let put = client.put_object().bucket(B).key("k").body(vec![1; 4 << 20].into());
            let put = put.customize().disable_payload_signing().send().await;
            assert_eq!(refusal(put), "503 SlowDown");
        });
    }
}

#[test]
fn the_sdk_retries_what_s3_says_to_retry() {
    for server in both() {
        server.put("k", BODY);
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let client = Client::from_conf(settings(&server).retry_config(retries).build());
        server.inject(FaultRule::new(Fault::SlowDown).times(2));
        assert_eq!(run(get(&client, "k")).unwrap(), BODY);
        let statuses: Vec<_> = server.calls().iter().filter_map(|call| call.status).collect();
        assert_eq!(statuses, [503, 503, 200]);
        server.inject(FaultRule::new(Fault::ResetBefore).forever());
        run(get(&client, "k")).unwrap_err();
        server.heal();
        assert_eq!(run(get(&client, "k")).unwrap(), BODY);
    }
}

#[test]
fn resets_come_before_or_after_the_work() {
    for server in both() {
        let client = client(&server);
        run(async {
            for (fault, done) in [(Fault::ResetBefore, false), (Fault::ResetAfter, true)] {
                server.inject(FaultRule::new(fault.clone()));
                let put = client.put_object().bucket(B).key("k").body(BODY.to_vec().into());
                let error = put.send().await.unwrap_err();
                assert!(error.as_service_error().is_none() && error.raw_response().is_none());
                assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
                assert_eq!(server.get("k").is_some(), done, "{fault:?}");
                let call = server.calls().pop().unwrap();
                assert_eq!((call.status, call.fault), (None, Some(fault)));
            }
        });
    }
}

#[test]
fn bodies_are_cut_short() {
    for server in both() {
        server.put("k", BODY);
        let client = client(&server);
        run(async {
            for (fault, bytes) in [
                (Fault::ResetWithin(0), &b""[..]),
                (Fault::ResetWithin(1), b"0"),
                (Fault::ResetWithin(9), b"012345678"),
                (Fault::ShortBody(1), b"012345678"),
                (Fault::ShortBody(10), b""),
            ] {
                server.inject(FaultRule::new(fault.clone()).on("GetObject"));
                assert_eq!(
                    arrived(&client, "bytes=0-9").await,
                    (bytes.to_vec(), false),
                    "{fault:?}"
                );
            }
            assert_eq!(arrived(&client, "bytes=0-9").await, (BODY.to_vec(), true));
        });
    }
}

/// More than sockets and hyper hold on to: a slow reader gets every byte up to the cut.
#[test]
fn a_cut_is_where_the_rule_says_for_large_bodies() {
    for server in both() {
        let body: Vec<u8> = (0..16 << 20).map(|i: u32| (i >> 8) as u8).collect();
        server.put("k", body.clone());
        let client = client(&server);
        run(async {
            for cut in [100_000, (16 << 20) - 1] {
                server.inject(FaultRule::new(Fault::ResetWithin(cut)));
                let (bytes, whole) = arrived(&client, "bytes=0-").await;
                assert!(!whole);
                assert!(bytes == body[..cut], "{} of {cut} bytes", bytes.len());
            }
        });
    }
}

#[test]
fn what_is_stored_is_not_what_was_sent() {
    let server = S3Server::start();
    let client = client(&server);
    run(async {
        let tag = put(&client, "right", BODY).await;
        for (fault, stored) in [
            (Fault::Truncated, Some(&b"01234"[..])),
            (Fault::Zeroed, Some(&[0; 10])),
            (Fault::Missing, None),
        ] {
            server.inject(FaultRule::new(fault.clone()).on("PutObject"));
            assert_eq!(put(&client, "k", BODY).await, tag, "{fault:?}");
            assert_eq!(server.get("k").as_deref(), stored, "{fault:?}");
        }
        // The checksum told with the whole is that of what was sent.
        server.inject(FaultRule::new(Fault::Zeroed));
        put(&client, "k", BODY).await;
        assert!(get(&client, "k").await.unwrap_err().contains("ChecksumMismatch"));
        assert_eq!(arrived(&client, "bytes=0-9").await, (vec![0; 10], true));
    });
}

#[test]
fn parts_and_completed_objects_are_damaged_too() {
    let server = S3Server::start_with(S3Config { least_part: 0, ..S3Config::default() });
    let client = client(&server);
    run(async {
        for (operation, fault, answer, stored) in [
            ("UploadPart", Fault::Truncated, "accepted", Some(&b"01234"[..])),
            ("UploadPart", Fault::Zeroed, "accepted", Some(&[0; 10])),
            ("UploadPart", Fault::Missing, "400 InvalidPart", None),
            ("CompleteMultipartUpload", Fault::Truncated, "accepted", Some(b"01234")),
            ("CompleteMultipartUpload", Fault::Zeroed, "accepted", Some(&[0; 10])),
            ("CompleteMultipartUpload", Fault::Missing, "accepted", None),
            ("CompleteMultipartUpload", Fault::Error(200, "InternalError"), "500", None),
        ] {
            server.inject(FaultRule::new(fault.clone()).on(operation));
            let create = client.create_multipart_upload().bucket(B).key("k");
            let algorithm = aws_sdk_s3::types::ChecksumAlgorithm::Crc64Nvme;
            let create = create.checksum_algorithm(algorithm.clone()).send().await.unwrap();
            let id = create.upload_id().unwrap();
            let part = client.upload_part().bucket(B).key("k").upload_id(id).part_number(1);
            let part = part.checksum_algorithm(algorithm).body(BODY.to_vec().into());
            let part = part.send().await.unwrap();
            let list = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).build();
            let list = CompletedMultipartUpload::builder().parts(list).build();
            let done = client.complete_multipart_upload().bucket(B).key("k").upload_id(id);
            let done = refusal(done.multipart_upload(list).send().await);
            if fault == Fault::Error(200, "InternalError") {
                assert_eq!(done.split(' ').nth(1), Some("InternalError"), "{done}");
            } else {
                assert_eq!(done, answer, "{operation} {fault:?}");
            }
            assert_eq!(server.get("k").as_deref(), stored, "{operation} {fault:?}");
            server.remove("k");
        }
    });
}

#[test]
fn one_byte_is_wrong() {
    for server in both() {
        server.put("k", BODY);
        let client = client(&server);
        run(async {
            server.inject(FaultRule::new(Fault::WrongBody).times(2));
            let (bytes, whole) = arrived(&client, "bytes=0-9").await;
            let wrong = bytes.iter().zip(BODY).filter(|(a, b)| a != b).count();
            assert_eq!((bytes.len(), wrong, whole), (10, 1, true));
            assert!(get(&client, "k").await.unwrap_err().contains("ChecksumMismatch"));
        });
    }
}

#[test]
fn answers_are_late_slow_or_never_end() {
    for server in both() {
        server.put("k", BODY);
        let client = client(&server);
        let pause = Duration::from_millis(20);
        run(async {
            let time = async || {
                let start = Instant::now();
                assert_eq!(arrived(&client, "bytes=0-9").await, (BODY.to_vec(), true));
                start.elapsed()
            };
            server.inject(FaultRule::new(Fault::SlowFirstByte(pause)));
            assert!(time().await >= pause);
            server.inject(FaultRule::new(Fault::Trickle(3, pause)));
            assert!(time().await >= 3 * pause, "four pieces");
            server.latency(pause);
            assert!(time().await >= pause);
            server.latency(Duration::ZERO);

            server.inject(FaultRule::new(Fault::Stall(4)));
            let got = client.get_object().bucket(B).key("k").send().await.unwrap();
            assert_eq!(got.content_length(), Some(10));
            let mut body = got.body;
            assert_eq!(&body.next().await.unwrap().unwrap()[..], b"0123");
            let more = tokio::time::timeout(pause, body.next()).await;
            assert!(more.is_err(), "{more:?}");
        });
    }
}

#[test]
fn listings_repeat_shuffle_and_lag() {
    let server = S3Server::start();
    (1..=5).for_each(|i| server.put(&format!("k{i}"), ""));
    let client = client(&server);
    let names = async || {
        let (mut names, mut token) = (Vec::new(), None);
        loop {
            let page = client.list_objects_v2().bucket(B).max_keys(2);
            let page = page.set_continuation_token(token).send().await.unwrap();
            names.extend(
                page.contents()
                    .iter()
                    .filter_map(|object| object.key()?.get(1..)?.parse::<i32>().ok()),
            );
            token = page.next_continuation_token;
            if token.is_none() {
                return names;
            }
        }
    };
    run(async {
        let list = |fault| FaultRule::new(fault).on("ListObjectsV2");
        for (rule, listed) in [
            (list(Fault::DuplicatePages), &[1, 2, 1, 2, 3, 4, 5][..]),
            (list(Fault::DuplicatePages).from(2), &[1, 2, 3, 4, 3, 4, 5]),
            (list(Fault::DuplicatePages).from(3), &[1, 2, 3, 4, 5, 5]),
            (list(Fault::ShuffledPages).forever(), &[2, 1, 4, 3, 5]),
            (list(Fault::StaleList(1)).forever(), &[1, 2, 3, 4]),
            (list(Fault::StaleList(9)), &[]),
        ] {
            server.inject(rule.clone());
            let found: Vec<i32> = names().await;
            assert_eq!(found, listed, "{rule:?}");
            server.heal();
        }
    });
}
