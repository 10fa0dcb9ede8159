//! The answer: what to do, why, and what it would cost.

use serde::Serialize;
use shardpack_manifest::sagemaker::{Distribution, InputMode};

use crate::decide::{all, checks, walk};
use crate::estimate::estimates;
use crate::facts::Facts;
use crate::rules::{CHECKS, DISTRIBUTION, SERIALISE, WAY};
use crate::{
    Bucket, Data, Estimate, Finding, Home, Job, Outcome, Part, Prices, Quantiles, Result, SMALL,
    Shards, Way,
};

/// What to do, why, and what it would cost.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// The way that the data should take.
    pub choice: Way,
    /// Where its bytes should lie.
    pub storage: &'static str,
    /// The channel's input mode.
    pub input_mode: InputMode,
    /// Whether to pack first.
    pub serialise: bool,
    /// What training reads: shards to be packed, or files as they are.
    pub shards: Shards,
    /// Who gets what.
    pub distribution: Distribution,
    /// What would have been chosen if one rule had been answered otherwise.
    pub runner_up: Option<Runner>,
    /// What each way would cost, the chosen one first, the runner-up next.
    pub estimates: Vec<Estimate>,
    /// The way to the answer, question by question; then the rules that made no difference.
    pub rules: Vec<Finding>,
    /// Trouble to expect, and what else was looked for.
    pub checks: Vec<Finding>,
    /// What nobody told, and what hangs on it.
    pub unknown: Vec<Unknown>,
    /// What the data is.
    pub data: Summary,
    /// What was told of the job.
    pub job: Job,
    /// The prices that were used.
    pub prices: Prices,
}

/// The second best.
#[derive(Clone, Debug, Serialize)]
pub struct Runner {
    /// The way.
    pub way: Way,
    /// The rule that it lost by.
    pub rule: &'static str,
    /// The question, its value and its threshold.
    pub reason: String,
}

/// Something that nobody told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// What.
    pub what: &'static str,
    /// What hangs on it.
    pub hangs: String,
}

/// What the data is.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Where it lives.
    pub home: Home,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files by ending.
    pub formats: Vec<(String, u64)>,
    /// They are shards already.
    pub packed: bool,
    /// Lengths that shares of the files do not exceed.
    pub quantiles: Quantiles,
    /// Files below [`SMALL`].
    pub small: Part,
    /// Files by length.
    pub histogram: Vec<Bucket>,
}

/// Asks the rules.
///
/// Fails with [`Error::Empty`](crate::Error::Empty) without a byte of data, and with
/// [`Error::Number`](crate::Error::Number) for a number that means nothing.
pub fn advise(data: &Data, job: &Job, prices: &Prices) -> Result<Answer> {
    data.check()?;
    job.check()?;
    prices.check()?;
    let facts = Facts::new(data, job);
    let (serialise, path) = walk(&SERIALISE, &facts, None);
    let mut rules = all(&SERIALISE, &facts, path);
    let facts = if serialise { facts.serialised() } else { facts };
    let (choice, path) = walk(&WAY, &facts, None);
    let runner_up = runner_up(choice, &path, &facts);
    rules.extend(all(&WAY, &facts, path));
    let mut estimates = estimates(data, job, &facts, prices);
    let second = runner_up.as_ref().map(|runner| runner.way);
    estimates.sort_by_key(|estimate| (estimate.way != choice, Some(estimate.way) != second));
    let facts = facts.on(choice);
    let (distribution, path) = walk(&DISTRIBUTION, &facts, None);
    rules.extend(all(&DISTRIBUTION, &facts, path));
    rules.sort_by_key(|finding| !finding.on_path); // stable: the path first, in its order
    let checks = checks(CHECKS, &facts);
    Ok(Answer {
        choice,
        storage: choice.storage(),
        input_mode: choice.input_mode(),
        serialise,
        shards: facts.read(),
        distribution,
        runner_up,
        estimates,
        unknown: unknown(data, job, prices, &rules),
        rules,
        checks,
        data: Summary {
            home: data.home,
            files: data.files(),
            bytes: data.bytes(),
            formats: data.formats.clone(),
            packed: data.packed,
            quantiles: data.quantiles(),
            small: data.below(SMALL),
            histogram: data.histogram(),
        },
        job: job.clone(),
        prices: prices.clone(),
    })
}

/// What the last rule that matters would have led to.
fn runner_up(choice: Way, path: &[Finding], facts: &Facts<'_>) -> Option<Runner> {
    path.iter().rev().find_map(|finding| {
        let (way, _) = walk(&WAY, facts, Some(finding.id));
        let reason = format!("{} {}", finding.asks, finding.evidence());
        (way != choice).then_some(Runner { way, rule: finding.id, reason })
    })
}

fn unknown(data: &Data, job: &Job, prices: &Prices, rules: &[Finding]) -> Vec<Unknown> {
    let mut unknown: Vec<Unknown> = Vec::new();
    let mut tell = |what: &'static str, hangs: String| match unknown
        .iter_mut()
        .find(|known| known.what == what)
    {
        Some(known) if !known.hangs.contains(&hangs) => {
            known.hangs = format!("{}; {hangs}", known.hangs);
        }
        Some(_) => {}
        None => unknown.push(Unknown { what, hangs }),
    };
    for finding in rules.iter().filter(|f| f.on_path && f.outcome == Outcome::Unknown) {
        let what = told_as(finding.fact);
        tell(
            what,
            format!("{} Went on as for {}", finding.asks, if finding.taken { "yes" } else { "no" }),
        );
    }
    for (told, what, hangs) in [
        (job.access.is_some(), "access pattern", "whether files are read from front to back"),
        (
            job.consume.is_some(),
            "bytes a second that the model takes",
            "time of an epoch, request rates",
        ),
        (
            job.hours.is_some(),
            "hours of training",
            "cost of FSx for Lustre, what a download weighs",
        ),
        (prices.instance_hour.is_some(), "price of an instance's hour", "what waiting costs"),
        (
            data.home != Home::Local,
            "where the data will lie",
            "it is on a local disk: it has to be uploaded first",
        ),
    ] {
        if !told {
            tell(what, hangs.into());
        }
    }
    unknown
}

/// What somebody would have to tell for a fact to be known.
fn told_as(fact: &'static str) -> &'static str {
    match fact {
        "random access" => "access pattern",
        "download's share of download and training" => "hours of training",
        "share of the disk that a download fills" => "disk of a host",
        "bytes a second that the model takes on a host" => "bytes a second that the model takes",
        other => other,
    }
}
