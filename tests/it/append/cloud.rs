//! The same against an S3 server.

use shardpack_pack::{Dataset, MergeOptions, Progress, merge};
use shardpack_store::{S3, S3Options, S3Store, S3Uri};
use shardpack_testkit::s3::{Call, Fault, FaultRule, S3Config, S3Server};

use super::{PACK, change, sample, source};
use crate::s3::{Cloud, same};

fn cloud() -> Cloud {
    let cloud = Cloud::new();
    source(&cloud.home);
    cloud.line(&format!("pack src s3://bucket/dst {PACK}")).done();
    cloud
}

#[test]
fn a_dataset_on_s3_grows_and_keeps_its_versions() {
    let cloud = cloud();
    let before = cloud.line("info s3://bucket/dst --json").done().json();
    let digest = before["live_digest"].as_str().expect("a digest").to_owned();
    let listed = cloud.line("ls s3://bucket/dst --long").done().stdout;
    change(&cloud.home);
    cloud.line("append s3://bucket/dst src --sync").done();
    cloud.line("verify s3://bucket/dst --against src").done();
    let pinned = cloud.line(&format!("ls s3://bucket/dst --long --digest {digest}")).done().stdout;
    assert_eq!(pinned, listed);
    let again = cloud.line("append s3://bucket/dst src --sync").done();
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert!(!cloud.objects("dst/").keys().any(|name| name.starts_with(".shardpack/")));
    cloud.line(&format!("pack src fresh {PACK}")).done();
    cloud.line("diff s3://bucket/dst fresh").done();
    cloud.line("merge fresh s3://bucket/both").done();
    cloud.line("verify s3://bucket/both --against src").done();
}

/// The second one comes at any time of the first; whichever is told loses nothing.
#[test]
fn of_two_appends_at_once_both_are_there_in_the_end() {
    let cloud = cloud();
    let start = cloud.objects("dst/");
    (60..70).for_each(|i| sample(&cloud.home, "one", i, 3));
    (80..90).for_each(|i| sample(&cloud.home, "two", i, 3));
    let line = |source: &str| format!("append s3://bucket/dst {source} --stall-timeout 1");
    cloud.server.forget_calls();
    cloud.line(&line("one")).done();
    let calls = cloud.server.call_count();
    for moment in (0..calls).step_by((calls / 8).max(1)) {
        cloud.wipe("dst/");
        start.iter().for_each(|(name, bytes)| {
            cloud.server.put(&format!("dst/{name}"), bytes.clone());
        });
        cloud.server.forget_calls();
        let mut first = cloud.start(&line("one"));
        first.until(|| cloud.server.call_count() >= moment);
        let (second, first) = (cloud.start(&line("two")).end(), first.end());
        let codes = (first.code, second.code);
        assert!(codes.0 == Some(0) || codes.1 == Some(0), "{}\n{}", first.stderr, second.stderr);
        for (ran, source) in [(first, "one"), (second, "two")] {
            if ran.code != Some(0) {
                assert!(
                    ran.stderr.contains("s3://bucket/dst") || ran.stderr.contains("manifest.json"),
                    "at {moment}: {}",
                    ran.stderr
                );
                cloud.line(&line(source)).done();
            }
        }
        let report = cloud.line("verify s3://bucket/dst --json").done().json();
        assert_eq!((&report["samples"], &report["extra"]), (&80.into(), &serde_json::json!([])));
    }
}

/// On S3 shards are copied by S3: not a byte of them is asked for, but three records of each that are
/// read back. Where it may not, or cannot, they pass through here, to the same dataset.
#[test]
fn a_merge_on_s3_asks_for_no_shard() {
    let cloud = cloud();
    (60..70).for_each(|i| sample(&cloud.home, "one", i, 3));
    cloud.line(&format!("pack one s3://bucket/more {PACK}")).done();
    let line = "merge s3://bucket/dst s3://bucket/more s3://bucket/both";
    cloud.server.forget_calls();
    cloud.line(line).done();
    let calls = cloud.server.calls();
    let of = |operation: &str, below: &str| {
        let has = |key: &String| key.contains(below);
        let is = |call: &&Call| call.operation == operation && call.key.as_ref().is_some_and(has);
        calls.iter().filter(is).count()
    };
    let whole = cloud.objects("both/");
    let shards = whole.keys().filter(|key| key.starts_with("shards/")).count();
    assert_eq!((of("CopyObject", "both/shards/"), of("GetObject", "dst/shards/")), (shards, 0));
    assert_eq!((of("GetObject", "more/shards/"), of("PutObject", "both/shards/")), (0, 0));
    cloud.line("verify s3://bucket/both").done();
    for code in [(403, "AccessDenied"), (501, "NotImplemented"), (412, "PreconditionFailed")] {
        cloud.wipe("both/");
        cloud
            .server
            .inject(FaultRule::new(Fault::Error(code.0, code.1)).on("CopyObject").forever());
        cloud.line(line).done();
        cloud.server.heal();
        same(&cloud.objects("both/"), &whole);
    }
    cloud.wipe("both/");
    let (name, mut damaged) = cloud.objects("dst/shards/").pop_first().expect("a shard");
    damaged[700] ^= 1;
    cloud.server.put(&format!("dst/shards/{name}"), damaged);
    let ran = cloud.line(line);
    assert!(ran.code == Some(1) && ran.stderr.contains("CRC-64/NVME"), "{}", ran.stderr);
    assert!(!cloud.objects("both/").contains_key("manifest.json"));
}

/// As with shards that no single request copies: here S3 is to copy 1,000 bytes at a time.
#[test]
fn shards_that_are_copied_in_parts_are_the_same() {
    let server = S3Server::start_with(S3Config { least_part: 1, ..S3Config::default() });
    let cloud = Cloud { server, ..Cloud::new() };
    source(&cloud.home);
    cloud.line(&format!("pack src s3://bucket/dst {PACK}")).done();
    cloud.line("merge s3://bucket/dst s3://bucket/both").done();
    let whole = cloud.objects("both/");
    let options = S3Options {
        credentials: Some((S3Server::ACCESS_KEY.into(), S3Server::SECRET_KEY.into())),
        region: Some(S3Server::REGION.into()),
        endpoint_url: Some(cloud.server.endpoint()),
        copy_part: 1_000,
        ..S3Options::default()
    };
    let uri = |uri: &str| uri.parse::<S3Uri>().expect("a uri");
    let s3 = S3::connect(&uri("s3://bucket/"), options).expect("a connection");
    let merge_again = || {
        cloud.wipe("both/");
        cloud.server.forget_calls();
        let from = S3Store::open(s3.clone(), uri("s3://bucket/dst/"));
        let to = S3Store::open(s3.clone(), uri("s3://bucket/both/"));
        let inputs = [(Dataset::open(&from).expect("a dataset"), "dst".to_owned())];
        let s3_prefix = Some("s3://bucket/both/".to_owned());
        let options = MergeOptions { s3_prefix, ..MergeOptions::default() };
        merge(&inputs, &to, &options, &Progress::default())
    };
    let copies = || {
        let calls = cloud.server.calls();
        let of = |name: &str| calls.iter().filter(|call| call.operation == name).count();
        (of("UploadPartCopy"), of("CopyObject"))
    };
    merge_again().expect("a dataset");
    same(&cloud.objects("both/"), &whole);
    let (parts, objects) = copies();
    assert!(parts > 10 && objects == 0, "{parts} parts, {objects} objects");
    cloud.server.inject(
        FaultRule::new(Fault::Error(501, "NotImplemented")).on("UploadPartCopy").from(2).forever(),
    );
    merge_again().expect("a dataset");
    same(&cloud.objects("both/"), &whole);
    cloud.server.heal();
    let (name, mut damaged) = cloud.objects("dst/shards/").pop_first().expect("a shard");
    damaged[700] ^= 1;
    cloud.server.put(&format!("dst/shards/{name}"), damaged);
    let error = merge_again().expect_err("damage").to_string();
    assert!(error.contains("CRC-64/NVME"), "{error}");
    assert!(cloud.server.uploads().is_empty());
    assert!(!cloud.objects("both/").contains_key("manifest.json"));
}
