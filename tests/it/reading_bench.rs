//! `shardpack bench-read`.

use serde_json::json;
use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Running};

/// Thirty samples in three shards.
fn packed() -> Home {
    let home = Home::new();
    for i in 0..30 {
        home.write(&format!("src/{i:02}.txt"), format!("sample {i:02}"));
    }
    home.line("pack src dst --max-samples 10").done();
    home
}

#[track_caller]
fn told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
    }
}

#[test]
fn every_epoch_has_its_row() {
    let home = packed();
    let text = home.line("bench-read dst --epochs 3").done().stdout;
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), 7, "{text}");
    assert!(rows[0].starts_with("dst: 30 samples an epoch, rank 0 of 1"), "{text}");
    assert!(rows[2].contains("first sample") && rows[2].contains("peak memory"), "{text}");
    assert!(rows[5].trim_start().starts_with("2 ") && rows[5].contains('%'), "{text}");
    assert!(rows[6].trim_start().starts_with("plain") && rows[6].contains("3 shards"), "{text}");
    assert_eq!(home.line("bench-read dst --quiet").done().stdout, "");
}

#[test]
fn figures_add_up() {
    let home = packed();
    let shards: usize = home.files("dst/shards").values().map(Vec::len).sum();
    for (options, rows, samples) in [
        ("", 2, 30),
        ("--epochs 1 --threads 0 --shuffle exact --memory 1MB", 1, 30),
        ("--world 4 --rank 3 --epochs 1", 1, 8),
        ("--world 4 --rank 3 --tail drop --epochs 1", 1, 7),
        ("--samples 12 --epochs 2", 2, 12),
        ("--subset 0.5 --epochs 1", 1, 15),
    ] {
        let report = home.line(&format!("bench-read dst --json {options}")).done().json();
        let epochs = report["epochs"].as_array().expect("epochs");
        assert_eq!(epochs.len(), rows, "{options}");
        for (number, epoch) in epochs.iter().enumerate() {
            let figure = |name: &str| epoch[name].as_f64().unwrap_or_else(|| panic!("{name}"));
            assert_eq!((&epoch["epoch"], &epoch["samples"]), (&json!(number), &json!(samples)));
            assert_eq!(figure("bytes"), 9.0 * f64::from(samples), "{options}");
            let seconds = figure("seconds");
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b;
            assert!(close(figure("samples_per_second") * seconds, f64::from(samples)), "{options}");
            assert!(close(figure("bytes_per_second") * seconds, figure("bytes")), "{options}");
            assert!(figure("first_sample_seconds") > 0.0, "{options}");
            assert!(figure("first_sample_seconds") <= seconds, "{options}");
            assert!((0.0..=1.0).contains(&figure("waited")), "{options}: {epoch}");
            assert!(figure("peak_memory") > 1e6, "{options}: {epoch}");
        }
        if options.is_empty() {
            let plain = &report["plain"];
            assert_eq!((&plain["shards"], &plain["bytes"]), (&json!(3), &json!(shards)));
        }
    }
}

/// A loop that computes is not starved by a dataset that is in memory.
#[test]
fn computing_is_not_waiting() {
    let home = packed();
    let report =
        home.line("bench-read dst --epochs 1 --batch 10 --compute 40 --json").done().json();
    let (waited, seconds) = (&report["epochs"][0]["waited"], &report["epochs"][0]["seconds"]);
    assert!(seconds.as_f64().expect("seconds") >= 0.12, "{report}");
    let only = home.line("bench-read dst --epochs 1 --json").done().json();
    let only = only["epochs"][0]["waited"].as_f64().expect("a share");
    assert!(waited.as_f64().expect("a share") < only, "{waited} of a loop that computes, {only}");
}

#[test]
fn bad_input_and_damage_say_what_and_where() {
    let home = packed();
    for (line, parts) in [
        ("bench-read nowhere", &["nowhere: no such file"][..]),
        ("bench-read dst --rank 2 --world 2", &["rank 2 of 2"]),
        ("bench-read dst --compute 5", &["--batch"]),
        ("bench-read dst --epochs 0", &["--epochs"]),
        ("bench-read dst --split x", &["no split \"x\""]),
        ("bench-read dst --lanes 0", &["0 lanes"]),
        ("bench-read dst --tail drop --world 31", &["an epoch has no step"]),
        ("bench-read dst --coverage dst/manifest.json/x", &["dst/manifest.json/x"]),
    ] {
        told(&home.line(line), 2, parts);
    }
    let name = "dst/shards/data-00001-of-00003.tar";
    let mut bytes = std::fs::read(home.path(name)).expect("a shard");
    bytes[513] ^= 1;
    home.write(name, &bytes);
    told(&home.line("bench-read dst"), 1, &["data-00001", "record 0", "wrong crc32c"]);
    home.write(name, &bytes[..900]);
    told(&home.line("bench-read dst"), 1, &["data-00001", "900 bytes, the manifest says"]);
}

#[test]
fn a_dataset_on_s3_is_measured_too() {
    let (home, server) = (packed(), S3Server::start());
    for (name, bytes) in home.files("dst") {
        server.put(&format!("dst/{name}"), bytes);
    }
    let mut command = home.command(&["bench-read", "s3://bucket/dst", "--json"]);
    command.envs(server.environment());
    for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(other);
    }
    let report = Running::from(command.spawn().expect("the program runs")).end().done().json();
    assert_eq!((&report["threads"], &report["dataset"]), (&json!(16), &json!("s3://bucket/dst/")));
    assert_eq!(report["epochs"][1]["samples"], 30);
    assert_eq!(report["plain"]["shards"], 3);
}

#[test]
fn a_cache_serves_all_epochs_but_the_first() {
    let (home, server) = (packed(), S3Server::start());
    for (name, bytes) in home.files("dst") {
        server.put(&format!("dst/{name}"), bytes);
    }
    let run = |options: &[&str]| {
        let mut command = home.command(&[&["bench-read", "s3://bucket/dst"], options].concat());
        command.envs(server.environment());
        for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
            command.env_remove(other);
        }
        Running::from(command.spawn().expect("the program runs")).end()
    };
    let report = run(&["--json", "--cache", "near", "--cache-size", "10MB"]).done().json();
    let figure = |epoch: usize, name: &str| report["epochs"][epoch][name].as_u64().expect("one");
    assert!(figure(0, "fetched_bytes") > 0);
    assert_eq!((figure(1, "fetched_bytes"), figure(1, "retries")), (0, 0));
    assert!(figure(1, "cached_bytes") >= figure(1, "shard_bytes"));
    let text = run(&["--cache", "near", "--epochs", "1"]).done().stdout;
    assert!(text.contains("from cache") && text.contains("100 %"), "{text}");
    // One that cannot be used is told of once, and read past.
    let past = run(&["--cache", "dst/manifest.json/below"]).done();
    assert_eq!(past.stderr.matches("the cache was read past").count(), 1, "{}", past.stderr);
    told(&home.line("bench-read dst --cache-size 1GB"), 2, &["--cache"]);
}
