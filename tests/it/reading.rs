//! The commands that look at datasets, ours and foreign.

use std::fs;
use std::process::Command;

use crate::program::{Home, Random};

/// A dataset at `dst` of thirty samples in two classes, in shards of two splits.
fn packed() -> Home {
    let home = Home::new();
    let mut random = Random(3);
    for i in 0..30 {
        let key = format!("src/{}/{i:02}", if i % 3 == 0 { "cat" } else { "dog" });
        let len = 500 + random.below(4_000);
        home.write(&format!("{key}.jpg"), random.bytes(len));
        home.write(&format!("{key}.TXT"), format!("sample {i}\n"));
    }
    home.line("pack src dst --labels folder --split train=0.8,val=0.2 --target 20kB").done();
    home
}

/// Changes a byte in the body of the last record of the first shard; gives the shard's path.
fn damage(home: &Home) -> String {
    let shards = home.files("dst");
    let path = shards.keys().find(|name| name.starts_with("shards/")).expect("a shard").clone();
    let listed = home.line("ls dst -l").done().stdout;
    let last = listed.lines().rfind(|line| line.starts_with(&path)).expect("a record");
    let offset: usize = last.split('\t').nth(2).expect("an offset").parse().expect("a number");
    let mut bytes = shards[&path].clone();
    bytes[offset + 512] ^= 1; // behind the header of its first field
    home.write(&format!("dst/{path}"), bytes);
    path
}

#[test]
fn verify_says_whole_or_what_is_not() {
    let home = packed();
    let whole = home.line("verify dst --against src").done();
    let last = whole.stdout.lines().last().expect("a line");
    assert!(last.starts_with("whole: 30 samples") && last.ends_with(": dst"), "{last}");
    assert!(whole.stdout.contains("60 files equal"), "{}", whole.stdout);
    assert_eq!(whole.stderr, "");
    let report = home.line("verify dst --json").done().json();
    assert_eq!((&report["samples"], &report["damage"]), (&30.into(), &serde_json::json!([])));
    assert_eq!(home.line("verify dst --quiet").done().stdout, "");
    assert!(home.line("verify dst --quick").done().stdout.contains("no shard was read"));

    home.write("src/cat/00.TXT", "sample 1\n");
    home.write("src/cat/new.jpg", "new");
    let other = home.line("verify dst --against src");
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    for told in ["differs: cat/00.TXT has other bytes", "differs: cat/new.jpg is in no shard"] {
        assert!(other.stdout.contains(told), "{told:?} in {}", other.stdout);
    }

    let shard = damage(&home);
    let ran = home.line("verify dst");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("damage: {shard}, record ")), "{}", ran.stdout);
    assert!(ran.stdout.lines().last().expect("a line").starts_with("NOT WHOLE"), "{}", ran.stdout);
    let report = home.line("verify dst --json");
    assert_eq!((report.code, &report.json()["damage"][0]["shard"]), (Some(1), &shard.into()));
}

#[test]
fn what_was_packed_comes_back() {
    let home = packed();
    home.line("unpack dst out").done();
    assert!(home.files("out") == home.files("src"), "other names or bytes");
    let report = home.line("unpack dst val --split val --json").done().json();
    assert_eq!(report["files"], home.files("val").len());
    assert!(home.files("val").len() < home.files("src").len());
    for (line, told) in [
        ("unpack dst out", "out"),
        ("unpack dst dst/x", "lies inside of"),
        ("unpack nowhere x", "nowhere: no such file"),
    ] {
        let ran = home.line(line);
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{line}: {}", ran.stderr);
    }
    damage(&home);
    let ran = home.line("unpack dst damaged");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
}

#[test]
fn ls_and_cat_find_samples() {
    let home = packed();
    let listed = home.line("ls dst").done().stdout;
    assert_eq!(listed.lines().count(), 30);
    let line = listed.lines().find(|line| line.starts_with("cat/03\t")).expect("the sample");
    assert!(line.ends_with("cls,cls.txt,jpg,txt"), "{line}");
    assert_eq!(home.line("ls dst cat/*").done().stdout.lines().count(), 10);
    let document = home.line("ls dst --json").done().json();
    assert_eq!(document.as_array().expect("an array").len(), 30);
    assert_eq!(home.line("ls dst none* --json").done().json(), serde_json::json!([]));

    assert_eq!(home.line("cat dst cat/03.txt").done().stdout, "sample 3\n");
    for (line, told) in
        [("cat dst cat/03", "jpg"), ("cat dst cat/03.png", "jpg"), ("cat dst cat/99.jpg", "cat/99")]
    {
        let ran = home.line(line);
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{line}: {}", ran.stderr);
    }
    let all = home.line("ls dst -l").done().stdout;
    for line in ["ls dst", "ls dst --json", "cat dst cat/03.jpg"] {
        let (ours, theirs) = std::io::pipe().expect("a pipe");
        drop(ours);
        let args: Vec<&str> = line.split(' ').collect();
        let output = home.command(&args).stdout(theirs).output().expect("the program runs");
        assert_eq!(output.status.code(), Some(0), "{line}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
    assert_eq!(all.lines().count(), 30);
}

#[test]
fn info_tells_counts_splits_and_classes() {
    let home = packed();
    let text = home.line("info dst").done().stdout;
    for told in ["samples  30", "train", "val", "dog", "20", "#", "order shuffle:0", "KiB"] {
        assert!(text.contains(told), "{told:?} in\n{text}");
    }
    let report = home.line("info dst --json").done().json();
    assert_eq!((&report["samples"], &report["distinct_classes"]), (&30.into(), &2.into()));
}

#[test]
fn foreign_shards_are_looked_at_and_adopted() {
    let home = packed();
    fs::create_dir(home.path("foreign")).expect("a folder");
    for part in ["cat", "dog"] {
        let tar = Command::new("tar")
            .args(["--format=ustar", "--sort=name", "-C"])
            .arg(home.path("src"))
            .arg("-cf")
            .arg(home.path("foreign").join(format!("{part}.tar")))
            .arg(part)
            .status();
        assert!(tar.expect("tar runs").success());
    }
    let before = home.files("foreign");
    let one = home.line("ls foreign/cat.tar").done().stdout;
    assert_eq!(one.lines().count(), 10);
    let report = home.line("verify foreign --json").done().json();
    assert_eq!((&report["samples"], &report["has_manifest"]), (&30.into(), &false.into()));

    let adopted = home.line("index foreign").done().stdout;
    assert!(adopted.contains("indexed 30 samples"), "{adopted}");
    let after = home.files("foreign");
    assert!(after.contains_key("manifest.json"));
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "shards changed");
    let report = home.line("verify foreign --json").done().json();
    assert_eq!((&report["samples"], &report["has_manifest"]), (&30.into(), &true.into()));
    assert_eq!(home.line("index foreign").code, Some(2));
}

#[test]
fn an_unfinished_dataset_is_none() {
    let home = packed();
    fs::remove_file(home.path("dst/manifest.json")).expect("a manifest");
    home.write("dst/.shardpack/plan.json", "{\"shards\": 4}");
    for line in ["verify dst", "ls dst", "info dst", "unpack dst out", "cat dst cat/03.txt"] {
        let ran = home.line(line);
        assert_eq!(ran.code, Some(2), "{line}");
        assert!(ran.stderr.contains("unfinished"), "{line}: {}", ran.stderr);
    }
}
