//! `shardpack advise`, `simulate`, `warm` and `shuffle-score`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};
use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Running};

/// Twenty photographs of a kilobyte with a word beside each, and one that is hidden.
fn tree() -> Home {
    let home = Home::new();
    for i in 0..20 {
        home.write(&format!("src/{i:02}.jpg"), vec![7; 1000]);
        home.write(&format!("src/{i:02}.TXT"), "a word");
    }
    home.write("src/.hidden", "x");
    home
}

#[track_caller]
fn told(ran: &Ran, code: i32, parts: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    for part in parts {
        assert!(ran.stderr.contains(part), "{part:?} in {}", ran.stderr);
    }
}

fn on_s3(server: &S3Server, home: &Home, line: &str) -> Ran {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = home.command(&args);
    command.envs(server.environment());
    for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(other);
    }
    Running::from(command.spawn().expect("the program runs")).end()
}

#[test]
fn a_tree_is_to_be_packed() {
    let home = tree();
    let text = home.line("advise src --hosts 2 --workers 3 --access sequential").done().stdout;
    for part in [
        "data       40 files, 20.1 kB (jpg 20, txt 20)",
        "advice     pack into 6 shards of 3.35 kB; S3, File; ShardedByS3Key",
        "lengths    half of the files to 6 bytes, nine in ten to 1 kB, all to 1 kB; 100 % of the bytes",
        "because    Do most bytes lie in files below 50 MB? 100 % >= 50 %: yes",
        "runner-up  S3, FastFile, which lost by: Is the download short? 12 s <= 5 min: yes",
        "unknown    bytes a second that the model takes",
        "prices     us-east-1",
        "next       shardpack pack src DST --target 150MB --shard-multiple 6",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    assert_eq!(home.line("advise src --quiet").done().stdout, "");
}

/// Shards with small files beside them: their mean length is a small file's.
#[test]
fn shards_among_small_files_are_kept() {
    let home = Home::new();
    fs::create_dir(home.path("src")).expect("a folder");
    for i in 0..3 {
        let shard = fs::File::create(home.path(&format!("src/{i}.tar"))).expect("a file");
        shard.set_len(150_000_000).expect("a hole");
    }
    for i in 0..40 {
        home.write(&format!("src/{i}.index"), "x");
    }
    let text = home.line("advise src --storage s3").done().stdout;
    for part in [
        "lengths    half of the files to 1 bytes, nine in ten to 1 bytes, all to 150 MB; 0 % of the bytes",
        "advice     keep the 43 files; S3, File; FullyReplicated",
        "because    Do most bytes lie in files below 50 MB? 0 % >= 50 %: no",
        "Is most of the reading the opening of files below 50 MB? 27.2 % >= 50 %: no",
        "note       Do small files lie beside larger ones that hold most bytes? 40 > 0: yes: what is no",
    ] {
        assert!(text.contains(part), "{part:?} in\n{text}");
    }
    let data = &home.line("advise src --json").done().json()["data"];
    assert_eq!(data["quantiles"]["half_of_bytes"], json!(150_000_000));
    assert_eq!(data["small"], json!({ "files": 40, "bytes": 40 }));
    home.line("advise src --html page.html").done();
    let page = fs::read_to_string(home.path("page.html")).expect("a page");
    assert!(page.contains("<p>half of the files to 1 bytes, nine in ten"), "{page}");
}

#[test]
fn what_is_advised_can_be_done_and_is_then_kept() {
    let home = tree();
    home.line("pack src dst --target 150MB --shard-multiple 6").done();
    let answer = home.line("advise dst --hosts 2 --workers 3 --json").done().json();
    assert_eq!(answer["data"]["packed"], json!(true));
    assert_eq!(answer["data"]["formats"], json!([["webdataset", 6]]));
    assert_eq!((&answer["serialise"], &answer["shards"]["count"]), (&json!(false), &json!(6)));
    let shards: usize = home.files("dst/shards").values().map(Vec::len).sum();
    assert_eq!(answer["data"]["bytes"], json!(shards));
}

#[test]
fn nothing_is_read_but_the_listing() {
    let home = Home::new();
    for i in 0..40 {
        home.write(&format!("src/{i:02}.jpg"), "x");
    }
    let server = S3Server::start();
    for (name, bytes) in home.files("src") {
        server.put(&format!("src/{name}"), bytes);
    }
    let source = format!("s3://{}/src", S3Server::BUCKET);
    let answer = on_s3(&server, &home, &format!("advise {source} --json")).done().json();
    assert_eq!((&answer["data"]["files"], &answer["data"]["home"]), (&json!(40), &json!("s3")));
    assert_eq!(answer["choice"], json!("file"));
    let unknown = answer["unknown"].as_array().expect("a list");
    assert!(unknown.iter().all(|unknown| unknown["what"] != "where the data will lie"));
    let run = on_s3(&server, &home, &format!("simulate {source} --mode pipe --json")).done().json();
    assert_eq!((&run["run"]["objects"], &run["run"]["bytes"]), (&json!(40), &json!(40)));
    // What a body would cost: nobody asked for one.
    let calls = server.calls();
    let asked = calls.iter().filter(|call| call.operation == "GetObject").count();
    assert!(calls.iter().any(|call| call.operation == "ListObjectsV2"));
    assert_eq!(asked, 0);
}

#[test]
fn a_page_is_written() {
    let home = tree();
    home.line("advise src --html page.html --consume 100MB/s").done();
    let page = fs::read_to_string(home.path("page.html")).expect("a page");
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("<h1>Pack into 1 shard of 20.1 kB; S3, File; FullyReplicated</h1>"));
    told(&home.line("advise src --html no/page.html"), 2, &["--html no/page.html: not found"]);
}

#[test]
fn prices_of_a_file_are_used_and_named() {
    let home = tree();
    let prices = r#"{"region": "eu-west-1", "date": "2026-11", "source": "the bill",
                     "instance_hour": 3600, "s3_get_1000": 1000}"#;
    home.write("prices.json", prices);
    let answer = home.line("advise src --json --prices prices.json").done().json();
    assert_eq!(answer["prices"]["region"], json!("eu-west-1"));
    let file = &answer["estimates"][0];
    assert_eq!(file["gets"], json!(1));
    let cost = |name: &str| file[name].as_f64().expect("a price");
    assert!((cost("requests_cost") - 1.0).abs() < 1e-4);
    assert!((cost("waiting_cost") - file["start"].as_f64().expect("seconds")).abs() < 1e-6);
}

#[test]
fn bad_input_of_each_kind_has_its_own_error() {
    let home = tree();
    home.write("empty/x", "");
    fs::create_dir(home.path("nothing")).expect("a folder");
    home.write("list.json", "[1, 2]");
    home.write("half.json", "{\"region\": ");
    let table = |rest: &str| format!(r#"{{"region": "a", "date": "b", "source": "c", {rest}}}"#);
    home.write("below.json", table(r#""efs_read_gb": -0.1"#));
    home.write("other.json", table(r#""price_of_tea": 1"#));
    for (line, parts) in [
        ("advise nowhere", &["error: nowhere: no such file", "hint:"][..]),
        ("advise empty", &["empty: no byte to read", "hint:"]),
        ("advise nothing", &["nothing: no byte to read"]),
        ("advise src --include *.png", &["src: no byte to read", "--include"]),
        ("advise src --prices none.json", &["--prices none.json: not found"]),
        ("advise src --prices list.json", &["--prices list.json: not a table", "line 1"]),
        ("advise src --prices half.json", &["--prices half.json: not a table", "EOF", "hint:"]),
        ("advise src --prices below.json", &["efs_read_gb: -0.1 is not a number of at least 0"]),
        ("advise src --prices other.json", &["unknown field `price_of_tea`"]),
        ("advise src --consume -5MB/s", &["--consume"]),
        ("advise src --consume 500MB", &["--consume", "500MB/s"]),
        ("advise src --consume 0B/s", &["--consume", "above 0"]),
        ("advise src --hours -1", &["hours of training: -1 is not a number above 0"]),
        ("advise src --hosts 0", &["hosts: 0 is not a number above 0"]),
        ("advise src --target 0", &["target: 0"]),
        ("advise src --vpc perhaps", &["perhaps", "yes, no"]),
        ("simulate src", &["--mode"]),
        (
            "simulate src --mode carrier-pigeon",
            &["carrier-pigeon", "file, fastfile, pipe, fsx, efs"],
        ),
        ("simulate src --mode file --latency -20ms", &["--latency"]),
        ("simulate src --mode file --latency 20", &["20ms"]),
        ("simulate src --mode file --bandwidth 0MB/s", &["above 0"]),
        ("simulate src --mode file --in-flight 0", &["requests in flight: 0"]),
        ("simulate src --mode file --request 0", &["request: 0"]),
        ("simulate empty --mode file", &["empty: no byte to read"]),
        ("advise src --disk -5", &["--disk", "150MB"]),
        ("advise src --hours many", &["--hours", "a number of hours: 2.5"]),
        ("advise src --storage ebs", &["--storage", "s3, efs, fsx, local"]),
        ("advise src/00.jpg", &["src/00.jpg: neither a folder", "--source-type"]),
        ("advise src --html src", &["--html src", "directory"]),
        ("simulate nowhere --mode fsx", &["nowhere: no such file", "hint:"]),
        ("simulate src --mode file --hosts 0", &["hosts: 0"]),
        ("simulate src --mode efs --disk 0MB/s", &["--disk", "above 0"]),
        ("warm s3://bucket/x", &["s3://bucket/x", "mounted"]),
        ("warm src --hsm --batch many", &["--batch", "many"]),
        ("warm nowhere", &["nowhere: not found"]),
        ("warm src --jobs 0", &["--jobs"]),
        ("warm src --batch 5", &["--hsm"]),
        ("warm src --whole --hsm", &["cannot be used"]),
    ] {
        told(&home.line(line), 2, parts);
    }
}

#[test]
fn a_set_that_is_too_much_to_play_says_what_to_do() {
    let home = Home::new();
    home.write("src/a", "");
    let file = fs::OpenOptions::new().write(true).open(home.path("src/a")).expect("a file");
    file.set_len(1 << 40).expect("a hole");
    let line = "simulate src --mode fastfile --request 1KiB";
    told(&home.line(line), 2, &["at most 20000000 are played", "--request"]);
}

#[test]
fn a_foreign_manifest_does_not_make_a_dataset() {
    let home = tree();
    home.write("src/manifest.json", r#"{"images": []}"#);
    let ran = home.line("advise src --json").done();
    assert_eq!(ran.json()["data"]["files"], json!(41));
    assert!(ran.stderr.contains("not a dataset"), "{}", ran.stderr);
}

/// `--latency L --bandwidth B`, one worker, one request at a time: n * (L + len / B).
#[test]
fn a_simulation_of_one_stream_is_what_can_be_worked_out() {
    let home = Home::new();
    for i in 0..10 {
        home.write(&format!("src/{i}"), vec![0; 100_000]);
    }
    let line = "simulate src --mode fastfile --latency 20ms --bandwidth 1MB/s --stream 10MB/s \
                --in-flight 1 --start 0s --json";
    let run = home.line(line).done().json()["run"].clone();
    let figure = |name: &str| run[name].as_f64().expect("a figure");
    assert!((figure("epoch") - 10.0 * (0.02 + 0.1)).abs() < 1e-9, "{run}");
    assert!((figure("start") - 10.0 / 10_000.0).abs() < 1e-12, "{run}");
    assert_eq!((&run["bytes"], &run["requests"]), (&json!(1_000_000), &json!(10)));
    let text = home.line(&line.replace("--json", "--hosts 3")).done().stdout;
    assert!(text.contains("skew         hosts 1.33"), "{text}");
    assert!(text.contains("set          10 objects, 1.00 MB"), "{text}");
}

#[test]
fn warming_reads_a_byte_of_each_file_or_all() {
    let home = tree();
    fs::create_dir(home.path("far")).expect("a folder");
    home.write("far/away", "not to be followed");
    symlink(home.path("far"), home.path("src/link")).expect("a link");
    home.write("src/empty", "");
    let report = |line: &str| home.line(line).done().json();
    let first = report("warm src --json");
    let figures = |report: &Value| ["files", "bytes", "read", "empty"].map(|n| report[n].clone());
    // 20 photographs, 20 words, and the hidden file.
    assert_eq!(figures(&first), [41, 20_121, 41, 1].map(Value::from));
    assert_eq!(
        figures(&report("warm src --json --whole --jobs 3")),
        [41, 20_121, 20_121, 1].map(Value::from)
    );
    assert_eq!(figures(&report("warm src/00.jpg --json")), [1, 1000, 1, 0].map(Value::from));
    let text = home.line("warm src").done().stdout;
    assert!(text.starts_with("warmed 41 files, 20.1 kB; 41 bytes read in"), "{text}");
}

/// An lfs whose files are released until they are asked for, and then for one more look.
const LFS: &str = r#"#!/bin/sh
verb=$1; shift
case $verb in
hsm_state)
  for file; do
    mark="$MARKS/$(echo "$file" | tr / _)"
    if [ -e "$mark.there" ]; then echo "$file: (0x00000009) exists archived, archive_id:1"
    else echo "$file: (0x0000000d) released exists archived, archive_id:1"; fi
    if [ -e "$mark.asked" ]; then : > "$mark.there"; fi
  done;;
hsm_restore)
  echo "$#" >> "$MARKS/calls"
  for file; do : > "$MARKS/$(echo "$file" | tr / _).asked"; done;;
esac
"#;

fn with_lfs(home: &Home, script: &str) -> impl Fn(&str) -> Ran {
    home.write("bin/lfs", script);
    let lfs = home.path("bin/lfs");
    fs::set_permissions(&lfs, fs::Permissions::from_mode(0o755)).expect("an executable");
    fs::create_dir_all(home.path("marks")).expect("a folder");
    |line: &str| {
        let args: Vec<&str> = line.split_whitespace().collect();
        let mut command = home.command(&args);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", home.path("bin").display()));
        command.env("MARKS", home.path("marks"));
        Running::from(command.spawn().expect("the program runs")).end()
    }
}

#[test]
fn warming_by_hsm_asks_once_for_what_is_released_in_batches() {
    let home = tree();
    let run = with_lfs(&home, LFS);
    let first = run("warm src --hsm --batch 8 --json").done().json();
    assert_eq!((&first["files"], &first["already"]), (&json!(41), &json!(0)));
    assert_eq!((&first["bytes"], &first["read"]), (&json!(20_121), &json!(0)));
    let calls = fs::read_to_string(home.path("marks/calls")).expect("calls");
    let calls: Vec<u64> = calls.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(calls.iter().all(|files| *files <= 8) && calls.iter().sum::<u64>() == 41, "{calls:?}");
    // Again: all is there, and nothing is asked for.
    let second = run("warm src --hsm --json").done().json();
    assert_eq!((&second["files"], &second["already"]), (&json!(41), &json!(41)));
    assert_eq!(
        fs::read_to_string(home.path("marks/calls")).expect("calls").lines().count(),
        calls.len()
    );
}

#[test]
fn an_lfs_that_fails_or_talks_otherwise_is_named() {
    let home = tree();
    let run = with_lfs(&home, "#!/bin/sh\necho 'not a Lustre file system' >&2\nexit 22\n");
    told(
        &run("warm src --hsm"),
        2,
        &["lfs hsm_state: failed", "not a Lustre file system", "hint:"],
    );
    let run = with_lfs(&home, "#!/bin/sh\necho hello\n");
    told(&run("warm src --hsm"), 2, &["lfs hsm_state: its answer is not a line for each file"]);
    fs::remove_file(home.path("bin/lfs")).expect("a file");
    told(&home.line("warm src --hsm"), 2, &["there is no lfs here", "without --hsm"]);
}

#[test]
fn a_shuffled_set_is_mixed_and_a_sorted_one_is_not() {
    let home = Home::new();
    for i in 0..120 {
        home.write(&format!("src/class{}/{i:03}.txt", i / 30), format!("{i}"));
    }
    home.line("pack src sorted --labels folder --order key").done();
    home.line("pack src mixed --labels folder --order shuffle:1 --max-samples 25").done();
    home.line("pack src records --labels folder --order key --format recordio").done();
    home.line("pack src bare --order key").done();
    let score = |line: &str| {
        let rows = home.line(line).done().json();
        let row = rows[0].clone();
        assert_eq!((&row["samples"], &row["classes"]), (&json!(120), &json!(4)));
        row["score"].as_f64().expect("a score")
    };
    // A label in the index counts as one in a field.
    let records = score("shuffle-score records --window 10 --json");
    let (sorted, mixed) = (
        score("shuffle-score sorted --window 10 --json"),
        score("shuffle-score mixed --window 10 --json"),
    );
    assert!(sorted < 0.3 && (0.85..1.15).contains(&mixed), "{sorted} {mixed}");
    assert_eq!(sorted, records);
    let text = home.line("shuffle-score sorted --window 10").done().stdout;
    assert!(text.contains("1.00 classes in 10 samples") && text.contains("4 classes"), "{text}");
    for (line, part) in [
        ("shuffle-score bare", "no full window of 64 in 0 samples"),
        ("shuffle-score mixed --window 121", "no full window of 121 in 120 samples"),
        ("shuffle-score src", "no dataset here"),
        ("shuffle-score mixed --window 0", "--window"),
    ] {
        told(&home.line(line), 2, &[part]);
    }
    // What was deleted is not counted.
    home.run(&["delete", "sorted", "class0/000"]).done();
    let rows = home.line("shuffle-score sorted --window 10 --json").done().json();
    assert_eq!(rows[0]["samples"], json!(119));
}
