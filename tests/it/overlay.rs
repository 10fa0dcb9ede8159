//! Fields that lie over a dataset, as the program makes them and a training loop reads them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use shardpack_manifest::Digest;
use shardpack_testkit::s3::S3Server;

use crate::join::cloud;
use crate::program::{Home, Ran, Random, Running, fuse_mount, train};
use crate::reading_modes::can_mount;

type Files = BTreeMap<String, Vec<u8>>;

/// Sixty images in two classes at `one`, and a table of all but some of them at `t.csv`.
fn world(pack: &str, without: &[u64]) -> Home {
    let home = Home::new();
    let mut random = Random(3);
    let mut table = String::from("file,Caption,width\n");
    for i in 0..60 {
        let class = ["cat", "dog"][i as usize % 2];
        let len = 300 + random.below(2_000);
        home.write(&format!("src/{class}/{i:02}.jpg"), random.bytes(len));
        if !without.contains(&i) {
            table.push_str(&format!("{class}/{i:02},\"number, {i}\",{}\n", 100 + i));
        }
    }
    home.write("t.csv", table);
    home.line(&format!("pack src one --labels folder --target 9kB {pack}")).done();
    home
}

const OVERLAY: &str = "join one over --with t.csv --overlay --format tfrecord";

#[track_caller]
fn told(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(2), "{}\n{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
    }
}

fn loop_of(home: &Home, args: &str, rank: usize, world: usize) -> Command {
    let mut command = Command::new(train());
    command.args(args.split_whitespace()).current_dir(home.path(""));
    command.env("RANK", rank.to_string()).env("WORLD_SIZE", world.to_string());
    for variable in ["LOCAL_RANK", "LOCAL_WORLD_SIZE", "SAGEMAKER_BASE_DIR", "SM_CHANNEL_TRAIN"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command) -> Ran {
    Running::from(command.spawn().expect("it runs")).end()
}

/// The digests that a loop printed, by epoch.
#[track_caller]
fn digests(ran: &Ran) -> Vec<Digest> {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let digest = |line: &str| line.rsplit_once("digest ").and_then(|(_, d)| d.parse().ok());
    ran.stdout.lines().map(|line| digest(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

/// Of two epochs, over all ranks.
#[track_caller]
fn epochs(home: &Home, args: &str, world: usize) -> Vec<Digest> {
    let mut sums = vec![Digest::default(); 2];
    for rank in 0..world {
        let found = digests(&run(loop_of(home, &format!("{args} --epochs 2"), rank, world)));
        assert_eq!(found.len(), 2);
        sums.iter_mut().zip(found).for_each(|(sum, digest)| *sum += digest);
    }
    sums
}

fn digest(home: &Home, dataset: &str) -> Digest {
    let report = home.line(&format!("info {dataset} --json")).done().json();
    report["digest"].as_str().expect("a digest").parse().expect("a digest")
}

#[test]
fn a_loop_over_both_sees_what_a_join_would_have_made() {
    for (below, above, made) in [
        ("webdataset", "webdataset", "webdataset"),
        ("tfrecord", "recordio-protobuf", "tfrecord"),
        ("recordio", "tfrecord", "tfrecord"),
        ("recordio-protobuf", "webdataset", "recordio-protobuf"),
        ("tfrecord --compress gzip", "webdataset --compress zstd", "tfrecord"),
    ] {
        let home = world(&format!("--format {below}"), &[]);
        home.line(&format!("join one both --with t.csv --format {made} --target 5kB")).done();
        let mut bytes: Option<Files> = None;
        for jobs in [1, 8] {
            let line =
                format!("join one over --with t.csv --overlay --format {above} --jobs {jobs}");
            let report = home.line(&format!("{line} --json")).done().json();
            assert_eq!((&report["samples"], &report["without"]), (&60.into(), &0.into()));
            let found = home.files("over");
            assert!(bytes.as_ref().is_none_or(|bytes| *bytes == found), "{above}: --jobs {jobs}");
            bytes = Some(found);
            if jobs == 1 {
                fs::remove_dir_all(home.path("over")).expect("a folder");
            }
        }
        let here = home.path("").display().to_string();
        let manifest = fs::read_to_string(home.path("over/manifest.json")).expect("a manifest");
        assert!(manifest.contains("\"place\":\"../one\"") && !manifest.contains(&here));
        let wanted = digest(&home, "both");
        for (world, shuffle) in [(1, "off"), (3, "window:16:4")] {
            let args = format!("one --overlay over --shuffle {shuffle} --seed 4");
            assert_eq!(epochs(&home, &args, world), [wanted, wanted], "{above} over {below}");
        }
        assert_eq!(epochs(&home, "both", 3), [wanted, wanted]);
    }
}

#[test]
fn a_loop_that_was_killed_goes_on_with_both() {
    let home = world("", &[]);
    home.line(OVERLAY).done();
    home.line("join one both --with t.csv").done();
    let args = "one --overlay over --epochs 3 --every 3 --compute-us 300 --state saved";
    let mut kills = 0;
    for consumed in [10, 55, 70, 100, 130] {
        let mut running = Running::from(loop_of(&home, args, 0, 1).spawn().expect("it runs"));
        let far = || {
            let text = fs::read_to_string(home.path("saved")).unwrap_or_default();
            let state = text
                .lines()
                .next()
                .and_then(|line| line.parse::<shardpack_reader::plan::State>().ok());
            state.is_some_and(|state| state.epoch * 60 + state.consumed >= consumed)
        };
        running.until(far);
        kills += u32::from(running.kill());
    }
    assert!(kills > 2, "{kills} loops were killed");
    let found = digests(&run(loop_of(&home, args, 0, 1)));
    assert_eq!(found.last(), Some(&digest(&home, "both")), "the epoch that was resumed is whole");
}

#[test]
fn an_overlay_is_a_dataset() {
    let home = world("--format recordio", &[7, 20]);
    let report = home.line(&format!("{OVERLAY} --missing left --json")).done().json();
    assert_eq!((&report["samples"], &report["without"]), (&60.into(), &2.into()));
    let listed = home.line("ls over").done().stdout;
    assert_eq!(listed.lines().count(), 60);
    assert_eq!(home.line("cat over cat/02.caption.txt").done().stdout, "number, 2");
    home.line("unpack over back").done();
    let back = home.files("back");
    assert_eq!(back.len(), 116);
    assert_eq!(back["dog/05.width.json"], b"105");
    let info = home.line("info over").done().stdout;
    let over = format!("over     ../one, digest {}", digest(&home, "one"));
    assert!(info.contains("samples  60") && info.contains(&over), "{info}");
    let whole = home.line("verify over").done().stdout;
    let one = home.path("one").display().to_string();
    assert!(whole.contains("60 records of the same key") && whole.contains(&one), "{whole}");
    let report = home.line("verify over --json").done().json();
    assert_eq!(report["over"], 60);
    let text = home.line(&format!("{} --restart", OVERLAY.replace(" over ", " twice "))).stderr;
    assert!(text.contains("--missing left adds nothing to them"), "{text}");

    // The columns become real: the same as a join of the table.
    home.line("join one made --with over --format tfrecord --missing left").done();
    home.line("join one both --with t.csv --format tfrecord --missing left").done();
    let shards = |dataset: &str| -> Files {
        let is_shard = |name: &String| name.starts_with("shards/") || name.starts_with("index/");
        home.files(dataset).into_iter().filter(|(name, _)| is_shard(name)).collect()
    };
    assert!(shards("made") == shards("both"), "other names or bytes");
    assert_eq!(epochs(&home, "one --overlay over", 1)[0], digest(&home, "both"));
}

#[test]
fn shards_that_something_else_wrote_have_overlays_once_they_are_indexed() {
    let home = world("", &[]);
    home.line("pack src plain --target 9kB --split a=0.5,b=0.5").done();
    fs::create_dir(home.path("theirs")).expect("a folder");
    for split in ["a", "b"] {
        let name = |folder: &str| home.path(&format!("{folder}/{split}"));
        fs::rename(name("plain/shards"), name("theirs")).expect("moved");
    }
    home.line("index theirs").done();
    home.line("join theirs over --with t.csv --overlay").done();
    let verified = home.line("verify over").done().stdout;
    assert!(verified.contains("60 records of the same key"), "{verified}");
    assert!(home.names("over").iter().any(|name| name.starts_with("shards/b-")));
    home.line("join theirs both --with t.csv").done();
    let wanted = digest(&home, "both");
    assert_eq!(epochs(&home, "theirs --overlay over", 3), [wanted, wanted]);
}

#[test]
fn verify_says_what_an_overlay_lies_over_or_why_not() {
    let home = world("", &[]);
    home.line(OVERLAY).done();
    // Both are moved.
    fs::create_dir(home.path("moved")).expect("a folder");
    for dataset in ["one", "over"] {
        fs::rename(home.path(dataset), home.path(&format!("moved/{dataset}"))).expect("moved");
    }
    assert!(home.line("verify moved/over").done().stdout.contains("60 records of the same key"));
    // One of them is.
    fs::rename(home.path("moved/one"), home.path("one")).expect("moved");
    let ran = home.line("verify moved/over").done();
    assert!(ran.stdout.contains("note: not compared with"), "{}", ran.stdout);
    assert!(ran.stdout.contains("--over SRC"), "{}", ran.stdout);
    let ran = home.line("verify moved/over --over one --quick").done();
    assert!(ran.stdout.contains("over one: 60 records of the same key"), "{}", ran.stdout);
    told(&home.line("verify moved/over --over nowhere"), &["nowhere: no such file"]);
    told(&home.line("verify one --over moved/over"), &["one is no overlay"]);
    // Marks of deletion are no change.
    home.line("delete one cat/04").done();
    home.line("verify moved/over --over one").done();
    let gone = epochs(&home, "one --overlay moved/over", 1);
    home.line("join one both --with t.csv").done();
    assert_eq!(gone[0], digest(&home, "both"));
    // New shards are.
    let then = digest(&home, "moved/over");
    home.write("more/cat/99.jpg", "new");
    home.line("append one more").done();
    let ran = home.line("verify moved/over --over one");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for word in ["damage: manifest.json: over ", "`shardpack join --overlay`", "NOT WHOLE"] {
        assert!(ran.stdout.contains(word), "{word:?} is not in {}", ran.stdout);
    }
    let ran = run(loop_of(&home, "one --overlay moved/over", 0, 1));
    assert_ne!(ran.code, Some(0));
    for word in ["make the overlay anew", "changed since its version"] {
        assert!(ran.stderr.contains(word), "{word:?} is not in {}", ran.stderr);
    }
    // It is what the message says it was, and as it was.
    assert_eq!(digest(&home, "moved/over"), then);
    told(&home.line("append moved/over more"), &["is an overlay", "join --overlay"]);
    told(&home.line("compact moved/over"), &["is an overlay"]);
    // Another dataset altogether.
    home.line("pack more other").done();
    let ran = home.line("verify moved/over --over other");
    assert!(ran.code == Some(1) && ran.stdout.contains("another dataset"), "{}", ran.stdout);
}

#[test]
fn what_an_overlay_cannot_do_is_refused_before_anything_is_written() {
    let home = world("", &[]);
    home.write("keys", "cat/00\n");
    home.line("pack src plain --target 9kB").done();
    for (line, words) in [
        ("--missing inner", &["leaves no sample out", "shardpack delete", "--missing left"][..]),
        ("--keys keys", &["--keys: not with --overlay"]),
        ("--glob cat/*", &["--glob"]),
        ("--where key>1", &["--where"]),
        ("--head 5", &["--head"]),
        ("--bad-names skip", &["--bad-names"]),
        ("--fields jpg", &["--fields"]),
        ("--drop-labels", &["--drop-labels"]),
        ("--map-cmd cat", &["--map-cmd"]),
        ("--order key", &["--order"]),
        ("--split a=0.5,b=0.5", &["--split"]),
        ("--target 5kB", &["--target", "make new shards without --overlay"]),
        ("--max-samples 5", &["--max-samples"]),
        ("--name slim-x", &["--name"]),
        ("--column width=jpg", &["has fields of these names", ": jpg", "60 in all"]),
        ("--format recordio", &["recordio keeps exactly one", "--as json=FIELD"]),
    ] {
        let ran = home.line(&format!("join one out --with t.csv --overlay {line}"));
        told(&ran, words);
        assert!(!home.path("out").exists(), "{line}");
    }
    for (line, words) in [
        ("join src out --with t.csv --overlay", &["src"][..]),
        ("join plain/shards out --with t.csv --overlay", &["shardpack index"]),
        ("join one one/over --with t.csv --overlay", &["lies inside of"]),
    ] {
        told(&home.line(line), words);
    }
    // The ways out that the messages name.
    home.line("join one a --with t.csv --overlay --format recordio --as json").done();
    home.line("join one b --with t.csv --overlay --format recordio --column width").done();
    told(&home.line("join a c --with t.csv --overlay"), &["a: is an overlay itself", "../one"]);
    let plan = home.line(&format!("{OVERLAY} --dry-run --json")).done().json();
    let shards = home.line("info one --json").done().json()["shards"]["count"].clone();
    assert_eq!(plan["shards"].as_array().map(Vec::len), shards.as_u64().map(|n| n as usize));
    assert!(!home.path("over").exists());
}

#[test]
fn a_killed_join_is_finished_to_the_same_overlay() {
    let home = Home::new();
    let mut random = Random(8);
    let mut table = String::from("key,caption,n\n");
    for i in 0..400 {
        home.write(&format!("src/{i:03}.jpg"), random.bytes(40));
        let caption: String = (0..500).map(|_| char::from(b'a' + random.below(26) as u8)).collect();
        table.push_str(&format!("{i:03},{caption},{i}\n"));
    }
    home.write("t.csv", &table);
    home.line("pack src one --max-samples 20").done();
    crate::join::killed(&home, "join one OUT --with t.csv --overlay --scratch tmp");
    assert_eq!(fs::read_dir(home.path("tmp")).expect("a folder").count(), 0);
}

#[test]
fn datasets_and_overlays_on_s3() {
    let (home, server) = (world("", &[]), S3Server::start());
    cloud(
        &home,
        &server,
        &["pack", "src", "s3://bucket/sets/one", "--labels", "folder", "--target", "9kB"],
    )
    .done();
    let far = ["join", "s3://bucket/sets/one", "s3://bucket/sets/over", "--with", "t.csv"];
    let more = ["--overlay", "--format", "tfrecord"];
    cloud(&home, &server, &[&far[..], &more].concat()).done();
    home.line(OVERLAY).done();
    let here = home.files("over");
    for (name, bytes) in here.iter().filter(|(name, _)| name.starts_with("shards/")) {
        assert!(server.get(&format!("sets/over/{name}")).expect("a shard") == *bytes, "{name}");
    }
    let manifest = server.get("sets/over/manifest.json").expect("a manifest").to_vec();
    assert!(String::from_utf8_lossy(&manifest).contains("\"place\":\"../one\""));
    let whole = cloud(&home, &server, &["verify", "s3://bucket/sets/over"]).done().stdout;
    assert!(whole.contains("over s3://bucket/sets/one: 60 records of the same key"), "{whole}");

    home.line("join one both --with t.csv").done();
    let wanted = digest(&home, "both");
    for args in [
        "s3://bucket/sets/one --overlay s3://bucket/sets/over",
        "s3://bucket/sets/one --overlay over",
        "one --overlay s3://bucket/sets/over",
    ] {
        let mut command = loop_of(&home, args, 0, 1);
        command.envs(server.environment());
        for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
            command.env_remove(other);
        }
        assert_eq!(digests(&run(command)), [wanted], "{args}");
    }
}

/// A folder that is read as FastFile brings it; it is unmounted when this is dropped.
struct Mounted(Child);

impl Mounted {
    fn new(objects: &Path, channel: &Path) -> Self {
        fs::create_dir_all(channel).expect("a folder");
        let mut mount = Command::new(fuse_mount());
        mount.args([objects, channel]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut mount = mount.spawn().expect("it runs");
        let mut line = String::new();
        let stdout = mount.stdout.as_mut().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "mounted\n");
        Self(mount)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_second_channel_holds_the_overlay() {
    let home = world("", &[]);
    home.line(OVERLAY).done();
    home.line("join one both --with t.csv").done();
    let wanted = digest(&home, "both");
    let data = home.path("job/input/data");
    let config = |train: &str, captions: &str| {
        let channel = |mode: &str| {
            json!({
                "TrainingInputMode": mode,
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            })
        };
        let channels = json!({"train": channel(train), "captions": channel(captions)});
        home.write("job/input/config/inputdataconfig.json", channels.to_string());
        let hosts = json!({"current_host": "algo-1", "hosts": ["algo-1"]});
        home.write("job/input/config/resourceconfig.json", hosts.to_string());
    };
    let run = || {
        let args = "--channel train --overlay captions --manifest one";
        let mut command = loop_of(&home, args, 0, 1);
        command.env("SAGEMAKER_BASE_DIR", home.path("job"));
        run(command)
    };
    fs::create_dir_all(&data).expect("a folder");
    for (dataset, channel) in [("one", "train"), ("over", "captions")] {
        std::os::unix::fs::symlink(home.path(dataset), data.join(channel)).expect("a link");
    }
    config("File", "File");
    assert_eq!(digests(&run()), [wanted]);
    config("File", "Pipe");
    let ran = run();
    assert!(ran.code != Some(0) && ran.stderr.contains("is a Pipe"), "{}", ran.stderr);
    assert!(ran.stderr.contains("set its input mode to File or"), "{}", ran.stderr);
    config("Pipe", "File");
    let fifo = data.join("train_0");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("it runs").success());
    // Shards come in an order of the stream's own.
    let shards: Vec<Vec<u8>> = {
        let files = home.files("one").into_iter();
        files.filter(|(name, _)| name.starts_with("shards/")).map(|file| file.1).rev().collect()
    };
    let writer = std::thread::spawn(move || fs::write(fifo, shards.concat()));
    assert_eq!(digests(&run()), [wanted]);
    writer.join().expect("a writer").expect("all of it is read");
    if !can_mount() {
        return;
    }
    for (train, captions) in [("FastFile", "FastFile"), ("File", "FastFile"), ("FastFile", "File")]
    {
        config(train, captions);
        let mut mounts = Vec::new();
        for (dataset, channel, mode) in [("one", "train", train), ("over", "captions", captions)] {
            let channel = data.join(channel);
            let _ = fs::remove_file(&channel).or_else(|_| fs::remove_dir(&channel));
            match mode {
                "File" => std::os::unix::fs::symlink(home.path(dataset), &channel).expect("a link"),
                _ => mounts.push(Mounted::new(&home.path(dataset), &channel)),
            }
        }
        assert_eq!(digests(&run()), [wanted], "{train} with {captions}");
    }
}
