//! Records that a reshard takes over as they are: S3 copies them, in parts of an upload, and what comes
//! of it is what comes of reading and writing them.

use shardpack_testkit::s3::{Call, Fault, FaultRule};

use super::{Cloud, same};
use crate::program::{Home, Random};

const FORMATS: [&str; 4] = ["webdataset", "tfrecord", "recordio", "recordio-protobuf"];

/// `count` samples of some 500 KB in the folder `name`, in classes, each with a text if asked for.
fn large(home: &Home, name: &str, count: u64, texts: bool) {
    let mut random = Random(count);
    for i in 0..count {
        let key = format!("{name}/{}/{name}-{i:02}", ["cat", "dog"][i as usize % 2]);
        let len = 300_000 + random.below(400_000);
        home.write(&format!("{key}.jpg"), random.bytes(len));
        if texts {
            home.write(&format!("{key}.txt"), format!("sample {i}"));
        }
    }
}

/// Datasets `one` of 20 MB and `two` of 8 MB, a shard each.
fn cloud(format: &str) -> Cloud {
    let cloud = Cloud::new();
    for (name, count) in [("one", 40), ("two", 16)] {
        large(&cloud.home, name, count, !format.starts_with("recordio"));
        let options = format!("--format {format} --target 25MB --order key --labels folder");
        cloud.line(&format!("pack {name} s3://bucket/{name} {options}")).done();
    }
    cloud
}

fn count(cloud: &Cloud, operation: &str) -> usize {
    cloud.server.calls().iter().filter(|call| call.operation == operation).count()
}

/// Bytes that were asked for of shards below `prefix`.
fn read(cloud: &Cloud, prefix: &str) -> u64 {
    let of_shard = |call: &Call| call.key.as_ref().is_some_and(|key| key.starts_with(prefix));
    let asked =
        |call: Call| match call.range.as_deref().and_then(|range| range.strip_prefix("bytes=")) {
            Some(range) => {
                let (first, last) = range.split_once('-').expect("both ends");
                last.parse::<u64>().expect("a number") + 1 - first.parse::<u64>().expect("a number")
            }
            None => cloud.server.get(&call.key.unwrap_or_default()).map_or(0, |b| b.len() as u64),
        };
    let calls = cloud.server.calls().into_iter();
    calls.filter(|call| call.operation == "GetObject" && of_shard(call)).map(asked).sum()
}

#[test]
fn every_format_is_copied_to_the_same_bytes() {
    for format in FORMATS {
        let cloud = cloud(format);
        let options = format!("--format {format} --target 12MB --order source");
        let line = format!("reshard s3://bucket/one s3://bucket/dst {options} --json");
        cloud.server.forget_calls();
        let report = cloud.line(&line).done().json();
        assert_eq!(report["same"], true, "{format}");
        let copies = count(&cloud, "UploadPartCopy");
        let (read, all) =
            (read(&cloud, "one/shards/"), report["shard_bytes"].as_u64().expect("bytes"));
        assert!(copies > 0 && read < all / 4, "{format}: {copies} copies, {read} of {all} read");
        let copied = cloud.objects("dst/");
        cloud.line("verify s3://bucket/dst").done();
        for (status, code) in [(501, "NotImplemented"), (403, "AccessDenied")] {
            cloud.wipe("dst/");
            let refusal = FaultRule::new(Fault::Error(status, code)).on("UploadPartCopy");
            cloud.server.inject(refusal.forever());
            cloud.line(&line).done();
            cloud.server.heal();
            same(&cloud.objects("dst/"), &copied);
        }
        assert!(cloud.server.uploads().is_empty());
    }
}

#[test]
fn several_sources_are_joined_by_copies() {
    let cloud = cloud("webdataset");
    let line =
        "reshard s3://bucket/one s3://bucket/two s3://bucket/dst --target 30MB --order source";
    cloud.server.forget_calls();
    cloud.line(line).done();
    assert!(count(&cloud, "UploadPartCopy") >= 3, "of both");
    let copied = cloud.objects("dst/");
    cloud.wipe("dst/");
    cloud
        .server
        .inject(FaultRule::new(Fault::Error(501, "NotImplemented")).on("UploadPartCopy").forever());
    cloud.server.forget_calls();
    cloud.line(line).done();
    same(&cloud.objects("dst/"), &copied);
}

/// What is live beside each other in a shard with dead samples stays beside each other.
#[test]
fn what_is_live_is_compacted_by_copies() {
    for format in FORMATS {
        let cloud = cloud(format);
        cloud.line("delete s3://bucket/one cat/one-04 dog/one-35").done();
        let before = cloud.objects("one/");
        let line = "compact s3://bucket/one --json";
        cloud.server.forget_calls();
        let report = cloud.line(line).done().json();
        assert_eq!((&report["rewritten"], &report["dropped"]), (&1.into(), &2.into()), "{format}");
        assert!(count(&cloud, "UploadPartCopy") > 0, "{format}");
        let copied = cloud.objects("one/");
        cloud.line("verify s3://bucket/one").done();

        cloud.wipe("one/");
        for (name, bytes) in before {
            cloud.server.put(&format!("one/{name}"), bytes);
        }
        let refusal = FaultRule::new(Fault::Error(501, "NotImplemented")).on("UploadPartCopy");
        cloud.server.inject(refusal.forever());
        cloud.line(line).done();
        same(&cloud.objects("one/"), &copied);
    }
}

/// Without S3's word that the source's bytes are those of the manifest, they are read.
#[test]
fn a_server_that_keeps_no_checksums_is_not_asked_to_copy() {
    let cloud = cloud("tfrecord");
    let line = "reshard s3://bucket/one s3://bucket/dst --target 12MB --order source";
    cloud.line(line).done();
    let copied = cloud.objects("dst/");
    cloud.wipe("dst/");
    cloud.server.hide_checksums(true);
    cloud.server.forget_calls();
    cloud.line(line).done();
    assert_eq!(count(&cloud, "UploadPartCopy"), 0);
    same(&cloud.objects("dst/"), &copied);
}

/// What is not as it was is written: chosen fields, another order, another format.
#[test]
fn only_what_stays_as_it_is_is_copied() {
    let cloud = cloud("webdataset");
    for options in [
        "--order source --drop-field txt",
        "--order source --rename txt=caption",
        "--order source --compress zstd",
        "--order source --format tfrecord",
        "--order shuffle:1",
    ] {
        cloud.server.forget_calls();
        cloud
            .line(&format!("reshard s3://bucket/one s3://bucket/dst --target 12MB {options}"))
            .done();
        assert_eq!(count(&cloud, "UploadPartCopy"), 0, "{options}");
        cloud.line("verify s3://bucket/dst").done();
        cloud.wipe("dst/");
    }
}

/// The bytes are those of the manifest only where S3 says so: here it has other ones.
#[test]
fn a_damaged_source_is_not_copied() {
    let cloud = cloud("tfrecord");
    let (name, mut damaged) = cloud.objects("one/shards/").pop_first().expect("a shard");
    damaged[1_000_000] ^= 1;
    cloud.server.put(&format!("one/shards/{name}"), damaged);
    let line =
        "reshard s3://bucket/one s3://bucket/dst --format tfrecord --target 12MB --order source";
    let ran = cloud.line(line);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for words in [&*name, "crc32c", "damaged"] {
        assert!(ran.stderr.contains(words), "{words} in {}", ran.stderr);
    }
    assert!(!cloud.objects("dst/").contains_key("manifest.json"));
}

#[test]
fn killed_at_any_call_a_run_with_copies_is_finished() {
    let cloud = cloud("webdataset");
    let line =
        "reshard s3://bucket/one s3://bucket/dst --target 12MB --order source --stall-timeout 1";
    cloud.server.forget_calls();
    cloud.line(line).done();
    let (calls, whole) = (cloud.server.call_count(), cloud.objects("dst/"));
    for moment in (1..calls).step_by((calls / 15).max(1)) {
        cloud.wipe("dst/");
        cloud.server.forget_calls();
        let mut running = cloud.start(line);
        running.until(|| cloud.server.call_count() >= moment);
        running.kill();
        cloud.line(line).done();
        same(&cloud.objects("dst/"), &whole);
        assert!(cloud.server.uploads().is_empty(), "killed at call {moment}");
    }
}

#[test]
fn copies_that_a_killed_run_left_are_found_and_ended() {
    let cloud = cloud("webdataset");
    let line = "reshard s3://bucket/one s3://bucket/dst --target 30MB --order source";
    let unfinished = FaultRule::new(Fault::ResetBefore).on("CompleteMultipartUpload").forever();
    cloud.server.inject(unfinished);
    cloud.server.forget_calls();
    let mut running = cloud.start(line);
    assert!(running.until(|| count(&cloud, "CompleteMultipartUpload") > 0));
    assert!(running.kill() && count(&cloud, "UploadPartCopy") > 0);
    cloud.server.heal();
    let left = cloud.server.uploads();
    assert_eq!(left.len(), 1);
    let ran = cloud.line("clean s3://bucket/dst --dry-run").done();
    assert!(ran.stdout.contains(&left[0]), "{}", ran.stdout);
    cloud.line("clean s3://bucket/dst").done();
    assert!(cloud.server.uploads().is_empty());
    cloud.line(line).done();
    cloud.line("verify s3://bucket/dst").done();
}
