//! `verify --quarantine`, and the commands that read what it writes.

use serde_json::json;
use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Running};

/// Thirty samples in three shards, of which those with these keys are damaged.
fn damaged(keys: &[&str]) -> Home {
    let home = Home::new();
    for i in 0..30 {
        home.write(&format!("src/{i:02}.txt"), format!("sample number {i:02}"));
    }
    home.line("pack src dst --max-samples 10 --order key").done();
    for (name, mut bytes) in home.files("dst/shards") {
        for key in keys {
            let body = format!("number {key}");
            if let Some(at) = bytes.windows(body.len()).position(|part| part == body.as_bytes()) {
                bytes[at] = b'N';
            }
        }
        home.write(&format!("dst/shards/{name}"), bytes);
    }
    home
}

#[track_caller]
fn told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    for part in parts {
        assert!(all.contains(part), "{part:?} in {all}");
    }
}

#[test]
fn damaged_samples_are_written_down_and_passed_over() {
    let home = damaged(&["03", "17"]);
    let before = home.files("dst");
    told(&home.line("bench-read dst --epochs 1"), 1, &["wrong crc32c"]);
    let ran = home.line("verify dst --quarantine q.json");
    told(&ran, 1, &["NOT WHOLE", "quarantine: 2 samples in q.json\n"]);
    assert!(home.files("dst") == before, "the dataset is not touched");
    let document: serde_json::Value =
        serde_json::from_slice(&std::fs::read(home.path("q.json")).expect("a file")).expect("JSON");
    let keys = document["samples"].as_array().expect("samples").iter();
    let keys: Vec<_> = keys.map(|sample| sample["key"].as_str().expect("a key")).collect();
    assert_eq!((keys, &document["version"]), (vec!["03", "17"], &json!(1)));

    let text = home.line("bench-read dst --epochs 1 --quarantine q.json").done().stdout;
    assert!(
        text.contains("28 samples an epoch") && text.contains("2 samples in quarantine"),
        "{text}"
    );
    for rank in 0..2 {
        let line = format!("bench-read dst --world 2 --rank {rank} --quarantine q.json --json");
        let report = home.line(&format!("{line} --coverage seen")).done().json();
        let rows = (&report["quarantined"], &report["epochs"][1]["samples"]);
        assert_eq!(rows, (&json!(2), &json!(14)), "rank {rank}");
    }
    home.line("audit dst seen --epochs 2 --quarantine q.json").done();
    told(&home.line("audit dst seen --epochs 2"), 2, &[]);

    told(
        &home.line("why dst 03 --quarantine q.json"),
        1,
        &["state    DAMAGED", "state    in quarantine, nobody reads it: "],
    );
    let report = home.line("why dst 04 --quarantine q.json --json").done().json();
    assert!(report["quarantined"].is_null() && report["read"]["world"] == 1, "{report}");
}

#[test]
fn an_empty_quarantine_is_one_and_an_old_one_is_replaced() {
    let home = damaged(&[]);
    home.write("q.json", "anything");
    let ran = home.line("verify dst --quarantine q.json").done();
    assert!(ran.stdout.contains("quarantine: 0 samples in q.json"), "{}", ran.stdout);
    let text = home.line("bench-read dst --epochs 1 --quarantine q.json").done().stdout;
    assert!(text.contains("30 samples an epoch") && !text.contains("in quarantine"), "{text}");
}

#[test]
fn what_it_does_not_help_against_is_said() {
    let home = damaged(&["03"]);
    let shards = home.files("dst/shards");
    let last = shards.keys().last().expect("a shard");
    home.write(&format!("dst/shards/{last}"), &shards[last][..1000]);
    let ran = home.line("verify dst --quarantine q.json");
    told(&ran, 1, &["quarantine: 1 sample in q.json; 1 other damage it does not help against"]);
    told(&home.line("bench-read dst --epochs 1 --quarantine q.json"), 1, &["1000 bytes"]);
}

#[test]
fn wrong_uses_say_why() {
    let home = damaged(&["03"]);
    home.line("verify dst --quarantine q.json");
    home.write("more/x.txt", "another");
    home.line("pack more other").done();
    std::fs::create_dir(home.path("plain")).expect("a folder");
    let (_, shard) = home.files("dst/shards").pop_first().expect("a shard");
    home.write("plain/a.tar", shard);
    for (line, parts) in [
        ("verify dst --quick --quarantine r.json", &["cannot be used with"][..]),
        ("verify plain --quarantine r.json", &["belongs to a manifest", "shardpack index"]),
        ("bench-read other --quarantine q.json", &["q.json", "belongs to another dataset"]),
        ("why other x --quarantine q.json", &["q.json", "belongs to another dataset"]),
        ("bench-read dst --quarantine none.json", &["none.json"]),
        ("bench-read dst --quarantine dst/manifest.json", &["not a shardpack quarantine"]),
    ] {
        let ran = home.line(line);
        assert_ne!(ran.code, Some(0), "{line}");
        told(&ran, ran.code.expect("an exit"), parts);
    }
    assert!(!home.path("r.json").exists());
}

#[test]
fn it_may_lie_on_s3() {
    let (home, server) = (damaged(&["03"]), S3Server::start());
    // Where the server is, is said by the environment or by a flag alone.
    let run = |line: &str, flag: bool| {
        let endpoint = flag.then(|| format!("--endpoint-url={}", server.endpoint()));
        let args: Vec<&str> = line.split_whitespace().chain(endpoint.as_deref()).collect();
        let mut command = home.command(&args);
        command.envs(server.environment());
        for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
            command.env_remove(other);
        }
        if flag {
            // Nobody listens there.
            command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
        }
        Running::from(command.spawn().expect("the program runs")).end()
    };
    for flag in [false, true] {
        let folder = if flag { "flags" } else { "variables" };
        let place = format!("s3://bucket/{folder}/q.json");
        let verified = run(&format!("verify dst --quarantine {place}"), flag);
        told(&verified, 1, &["quarantine: 1 sample in s3://"]);
        assert!(server.get(&format!("{folder}/q.json")).is_some());
        let read = format!("bench-read dst --epochs 1 --quarantine {place} --coverage {folder}");
        let text = run(&read, flag).done().stdout;
        assert!(text.contains("29 samples an epoch"), "{text}");
        let audit = run(&format!("audit dst {folder} --quarantine {place}"), flag);
        told(&audit, 0, &["29 of 29 samples once"]);
        told(&run(&format!("why dst 03 --quarantine {place}"), flag), 1, &["in quarantine"]);
        told(&run(&format!("why dst 04 --quarantine {place}"), flag), 0, &["04"]);
    }
}
