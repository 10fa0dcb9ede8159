//! A case for each rule that meets it, and one that just does not; and whole answers.

use proptest::prelude::*;
use shardpack_manifest::sagemaker::Distribution;

use super::*;
use crate::decide::collect;
use crate::{Access, Answer, Data, Finding, Home, Job, Outcome, Prices, SMALL, Way, advise};

/// Changes 100 shards of 150 MB on S3, and a job of which nothing is told.
type Change = fn(&mut Data, &mut Job);

fn ask(change: Change) -> Answer {
    let mut data = Data::new(Home::S3, vec![150_000_000; 100]);
    let mut job = Job::default();
    change(&mut data, &mut job);
    advise(&data, &job, &Prices::default()).expect("an answer")
}

fn finding(answer: &Answer, id: &str) -> Finding {
    let mut all = answer.rules.iter().chain(&answer.checks);
    all.find(|finding| finding.id == id).unwrap_or_else(|| panic!("no rule {id}")).clone()
}

fn lens(data: &mut Data, files: usize, len: u64) {
    data.lens = vec![len; files];
}

/// Each rule: what meets it, and what just does not.
const CASES: &[(&str, Change, Change)] = &[
    ("small-files", half_small, below_half_small),
    ("small-time", |d, _| beside(d, 3573), |d, _| beside(d, 3572)),
    ("can-serialise", |_, _| {}, |_, j| j.can_serialise = false),
    ("packing-gain", |d, _| lens(d, 4, 50_000_000), |d, _| lens(d, 5, 61_000_000)),
    ("augmented", |d, _| d.augmented = true, |_, _| {}),
    ("augmented-packed", |_, _| {}, |_, j| j.can_serialise = false),
    ("on-efs", |d, _| d.home = Home::Efs, |d, _| d.home = Home::Fsx),
    ("efs-vpc", |_, j| j.vpc = Some(true), |_, j| j.vpc = Some(false)),
    ("efs-rate", |_, j| j.consume = Some(524_288_000.0), |_, j| j.consume = Some(524_288_001.0)),
    ("on-fsx", |d, _| d.home = Home::Fsx, |d, _| d.home = Home::Efs),
    ("on-fsx-vpc", |_, j| j.vpc = Some(true), |_, j| j.vpc = Some(false)),
    ("random", |_, j| j.access = Some(Access::Random), |_, j| j.access = Some(Access::Sequential)),
    ("random-small", |d, _| lens(d, 1, 99_999_999_999), |d, _| lens(d, 1, 100_000_000_000)),
    ("random-disk", |_, j| j.disk = Some(15_000_000_000), |_, j| j.disk = Some(14_999_999_999)),
    ("random-vpc", |_, j| j.vpc = Some(true), |_, j| j.vpc = Some(false)),
    ("loose", half_small, below_half_small),
    (
        "loose-time",
        |d, j| {
            beside(d, 3573);
            j.can_serialise = false;
        },
        |d, _| beside(d, 3572),
    ),
    ("loose-small", |d, _| lens(d, 1, 99_999_999_999), |d, _| lens(d, 1, 100_000_000_000)),
    ("loose-disk", |_, j| j.disk = Some(15_000_000_000), |_, j| j.disk = Some(14_999_999_999)),
    // 12 s and 288 s at 156 MB/s.
    ("loose-wait", |d, _| lens(d, 1, 44_928_000_000), |d, _| lens(d, 1, 44_928_001_000)),
    // A download of 120 s: 12 s and 108 s at 156 MB/s. Nine times as long are 0.3 h.
    ("loose-share", share_met, share_missed),
    ("loose-vpc", |_, j| j.vpc = Some(true), |_, j| j.vpc = Some(false)),
    ("small", |d, _| lens(d, 1, 49_999_999_999), |d, _| lens(d, 1, 50_000_000_000)),
    ("small-disk", |_, j| j.disk = Some(15_000_000_000), |_, j| j.disk = Some(14_999_999_999)),
    ("small-share", share_met, share_missed),
    ("maybe-small", |d, _| lens(d, 1, 99_999_999_999), |d, _| lens(d, 1, 100_000_000_000)),
    ("maybe-small-disk", |_, j| j.disk = Some(15_000_000_000), |_, j| j.disk = Some(1)),
    ("maybe-small-share", share_met, share_missed),
    ("several-hosts", |_, j| j.hosts = 2, |_, j| j.hosts = 1),
    ("objects", |_, _| {}, |d, _| d.home = Home::Efs),
    ("on-demand", |d, _| lens(d, 1000, 150_000_000), |_, _| {}),
    (
        "all-at-random",
        |_, j| j.access = Some(Access::Random),
        |_, j| j.access = Some(Access::Sequential),
    ),
    ("even", |_, j| j.hosts = 4, |_, j| j.hosts = 3),
    ("idle-hosts", |_, j| j.hosts = 101, |_, j| j.hosts = 100),
    ("idle-workers", |_, j| j.workers = 101, |_, j| j.workers = 100),
    ("uneven-hosts", |_, j| j.hosts = 3, |_, j| j.hosts = 4),
    (
        "skew",
        |d, _| d.lens = vec![60_000_000, 60_000_000, 60_000_000, 300_000_000],
        |d, _| d.lens = vec![60_000_000, 60_000_000, 240_000_000],
    ),
    ("small-beside-large", |d, _| beside(d, 1), |_, _| {}),
    (
        "listing",
        |d, j| {
            lens(d, 440_001, 1000);
            j.can_serialise = false;
        },
        |d, j| {
            lens(d, 440_000, 1000);
            j.can_serialise = false;
        },
    ),
    (
        "request-rate",
        |d, j| {
            lens(d, 9, 1000);
            j.can_serialise = false;
            j.consume = Some(5_501_000.0);
        },
        |d, j| {
            lens(d, 9, 1000);
            j.can_serialise = false;
            j.consume = Some(5_500_000.0);
        },
    ),
    (
        "lustre-rate",
        |_, j| (j.hosts, j.consume) = (2, Some(120_000_001.0)),
        |_, j| (j.hosts, j.consume) = (2, Some(120_000_000.0)),
    ),
    ("recordio-limit", |d, _| lens(d, 2, 536_870_912), |d, _| lens(d, 2, 536_870_911)),
    ("fits-memory", |_, j| j.memory = Some(18_750_000_000), |_, j| j.memory = Some(18_749_999_999)),
    ("many-epochs", |_, j| j.epochs = 2, |_, j| j.epochs = 1),
];

fn half_small(data: &mut Data, _: &mut Job) {
    data.lens = vec![40_000_000, 40_000_000, 80_000_000];
}

fn below_half_small(data: &mut Data, _: &mut Job) {
    data.lens = vec![40_000_000, 39_999_999, 80_000_000];
}

/// So many files of a byte beside 100 shards. Opening all and reading the shards takes 171.47 s, at
/// 48 ms and 90 MB/s; 3573 tiny files take as long.
fn beside(data: &mut Data, files: usize) {
    data.lens.extend(vec![1; files]);
}

fn share_met(data: &mut Data, job: &mut Job) {
    lens(data, 1, 108 * 156_000_000);
    job.hours = Some(0.3);
}

fn share_missed(data: &mut Data, job: &mut Job) {
    lens(data, 1, 108 * 156_000_000);
    job.hours = Some(0.2999);
}

fn ids() -> Vec<&'static str> {
    let (mut serialise, mut way, mut distribution) = (Vec::new(), Vec::new(), Vec::new());
    collect(&SERIALISE, &mut serialise);
    collect(&WAY, &mut way);
    collect(&DISTRIBUTION, &mut distribution);
    let ids = serialise.iter().map(|branch| branch.rule.id);
    let ids = ids.chain(way.iter().map(|branch| branch.rule.id));
    let ids = ids.chain(distribution.iter().map(|branch| branch.rule.id));
    ids.chain(CHECKS.iter().map(|check| check.rule.id)).collect()
}

#[test]
fn each_rule_is_met_at_its_threshold_and_not_just_below() {
    for (id, met, missed) in CASES {
        let outcome = |change: &Change| finding(&ask(*change), id).outcome;
        assert_eq!((outcome(met), outcome(missed)), (Outcome::Yes, Outcome::No), "{id}");
    }
}

#[test]
fn no_rule_is_without_a_case_and_no_name_is_given_twice() {
    let mut with_case: Vec<&str> = CASES.iter().map(|case| case.0).collect();
    let mut ids = ids();
    with_case.sort_unstable();
    ids.sort_unstable();
    assert_eq!(ids, with_case);
    ids.dedup();
    assert_eq!(ids.len(), with_case.len());
}

#[test]
fn every_answer_tells_every_rule_once() {
    let answer = ask(|_, _| {});
    let mut told: Vec<&str> = answer.rules.iter().chain(&answer.checks).map(|f| f.id).collect();
    let mut ids = ids();
    told.sort_unstable();
    ids.sort_unstable();
    assert_eq!(told, ids);
}

#[test]
fn every_rule_names_its_source() {
    let answer = ask(|_, _| {});
    for finding in answer.rules.iter().chain(&answer.checks) {
        let source = finding.source;
        assert!(source.document.len() > 10, "{}", finding.id);
        assert!(source.url.is_empty() || source.url.starts_with("https://"), "{}", finding.id);
    }
}

/// What AWS's guide says of whole situations.
#[test]
fn situations() {
    use Way::{Efs, FastFile, File, Fsx, Pipe};
    let cases: &[(&str, Change, (bool, Way))] = &[
        ("a small set of shards", |_, _| {}, (false, File)),
        ("a small set of small files", |d, _| lens(d, 30_607, 39_000), (true, File)),
        ("one tiny file", |d, _| lens(d, 1, 10), (false, File)),
        ("a large set of shards", |d, _| lens(d, 1000, 150_000_000), (false, FastFile)),
        ("a large set of small files", |d, _| lens(d, 3_000_000, 39_000), (true, FastFile)),
        (
            "the same, not to be packed, VPC",
            |d, j| {
                lens(d, 3_000_000, 39_000);
                (j.can_serialise, j.vpc) = (false, Some(true));
            },
            (false, Fsx),
        ),
        (
            "the same, not to be packed, no VPC",
            |d, j| {
                lens(d, 3_000_000, 39_000);
                (j.can_serialise, j.vpc) = (false, Some(false));
            },
            (false, FastFile),
        ),
        (
            "large, at random",
            |d, j| {
                lens(d, 1000, 150_000_000);
                (j.access, j.vpc) = (Some(Access::Random), Some(true));
            },
            (false, Fsx),
        ),
        ("small, at random", |_, j| j.access = Some(Access::Random), (false, File)),
        ("small, a short training", |_, j| j.hours = Some(0.1), (false, FastFile)),
        ("small, no room", |_, j| j.disk = Some(1_000_000_000), (false, FastFile)),
        ("in between, unknown", |d, _| lens(d, 500, 150_000_000), (false, FastFile)),
        (
            "in between, known",
            |d, j| {
                lens(d, 500, 150_000_000);
                (j.disk, j.hours) = (Some(1 << 40), Some(24.0));
            },
            (false, File),
        ),
        ("on EFS", |d, _| d.home = Home::Efs, (false, Efs)),
        (
            "on EFS, a fast model",
            |d, j| {
                d.home = Home::Efs;
                j.consume = Some(1e9);
            },
            (false, File),
        ),
        (
            "on EFS, no VPC",
            |d, j| {
                d.home = Home::Efs;
                j.vpc = Some(false);
            },
            (false, File),
        ),
        ("on FSx", |d, _| d.home = Home::Fsx, (false, Fsx)),
        (
            "an augmented manifest",
            |d, j| {
                d.augmented = true;
                j.can_serialise = false;
            },
            (false, Pipe),
        ),
    ];
    for (name, change, want) in cases {
        let answer = ask(*change);
        assert_eq!((answer.serialise, answer.choice), *want, "{name}");
    }
}

/// Sets of two kinds of files, whose mean length tells the wrong thing either way.
#[test]
fn two_kinds_of_files_are_not_their_mean() {
    let mean = |answer: &Answer| answer.data.bytes / answer.data.files;
    // 100 shards with their indexes: a mean of a small file, and nothing to be packed.
    let shards = ask(|d, _| beside(d, 1000));
    assert!(mean(&shards) < SMALL);
    assert_eq!((shards.serialise, shards.choice), (false, Way::File));
    assert_eq!(finding(&shards, "small-beside-large").value, Some(1000.0));
    // Files of 35 MB, and four as long as 350 of them: a mean of a long file, and half of the bytes
    // in small ones.
    let long = ask(|d, _| d.lens = [vec![35_000_000; 1400], vec![12_250_000_000; 4]].concat());
    assert!(mean(&long) >= SMALL);
    assert!(long.serialise);
    // The same shards among a hundred thousand crumbs, which hold no byte in ten thousand and cost
    // most of the time.
    let crumbs = ask(|d, _| beside(d, 100_000));
    let small = crumbs.data.small;
    assert!(small.bytes * 10_000 < crumbs.data.bytes && small.files == 100_000);
    assert!(crumbs.serialise);
    assert_eq!((crumbs.data.quantiles.half, crumbs.data.quantiles.half_of_bytes), (1, 150_000_000));
}

#[test]
fn a_file_is_small_below_50_mb() {
    let short = |len| {
        let data = Data::new(Home::S3, vec![len; 9]);
        advise(&data, &Job::default(), &Prices::default()).expect("an answer").data.small.files
    };
    assert_eq!((short(49_999_999), short(50_000_000)), (9, 0));
}

#[test]
fn who_gets_what() {
    use Distribution::{FullyReplicated, ShardedByS3Key};
    let cases: &[(Change, Distribution)] = &[
        (|_, _| {}, FullyReplicated),
        (|_, j| j.hosts = 4, ShardedByS3Key),
        (|_, j| j.hosts = 3, FullyReplicated), // 100 shards
        (
            |d, j| {
                j.hosts = 4;
                lens(d, 1000, 150_000_000);
            },
            FullyReplicated,
        ), // FastFile
        (
            |d, j| {
                j.hosts = 3;
                lens(d, 30_607, 39_000);
            },
            ShardedByS3Key,
        ), // packed for 3
    ];
    for (change, want) in cases {
        assert_eq!(ask(*change).distribution, *want);
    }
}

#[test]
fn the_runner_up_lost_by_a_rule_on_the_path() {
    let answer = ask(|d, j| {
        lens(d, 3_000_000, 39_000);
        (j.can_serialise, j.vpc) = (false, Some(false));
    });
    let runner = answer.runner_up.clone().expect("one");
    assert_eq!((runner.way, runner.rule), (Way::Fsx, "loose-vpc"));
    assert!(finding(&answer, runner.rule).on_path);
    assert_eq!(runner.reason, "May the job run in a VPC? no");
    assert_eq!([answer.estimates[0].way, answer.estimates[1].way], [Way::FastFile, Way::Fsx]);
}

#[test]
fn what_nobody_told_is_said_with_what_hangs_on_it() {
    let answer = ask(|d, j| {
        lens(d, 3_000_000, 39_000);
        j.can_serialise = false;
    });
    let told: Vec<&str> = answer.unknown.iter().map(|unknown| unknown.what).collect();
    assert!(told.contains(&"VPC allowed") && told.contains(&"access pattern"), "{told:?}");
    let vpc = answer.unknown.iter().find(|unknown| unknown.what == "VPC allowed").expect("it");
    assert_eq!(vpc.hangs, "May the job run in a VPC? Went on as for no");
    // Nothing is made up for what depends on it.
    assert!(answer.estimates.iter().all(|e| e.epoch.is_none() && e.waiting_cost.is_none()));
}

#[test]
fn numbers_that_mean_nothing_are_named() {
    let data = Data::new(Home::S3, vec![1]);
    type Wrong = (fn(&mut Job), &'static str);
    let jobs: &[Wrong] = &[
        (|j| j.hosts = 0, "hosts: 0 is not a number above 0"),
        (|j| j.workers = 0, "workers: 0"),
        (|j| j.epochs = 0, "epochs: 0"),
        (|j| j.target = 0, "target: 0"),
        (|j| j.consume = Some(-1.0), "bytes a second: -1"),
        (|j| j.hours = Some(f64::NAN), "hours of training: NaN"),
        (|j| j.hours = Some(f64::INFINITY), "hours of training: inf"),
    ];
    for (change, why) in jobs {
        let mut job = Job::default();
        change(&mut job);
        let error = advise(&data, &job, &Prices::default()).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
    for lens in [vec![], vec![0, 0]] {
        let error = advise(&Data::new(Home::S3, lens), &Job::default(), &Prices::default());
        assert_eq!(error.expect_err("empty"), crate::Error::Empty);
    }
}

proptest! {
    /// A larger set never starts earlier, needs fewer requests, or costs less.
    #[test]
    fn more_files_never_cost_less(
        files in 1usize..2000, more in 1usize..2000, len in 1u64..1 << 28, hosts in 1u64..9,
    ) {
        let job = || Job {
            hosts, can_serialise: false, access: Some(Access::Random),
            consume: Some(1e8), hours: Some(2.0), ..Job::default()
        };
        let of = |files: usize| {
            let data = Data::new(Home::S3, vec![len; files]);
            let mut all = advise(&data, &job(), &Prices::default()).expect("an answer").estimates;
            all.sort_by_key(|estimate| estimate.way);
            all
        };
        for (few, many) in of(files).iter().zip(&of(files + more)) {
            prop_assert!(few.start <= many.start && few.first_batch <= many.first_batch);
            prop_assert!(few.gets <= many.gets && few.lists <= many.lists && few.disk <= many.disk);
            prop_assert!(few.requests_cost <= many.requests_cost);
            prop_assert!(few.epoch <= many.epoch && few.storage_cost <= many.storage_cost);
        }
    }

    /// What could be told for any set at all: an answer, whatever its lengths.
    #[test]
    fn no_set_is_without_an_answer(
        lens in prop::collection::vec(any::<u64>(), 1..20),
        hosts in any::<u64>(), workers in any::<u64>(),
    ) {
        let job = Job { hosts, workers, ..Job::default() };
        let answer = advise(&Data::new(Home::S3, lens.clone()), &job, &Prices::default());
        let good = hosts > 0 && workers > 0 && lens.iter().any(|len| *len > 0);
        prop_assert_eq!(answer.is_ok(), good);
    }
}
