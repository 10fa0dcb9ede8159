//! Flags, help, outputs and the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

use crate::program::{Home, Ran, Random};

/// Commands that together use every flag of `pack`, on the tree of [`tree`].
const PACKS: &[&str] = &[
    "pack src d1 --format webdataset --compress gzip --level 9 --target 64KiB --order key --exclude odd --quiet",
    "pack src d2 --format tfrecord --schema image --fields jpg --labels folder --exclude odd --json",
    "pack src d3 --require jpg,txt --missing skip --bad-names skip --hidden include --restart",
    "pack src d4 --labels csv:table.csv --label-key id --label-column class --unlabelled allow --exclude odd",
    "pack src d5 --split a=0.5,b=0.5 --max-samples 3 --shard-multiple 2 --exclude odd --name x-{split}-{shard:03}.{ext}",
    "pack src d6 --s3-prefix s3://bucket/prefix --symlinks skip --include *.jpg --exclude a/* --exclude odd",
    "pack src d7 --files-from names --null --progress none",
    "pack src d8 --files-from names -0 --no-fsync --direct-io never --jobs 2 --io-depth 8 --memory 64MiB",
    "pack src d9 --group ^(?<key>.*)[.](?<field>jpg|txt)$ --order shuffle:7 --exclude odd",
    "pack src d10 --bare-field raw --format tfrecord --compress zlib --order source --dry-run",
    "pack src d11 --exclude odd --index dali,wids",
    "pack src d14 --exclude odd --profile p --region r --endpoint-url http://127.0.0.1:1 --path-style=true",
    "pack src d15 --exclude odd --no-sign-request --request-payer --max-attempts 3 --max-errors 4",
    "pack src d16 --exclude odd --storage-class STANDARD_IA --sse kms:key --acl private --tags a=b",
    "pack src d17 --exclude odd --stall-timeout 5 --max-requests 0.5 --max-bandwidth 50MB",
    "pack src d18 --exclude odd --map-cmd cat --map-frame json --map-timeout 9s --map-errors skip --scratch tmp",
    "pack src d19 --fields txt --exclude odd --resize 9 --resize-up --center-crop --quality 90 --encoding png --color grey --max-pixels 99",
    "pack manifest d12 --source-type manifest --strip-prefix",
    "pack lines d13 --source-type augmented --attributes a-ref --label-attribute b",
];

/// Twenty samples in two class folders, and one file without an extension.
fn tree(home: &Home) {
    let mut random = Random(1);
    let (mut table, mut names) = (String::from("id,class\n"), Vec::new());
    for i in 0..20 {
        let key = format!("{}/{i:02}", if i % 2 == 0 { "a" } else { "b" });
        let len = 1_000 + random.below(9_000);
        home.write(&format!("src/{key}.jpg"), random.bytes(len));
        home.write(&format!("src/{key}.txt"), format!("sample {i}"));
        table.push_str(&format!("{key},{}\n", i % 3));
        names.extend(format!("{key}.jpg\0").bytes());
    }
    home.write("src/odd", "no extension");
    home.write("table.csv", table);
    home.write("names", names);
    home.write("manifest", r#"[{"prefix": "src/"}, "a/00.jpg", "b/01.jpg"]"#);
    let image = home.path("src/a/00.jpg");
    home.write("lines", format!(r#"{{"a-ref": "file://{}", "b": 3}}"#, image.display()));
}

#[test]
fn every_flag_of_pack_is_taken() {
    let home = Home::new();
    tree(&home);
    let mut used = BTreeSet::from(["--help".to_owned()]);
    for line in PACKS {
        used.extend(
            line.split_whitespace()
                .filter(|a| a.starts_with("--"))
                .map(|a| a.split('=').next().unwrap_or(a).to_owned()),
        );
        home.line(line).done();
    }
    let help = home.line("pack --help").done().stdout;
    let known: BTreeSet<String> = flags(&help).map(|(flag, _)| flag).collect();
    assert!(known.len() > 30, "{known:?}");
    assert_eq!(known, used, "flags of --help, and flags that this test uses");
}

/// What the help calls a default is what happens without the flag: both give the same bytes, and
/// the manifest says so.
#[test]
fn the_defaults_in_the_help_are_true() {
    let home = Home::new();
    tree(&home);
    let help = home.line("pack --help").done().stdout;
    let mut line = "pack src given --exclude odd --labels folder".to_owned();
    let mut defaults = BTreeMap::new();
    for (flag, text) in flags(&help) {
        // Only values that can be typed: `[default: the cores]` is a sentence.
        let Some((_, rest)) = text.rsplit_once("[default: ") else { continue };
        let value = rest.split(']').next().expect("an end");
        if !value.contains(' ') && flag != "--level" {
            line.push_str(&format!(" {flag} {value}"));
            defaults.insert(flag, value.to_owned());
        }
    }
    assert_eq!(defaults["--target"], "150MB");
    assert_eq!(defaults["--memory"], "512MiB");
    assert_eq!(defaults["--format"], "webdataset");
    assert_eq!(defaults["--order"], "shuffle:0");
    assert!(defaults.len() >= 14, "{defaults:?}");
    home.line(&line).done();
    home.line("pack src plain --exclude odd --labels folder").done();
    assert_eq!(home.files("given"), home.files("plain"));

    let plan = home.line("pack src x --exclude odd --dry-run").done().stdout;
    assert!(plan.contains("target 150MB") && plan.contains("order shuffle:0"), "{plan}");
    assert!(plan.contains("at most 512MiB for buffers"), "{plan}");
    let manifest = fs::read(home.path("plain/manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["options"]["target"], "150000000");
}

/// Each flag of a help text with what is said of it.
fn flags(help: &str) -> impl Iterator<Item = (String, &str)> {
    let starts: Vec<usize> = help
        .match_indices("\n  ")
        .filter(|(at, _)| {
            let line = help[at + 1..].lines().next().unwrap_or_default().trim_start();
            line.starts_with('-') && (line.starts_with("--") || line.contains(", --"))
        })
        .map(|(at, _)| at)
        .collect();
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([help.len()]).collect();
    starts.into_iter().zip(ends).map(move |(start, end)| {
        let text = &help[start..end];
        let flag = text.split_whitespace().find(|word| word.starts_with("--")).expect("a flag");
        let flag = flag.split('[').next().unwrap_or(flag); // a value that may be left out
        (flag.trim_end_matches(',').to_owned(), text)
    })
}

#[test]
fn a_dry_run_tells_the_plan_and_writes_nothing() {
    let home = Home::new();
    tree(&home);
    let line = "pack src dst --exclude odd --target 20kB";
    let plan = home.line(&format!("{line} --dry-run --json")).done().json();
    let text = home.line(&format!("{line} --dry-run")).done().stdout;
    assert!(!home.path("dst").exists());
    let report = home.line(&format!("{line} --json")).done().json();

    let shards = plan["shards"].as_array().expect("shards");
    assert_eq!(report["shards"], shards.len());
    assert_eq!((&report["samples"], &report["files"]), (&plan["samples"], &plan["files"]));
    assert_eq!(report["shard_bytes"], plan["shard_bytes"]);
    for shard in shards {
        let path = shard["path"].as_str().expect("a path");
        let len = fs::metadata(home.path("dst").join(path)).expect("the shard").len();
        assert_eq!(shard["bytes"], len, "{path}");
        assert!(len <= 20_000, "{path}: {len}");
        assert!(text.contains(path), "{path} in\n{text}");
    }
    for said in
        ["20 with jpg,txt", "balance", "nothing was written", "memory", "left out 1: excluded"]
    {
        assert!(text.contains(said), "{said:?} in\n{text}");
    }
    let long = home.line("pack src dst2 --exclude odd --target 4096 --dry-run").done().stdout;
    assert!(long.contains(" more\n") && long.lines().count() < 30, "{long}");
}

#[test]
fn output_for_people_ends_with_what_was_written_where() {
    let home = Home::new();
    tree(&home);
    let ran = home.line("pack src dst --bad-names skip").done();
    assert_eq!(ran.stderr, "", "a quick run is quiet when stderr is no terminal");
    let last = ran.stdout.lines().last().expect("a line");
    assert!(last.starts_with("packed 20 samples (40 files, "), "{last}");
    assert!(last.ends_with("in all: dst/shards"), "{last}");
    assert!(ran.stdout.contains("left out 1: files with bad names"), "{}", ran.stdout);

    let quiet = home.line("pack src dst2 --exclude odd --quiet").done();
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn json_is_one_document_and_its_messages_are_lines_of_json() {
    let home = Home::new();
    tree(&home);
    let ran = home.line("pack src dst --exclude odd --json").done();
    assert_eq!(ran.json()["samples"], 20);
    assert!(events(&ran).iter().any(|event| event["event"] == "progress"), "{}", ran.stderr);

    let failed = home.line("pack src dst --json");
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(2), ""));
    let errors = events(&failed);
    let error = errors.iter().find(|event| event["event"] == "error").expect("an error");
    assert_eq!(error["exit"], 2);
    assert!(error["message"].as_str().expect("text").contains("odd"), "{error}");

    let lines = home.line("pack src dst2 --exclude odd --progress json").done();
    assert!(!events(&lines).is_empty() && lines.stdout.contains("packed 20 samples"));
}

fn events(ran: &Ran) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    ran.stderr.lines().map(parse).collect()
}

#[test]
fn a_terminal_shows_a_bar() {
    let home = Home::new();
    tree(&home);
    let shown = terminal(&home, "pack src dst --exclude odd");
    for said in ["[", "%", "40 of 40 files", "1 of 1 shards"] {
        assert!(shown.contains(said), "{said:?} in {shown:?}");
    }
    assert!(shown.contains("\x1b["), "a bar is redrawn: {shown:?}");
    for quiet in ["--quiet", "--progress none", "--progress lines"] {
        let dst = quiet.replace([' ', '-'], "");
        let shown = terminal(&home, &format!("pack src {dst} --exclude odd {quiet}"));
        assert_eq!(shown, "", "{quiet}");
    }
}

/// What a run writes to stderr when that is a terminal.
fn terminal(home: &Home, line: &str) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("its name").into_string().expect("UTF-8");
    let theirs = fs::File::options().read(true).write(true).open(name).expect("its other end");
    let size = rustix::termios::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&theirs, size).expect("a size");
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = home.command(&args);
    command.env("TERM", "xterm").stdout(Stdio::null()).stderr(theirs);
    let mut child = command.spawn().expect("the program runs");
    drop(command); // the last other end of ours is the child's: reading ends when it does
    let mut shown = Vec::new();
    // A terminal whose other end is closed fails with EIO instead of ending.
    let _ = fs::File::from(ours).read_to_end(&mut shown);
    assert!(child.wait().expect("a child").success(), "{}", String::from_utf8_lossy(&shown));
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let home = Home::new();
    tree(&home);
    for line in ["man pack", "completions bash", "pack src dst --exclude odd --target 4096"] {
        let args: Vec<&str> = line.split_whitespace().collect();
        let (ours, theirs) = std::io::pipe().expect("a pipe");
        drop(ours);
        let output = home.command(&args).stdout(theirs).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
    assert!(home.path("dst/manifest.json").exists());
}

#[test]
fn archives_and_lists_give_the_samples_of_the_folder() {
    let home = Home::new();
    tree(&home);
    fs::remove_file(home.path("src/odd")).expect("a file");
    let tar = std::process::Command::new("tar")
        .args(["--format=ustar", "-C"])
        .arg(home.path("src"))
        .arg("-cf")
        .arg(home.path("src.tar"))
        .args(["a", "b"])
        .status();
    assert!(tar.expect("tar runs").success());
    let names: String = home.files("src").into_keys().map(|name| name + "\n").collect();
    home.write("lines", names);
    let shards = |dst: &str| -> BTreeMap<String, Vec<u8>> {
        let all = home.files(dst);
        all.into_iter().filter(|(name, _)| name.starts_with("shards/")).collect()
    };
    home.line("pack src folder --target 30kB").done();
    home.line("pack src.tar archive --target 30kB").done();
    home.line("pack src list --target 30kB --files-from lines").done();
    assert!(shards("folder").len() > 3);
    assert!(shards("folder") == shards("archive"));
    assert!(shards("folder") == shards("list"));

    let some = "--include *.jpg --exclude b";
    let folder = home.line(&format!("pack src x --dry-run --json {some}")).done().json();
    let archive = home.line(&format!("pack src.tar x --dry-run --json {some}")).done().json();
    assert_eq!(folder["samples"], 10);
    assert_eq!(folder["shards"], archive["shards"]);
}

#[test]
fn help_and_manual_tell_the_exit_codes() {
    let home = Home::new();
    for line in ["--help", "pack --help", "verify --help", "man", "man verify"] {
        let text = home.line(line).done().stdout;
        for said in ["130", "interrupted", "damage"] {
            assert!(text.contains(said), "{said:?} in {line}");
        }
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = home.line(&format!("completions {shell}")).done().stdout;
        assert!(script.contains("shard-multiple"), "{shell}");
    }
    assert_eq!(home.line("").code, Some(2));
}
