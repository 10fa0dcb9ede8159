//! What is taken from a prefix, what is refused, and what the options do.

use std::time::Instant;

use shardpack_testkit::s3::{Call, Fault, FaultRule};

use super::{Cloud, S3Server, same, tree};
use crate::program::Random;

#[test]
fn clean_ends_unfinished_uploads_below_the_prefix_and_nothing_else() {
    let cloud = Cloud::new();
    for i in 0..3 {
        cloud.home.write(&format!("src/{i}.jpg"), Random(i).bytes(9_000_000));
    }
    for dst in ["dst", "dst-other"] {
        let mut running = cloud.start(&format!("pack src s3://bucket/{dst} --target 10MB"));
        let below = format!("{dst}/");
        let begun = || cloud.server.uploads().iter().any(|key| key.starts_with(&below));
        assert!(running.until(begun) && running.kill(), "it ended");
    }
    let objects = cloud.objects("");
    let before = cloud.server.uploads();
    let ours: Vec<_> = before.iter().filter(|key| key.starts_with("dst/")).collect();
    let told = |ran: &crate::program::Ran| {
        for key in &ours {
            assert!(ran.stdout.contains(&format!("s3://bucket/{key}\n")), "{}", ran.stdout);
        }
        assert!(!ran.stdout.contains("dst-other"), "{}", ran.stdout);
    };
    let ran = cloud.line("clean s3://bucket/dst --dry-run").done();
    told(&ran);
    assert!(
        ran.stdout.contains(&format!("would end {} unfinished upload", ours.len())),
        "{}",
        ran.stdout
    );
    assert_eq!(cloud.server.uploads(), before);

    told(&cloud.line("clean s3://bucket/dst/").done());
    let left: Vec<_> = before.iter().filter(|key| !key.starts_with("dst/")).cloned().collect();
    assert!(!left.is_empty());
    assert_eq!(cloud.server.uploads(), left);
    same(&cloud.objects(""), &objects);
    let again = cloud.line("clean s3://bucket/dst").done().stdout;
    assert!(again.contains("ended 0 unfinished uploads"), "{again}");
    cloud.line("pack src s3://bucket/dst --target 10MB").done();
}

#[test]
fn an_object_that_changes_during_the_run_is_named() {
    let cloud = Cloud::new();
    tree(&cloud.home, 30);
    cloud.upload("src", "src/");
    let line =
        "pack s3://bucket/src s3://bucket/dst --target 20kB --jobs 1 --io-depth 2 --order key";
    let last = "src/日本 犬/s 026.jpg"; // the last to be read in the order of keys
    for (what, changed) in [("other bytes", Some(vec![7; 700])), ("gone", None)] {
        let kept = cloud.server.get(last).expect("the source");
        cloud.server.forget_calls();
        // Held back at its first object until it is changed.
        let mut running = cloud.start(line);
        let listed = || cloud.server.keys().iter().any(|key| key == "dst/.shardpack/plan.json");
        assert!(running.until(listed), "it ended");
        match changed {
            Some(bytes) => cloud.server.put(last, bytes),
            None => cloud.server.remove(last),
        }
        let ran = running.end();
        assert_eq!(ran.code, Some(2), "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("s3://bucket/{last}")), "{what}: {}", ran.stderr);
        assert!(!cloud.objects("dst/").contains_key("manifest.json"));

        if what == "other bytes" {
            let again = cloud.line(line);
            assert_eq!(again.code, Some(2), "{}", again.stderr);
            assert!(again.stderr.contains("--restart"), "{}", again.stderr);
        }
        // As it was when it was listed, the run goes on.
        cloud.server.put(last, kept);
        cloud.line(line).done();
        cloud.line("verify s3://bucket/dst --against src").done();
        cloud.wipe("dst/");
    }
}

#[test]
fn a_destination_in_the_way_of_the_source_is_refused() {
    let cloud = Cloud::new();
    tree(&cloud.home, 4);
    cloud.upload("src", "src/");
    for (source, destination) in [
        ("s3://bucket/src", "s3://bucket/src"),
        ("s3://bucket/src/", "s3://bucket/src/packed"),
        ("s3://bucket/src", "s3://bucket/src-packed"), // keys are texts
        ("s3://bucket", "s3://bucket/dst"),
        ("s3://bucket/src/", "s3://bucket"),
    ] {
        let ran = cloud.line(&format!("pack {source} {destination}"));
        assert_eq!(ran.code, Some(2), "{source} {destination}: {}", ran.stderr);
        assert!(ran.stderr.contains("lies inside of"), "{source} {destination}: {}", ran.stderr);
    }
    let before = cloud.objects("");
    let ran = cloud.line("pack src s3://bucket/src");
    assert!(ran.code == Some(2) && ran.stderr.contains("is not empty"), "{}", ran.stderr);
    same(&cloud.objects(""), &before);
}

#[test]
fn prefixes_are_taken_as_sagemaker_takes_them() {
    let cloud = Cloud::new();
    for (key, bytes) in [
        ("data/train/cat/1.jpg", "a"),
        ("data/train/cat/", ""), // what consoles make for a folder
        ("data/train/", ""),
        ("data/train/.hidden.jpg", "h"),
        ("data/train-more/2.jpg", "b"),
        ("data/val/3.jpg", "c"),
    ] {
        cloud.server.put(key, bytes);
    }
    for (i, (prefix, expected)) in [
        ("data/train/", vec!["cat/1"]),
        ("data/train/cat", vec!["1"]),
        ("data/train-", vec!["train-more/2"]),
        ("data/tra", vec!["train-more/2", "train/cat/1"]),
        ("data", vec!["train-more/2", "train/cat/1", "val/3"]),
    ]
    .into_iter()
    .enumerate()
    {
        let dst = format!("s3://bucket/out{i}");
        cloud.line(&format!("pack s3://bucket/{prefix} {dst} --order key")).done();
        let listed = cloud.line(&format!("ls {dst}")).done().stdout;
        let keys: Vec<_> = listed.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(keys, expected, "{prefix}");
    }
    let ran = cloud.line("pack s3://bucket/data/train s3://bucket/dst");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("end it in / to take the folder"), "{}", ran.stderr);
}

#[test]
fn a_list_names_objects() {
    let cloud = Cloud::new();
    tree(&cloud.home, 8);
    cloud.upload("src", "src/");
    cloud.home.write("list", "cat/s 000.jpg\ns3://bucket/src/dög/s 001.txt\n");
    cloud.line("pack s3://bucket/src s3://bucket/dst --files-from list --order key").done();
    let listed = cloud.line("ls s3://bucket/dst").done().stdout;
    assert!(listed.contains("cat/s 000\t") && listed.contains("dög/s 001\t"), "{listed}");
    cloud.home.write("list", "cat/s 000.jpg\nnone.jpg\n");
    let ran = cloud.line("pack s3://bucket/src s3://bucket/dst2 --files-from list");
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("entry 2") && ran.stderr.contains("none.jpg"), "{}", ran.stderr);
}

#[test]
fn errors_are_reported_and_counted_up_to_a_limit() {
    let cloud = Cloud::new();
    tree(&cloud.home, 20);
    cloud.upload("src", "src/");
    let line = "pack s3://bucket/src s3://bucket/dst --target 20kB --jobs 1";
    let burst = || {
        let rule = FaultRule::new(Fault::InternalError).on("GetObject").key("src/");
        cloud.server.inject(rule.from(5).times(4));
    };
    burst();
    let ran = cloud.line(&format!("{line} --max-errors 3"));
    cloud.server.heal();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("--max-errors") && ran.stderr.contains("GetObject"),
        "{}",
        ran.stderr
    );
    assert!(!cloud.objects("dst/").contains_key("manifest.json"));
    burst();
    let ran = cloud.line(&format!("{line} --max-errors 4")).done();
    cloud.server.heal();
    let told = ran
        .stderr
        .lines()
        .filter(|line| line.starts_with("retry ") && line.contains("InternalError"));
    assert_eq!(told.count(), 4, "every repetition is told: {}", ran.stderr);

    cloud.wipe("dst/");
    cloud.server.inject(FaultRule::new(Fault::SlowDown).on("GetObject").forever());
    let ran = cloud.line(&format!("{line} --max-attempts 2"));
    cloud.server.heal();
    assert!(ran.code == Some(2) && ran.stderr.contains("2 tries"), "{}", ran.stderr);
}

/// No test of time: only that a run cannot be over before its requests may all have been sent.
#[test]
fn limits_hold_a_run_back() {
    let cloud = Cloud::new();
    tree(&cloud.home, 20);
    cloud.upload("src", "src/");
    let line = "pack s3://bucket/src s3://bucket/dst";
    cloud.line(line).done();
    let whole = cloud.objects("dst/");
    let sizes: usize = cloud.objects("src/").values().map(Vec::len).sum();
    for limit in [
        format!("--max-requests {}", cloud.server.call_count()),
        format!("--max-bandwidth {sizes}"),
    ] {
        cloud.wipe("dst/");
        let start = Instant::now();
        cloud.line(&format!("{line} {limit}")).done();
        assert!(start.elapsed().as_secs_f64() > 0.3, "{limit}: {:?}", start.elapsed());
        same(&cloud.objects("dst/"), &whole);
    }
    for wrong in ["--max-requests 0", "--max-requests x", "--stall-timeout 0", "--max-attempts 0"] {
        assert_eq!(cloud.line(&format!("{line} {wrong}")).code, Some(2), "{wrong}");
    }
}

#[test]
fn new_objects_are_as_was_asked() {
    let cloud = Cloud::new();
    tree(&cloud.home, 4);
    let how = "--storage-class STANDARD_IA --sse kms:key-1 --acl bucket-owner-full-control --tags team=vision&keep=yes";
    cloud.line(&format!("pack src s3://bucket/dst {how} --request-payer")).done();
    for key in cloud.server.keys() {
        let object = cloud.server.object(&key).expect("listed");
        let is = |found: &Option<String>, wanted: &str| {
            assert_eq!(found.as_deref(), Some(wanted), "{key}");
        };
        is(&object.attributes.storage_class, "STANDARD_IA");
        is(&object.attributes.encryption, "aws:kms");
        is(&object.attributes.kms_key, "key-1");
        is(&object.attributes.acl, "bucket-owner-full-control");
        is(&object.attributes.tagging, "team=vision&keep=yes");
        assert!(
            object.attributes.content_type.is_some()
                && object.attributes.content_encoding.is_none()
        );
    }
    assert_eq!(unpaid(&cloud).iter().filter(|key| !key.ends_with("/probe")).count(), 0);
}

/// Objects that some request was about that did not offer to pay.
fn unpaid(cloud: &Cloud) -> Vec<String> {
    let pays = |call: &Call| call.header("x-amz-request-payer") == Some("requester");
    let calls = cloud.server.calls().into_iter().filter(|call| !pays(call));
    calls.map(|call| call.key.unwrap_or_default()).collect()
}

#[test]
fn every_request_offers_to_pay() {
    let cloud = Cloud::new();
    tree(&cloud.home, 4);
    cloud.line("pack src s3://bucket/dst --request-payer").done();
    assert_eq!(unpaid(&cloud), Vec::<String>::new());
}

#[test]
fn secrets_are_shown_nowhere() {
    let cloud = Cloud::new();
    tree(&cloud.home, 4);
    cloud.upload("src", "src/");
    let shown = |text: &str| {
        for secret in [S3Server::SECRET_KEY, "session-token-of-this-test"] {
            assert!(!text.contains(secret), "{text}");
        }
    };
    for rule in [
        None,
        Some(FaultRule::new(Fault::InternalError).times(2)),
        Some(FaultRule::new(Fault::Error(403, "AccessDenied")).on("PutObject")),
        Some(FaultRule::new(Fault::Error(403, "SignatureDoesNotMatch")).on("GetObject")),
    ] {
        rule.into_iter().for_each(|rule| cloud.server.inject(rule));
        for more in ["", "--json"] {
            let args = format!("pack s3://bucket/src s3://bucket/dst {more}");
            let args: Vec<_> = args.split_whitespace().collect();
            let mut command = cloud.command(&args);
            command.env("RUST_LOG", "trace").env("AWS_SESSION_TOKEN", "session-token-of-this-test");
            let ran = crate::program::Running::from(command.spawn().expect("it runs")).end();
            shown(&ran.stdout);
            shown(&ran.stderr);
        }
        cloud.server.heal();
        for bytes in cloud.objects("dst/").values() {
            shown(&String::from_utf8_lossy(bytes));
        }
        cloud.wipe("dst/");
    }
}

#[test]
fn a_server_that_is_no_url_is_told_at_once() {
    let cloud = Cloud::new();
    for (variable, value) in [("AWS_ENDPOINT_URL", ""), ("AWS_ENDPOINT_URL_S3", "localhost:9000")] {
        let mut command = cloud.command(&["ls", "s3://bucket/x"]);
        command.env(variable, value);
        let ran = crate::program::Running::from(command.spawn().expect("it runs")).end();
        let told = ran.stderr.contains(&format!("{variable}: `{value}` is no URL"));
        assert!(ran.code == Some(2) && told, "{}", ran.stderr);
    }
    assert!(cloud.server.calls().is_empty(), "nothing was sent to where nobody wanted it");
}

#[test]
fn an_archive_on_s3_is_packed_as_the_one_here() {
    let cloud = Cloud::new();
    tree(&cloud.home, 30);
    let src = cloud.home.path("src");
    let run = |program: &str, args: &[&str]| {
        let status = std::process::Command::new(program).args(args).current_dir(&src).status();
        assert!(status.expect("it is there").success(), "{program}");
    };
    let (tar, zip) = (cloud.home.path("in/a.tar"), cloud.home.path("in/b.zip"));
    std::fs::create_dir(cloud.home.path("in")).unwrap();
    run("tar", &["-cf", tar.to_str().unwrap(), "."]);
    run("python3", &["-m", "zipfile", "-c", zip.to_str().unwrap(), "."]);
    cloud.upload("in", "");
    cloud.upload("in", "deep/folder/");
    for (name, place) in [("a.tar", ""), ("a.tar", "deep/folder/"), ("b.zip", "")] {
        let out = name.replace('.', "-") + &place.replace('/', "");
        cloud.line(&format!("pack in/{name} here-{out} --target 20kB")).done();
        cloud.line(&format!("pack s3://bucket/{place}{name} there-{out} --target 20kB")).done();
        let shards = |dst: String| cloud.home.files(&format!("{dst}/shards"));
        assert!(shards(format!("here-{out}")) == shards(format!("there-{out}")), "{name}");
        cloud.line(&format!("verify there-{out} --against s3://bucket/{place}{name}")).done();
    }
    for (source, text) in [
        ("s3://bucket/none.tar", "s3://bucket/none.tar"),
        ("s3://bucket/a.tar.gz", "cannot be read in the order of the plan"),
    ] {
        let ran = cloud.line(&format!("pack {source} other"));
        assert!(ran.code == Some(2) && ran.stderr.contains(text), "{}", ran.stderr);
    }
}
