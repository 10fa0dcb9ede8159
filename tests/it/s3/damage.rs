//! What cannot be mended by a repetition: the message names the operation, the object and what to
//! do, and the same command finishes afterwards.

use shardpack_testkit::s3::{Fault, FaultRule};

use super::{Cloud, Files, S3Server, same, tree};

const PACK: &str = "pack s3://bucket/src s3://bucket/dst --target 20kB --stall-timeout 1 --jobs 1";

fn packed() -> (Cloud, Files) {
    let cloud = Cloud::new();
    tree(&cloud.home, 30);
    cloud.upload("src", "src/");
    cloud.line(PACK).done();
    let whole = cloud.objects("dst/");
    cloud.wipe("dst/");
    (cloud, whole)
}

#[test]
fn a_shard_that_is_not_there_as_it_was_sent_is_named_and_packed_again() {
    let (cloud, whole) = packed();
    for fault in [Fault::Truncated, Fault::Zeroed, Fault::Missing] {
        let rule = FaultRule::new(fault.clone()).on("PutObject").key("/shards/").from(2);
        cloud.server.inject(rule);
        let ran = cloud.line(PACK);
        cloud.server.heal();
        let calls = cloud.server.calls();
        let struck = calls.iter().find(|call| call.fault.is_some()).expect("the fault struck");
        let key = struck.key.clone().expect("a shard");
        let shard = key.strip_prefix("dst/").expect("below dst");
        assert!(ran.code.is_some_and(|code| code != 0), "{fault:?}: {}", ran.stdout);
        for told in [shard, "run the same command again"] {
            assert!(ran.stderr.contains(told), "{fault:?}: {told} in {}", ran.stderr);
        }
        assert!(!cloud.objects("dst/").contains_key("manifest.json"));

        cloud.server.forget_calls();
        let report = cloud.line(&format!("{PACK} --json")).done().json();
        assert_eq!(
            report["resumed_shards"],
            whole.keys().filter(|n| n.starts_with("shards/")).count() - 1
        );
        same(&cloud.objects("dst/"), &whole);
        let sent: Vec<_> = cloud
            .server
            .calls()
            .into_iter()
            .filter(|call| call.operation == "PutObject")
            .filter_map(|call| call.key)
            .filter(|key| key.starts_with("dst/shards/"))
            .collect();
        assert_eq!(sent, [key], "only that shard is sent again");
        cloud.wipe("dst/");
        cloud.server.forget_calls();
    }
}

#[test]
fn refusals_name_the_operation_the_object_and_what_to_do() {
    let (cloud, whole) = packed();
    for (operation, key, fault, told) in [
        (
            "GetObject",
            "src/cat",
            (403, "AccessDenied"),
            ["GetObject", "s3://bucket/src/cat/", "policies"],
        ),
        (
            "PutObject",
            "dst/shards",
            (403, "AccessDenied"),
            ["PutObject", "s3://bucket/dst/shards/", "policies"],
        ),
        (
            "ListObjectsV2",
            "",
            (403, "AccessDenied"),
            ["ListObjectsV2", "s3://bucket/src", "policies"],
        ),
        ("GetObject", "src/", (400, "ExpiredToken"), ["GetObject", "ExpiredToken", "renew them"]),
        (
            "PutObject",
            "dst/index",
            (400, "ExpiredToken"),
            ["PutObject", "s3://bucket/dst/index/", "renew them"],
        ),
        (
            "HeadObject",
            "dst/shards",
            (403, "Forbidden"), // its answer has no body, and so no code
            ["HeadObject", "s3://bucket/dst/shards/", "s3:ListBucket"],
        ),
        (
            "PutObject",
            "manifest.json",
            (403, "RequestTimeTooSkewed"),
            ["PutObject", "s3://bucket/dst/manifest.json", "clock"],
        ),
    ] {
        let rule = FaultRule::new(Fault::Error(fault.0, fault.1)).on(operation).forever();
        cloud.server.inject(if key.is_empty() { rule } else { rule.key(key) });
        let ran = cloud.line(PACK);
        cloud.server.heal();
        assert_eq!(ran.code, Some(2), "{operation}: {}", ran.stderr);
        for told in told.into_iter().chain([fault.1]) {
            assert!(ran.stderr.contains(told), "{operation} {key}: {told:?} in {}", ran.stderr);
        }
        assert!(!cloud.objects("dst/").contains_key("manifest.json"));
    }
    cloud.line(PACK).done();
    same(&cloud.objects("dst/"), &whole);
}

#[test]
fn a_place_that_cannot_be_reached_is_told_at_once() {
    let (cloud, _) = packed();
    cloud.server.forget_calls();
    for (line, told) in [
        ("pack s3://nowhere/src s3://bucket/dst", ["NoSuchBucket", "nowhere", "check its name"]),
        ("pack s3://bucket/src s3://nowhere/dst", ["NoSuchBucket", "nowhere", "check its name"]),
        (
            "pack s3://bucket/src s3://bucket/dst --region eu-west-1",
            ["another region", "--region", "s3://bucket/"],
        ),
        ("pack s3://bucket/none/ s3://bucket/dst", ["no file to pack", "", ""]),
        ("verify s3://bucket/none", ["s3://bucket/none", "no shard here", ""]),
        ("ls s3://nowhere/x", ["NoSuchBucket", "nowhere", ""]),
        ("verify gs://bucket/x", ["gs://", "s3://bucket/prefix", ""]),
        ("pack s3:/bucket/x s3://bucket/dst", ["s3:/bucket/x", "", ""]),
        (
            "pack s3://bucket/src s3://bucket/dst --no-sign-request",
            ["AccessDenied", "ListObjectsV2", ""],
        ),
    ] {
        let ran = cloud.line(line);
        assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
        for told in told {
            assert!(ran.stderr.contains(told), "{line}: {told:?} in {}", ran.stderr);
        }
        assert_eq!(ran.stdout, "", "{line}");
    }
    let retried = cloud.server.calls().len();
    assert!(retried < 30, "{retried} calls: what cannot be mended is not repeated");
    assert!(cloud.objects("dst/").is_empty());
}

#[test]
fn wrong_credentials_are_told_and_never_shown() {
    let (cloud, _) = packed();
    for (variable, value) in [
        ("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-this-key"),
        ("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHIS0"),
    ] {
        let mut command = cloud.command(&["verify", "s3://bucket/dst"]);
        let ran =
            crate::program::Running::from(command.env(variable, value).spawn().expect("it runs"))
                .end();
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains("s3://bucket/dst"), "{}", ran.stderr);
        for secret in ["not-the-secret-of-this-key", S3Server::SECRET_KEY] {
            assert!(!ran.stderr.contains(secret) && !ran.stdout.contains(secret), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_server_that_dies_and_returns_loses_nothing() {
    let (cloud, whole) = packed();
    // Within the tries of a run nothing is noticed but time.
    for after in [5, 40, 90] {
        cloud.server.forget_calls();
        let mut running = cloud.start(PACK);
        assert!(
            running.until(|| cloud.server.call_count() >= after),
            "it ended before call {after}"
        );
        cloud.server.stop();
        cloud.server.restart();
        let ran = running.end();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        same(&cloud.objects("dst/"), &whole);
        cloud.wipe("dst/");
    }
    // Gone for longer the run gives up, and is finished by the same command.
    cloud.server.forget_calls();
    let mut running = cloud.start(&format!("{PACK} --max-attempts 2"));
    assert!(running.until(|| cloud.objects("dst/index/").len() > 1), "it ended");
    cloud.server.stop();
    let ran = running.end();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    for told in ["s3://bucket/", "2 tries"] {
        assert!(ran.stderr.contains(told), "{told} in {}", ran.stderr);
    }
    cloud.server.restart();
    assert!(!cloud.objects("dst/").contains_key("manifest.json"));
    let report = cloud.line(&format!("{PACK} --json")).done().json();
    assert!(report["resumed_shards"].as_u64().is_some_and(|n| n > 1), "{report}");
    same(&cloud.objects("dst/"), &whole);
}

#[test]
fn a_wrong_region_is_answered_with_the_right_one() {
    let (cloud, _) = packed();
    let ran = cloud.line(&format!("{PACK} --region eu-west-1"));
    assert!(ran.code == Some(2) && ran.stderr.contains(S3Server::REGION), "{}", ran.stderr);
}

/// The run's own look at the server must not be misled by a repeated request.
#[test]
fn a_fault_while_the_server_is_tried_out_raises_no_doubt() {
    let (cloud, whole) = packed();
    for fault in [Fault::InternalError, Fault::ResetBefore, Fault::ResetAfter] {
        for k in 1..=3 {
            let rule =
                FaultRule::new(fault.clone()).on("PutObject").key(".shardpack/probe").from(k);
            cloud.server.inject(rule);
            let report = cloud.line(&format!("{PACK} --json")).done().json();
            cloud.server.heal();
            assert_eq!(report["doubts"], serde_json::json!([]), "{fault:?} at look {k}");
            same(&cloud.objects("dst/"), &whole);
            cloud.wipe("dst/");
        }
    }
}

#[test]
fn a_server_that_keeps_no_promises_is_told_of() {
    let (cloud, whole) = packed();
    cloud.server.ignore_conditions(true);
    cloud.server.ignore_checksums(true);
    let ran = cloud.line(PACK).done();
    for told in ["warning:", "If-None-Match", "CRC-64/NVME"] {
        assert!(ran.stdout.contains(told), "{told} in {}", ran.stdout);
    }
    same(&cloud.objects("dst/"), &whole);
}
