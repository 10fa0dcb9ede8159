//! Commands of sh, on samples of one field. `head -c` and `read` of sh take no byte more than they
//! are asked for.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shardpack_store::{MemoryStore, MemoryTree, Store};

use super::*;
use crate::{
    Dataset, DatasetSource, PackOptions, Progress, Selection, SourceOptions, pack, reshard,
};
use crate::{Error, PackReport, Result};

/// Reads a request into `$key` and `$body`, and does `$1` with it.
fn each(action: &str) -> String {
    format!(
        r#"while IFS= read -r head; do
            key=$(printf %s "$head" | sed 's/.*"key":"\([^"]*\)".*/\1/')
            len=$(printf %s "$head" | sed 's/.*"len":\([0-9]*\).*/\1/')
            body=$(head -c "$len")
            keep() {{ printf '{{"key":"%s"}}\n' "$key"; }}
            drop() {{ printf '{{"key":"%s","drop":true}}\n' "$key"; }}
            fail() {{ printf '{{"key":"%s","error":"%s"}}\n' "$key" "$1"; }}
            put() {{ printf '{{"key":"%s","fields":[{{"name":"%s","len":%s}}]}}\n%s' "$key" "$1" "${{#2}}" "$2"; }}
            {action}
        done"#
    )
}

/// `s000.txt`, `s001.txt`, ...
fn tree(count: usize) -> MemoryTree {
    let file = |i: usize| (format!("s{i:03}.txt"), format!("body {i}"));
    MemoryTree::new((0..count).map(file).collect::<Vec<_>>())
}

fn options(command: &str, scratch: &Path) -> PackOptions {
    let mut map = Map::new(Transform::Command(MapCommand::new(command)));
    map.scratch = scratch.to_owned();
    PackOptions { map: Some(map), jobs: 2, target: 4096, ..PackOptions::default() }
}

fn run(command: &str, count: usize, change: impl Fn(&mut PackOptions)) -> Result<PackReport> {
    let scratch = tempfile::tempdir().expect("a folder");
    let mut options = options(command, scratch.path());
    change(&mut options);
    let report = pack(&tree(count), &MemoryStore::new(), &options, &Progress::default());
    let left = fs::read_dir(scratch.path()).expect("a folder").count();
    assert_eq!(left, usize::from(report.is_err()), "scratch stays where a run failed only");
    report
}

fn command(options: &mut PackOptions) -> &mut MapCommand {
    match &mut options.map.as_mut().expect("a map").transform {
        Transform::Command(command) => command,
        #[allow(unreachable_patterns, reason = "other transforms depend on features")]
        _ => unreachable!("a command"),
    }
}

const MIXED: &str = r#"case $key in
    *0) drop;; *1) put txt "longer $body";; *2) put png "$body";; *3) put txt "$body";; *) keep;;
esac"#;

#[test]
fn samples_are_changed_kept_and_dropped_alike_at_any_number_of_jobs() {
    let mut digests = Vec::new();
    for jobs in [1, 2, 5] {
        let report = run(&each(MIXED), 150, |options| options.jobs = jobs).expect("a dataset");
        let mapped = report.mapped.expect("a report");
        let counts = (mapped.samples, mapped.changed, mapped.kept, mapped.dropped, mapped.failed);
        // Those that end in 3 get the bytes that they had.
        assert_eq!(counts, (150, 30, 105, 15, 0));
        assert_eq!((report.samples, mapped.resumed_pieces), (135, 0));
        assert_eq!(report.skipped, [("samples that --map-cmd dropped".to_owned(), 15)]);
        digests.push(report.digest);
    }
    assert!(digests.windows(2).all(|pair| pair[0] == pair[1]), "{digests:?}");
    // The same as if the files had been so.
    let files = (0..150).filter(|i| i % 10 != 0).map(|i| match i % 10 {
        1 => (format!("s{i:03}.txt"), format!("longer body {i}")),
        2 => (format!("s{i:03}.png"), format!("body {i}")),
        _ => (format!("s{i:03}.txt"), format!("body {i}")),
    });
    let files = MemoryTree::new(files.collect::<Vec<_>>());
    let plain = pack(&files, &MemoryStore::new(), &PackOptions::default(), &Progress::default());
    assert_eq!(plain.expect("a dataset").digest, digests[0]);
}

#[test]
fn a_dataset_is_mapped_like_files() {
    let (tars, records) = (MemoryStore::new(), MemoryStore::new());
    pack(&tree(80), &tars, &PackOptions::default(), &Progress::default()).expect("a dataset");
    let inputs = vec![(Dataset::open(&tars).expect("a dataset"), "tars".to_owned())];
    let (all, how) = (Selection::default(), SourceOptions::default());
    let source = DatasetSource::open(inputs, &all, &how, &Progress::default()).expect("a source");
    let scratch = tempfile::tempdir().expect("a folder");
    let mut options = options(&each(MIXED), scratch.path());
    options.format = "tfrecord".into();
    let report = reshard(&source, &records, &options, &Progress::default()).expect("a dataset");
    assert!(!report.same && report.notes.iter().any(|note| note.contains("--map-cmd")));
    let files = run(&each(MIXED), 80, |_| ()).expect("a dataset");
    assert_eq!(report.pack.digest, files.digest);
    assert_eq!(report.pack.mapped, files.mapped);
}

#[test]
fn labels_can_be_changed() {
    let relabel = r#"printf '{"key":"%s","label":{"values":[7],"text":"seven"}}\n' "$key""#;
    let report = run(&each(relabel), 3, |options| options.format = "tfrecord".into());
    assert_eq!(report.expect("a dataset").mapped.expect("a report").changed, 3);
}

#[test]
fn what_goes_wrong_names_the_sample_and_the_last_words() {
    let third = |action: &str| each(&format!(r#"case $key in s003) {action};; *) keep;; esac"#));
    for (command, words) in [
        (third("echo 'no more' >&2; exit 3"), &["s003", "exit status: 3", "it said: no more"][..]),
        (third("kill -s KILL $$"), &["s003", "signal: 9"]),
        (third("echo hello"), &["s003", "no answer in JSON", "hello"]),
        (third("key=s004; keep"), &["s003", "order of the requests"]),
        (third("fail 'no JPEG'"), &["s003", "no JPEG"]),
        (third("keep; keep"), &["mapping sample"]), // of this sample or the next, as it comes
        (third("yes | tr -d '\\n'"), &["s003", "no end within"]),
        (third("put txt 0123456789012345678901234567890"), &["s003", "may have 30"]),
        (third("echo waiting >&2; exec sleep 100"), &["s003", "0.3 s", "it said: waiting"]),
        ("exit 4".into(), &["s000", "exit status: 4"]),
        ("no-such-command-anywhere".into(), &["s000", "not found"]),
    ] {
        let error = run(&command, 6, |options| {
            options.jobs = 1;
            options.memory = 16 << 20;
            if words.contains(&"may have 30") {
                limit_answers(options, 30);
            }
            if words.contains(&"0.3 s") {
                self::command(options).timeout = Duration::from_millis(300);
            }
        });
        let Err(error @ Error::Map { .. }) = error else { panic!("{command}: {error:?}") };
        let text = error.to_string();
        for word in words {
            assert!(text.contains(word), "{word:?} is not in {text}");
        }
    }
}

/// `--memory` has a least value; what an answer may have is a share of it among the threads.
fn limit_answers(options: &mut PackOptions, bytes: u64) {
    options.jobs = (options.memory / 2 / bytes) as usize;
}

#[test]
fn failures_are_skipped_and_counted_if_asked() {
    let some = each(
        r#"case $key in s003) exit 3;; s005) fail "no JPEG";; s064) echo garbage;; *) keep;; esac"#,
    );
    for jobs in [1, 3] {
        let report = run(&some, 70, |options| {
            options.jobs = jobs;
            options.map.as_mut().expect("a map").errors = MapErrors::Skip;
        });
        let report = report.expect("a dataset");
        let mapped = report.mapped.expect("a report");
        assert_eq!((mapped.kept, mapped.failed, report.samples), (67, 3, 67));
        let failures = mapped.failures.join("\n");
        for words in ["s003: the command ended", "s005: no JPEG", "s064: no answer in JSON"] {
            assert!(failures.contains(words), "{failures}");
        }
    }
    // That a command never answers is not to blame on samples.
    let error = run("exit 1", 30, |options| {
        options.map.as_mut().expect("a map").errors = MapErrors::Skip;
    });
    assert!(error.expect_err("no dataset").to_string().contains("none ever answered"));
}

#[test]
fn what_it_says_is_passed_on() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let all = Arc::clone(&heard);
    let say = each(r#"echo "at $key" >&2; keep"#);
    run(&say, 3, |options| {
        let all = Arc::clone(&all);
        command(options).tell = Tell::new(move |line| all.lock().expect("whole").push(line.into()));
    })
    .expect("a dataset");
    assert_eq!(
        *heard.lock().expect("whole"),
        ["map 0: at s000", "map 0: at s001", "map 0: at s002"]
    );
}

#[test]
fn pieces_are_not_made_twice_and_damaged_ones_are() {
    let home = tempfile::tempdir().expect("a folder");
    let (gate, log) = (home.path().join("gate"), home.path().join("log"));
    let action = format!(
        r#"echo "$key" >> {}; case $key in s130) [ -e {} ] || exit 9;; esac; put txt "new $body""#,
        log.display(),
        gate.display()
    );
    let scratch = home.path().join("scratch");
    let mut options = options(&each(&action), &scratch);
    options.jobs = 1;
    let (tree, store) = (tree(200), MemoryStore::new());
    let go = |options: &PackOptions| pack(&tree, &store, options, &Progress::default());
    go(&options).expect_err("s130 fails");
    let asked = || fs::read_to_string(&log).expect("a log").lines().count();
    assert_eq!(asked(), 131);
    assert!(store.list("").expect("a list").is_empty(), "nothing is written before all is mapped");

    // Two pieces of 64 are whole. One of them is damaged, its journal is not.
    let [folder] = &paths(&scratch)[..] else { panic!("one folder") };
    let bodies: Vec<_> = paths(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "bodies"))
        .collect();
    assert_eq!(bodies.len(), 2);
    let mut bytes = fs::read(&bodies[1]).expect("bodies");
    bytes[100] ^= 1;
    fs::write(&bodies[1], bytes).expect("bodies");
    fs::write(&gate, "").expect("a file");
    let report = go(&options).expect("a dataset");
    assert_eq!(report.mapped.expect("a report").resumed_pieces, 1);
    assert_eq!(asked(), 131 + 200 - 64);
    assert!(paths(&scratch).is_empty(), "scratch is removed in the end");

    // --restart asks for everything again.
    options.restart = true;
    fs::remove_file(&gate).expect("a file");
    let other = MemoryStore::new();
    let go = |options: &PackOptions| pack(&tree, &other, options, &Progress::default());
    go(&options).expect_err("s130 fails");
    fs::write(&gate, "").expect("a file");
    assert_eq!(go(&options).expect("a dataset").mapped.expect("a report").resumed_pieces, 0);
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn nothing_is_left_of_nothing() {
    let error = run(&each("drop"), 3, |_| ()).expect_err("no dataset").to_string();
    assert!(
        error.contains("no sample is left") && error.contains("3 samples that --map-cmd"),
        "{error}"
    );
}
