//! The same tree gives the same dataset wherever it lies and wherever it goes, and every command
//! tells of it the same.

use serde_json::Value;
use shardpack_testkit::s3::S3Config;

use super::{Cloud, S3Server, difference, same, tree};
use crate::program::Random;

/// What is told about where the dataset will be is the same for all when it is said.
const PREFIX: &str = "--s3-prefix s3://bucket/dst/";

#[test]
fn a_tree_packs_to_the_same_bytes_from_and_to_anywhere() {
    let cloud = Cloud::new();
    tree(&cloud.home, 60);
    cloud.upload("src", "src/");
    for options in [
        "--format webdataset --labels folder --index wids",
        "--format webdataset --compress gzip",
        "--format tfrecord --labels folder --split train=0.8,val=0.2",
        "--format recordio --fields jpg --labels folder",
    ] {
        let local = format!("local-{}", options.len());
        cloud.line(&format!("pack src {local} --target 40kB {options} {PREFIX}")).done();
        let whole = cloud.home.files(&local);
        let shards = whole.keys().filter(|name| name.starts_with("shards/")).count();
        assert!(shards > 2, "{options}: {shards} shards");
        for jobs in [1, 4] {
            let more = format!("--target 40kB --jobs {jobs} {options}");
            let report =
                cloud.line(&format!("pack src s3://bucket/dst {more} --json")).done().json();
            assert_eq!(report["doubts"], serde_json::json!([]));
            same(&cloud.objects("dst/"), &whole);
            cloud.wipe("dst/");
            cloud.line(&format!("pack s3://bucket/src s3://bucket/dst/ {more}")).done();
            same(&cloud.objects("dst/"), &whole);
            cloud.wipe("dst/");
            let down = format!("down-{jobs}-{}", options.len());
            cloud.line(&format!("pack s3://bucket/src/ {down} {more} {PREFIX}")).done();
            same(&cloud.home.files(&down), &whole);
        }
    }
    assert!(cloud.server.uploads().is_empty());
}

#[test]
fn only_what_names_the_place_differs_when_it_is_not_said() {
    let cloud = Cloud::new();
    tree(&cloud.home, 8);
    cloud.line("pack src dst").done();
    cloud.line("pack src s3://bucket/dst").done();
    let (mut here, mut there) = (cloud.home.files("dst"), cloud.objects("dst/"));
    let mut manifests = [&mut here, &mut there].map(|files| -> Value {
        files.retain(|name, _| !name.starts_with("sagemaker/"));
        let bytes = files.remove("manifest.json").expect("a manifest");
        serde_json::from_slice(&bytes).expect("JSON")
    });
    same(&there, &here);
    let place = manifests[1]["options"].as_object_mut().expect("options").remove("s3-prefix");
    assert_eq!(place, Some("s3://bucket/dst/".into()));
    for manifest in &mut manifests {
        manifest.as_object_mut().expect("an object").remove("crc32c"); // of the lines above it
    }
    assert_eq!(manifests[0], manifests[1]);
}

#[test]
fn every_command_tells_the_same_of_a_dataset_on_s3() {
    let cloud = Cloud::new();
    tree(&cloud.home, 40);
    cloud.upload("src", "src/");
    cloud.line(&format!("pack src dst --target 40kB --labels folder {PREFIX}")).done();
    cloud.line("pack s3://bucket/src s3://bucket/dst --target 40kB --labels folder").done();
    let shard = cloud.home.files("dst").keys().find(|n| n.starts_with("shards/")).cloned();
    let shard = shard.expect("a shard");
    for line in [
        "verify DST",
        "verify DST --json",
        "verify DST --quick --jobs 3",
        "verify DST --against src",
        "verify DST --against s3://bucket/src/",
        "ls DST",
        "ls DST -l",
        "ls DST cat/* --json",
        "info DST",
        "info DST --json",
        &format!("ls DST/{shard}"),
        &format!("info DST/{shard}"),
    ] {
        let here = cloud.line(&line.replace("DST", "dst")).done().stdout;
        for address in ["s3://bucket/dst", "s3://bucket/dst/"] {
            if line.contains("DST/") && address.ends_with('/') {
                continue;
            }
            let there = cloud.line(&line.replace("DST", address)).done().stdout;
            let anywhere = |text: &str| {
                text.replace("s3://bucket/dst", "dst")
                    .replace("dst/:", "dst:")
                    .replace("dst/\n", "dst\n")
                    .replace("dst/\"", "dst\"")
            };
            assert_eq!(anywhere(&there), anywhere(&here), "{line}");
        }
    }
    for name in ["日本 犬/s 002.txt", "a+b&c=d%20/s 003.jpg"] {
        let cat = |dataset: &str| {
            let output = cloud.command(&["cat", dataset, name]).output().expect("it runs");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        assert_eq!(cat("s3://bucket/dst"), cat("dst"));
        assert_eq!(cat("dst"), cloud.home.files("src")[name]);
    }
    let missing = cloud.run(&["cat", "s3://bucket/dst", "cat/none.txt"]);
    assert!(missing.code == Some(2) && missing.stderr.contains("cat/none"), "{}", missing.stderr);

    let source = cloud.home.files("src");
    for (from, to) in [("dst", "s3://bucket/out1"), ("s3://bucket/dst/", "s3://bucket/out2/")] {
        cloud.line(&format!("unpack {from} {to} --jobs 4")).done();
        same(&cloud.objects(&format!("{}/", &to.trim_end_matches('/')[12..])), &source);
        let again = cloud.line(&format!("unpack {from} {to}"));
        assert!(again.code == Some(2) && again.stderr.contains("out"), "{}", again.stderr);
    }
    cloud.line("unpack s3://bucket/dst out").done();
    same(&cloud.home.files("out"), &source);
    assert!(cloud.server.uploads().is_empty());
}

/// Shards without a manifest, as any other tool leaves them.
#[test]
fn shards_of_others_are_adopted_where_they_lie() {
    let cloud = Cloud::new();
    tree(&cloud.home, 12);
    cloud.line("pack src dst --target 20kB").done();
    for (name, bytes) in cloud.home.files("dst") {
        if let Some(shard) = name.strip_prefix("shards/") {
            cloud.server.put(&format!("theirs/{shard}"), bytes.clone());
            cloud.home.write(&format!("theirs/{shard}"), bytes);
        }
    }
    let before = cloud.objects("theirs/");
    let listed = cloud.line("ls s3://bucket/theirs/").done().stdout;
    assert_eq!(listed, cloud.line("ls theirs").done().stdout);
    cloud.line("index theirs").done();
    cloud.line("index s3://bucket/theirs").done();
    same(&cloud.objects("theirs/"), &cloud.home.files("theirs"));
    assert!(cloud.objects("theirs/").len() > before.len());
    cloud.line("verify s3://bucket/theirs").done();
}

#[test]
fn a_shard_of_several_parts_is_the_same() {
    let cloud = Cloud {
        server: S3Server::start_with(S3Config { md5: false, ..S3Config::default() }),
        ..Cloud::new()
    };
    tree(&cloud.home, 20);
    for i in 0..2 {
        cloud.home.write(&format!("src/cat/large{i}.jpg"), Random(i).bytes(9_500_000));
    }
    cloud.upload("src", "src/");
    cloud.line(&format!("pack src dst {PREFIX}")).done();
    let whole = cloud.home.files("dst");
    for jobs in [1, 4] {
        cloud.server.forget_calls();
        cloud.line(&format!("pack s3://bucket/src s3://bucket/dst --jobs {jobs}")).done();
        assert_eq!(difference(&cloud.objects("dst/"), &whole), None);
        let calls = cloud.server.calls();
        let count = |operation: &str| calls.iter().filter(|c| c.operation == operation).count();
        assert_eq!(count("CreateMultipartUpload"), 1);
        assert_eq!((count("UploadPart"), count("CompleteMultipartUpload")), (3, 1));
        // A large body comes in ranges.
        let large = |c: &&shardpack_testkit::s3::Call| {
            c.operation == "GetObject" && c.key.as_deref() == Some("src/cat/large0.jpg")
        };
        assert!(calls.iter().filter(large).all(|c| c.range.is_some()));
        assert!(calls.iter().filter(large).count() > 1);
        if jobs == 1 {
            cloud.wipe("dst/");
        }
    }
    let whole = cloud.line("verify s3://bucket/dst --against s3://bucket/src").done().stdout;
    assert!(whole.contains("42 files equal"), "{whole}");
    assert!(cloud.server.uploads().is_empty());
}
