//! Two runs at one destination at the same time.

use super::{Cloud, same, tree};

const PACK: &str = "pack s3://bucket/src s3://bucket/dst --target 20kB --stall-timeout 1";

#[test]
fn of_two_equal_runs_at_once_one_dataset_comes() {
    let cloud = Cloud::new();
    tree(&cloud.home, 30);
    cloud.upload("src", "src/");
    cloud.line(PACK).done();
    let whole = cloud.objects("dst/");
    // The second one comes at any time of the first.
    let calls = cloud.server.call_count();
    for moment in (0..calls).step_by(calls / 12) {
        cloud.wipe("dst/");
        cloud.server.forget_calls();
        let mut first = cloud.start(PACK);
        first.until(|| cloud.server.call_count() >= moment);
        let (second, first) = (cloud.start(PACK).end(), first.end());
        let codes = (first.code, second.code);
        assert!(
            codes.0 == Some(0) || codes.1 == Some(0),
            "at {moment}: {}\n{}",
            first.stderr,
            second.stderr
        );
        for ran in [first, second] {
            if ran.code != Some(0) {
                assert_ne!(ran.code, None, "{}", ran.stderr);
                assert!(ran.stderr.contains("s3://bucket/dst"), "at {moment}: {}", ran.stderr);
            }
        }
        let mut found = cloud.objects("dst/");
        found.retain(|name, _| !name.starts_with(".shardpack/"));
        same(&found, &whole);
        cloud.line("verify s3://bucket/dst --against s3://bucket/src").done();
        let again = cloud.line(PACK).done();
        assert!(again.stdout.contains("already complete"), "{}", again.stdout);
        same(&cloud.objects("dst/"), &whole);
    }
    assert_eq!(cloud.server.uploads(), Vec::<String>::new());
}

#[test]
fn another_command_is_refused_with_the_difference() {
    let cloud = Cloud::new();
    tree(&cloud.home, 30);
    cloud.upload("src", "src/");
    cloud.upload("src", "other/");
    cloud.line(PACK).done();
    let whole = cloud.objects("dst/");
    let calls = cloud.server.call_count();
    for moment in (calls / 4..calls - 20).step_by(calls / 6) {
        cloud.wipe("dst/");
        cloud.server.forget_calls();
        let mut first = cloud.start(&format!("{PACK} --jobs 1"));
        assert!(first.until(|| cloud.objects("dst/").contains_key(".shardpack/plan.json")));
        assert!(first.until(|| cloud.server.call_count() >= moment), "it ended");
        first.signal(rustix::process::Signal::STOP);
        for (line, told) in [
            (PACK.replace("20kB", "30kB"), "--target: 20000 then, 30000 now"),
            (PACK.replace("/src", "/other"), "source: s3://bucket/src then, s3://bucket/other now"),
            (format!("{PACK} --order key"), "--order: shuffle:0 then, key now"),
        ] {
            let ran = cloud.line(&line);
            assert_eq!(ran.code, Some(2), "{line}: {}", ran.stderr);
            assert!(
                ran.stderr.contains(told) && ran.stderr.contains("--restart"),
                "{}",
                ran.stderr
            );
        }
        first.signal(rustix::process::Signal::CONT);
        let first = first.end();
        assert_eq!(first.code, Some(0), "{}", first.stderr);
        same(&cloud.objects("dst/"), &whole);
    }
    let other = cloud.line(&PACK.replace("20kB", "30kB"));
    assert!(other.code == Some(2) && other.stderr.contains("another dataset"), "{}", other.stderr);
    same(&cloud.objects("dst/"), &whole);
}
