//! Every fault at every call of a tiny case: a complete dataset with the same bytes, or an error and
//! no manifest.

use std::time::Duration;

use shardpack_pack::{
    CatOptions, Dataset, Error, LsOptions, PackOptions, Progress, UnpackOptions, VerifyOptions,
    cat, ls, pack, unpack_into, verify,
};
use shardpack_store::{S3, S3Options, S3Store, S3Tree, S3Uri};
use shardpack_testkit::s3::{Fault, FaultRule, S3Config, S3Server};

use super::{Cloud, Files, difference, objects, same, wipe};

/// Part of an upload: both shards have two.
const PART: u64 = 1 << 20;
/// Bytes of a picture that arrive.
const SOME: usize = 70_000;

/// Faults of the line, which a repetition mends, and of the credentials, which it does not. `some`
/// bytes of a body arrive before it breaks off, or are missing at its end.
pub(super) fn of_the_line(some: usize) -> Vec<Fault> {
    let pause = Duration::from_millis(1);
    vec![
        Fault::SlowDown,
        Fault::InternalError,
        Fault::Error(400, "ExpiredToken"),
        Fault::Error(403, "RequestTimeTooSkewed"),
        Fault::ResetBefore,
        Fault::ResetWithin(0),
        Fault::ResetWithin(some),
        Fault::ResetAfter,
        Fault::ShortBody(1),
        Fault::ShortBody(some),
        Fault::SlowFirstByte(pause),
        Fault::Trickle(some, pause),
        Fault::Stall(300),
        Fault::DuplicatePages,
        Fault::ShuffledPages,
    ]
}

/// Faults after which the server has other bytes than it was sent.
pub(super) fn at_rest() -> [Fault; 3] {
    [Fault::Truncated, Fault::Zeroed, Fault::Missing]
}

/// Two shards of three samples, from S3 to S3, and what a run that nobody disturbs makes of them.
struct Tiny {
    server: S3Server,
    whole: Files,
}

impl Tiny {
    fn new() -> Self {
        let server =
            S3Server::start_with(S3Config { least_part: 1, md5: false, ..S3Config::default() });
        for i in 0..6 {
            let len = 400_000 + 100 * usize::from(i);
            server.put(&format!("src/ü/{i}.jpg"), vec![i + 1; len]);
            server.put(&format!("src/ü/{i}.txt"), format!("text {i}"));
        }
        let mut tiny = Self { server, whole: Files::new() };
        tiny.pack().expect("no fault");
        tiny.whole = objects(&tiny.server, "dst/");
        assert_eq!(tiny.whole.keys().filter(|name| name.starts_with("shards/")).count(), 2);
        tiny
    }

    fn connect(&self) -> S3 {
        connect(&self.server, PART)
    }

    fn pack(&self) -> Result<(), Error> {
        let s3 = self.connect();
        let source = S3Tree::open(s3.clone(), &uri("src/"), &|_| None)?;
        let store = S3Store::open(s3, uri("dst/"));
        let options = PackOptions {
            max_samples: Some(3),
            jobs: 2,
            s3_prefix: Some("s3://bucket/dst/".into()),
            ..PackOptions::default()
        };
        pack(&source, &store, &options, &Progress::default()).map(|_| ())
    }

    /// Calls of `run`.
    fn calls(&self, run: impl Fn(&Self) -> Result<(), Error>) -> u64 {
        self.server.forget_calls();
        run(self).expect("no fault");
        self.server.call_count() as u64
    }

    /// One pack with a fault; what is wrong with what it left.
    fn pack_with(&self, rule: FaultRule) -> Result<Outcome, String> {
        wipe(&self.server, "dst/");
        let uploads = self.server.uploads(); // what an earlier case left counts once
        self.server.forget_calls();
        self.server.inject(rule);
        let packed = self.pack();
        self.server.heal();
        let calls = self.server.calls();
        let struck = calls.iter().find(|call| call.fault.is_some());
        let found = objects(&self.server, "dst/");
        let outcome = match packed {
            Ok(()) => match difference(&found, &self.whole) {
                Some(other) => return Err(format!("done, but {other}")),
                None => Outcome::Done,
            },
            // Behind the manifest only the folder of unfinished work is removed.
            Err(error) if found.contains_key("manifest.json") => {
                let published = |(name, _): &(String, Vec<u8>)| !name.starts_with(".shardpack/");
                match difference(&found.into_iter().filter(published).collect(), &self.whole) {
                    Some(other) => return Err(format!("{error}, a manifest, and {other}")),
                    None => Outcome::Failed,
                }
            }
            Err(_) => Outcome::Failed,
        };
        let Some(struck) = struck else { return Ok(Outcome::Missed) };
        // The same command again finishes what is unfinished.
        self.pack().map_err(|error| format!("cannot be finished: {}", chain(&error)))?;
        if let Some(other) = difference(&objects(&self.server, "dst/"), &self.whole) {
            return Err(format!("finished, but {other}"));
        }
        match self.server.uploads() == uploads {
            true => Ok(outcome),
            false if struck.operation == "CreateMultipartUpload" => Ok(Outcome::Orphaned),
            false => Err(format!("{outcome:?}, but an upload is left")),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    Failed,
    /// Done, but the upload is left whose beginning was never answered.
    Orphaned,
    /// There was no such call.
    Missed,
}

/// A connection that repeats soon, with parts of so many bytes.
pub(super) fn connect(server: &S3Server, part: u64) -> S3 {
    let options = S3Options {
        credentials: Some((S3Server::ACCESS_KEY.into(), S3Server::SECRET_KEY.into())),
        region: Some(S3Server::REGION.into()),
        endpoint_url: Some(server.endpoint()),
        backoff: Duration::from_millis(1),
        stall: Duration::from_millis(400),
        part,
        ..S3Options::default()
    };
    S3::connect(&uri(""), options).expect("a connection")
}

pub(super) fn uri(key: &str) -> S3Uri {
    format!("s3://{}/{key}", S3Server::BUCKET).parse().expect("an address")
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Runs `check` for each fault, on four threads with a server each: most of it is waiting.
pub(super) fn each<W>(
    server: fn() -> W,
    faults: Vec<Fault>,
    check: impl Fn(&W, &Fault) -> Vec<String> + Sync,
) {
    let lanes = 4;
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let lane = |lane: usize| {
            let (faults, check) = (&faults, &check);
            scope.spawn(move || {
                let server = server();
                faults.iter().skip(lane).step_by(lanes).flat_map(|f| check(&server, f)).collect()
            })
        };
        let running: Vec<std::thread::ScopedJoinHandle<'_, Vec<String>>> =
            (0..lanes).map(lane).collect();
        running.into_iter().flat_map(|lane| lane.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_fault_of_the_line_at_any_call_of_a_pack_loses_nothing() {
    each(Tiny::new, of_the_line(SOME), |tiny, fault| {
        wipe(&tiny.server, "dst/");
        let calls = tiny.calls(Tiny::pack);
        assert!(calls > 40, "{calls} calls");
        let mends = !matches!(fault, Fault::Error(..));
        (1..=calls)
            .filter_map(|k| {
                let outcome = tiny.pack_with(FaultRule::new(fault.clone()).from(k));
                let fine = match &outcome {
                    Ok(Outcome::Done | Outcome::Orphaned | Outcome::Missed) => true,
                    Ok(Outcome::Failed) => !mends,
                    Err(_) => false,
                };
                (!fine).then(|| format!("{fault:?} at call {k} of {calls}: {outcome:?}"))
            })
            .collect()
    });
}

/// Nobody is told of damage at rest by the server: the run looks for itself, at objects whose key
/// has `part` in it.
fn damage_at_rest(part: &str) {
    each(Tiny::new, at_rest().to_vec(), |tiny, fault| {
        let writes = ["PutObject", "UploadPart", "CompleteMultipartUpload"];
        let wrong = |operation: &str| -> Vec<String> {
            let struck =
                |k| tiny.pack_with(FaultRule::new(fault.clone()).on(operation).key(part).from(k));
            (1..)
                .map(|k| (k, struck(k)))
                .take_while(|(_, outcome)| *outcome != Ok(Outcome::Missed))
                .filter_map(|(k, outcome)| {
                    let wrong = outcome.err()?;
                    Some(format!("{fault:?} at {operation} {k} of {part}: {wrong}"))
                })
                .collect()
        };
        writes.into_iter().flat_map(wrong).collect()
    });
}

#[test]
fn a_shard_damaged_at_rest_is_found_and_packed_again() {
    damage_at_rest("dst/shards/");
}

#[test]
fn a_plan_damaged_at_rest_does_no_harm() {
    damage_at_rest("dst/.shardpack/");
}

#[test]
fn an_index_damaged_at_rest_is_found_and_written_again() {
    damage_at_rest("dst/index/");
}

#[test]
fn files_for_sagemaker_damaged_at_rest_are_found() {
    damage_at_rest("dst/sagemaker/");
}

#[test]
fn a_manifest_damaged_at_rest_is_found() {
    damage_at_rest("dst/manifest.json");
}

#[test]
fn an_upload_whose_beginning_was_not_answered_is_not_left() {
    each(Tiny::new, vec![Fault::ResetAfter, Fault::ResetWithin(0)], |tiny, fault| {
        match tiny.pack_with(FaultRule::new(fault.clone()).on("CreateMultipartUpload")) {
            Ok(Outcome::Done) => vec![],
            other => vec![format!("{fault:?}: {other:?}")],
        }
    });
}

/// Amazon may answer 200 to a completion and then tell an error.
#[test]
fn a_completion_that_fails_with_200_is_repeated() {
    each(Tiny::new, vec![Fault::Error(200, "InternalError"), Fault::ResetAfter], |tiny, fault| {
        let rule = FaultRule::new(fault.clone()).on("CompleteMultipartUpload").times(2);
        match tiny.pack_with(rule) {
            Ok(Outcome::Done) => vec![],
            other => vec![format!("{fault:?}: {other:?}")],
        }
    });
}

/// A byte that changes on its way here.
#[test]
fn wrong_bytes_on_the_way_never_get_into_a_dataset() {
    each(Tiny::new, vec![Fault::WrongBody], |tiny, fault| {
        (1..)
            .map(|k| (k, tiny.pack_with(FaultRule::new(fault.clone()).on("GetObject").from(k))))
            .take_while(|(_, outcome)| *outcome != Ok(Outcome::Missed))
            .filter_map(|(k, outcome)| outcome.err().map(|wrong| format!("GetObject {k}: {wrong}")))
            .collect()
    });
}

/// What a dataset's readers get, all of it.
type Read = fn(&Tiny) -> Result<Vec<u8>, Error>;

fn verified(tiny: &Tiny) -> Result<Vec<u8>, Error> {
    let store = S3Store::open(tiny.connect(), uri("dst/"));
    let dataset = Dataset::open(&store)?;
    let report = verify(&dataset, &VerifyOptions::default(), &Progress::default())?;
    match report.is_whole() {
        true => Ok(report.digest.into_bytes()),
        false => Err(Error::NotFound(format!("{:?}", report.damage))),
    }
}

fn listed(tiny: &Tiny) -> Result<Vec<u8>, Error> {
    let store = S3Store::open(tiny.connect(), uri("dst/"));
    let mut out = Vec::new();
    ls(&Dataset::open(&store)?, &LsOptions::default(), &mut |entry| {
        out.extend(format!("{entry:?}\n").into_bytes());
        Ok(())
    })?;
    Ok(out)
}

fn printed(tiny: &Tiny) -> Result<Vec<u8>, Error> {
    let store = S3Store::open(tiny.connect(), uri("dst/"));
    let mut out = Vec::new();
    cat(&Dataset::open(&store)?, "ü/4.jpg", &mut out, &CatOptions::default())?;
    Ok(out)
}

fn unpacked(tiny: &Tiny) -> Result<Vec<u8>, Error> {
    wipe(&tiny.server, "out/");
    let s3 = tiny.connect();
    let (store, out) = (S3Store::open(s3.clone(), uri("dst/")), S3Store::open(s3, uri("out/")));
    let options = UnpackOptions { jobs: 2, ..UnpackOptions::default() };
    unpack_into(&Dataset::open(&store)?, &out, &options, &Progress::default())?;
    let found = objects(&tiny.server, "out/");
    Ok(found.into_iter().flat_map(|(name, bytes)| [name.into_bytes(), bytes].concat()).collect())
}

#[test]
fn a_fault_at_any_call_of_a_reader_gives_the_same_or_an_error() {
    let commands: [(&str, Read); 4] =
        [("verify", verified), ("ls", listed), ("cat", printed), ("unpack", unpacked)];
    let faults = of_the_line(SOME).into_iter().chain([Fault::WrongBody]).collect();
    each(Tiny::new, faults, |tiny, fault| {
        let mut wrong = Vec::new();
        for (name, read) in commands {
            let expected = read(tiny).expect("no fault");
            let calls = tiny.calls(|tiny| read(tiny).map(|_| ()));
            for k in 1..=calls {
                tiny.server.inject(FaultRule::new(fault.clone()).from(k));
                let found = read(tiny);
                tiny.server.heal();
                let mends = !matches!(fault, Fault::Error(..) | Fault::WrongBody);
                match found {
                    Ok(found) if found != expected => {
                        wrong
                            .push(format!("{name}, {fault:?} at call {k} of {calls}: other bytes"));
                    }
                    Err(error) if mends => {
                        let error = chain(&error);
                        wrong.push(format!("{name}, {fault:?} at call {k} of {calls}: {error}"));
                    }
                    _ => {}
                }
            }
        }
        same(&objects(&tiny.server, "dst/"), &tiny.whole);
        wrong
    });
}

/// A sample of the same through the program, whose waits are longer.
#[test]
fn the_program_bears_faults_or_says_which() {
    let cloud = Cloud::new();
    super::tree(&cloud.home, 8);
    cloud.upload("src", "src/");
    let line = "pack s3://bucket/src s3://bucket/dst --target 20kB --stall-timeout 1";
    cloud.line(line).done();
    let whole = cloud.objects("dst/");
    let last = cloud.server.call_count() as u64;
    for (i, fault) in of_the_line(SOME).into_iter().enumerate() {
        let at = 1 + (i as u64 * 7) % last;
        cloud.wipe("dst/");
        cloud.server.inject(FaultRule::new(fault.clone()).from(at));
        let ran = cloud.line(line);
        cloud.server.heal();
        match ran.code {
            Some(0) => same(&cloud.objects("dst/"), &whole),
            code => {
                assert!(matches!(fault, Fault::Error(..)), "{fault:?}: {}", ran.stderr);
                assert_eq!(code, Some(2), "{fault:?}: {}", ran.stderr);
                assert!(!cloud.objects("dst/").contains_key("manifest.json"));
                let Fault::Error(_, code) = fault else { continue };
                assert!(ran.stderr.contains(code), "{code} in {}", ran.stderr);
            }
        }
        cloud.line(line).done();
        same(&cloud.objects("dst/"), &whole);
        cloud.line("verify s3://bucket/dst --against s3://bucket/src --stall-timeout 1").done();
    }
}
