//! Runs that are killed at moments that the server counts.

use rustix::process::Signal;

use super::corpus::{APPEND, COMPACT, Corpus, Line, MAP, MERGE, OVERLAY, SYNC};
use super::{lost, restore};
use crate::s3::{Cloud, difference};

/// When a run is killed. `SHARDPACK_SLOW=1` kills at every call, some minutes.
fn moments(calls: usize) -> impl Iterator<Item = usize> {
    let slow = std::env::var_os("SHARDPACK_SLOW").is_some();
    (1..calls).step_by(if slow { 1 } else { (calls / 7).max(1) })
}

/// The dataset is as it was or as it is to become, and the same command finishes it: with the same
/// bytes, and no upload without an end.
fn killed((place, line): Line) {
    let corpus = Corpus::new((place, line));
    let Corpus { cloud, before, whole, calls } = &corpus;
    let mut killed = 0;
    for moment in moments(*calls) {
        restore(&cloud.server, before);
        cloud.server.forget_calls();
        let mut running = cloud.start(line);
        running.until(|| cloud.server.call_count() >= moment);
        killed += usize::from(running.kill());
        let [now, old, new] = corpus.heads(place);
        assert!(now == old || now == new, "another manifest after call {moment}");
        let wanted = if now == new { whole } else { before };
        assert_eq!(lost(&cloud.objects(""), wanted, whole), None, "after call {moment}");
        if now.is_some() {
            verified(cloud, place);
        }
        cloud.line(line).done();
        assert_eq!(difference(&cloud.objects(""), whole), None, "after call {moment}");
        let left = cloud.line(&format!("clean s3://bucket/{place} --dry-run")).done().stdout;
        assert!(left.starts_with("would end 0 unfinished uploads"), "{left}");
    }
    assert!(killed > 4, "{killed} runs were killed in their middle");
}

/// All of a dataset is whole, and shards beside it are those of a run that is told of.
fn verified(cloud: &Cloud, place: &str) {
    let report = cloud.line(&format!("verify s3://bucket/{place} --json")).json();
    let empty = |what: &str| report[what].as_array().is_some_and(Vec::is_empty);
    assert!(empty("damage") && empty("duplicates"), "{report}");
    assert!(
        empty("extra") || report["caveats"].to_string().contains("the same command"),
        "{report}"
    );
}

/// Ctrl-C while a shard of several parts is on its way.
fn interrupted((place, line): Line) {
    let corpus = Corpus::new((place, line));
    let Corpus { cloud, before, whole, .. } = &corpus;
    restore(&cloud.server, before);
    let mut running = cloud.start(line);
    assert!(running.until(|| !cloud.server.uploads().is_empty()), "it ended");
    running.signal(Signal::INT);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    for told in ["shards are sealed", "run the same command again to finish"] {
        assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
    }
    assert_eq!(cloud.server.uploads(), Vec::<String>::new());
    let [now, old, _] = corpus.heads(place);
    assert!(now == old, "a manifest");
    cloud.line(line).done();
    assert_eq!(difference(&cloud.objects(""), whole), None);
}

#[test]
fn an_interrupted_append_says_how_to_go_on() {
    interrupted(APPEND);
}

#[test]
fn an_interrupted_merge_says_how_to_go_on() {
    interrupted(MERGE);
}

#[test]
fn an_append_is_finished_to_the_same_bytes() {
    killed(APPEND);
}

#[test]
fn a_sync_is_finished_to_the_same_bytes() {
    killed(SYNC);
}

#[test]
fn a_compaction_is_finished_to_the_same_bytes() {
    killed(COMPACT);
}

#[test]
fn a_merge_is_finished_to_the_same_bytes() {
    killed(MERGE);
}

#[test]
fn an_overlay_is_finished_to_the_same_bytes() {
    killed(OVERLAY);
}

#[test]
fn a_map_is_finished_to_the_same_bytes() {
    killed(MAP);
}
