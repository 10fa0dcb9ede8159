//! Runs from S3 to S3 that are killed at random calls, over a line that fails.

use std::time::SystemTime;

use shardpack_testkit::s3::{Call, Fault, FaultRule, S3Config};

use super::{Cloud, Files, S3Server, difference, same, tree};
use crate::program::Random;

/// What decides the bytes of the dataset, by corpus: shards of one request each, and of two parts.
const OPTIONS: [&str; 2] = ["--target 20kB --labels folder", "--target 10MB --format tfrecord"];
const RUN: &str = "--stall-timeout 1 --max-attempts 20";

/// `SHARDPACK_SLOW=1` kills a hundred times, some 40 s; `SHARDPACK_SEED` repeats a run's choices.
#[test]
fn killed_at_any_call_with_faults_on_a_run_is_finished_to_the_same_bytes() {
    let kills = if std::env::var_os("SHARDPACK_SLOW").is_some() { 100 } else { 15 };
    let seed = match std::env::var("SHARDPACK_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => SystemTime::UNIX_EPOCH.elapsed().expect("a time").as_nanos() as u64,
    };
    println!("SHARDPACK_SEED={seed}");
    let mut random = Random(seed);
    let corpora = OPTIONS.map(Corpus::new);
    let (mut killed, mut rounds) = (0, 0);
    while killed < kills {
        killed += corpora[rounds % 2].round(&mut random);
        rounds += 1;
        assert!(rounds < 10 * kills, "runs end before they can be killed");
    }
}

/// A tree on S3 and what a run that nobody disturbs makes of it.
struct Corpus {
    cloud: Cloud,
    line: String,
    whole: Files,
    /// Calls of such a run.
    calls: u64,
}

impl Corpus {
    fn new(options: &str) -> Self {
        let server = S3Server::start_with(S3Config { md5: false, ..S3Config::default() });
        let cloud = Cloud { server, ..Cloud::new() };
        tree(&cloud.home, 40);
        if options.contains("10MB") {
            for i in 0..3 {
                cloud.home.write(&format!("src/cat/large{i}.jpg"), Random(i).bytes(9_000_000));
            }
        }
        cloud.upload("src", "src/");
        cloud.line(&format!("pack src dst {options} --s3-prefix s3://bucket/dst/")).done();
        let whole = cloud.home.files("dst");
        let line = format!("pack s3://bucket/src s3://bucket/dst {options} {RUN}");
        cloud.line(&line).done();
        same(&cloud.objects("dst/"), &whole);
        let calls = cloud.server.call_count() as u64;
        cloud.wipe("dst/");
        Self { cloud, line, whole, calls }
    }

    /// Up to five kills and a run that finishes what they left; returns the kills.
    fn round(&self, random: &mut Random) -> usize {
        let Self { cloud, line, whole, calls } = self;
        let mut killed = 0;
        for _ in 0..5 {
            disturb(&cloud.server, random);
            cloud.server.forget_calls();
            let moment = 1 + random.below(*calls) as usize;
            let jobs = 1 + random.below(4);
            let mut running = cloud.start(&format!("{line} --jobs {jobs}"));
            running.until(|| cloud.server.call_count() >= moment);
            killed += usize::from(running.kill());
            let left = cloud.objects("dst/");
            if left.contains_key("manifest.json") {
                let published =
                    left.into_iter().filter(|(name, _)| !name.starts_with(".shardpack"));
                same(&published.collect(), whole);
            }
        }
        self.finish(random);
        killed
    }

    fn finish(&self, random: &mut Random) {
        let Self { cloud, line, whole, .. } = self;
        disturb(&cloud.server, random);
        let sealed = sealed(&cloud.objects("dst/"));
        cloud.server.forget_calls();
        let report = cloud.line(&format!("{line} --json")).done().json();
        assert_eq!(report["doubts"], serde_json::json!([]));
        assert_eq!(report["resumed_shards"], sealed.len());
        cloud.server.heal();
        same(&cloud.objects("dst/"), whole);
        let unanswered =
            |call: &Call| call.operation == "CreateMultipartUpload" && call.fault.is_some();
        if cloud.server.calls().iter().any(unanswered) {
            cloud.line("clean s3://bucket/dst").done(); // see faults.rs: such an upload is left
        }
        assert_eq!(cloud.server.uploads(), Vec::<String>::new());
        let sent = cloud.server.calls().into_iter().filter(|call| {
            ["PutObject", "CreateMultipartUpload", "UploadPart"].contains(&&*call.operation)
        });
        let again: Vec<_> = sent
            .filter_map(|call| call.key)
            .filter(|key| sealed.iter().any(|shard| key.ends_with(shard)))
            .collect();
        assert_eq!(again, Vec::<String>::new(), "sealed shards were sent again");
        cloud.line("verify s3://bucket/dst --against s3://bucket/src").done();
        cloud.wipe("dst/");
    }
}

/// Shards whose index is there: `shards/NAME`.
fn sealed(files: &Files) -> Vec<String> {
    let index =
        |name: &String| Some(name.strip_prefix("index/")?.strip_suffix(".index")?.to_owned());
    files.keys().filter_map(index).map(|name| format!("shards/{name}")).collect()
}

/// Three faults that pass, at calls that chance names.
fn disturb(server: &S3Server, random: &mut Random) {
    server.heal();
    for _ in 0..3 {
        let few = 1 + random.below(2_000) as usize;
        let fault = match random.below(6) {
            0 => Fault::SlowDown,
            1 => Fault::InternalError,
            2 => Fault::ResetBefore,
            3 => Fault::ResetWithin(few),
            4 => Fault::ResetAfter,
            _ => Fault::ShortBody(few),
        };
        let rule = FaultRule::new(fault).from(1 + random.below(150)).times(1 + random.below(3));
        server.inject(match random.below(4) {
            0 => rule.on("GetObject"),
            1 => rule.key("dst/"),
            _ => rule,
        });
    }
}

/// A run stopped by hand gives up its uploads; a killed one leaves them for the next.
#[test]
fn an_unfinished_upload_of_a_killed_run_is_ended_by_the_next() {
    let corpus = Corpus::new(OPTIONS[1]);
    let cloud = &corpus.cloud;
    let mut running = cloud.start(&corpus.line);
    assert!(running.until(|| !cloud.server.uploads().is_empty()), "it ended");
    assert!(running.kill());
    assert!(!cloud.server.uploads().is_empty());
    cloud.line(&corpus.line).done();
    assert_eq!(difference(&cloud.objects("dst/"), &corpus.whole), None);
    assert_eq!(cloud.server.uploads(), Vec::<String>::new());

    cloud.wipe("dst/");
    let mut running = cloud.start(&corpus.line);
    assert!(running.until(|| !cloud.server.uploads().is_empty()), "it ended");
    running.signal(rustix::process::Signal::TERM);
    let ran = running.end();
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    assert_eq!(cloud.server.uploads(), Vec::<String>::new());
    assert!(!cloud.objects("dst/").contains_key("manifest.json"));
}
