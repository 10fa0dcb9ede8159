//! Trouble on demand, as training code sees it. Times are compared downwards alone: what waits
//! cannot be faster, however slow the machine is.

use super::{Lab, S3Server, digests};
use crate::program::Ran;
use crate::reading_modes::can_mount;

/// Modes that trouble strikes.
fn modes() -> impl Iterator<Item = &'static str> {
    ["Pipe"].into_iter().chain(can_mount().then_some("FastFile"))
}

/// The number before `unit` in what a training loop told.
#[track_caller]
fn told(ran: &Ran, before: &str, unit: &str) -> f64 {
    let found = ran.stderr.split_once(unit).and_then(|(text, _)| text.rsplit_once(before));
    let number = found.and_then(|(_, number)| number.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{before} ... {unit} in {}", ran.stderr))
}

#[test]
fn latency_delays_the_first_sample() {
    let lab = Lab::new("--format tfrecord").with_meta();
    for mode in modes() {
        let ran = lab.train(mode, "--latency 400", &format!("mode={mode}"), "").done();
        assert_eq!(digests(&ran), [lab.whole()], "{mode}");
        let first = told(&ran, "first sample after", " ms");
        assert!(first >= 400.0, "{mode}: {first} ms");
    }
}

#[test]
fn bandwidth_is_that_of_all_channels_together() {
    let lab = Lab::large().with_meta();
    for mode in modes() {
        let options = "--bandwidth 4MB";
        let ran = lab.train(mode, options, &format!("mode={mode}"), "").done();
        assert_eq!(digests(&ran), [lab.whole()], "{mode}");
        let seconds = told(&ran, "bytes;", " s so far");
        assert!(seconds >= 0.74, "{mode}: 3 MB at 4 MB/s took {seconds} s");
        // Two channels at a time: each would be done in half the time that both take.
        let source = format!("s3://{}/set/shards/,mode={mode}", S3Server::BUCKET);
        let line = format!(
            "run --quiet --root two {options} --channel a={source} --channel b={source} -- sh -c"
        );
        let read = |name: &str| match mode {
            "Pipe" => format!("cat ${{SM_CHANNEL_{name}}}_0 > /dev/null"),
            _ => format!("cat $SM_CHANNEL_{name}/* > /dev/null"),
        };
        let script = format!(
            "begin=$(date +%s%N); {} & {}; wait; echo $(( ($(date +%s%N) - begin) / 1000000 ))",
            read("A"),
            read("B")
        );
        let ran = lab.run(&line, &[&script]).done();
        let millis: u64 = ran.stdout.trim().parse().expect("a time");
        assert!(millis >= 1490, "{mode}: twice 3 MB at 4 MB/s took {millis} ms");
    }
}

#[test]
fn a_stream_that_is_cut_and_a_read_that_fails_are_errors_of_the_reader() {
    let lab = Lab::large().with_meta();
    for (mode, part) in [("Pipe", "ends"), ("FastFile", "Input/output error")] {
        if !modes().any(|known| known == mode) {
            continue;
        }
        let ran = lab.train(mode, "--drop-after 1MB", &format!("mode={mode}"), "");
        assert_eq!(ran.code, Some(1), "{mode}: {}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.stdout, "", "{mode}: no epoch is whole");
        assert!(ran.stderr.contains(part), "{mode}: {}", ran.stderr);
    }
}

#[test]
fn each_stream_falls_silent_once() {
    let lab = Lab::large().with_meta();
    for mode in modes() {
        let ran = lab.train(mode, "--stall 0.4", &format!("mode={mode}"), "--epochs 2").done();
        assert_eq!(digests(&ran), [lab.whole(), lab.whole()], "{mode}");
        let last = ran.stderr.rsplit_once("bytes;").expect("a second epoch").1;
        let seconds: f64 = last.split_once(" s so far").expect("a time").0.trim().parse().unwrap();
        // A FIFO an epoch; a file that stays open once.
        let least = if mode == "Pipe" { 0.8 } else { 0.4 };
        assert!(seconds >= least, "{mode}: {seconds} s");
    }
}
