//! Datasets packed anew: every format into every other, parts of them, several as one, and what goes
//! wrong on the way.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Random, Running};

type Files = BTreeMap<String, Vec<u8>>;

const FORMATS: [&str; 4] = ["webdataset", "tfrecord", "recordio", "recordio-protobuf"];
/// Where MXNet splits a record.
const MAGIC: [u8; 4] = [0x0a, 0x23, 0xd7, 0xce];

/// Images in classes with odd names, one with dots in its key's folder, one that RecordIO splits,
/// one whose extension is in capitals; and as many texts again, if asked for.
fn tree(home: &Home, count: u64, texts: bool) {
    let mut random = Random(5);
    for i in 0..count {
        let class = ["cat", "a.b c", "日本"][i as usize % 3];
        let key = format!("src/{class}/s{i:03}");
        let len = 300 + random.below(6_000);
        let mut body = random.bytes(len);
        if i % 5 == 2 {
            body[40..44].copy_from_slice(&MAGIC);
            body[120..124].copy_from_slice(&MAGIC);
        }
        let extension = if i % 7 == 3 { "JPG" } else { "jpg" };
        home.write(&format!("{key}.{extension}"), body);
        if texts {
            home.write(&format!("{key}.txt"), format!("sample {i}"));
        }
    }
}

#[track_caller]
fn same(found: &Files, whole: &Files) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(whole));
    let other: Vec<_> = found.iter().filter(|(name, bytes)| &&whole[*name] != bytes).collect();
    assert!(other.is_empty(), "other bytes: {:?}", other.iter().map(|o| o.0).collect::<Vec<_>>());
}

/// What holds the samples; the manifest also tells how they were chosen.
fn shards(home: &Home, folder: &str) -> Files {
    let wanted = |name: &String| name.starts_with("shards/") || name.starts_with("index/");
    home.files(folder).into_iter().filter(|(name, _)| wanted(name)).collect()
}

#[track_caller]
fn told(ran: &Ran, code: i32, words: &[&str]) {
    assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
    }
}

#[test]
fn every_format_becomes_every_other_as_if_packed_from_files() {
    let home = Home::new();
    tree(&home, 36, false);
    let options = |format: &str| format!("--format {format} --target 40kB --order shuffle:3");
    for format in FORMATS {
        let plain = options(format);
        home.line(&format!("pack src {format} {plain} --labels folder")).done();
    }
    for from in FORMATS {
        for to in FORMATS {
            let out = format!("{from}-{to}");
            let line = format!("reshard {from} {out} {} --json", options(to));
            let report = home.line(&line).done().json();
            // A tar carries labels as fields, which its digest tells.
            let alike = (from == "webdataset") == (to == "webdataset");
            assert_eq!(report["same"], alike, "{out}: {report}");
            let (found, packed) = (shards(&home, &out), shards(&home, to));
            same(&found, &packed);
            assert_eq!(home.files(&out)["labels.json"], home.files(to)["labels.json"]);
            home.line(&format!("verify {out} --against src")).done();
        }
    }
}

#[test]
fn a_round_trip_gives_the_same_bytes() {
    let home = Home::new();
    tree(&home, 30, false);
    home.line("pack src one --labels folder --target 50kB").done();
    home.line("reshard one two --format tfrecord --order key --target 20kB").done();
    home.line("reshard two three --format recordio --order label --target 30kB").done();
    home.line("reshard three four --format webdataset --target 50kB").done();
    let (mut one, mut four) = (home.files("one"), home.files("four"));
    let manifests = [one.remove("manifest.json"), four.remove("manifest.json")];
    assert!(manifests.iter().all(Option::is_some));
    // Ids of the list are the third one's, in the order of labels.
    one.retain(|name, _| !name.ends_with(".index"));
    four.retain(|name, _| !name.ends_with(".index"));
    same(&four, &one);
    home.line("unpack four back").done();
    same(&home.files("back"), &home.files("src"));
}

#[test]
fn the_number_of_jobs_changes_no_byte() {
    let home = Home::new();
    tree(&home, 60, true);
    home.line("pack src one --labels folder --target 60kB --split a=0.5,b=0.5").done();
    for options in ["--format tfrecord", "--format webdataset --compress gzip", "--order label"] {
        let line = format!("reshard one OUT {options} --target 50kB --split t=0.8,v=0.2");
        home.line(&line.replace("OUT", "whole")).done();
        for jobs in [1, 2, 8] {
            home.line(&format!("{} --jobs {jobs}", line.replace("OUT", "out"))).done();
            same(&home.files("out"), &home.files("whole"));
            fs::remove_dir_all(home.path("out")).expect("a folder");
        }
        fs::remove_dir_all(home.path("whole")).expect("a folder");
    }
}

#[test]
fn damage_in_a_source_is_named_and_nothing_is_published() {
    let home = Home::new();
    tree(&home, 20, false);
    for format in FORMATS {
        home.line(&format!("pack src {format} --format {format} --order key")).done();
        let sound = home.files(format);
        let shard = sound.keys().find(|name| name.starts_with("shards/")).expect("a shard");
        let mut bytes = sound[shard].clone();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        home.write(&format!("{format}/{shard}"), &bytes);
        let line = format!("reshard {format} out --format webdataset");
        let ran = home.line(&line);
        told(&ran, 1, &[shard.as_str(), "record ", "offset ", "crc32c"]);
        assert!(!home.path("out/manifest.json").exists() && !home.path("out/shards").exists());
        // Restored, the same command finishes.
        home.write(&format!("{format}/{shard}"), &sound[shard]);
        home.line(&line).done();
        fs::remove_dir_all(home.path("out")).expect("a folder");
        // Cut short.
        home.write(&format!("{format}/{shard}"), &bytes[..at]);
        told(&home.line(&line), 2, &[shard.as_str(), "changed during the run", "bytes"]);
        assert!(!home.path("out/manifest.json").exists());
        fs::remove_dir_all(home.path("out")).expect("a folder");
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_written() {
    let home = Home::new();
    tree(&home, 9, true);
    home.line("pack src one --labels folder").done();
    home.line("pack src two --format tfrecord").done();
    for (line, words) in [
        ("reshard one out --format recordio", &["recordio keeps exactly one", "--fields"][..]),
        (
            "reshard one two out",
            &["keys must be unique", "--duplicates", "/one/shards/", "/two/shards/"],
        ),
        ("reshard one one/out", &["lies inside of the source"]),
        ("reshard one one", &["the same folder"]),
        ("reshard one two", &["holds another dataset"]),
        ("reshard one out --split-from train", &["has no such split", "it is not split"]),
        ("reshard one out --rename jpg=txt", &["would have one name", "jpg and txt"]),
        ("reshard one out --fold 3/2", &["--fold 3/2"]),
        ("reshard one out --slice 9..9", &["--slice 9..9", "holds no sample"]),
        ("reshard one out --slice 5", &["--slice", "FIRST..END"]),
        ("reshard one out --slice 1000..", &["no sample is left", "--slice"]),
        ("reshard one out --glob x*", &["no sample is left", "--glob"]),
        ("reshard one out --fields png", &["no sample is left", "without a field"]),
        ("reshard nowhere out", &["nowhere: no such file"]),
    ] {
        told(&home.line(line), 2, words);
        assert!(!home.path("out").exists(), "{line}");
    }
    // Another selection is another run.
    home.line("reshard one out --format tfrecord --head 4").done();
    fs::remove_file(home.path("out/manifest.json")).expect("a manifest");
    told(&home.line("reshard one out --format tfrecord --head 5"), 2, &["is not empty"]);
}

#[test]
fn parts_are_what_was_asked_for() {
    let home = Home::new();
    tree(&home, 30, true);
    home.line("pack src one --labels folder --split a=0.6,b=0.4").done();
    home.write("keys", "cat/s000\ncat/s003\nnone\n");
    home.line("delete one cat/s006").done();
    let mut n = 0;
    let mut count = |options: &str| {
        n += 1;
        let line = format!("reshard one out{n} {options} --json");
        home.line(&line).done().json()["samples"].as_u64().expect("a number")
    };
    assert_eq!(count(""), 29);
    assert_eq!(count("--keys keys"), 2);
    assert_eq!(count("--glob cat/* --glob 日本/s00*"), 9 + 3);
    assert_eq!(count("--label cat"), 9);
    assert_eq!(count("--label 1"), 9); // the second of the sorted names, which is cat
    assert_eq!(count("--label 0 --label 日本"), 20);
    assert_eq!(count("--split-from a") + count("--split-from b"), 29);
    assert_eq!(count("--min-size 2000") + count("--max-size 1999"), 29);
    assert_eq!(count("--head 7"), 7);
    assert_eq!(count("--sample-per-class 4"), 12);
    let folds: u64 = (1..=3).map(|k| count(&format!("--fold {k}/3"))).sum();
    assert_eq!(folds, 29);
    assert_eq!(count("--fold 1/3") + count("--fold 1/3 --fold-rest"), 29);

    let fields = |out: &str| home.line(&format!("info {out} --json")).done().stdout;
    home.line("reshard one renamed --fields jpg --rename jpg=image.jpg --drop-labels").done();
    let info = fields("renamed");
    assert!(info.contains("image.jpg") && !info.contains("cls"), "{info}");
    assert!(!home.path("renamed/labels.json").exists());
}

/// Consecutive samples as they are listed, of several sources too, deleted ones not counted.
#[test]
fn a_slice_is_what_is_listed_there() {
    let home = Home::new();
    tree(&home, 30, true);
    home.line("pack src one --labels folder --target 20kB").done();
    home.line("delete one cat/s006").done();
    home.write("other/x.txt", "x");
    home.write("other/y.txt", "y");
    home.line("pack other two --order key").done();
    let keys = |dataset: &str| -> Vec<String> {
        let listed = home.line(&format!("ls {dataset}")).done().stdout;
        listed.lines().map(|line| line.split('\t').next().expect("a key").to_owned()).collect()
    };
    let all = [keys("one"), keys("two")].concat();
    assert_eq!(all.len(), 31);
    for (n, (slice, range)) in
        [("0..7", 0..7), ("7..30", 7..30), ("28..", 28..31), ("..1", 0..1), ("30..99", 30..31)]
            .into_iter()
            .enumerate()
    {
        let line = format!("reshard one two out{n} --order source --slice {slice}");
        home.line(&line).done();
        assert_eq!(keys(&format!("out{n}")), all[range], "{slice}");
    }
    home.line("reshard one two few --order source --slice 1..9 --glob cat/*").done();
    let cats: Vec<_> = all[1..9].iter().filter(|key| key.starts_with("cat/")).cloned().collect();
    assert!(!cats.is_empty());
    assert_eq!(keys("few"), cats);
}

#[test]
fn the_later_source_wins_if_asked() {
    let home = Home::new();
    for (folder, text) in [("a", "first"), ("b", "second")] {
        home.write(&format!("{folder}/x.txt"), text);
        home.write(&format!("{folder}/only-{folder}.txt"), "one");
        home.line(&format!("pack {folder} d{folder} --format tfrecord")).done();
    }
    for (policy, want) in [("first", "first"), ("last", "second")] {
        home.line(&format!("reshard da db {policy} --duplicates {policy}")).done();
        assert_eq!(home.line(&format!("cat {policy} x")).done().stdout, want);
        assert_eq!(home.line(&format!("ls {policy}")).done().stdout.lines().count(), 3);
    }
}

#[test]
fn compressed_shards_leave_no_copy_behind() {
    let home = Home::new();
    tree(&home, 20, true);
    home.line("pack src plain --labels folder --format tfrecord --target 30kB").done();
    home.line("pack src small --labels folder --format tfrecord --target 40kB --compress zlib")
        .done();
    home.write("tmp/shardpack-scratch-1-0/0000000000", "what a killed run left");
    home.line("reshard small out --target 30kB --scratch tmp").done();
    same(&shards(&home, "out"), &shards(&home, "plain"));
    assert_eq!(fs::read_dir(home.path("tmp")).expect("a folder").count(), 0);
}

#[test]
fn shards_of_other_writers_become_other_formats() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata");
    let home = Home::new();
    for (shard, options, samples) in [
        ("webdataset/golden/tarwriter.tar", "", 4),
        ("webdataset/golden/tarwriter.tar.gz", "", 4),
        ("tfrecord/golden/raw.tfrecord", "", 4),
        (
            "tfrecord/golden/example.tfrecord",
            "--rename image/encoded=jpg,image/class/label=label.json,image/format=format.txt",
            3,
        ),
        ("recordio/golden/images.rec", "", 6),
    ] {
        let source = testdata.join(shard);
        let source = source.to_str().expect("UTF-8");
        for format in ["webdataset", "tfrecord", "recordio-protobuf"] {
            let out = format!("{}-{format}", shard.replace('/', "-"));
            let mut args = vec!["reshard", source, &out, "--format", format, "--json"];
            args.extend(options.split_whitespace());
            let report = home.run(&args).done().json();
            assert_eq!(report["samples"], samples, "{out}");
            home.line(&format!("verify {out}")).done();
        }
    }
    let tar = testdata.join("webdataset/golden/tarwriter.tar");
    let tar = tar.to_str().expect("UTF-8");
    let ran = home.run(&["reshard", tar, "rec", "--format", "recordio"]);
    told(&ran, 2, &["recordio keeps exactly one"]);
}

fn cloud(home: &Home, server: &S3Server, line: &str) -> Ran {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = home.command(&args);
    command.envs(server.environment());
    for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
        command.env_remove(other);
    }
    Running::from(command.spawn().expect("the program runs")).end()
}

#[test]
fn from_and_to_s3_the_bytes_are_the_same() {
    let (home, server) = (Home::new(), S3Server::start());
    tree(&home, 30, true);
    cloud(&home, &server, "pack src one --labels folder --target 40kB").done();
    cloud(&home, &server, "pack src s3://bucket/one --labels folder --target 40kB").done();
    let options = "--format tfrecord --target 30kB --s3-prefix s3://bucket/out/";
    cloud(&home, &server, &format!("reshard one here {options}")).done();
    let whole = home.files("here");
    cloud(&home, &server, &format!("reshard s3://bucket/one down {options}")).done();
    same(&home.files("down"), &whole);
    for source in ["one", "s3://bucket/one"] {
        cloud(&home, &server, &format!("reshard {source} s3://bucket/out {options}")).done();
        let below = |key: String| {
            let bytes = server.get(&key)?.to_vec();
            Some((key.strip_prefix("out/")?.to_owned(), bytes))
        };
        same(&server.keys().into_iter().filter_map(below).collect(), &whole);
        for key in server.keys().into_iter().filter(|key| key.starts_with("out/")) {
            server.remove(&key);
        }
    }
    told(&cloud(&home, &server, "reshard s3://bucket/one s3://bucket/one/x"), 2, &["lies inside"]);
}

/// `SHARDPACK_SLOW=1` kills two hundred times, some 90 s on two busy cores; `SHARDPACK_SEED` repeats a
/// run's choices.
#[test]
fn killed_at_any_moment_a_run_is_finished_to_the_same_bytes() {
    let kills = if std::env::var_os("SHARDPACK_SLOW").is_some() { 200 } else { 20 };
    let seed = match std::env::var("SHARDPACK_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos() as u64,
    };
    println!("SHARDPACK_SEED={seed}");
    let home = Home::new();
    tree(&home, 300, true);
    home.line("pack src one --labels folder --format recordio-protobuf --target 100kB").done();
    const RESHARD: &str = "reshard one DST --format webdataset --target 30kB --order shuffle:9";
    home.line(&RESHARD.replace("DST", "whole")).done();
    let whole = home.files("whole");
    let (mut random, mut killed, mut runs) = (Random(seed), 0, 0u32);
    while killed < kills {
        runs += 1;
        assert!(runs < 20 * kills, "runs end before they can be killed");
        let line =
            format!("{} --jobs {}", RESHARD.replace("DST", "dst"), [1, 2, 8][runs as usize % 3]);
        for _ in 0..4 {
            let mut running = home.start(&line);
            let staging = home.path("dst/.shardpack/index");
            let early = random.below(20);
            let count = || fs::read_dir(&staging).map_or(0, |folder| folder.count() as u64);
            let published = home.path("dst/index");
            let happened = running.until(|| count() >= early || published.exists());
            let moment = Instant::now() + Duration::from_micros(random.below(3_000));
            running.until(|| Instant::now() >= moment);
            killed += u32::from(running.kill() && happened);
            if home.path("dst/manifest.json").exists() {
                let visible = home.files("dst").into_iter();
                same(
                    &visible.filter(|(name, _)| !name.starts_with(".shardpack")).collect(),
                    &whole,
                );
            }
        }
        home.line(&line).done();
        same(&home.files("dst"), &whole);
        fs::remove_dir_all(home.path("dst")).expect("a folder");
    }
}
