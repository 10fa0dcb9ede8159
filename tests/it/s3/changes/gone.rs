//! A server that dies.

use super::corpus::{APPEND, Corpus, Line, MERGE};
use super::restore;
use crate::s3::difference;

/// Gone for a moment, nothing but time is lost; gone for good, the run says so, and the same command
/// finishes it once there is a server again.
fn gone((place, line): Line) {
    let corpus = Corpus::new((place, line));
    let Corpus { cloud, before, whole, calls } = &corpus;
    for moment in [calls / 5, calls / 2, calls * 3 / 4] {
        for returns in [true, false] {
            restore(&cloud.server, before);
            cloud.server.forget_calls();
            let attempts = if returns { 10 } else { 2 };
            let mut running = cloud.start(&format!("{line} --max-attempts {attempts}"));
            let there = running.until(|| cloud.server.call_count() >= moment);
            assert!(there, "it ended before call {moment}");
            cloud.server.stop();
            if returns {
                cloud.server.restart();
                running.end().done();
            } else {
                let ran = running.end();
                assert_eq!(ran.code, Some(2), "{}", ran.stderr);
                for told in ["s3://bucket/", "given up after 2 tries"] {
                    assert!(ran.stderr.contains(told), "{told:?} in {}", ran.stderr);
                }
                cloud.server.restart();
                let [now, old, _] = corpus.heads(place);
                assert!(now == old, "a manifest after call {moment}");
                cloud.line(line).done();
            }
            assert_eq!(difference(&cloud.objects(""), whole), None, "after call {moment}");
            assert_eq!(cloud.server.uploads(), Vec::<String>::new());
        }
    }
}

#[test]
fn during_a_merge() {
    gone(MERGE);
}

#[test]
fn during_an_append() {
    gone(APPEND);
}
