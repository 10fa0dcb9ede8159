//! `shardpack delete`, on a disk and on S3.

use serde_json::{Value, json};
use shardpack_testkit::s3::{Fault, FaultRule, S3Server};

use crate::program::{Home, Ran, Running};

/// A dataset at `dst` of thirty samples, in some shards.
fn packed() -> Home {
    let home = Home::new();
    for i in 0..30 {
        home.write(&format!("src/{i:02}.txt"), format!("sample {i}"));
    }
    home.line("pack src dst --max-samples 10").done();
    home
}

fn told(ran: &Ran, code: i32, stderr: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    for part in stderr {
        assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
    }
}

#[test]
fn samples_are_deleted_and_brought_back() {
    let home = packed();
    let before = home.files("dst");
    let ran = home.line("delete dst 03 17 --dry-run").done();
    assert_eq!(ran.stdout, "would delete 2 samples; 28 live, 2 deleted: dst\n");
    assert!(home.files("dst") == before, "a dry run wrote");

    home.write("keys", "17\n\n05\r\n");
    let ran = home.line("delete dst 03 --from keys").done();
    assert_eq!(ran.stdout, "deleted 3 samples; 27 live, 3 deleted: dst\n");
    let changed: Vec<String> = home
        .files("dst")
        .into_iter()
        .filter(|(name, bytes)| before.get(name) != Some(bytes))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(changed, ["manifest.json", "manifests/000001.json"]);
    assert!(home.files("dst")["manifests/000001.json"] == before["manifest.json"]);
    let again = home.line("delete dst 05 06").done();
    assert_eq!(again.stdout, "deleted 1 sample (1 deleted already); 26 live, 4 deleted: dst\n");

    assert_eq!(home.line("ls dst").done().stdout.lines().count(), 26);
    told(&home.line("cat dst 03.txt"), 2, &["\"03\" is deleted", "--undo"]);
    assert!(home.line("info dst").done().stdout.contains("4 of them deleted, 26 live"));
    let info = home.line("info dst --json").done().json();
    assert_eq!((&info["deleted"], &info["live"]), (&json!(4), &json!(26)));
    let verified = home.line("verify dst --against src").done().stdout;
    assert!(verified.contains("note: 4 samples of these marked as deleted"), "{verified}");
    home.line("unpack dst out").done();
    assert_eq!(home.files("out").len(), 26);

    let report = home.line("delete dst 03 05 06 17 20 --undo --json").done().json();
    let want = json!({
        "dataset": "dst", "changed": 4, "unchanged": 1, "deleted": 0, "live": 30, "dry_run": false
    });
    assert_eq!(report, want);
    // Only the versions tell what was done.
    let live = home.line("info dst --json").done().json();
    assert_eq!(live["live_digest"], live["versions"][0]["digest"]);
    let (mut after, mut before) = (home.files("dst"), before);
    after.retain(|name, _| !name.starts_with("manifest"));
    before.retain(|name, _| !name.starts_with("manifest"));
    assert!(after == before, "something else was written");
}

#[test]
fn keys_come_from_a_pipe() {
    let home = packed();
    let mut command = home.command(&["delete", "dst", "--from", "-", "--quiet"]);
    let (ours, theirs) = std::io::pipe().expect("a pipe");
    let mut running: Running = command.stdin(ours).spawn().expect("it runs").into();
    drop(command); // our end of its stdin
    std::io::Write::write_all(&mut { theirs }, b"00\n01\n").expect("it reads");
    assert!(running.id() > 0);
    let ran = running.end().done();
    assert_eq!((ran.stdout, ran.stderr), (String::new(), String::new()));
    assert_eq!(home.line("ls dst").done().stdout.lines().count(), 28);
}

#[test]
fn bad_input_changes_nothing_and_says_why() {
    let home = packed();
    home.write("bytes", b"00\n\xff\n");
    std::fs::create_dir(home.path("plain")).expect("a folder");
    home.write("plain/a.tar", [0; 1024]);
    let before = home.files("dst");
    let many: Vec<String> = (25..45).map(|i| i.to_string()).collect();
    for (line, stderr) in [
        ("delete dst".to_owned(), &["KEY"][..]),
        ("delete dst 00 x".into(), &["no sample has these keys; nothing was changed", "\"x\""]),
        ("delete dst 00 x --undo".into(), &["no sample has these keys", "\"x\""]),
        (format!("delete dst {}", many.join(" ")), &["\"30\"", "\"39\"", "and 5 more (15 in all)"]),
        ("delete nowhere 00".into(), &["nowhere: no such file"]),
        ("delete plain 00".into(), &["there is no manifest.json", "shardpack index"]),
        ("delete dst --from keys".into(), &["keys: not found"]),
        ("delete dst --from bytes".into(), &["bytes: no UTF-8 at byte 3"]),
    ] {
        told(&home.line(&line), 2, stderr);
    }
    assert!(home.files("dst") == before);
    let shard = before.keys().find(|name| name.starts_with("shards/")).expect("a shard");
    told(&home.line(&format!("delete dst/{shard} 00")), 2, &["one shard, not a dataset"]);
    assert!(!home.path("plain/.shardpack-lock").exists());

    let mut manifest = before["manifest.json"].clone();
    manifest[200] ^= 1;
    home.write("dst/manifest.json", manifest);
    told(&home.line("delete dst 00"), 1, &["manifest.json"]);
}

/// The program on `s3://bucket/dst`.
fn on_s3(home: &Home, server: &S3Server, line: &str) -> Ran {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = home.command(&args);
    command.envs(server.environment());
    for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(other);
    }
    Running::from(command.spawn().expect("the program runs")).end()
}

fn uploaded() -> (Home, S3Server) {
    let (home, server) = (packed(), S3Server::start());
    for (name, bytes) in home.files("dst") {
        server.put(&format!("dst/{name}"), bytes);
    }
    (home, server)
}

#[test]
fn a_dataset_on_s3_gets_the_same_marks() {
    let (home, server) = uploaded();
    home.line("delete dst 03 17").done();
    let ran = on_s3(&home, &server, "delete s3://bucket/dst 03 17").done();
    assert!(ran.stdout.starts_with("deleted 2 samples; 28 live"), "{}", ran.stdout);
    let manifest = || server.get("dst/manifest.json").expect("a manifest").to_vec();
    assert!(manifest() == home.files("dst")["manifest.json"], "other bytes than on a disk");
    let is_head =
        |key: &Option<String>| key.as_ref().is_some_and(|k| k.ends_with("dst/manifest.json"));
    let mut puts = server.calls().into_iter().filter(|call| call.operation == "PutObject");
    let put = puts.find(|call| is_head(&call.key));
    assert!(put.expect("a put").header("if-match").is_some(), "it was not conditional");
    assert_eq!(on_s3(&home, &server, "ls s3://bucket/dst").done().stdout.lines().count(), 28);
    let whole = on_s3(&home, &server, "verify s3://bucket/dst").done().stdout;
    assert!(whole.contains("2 samples of these marked as deleted"), "{whole}");
    told(&on_s3(&home, &server, "delete s3://bucket/dst x"), 2, &["no sample has these keys"]);
}

/// Two runs at a time: S3 has no locks, so one of them is told.
#[test]
fn of_two_deleters_on_s3_none_loses_the_others_marks() {
    let (home, server) = uploaded();
    for round in 0..6 {
        let keys = [format!("{:02}", 2 * round), format!("{:02}", 2 * round + 1)];
        let run = |key: &str| on_s3(&home, &server, &format!("delete s3://bucket/dst {key}"));
        let rans: Vec<Ran> = std::thread::scope(|scope| {
            let both = keys.each_ref().map(|key| scope.spawn(|| run(key)));
            both.map(|ran| ran.join().expect("no panic")).into()
        });
        for (ran, key) in rans.iter().zip(&keys) {
            match ran.code {
                Some(0) => {}
                _ => {
                    told(ran, 2, &["run the same command again"]);
                    run(key).done();
                }
            }
        }
        let manifest: Value =
            serde_json::from_slice(&server.get("dst/manifest.json").expect("a manifest"))
                .expect("JSON");
        let marks = manifest["tombstones"].as_array().expect("marks");
        assert_eq!(marks.len(), 2 * round + 2, "{marks:?}");
    }
}

/// A fault at any call: all marks or none, and a manifest that can be read.
#[test]
fn a_fault_on_s3_leaves_a_whole_manifest() {
    let (home, server) = uploaded();
    let fresh = server.get("dst/manifest.json").expect("a manifest");
    server.forget_calls();
    on_s3(&home, &server, "delete s3://bucket/dst 03").done();
    let marked = server.get("dst/manifest.json").expect("a manifest");
    let calls = server.call_count() as u64;
    let line = [Fault::SlowDown, Fault::ResetBefore, Fault::ResetAfter, Fault::ResetWithin(0)];
    let rest = [Fault::Truncated, Fault::Zeroed];
    let cases = line.iter().flat_map(|fault| (1..=calls).map(move |k| (fault, None, k)));
    // The manifest that is kept, then the one that takes its place.
    let puts = rest.iter().flat_map(|fault| [1, 2].map(|k| (fault, Some("PutObject"), k)));
    for (fault, operation, call) in cases.chain(puts) {
        server.put("dst/manifest.json", fresh.clone());
        let rule = FaultRule::new(fault.clone()).from(call);
        server.inject(match operation {
            Some(operation) => rule.on(operation),
            None => rule,
        });
        let ran = on_s3(&home, &server, "delete s3://bucket/dst 03 --stall-timeout 1");
        server.heal();
        assert_eq!(ran.code, Some(0), "{fault:?} at call {call}: {}", ran.stderr);
        let there = server.get("dst/manifest.json").expect("a manifest");
        assert!(there == marked, "{fault:?} at call {call}: another manifest");
    }
}
