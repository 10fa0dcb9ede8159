//! The answer for a terminal.

use shardpack_advise::{Answer, Estimate, Finding, Outcome, SMALL, Summary, Unit};

use super::advice;
use crate::args::AdviseArgs;
use crate::exit::Result;
use crate::output::Output;
use crate::size::{ByteSize, bytes, counted};

pub(super) fn print(answer: &Answer, args: &AdviseArgs, output: &mut Output) -> Result<()> {
    let data = &answer.data;
    let formats: Vec<String> =
        data.formats.iter().map(|(name, count)| format!("{name} {count}")).collect();
    output.line(&format!(
        "data       {}, {} ({})",
        counted(data.files, if data.packed { "shard" } else { "file" }),
        bytes(data.bytes),
        formats.join(", ")
    ))?;
    if data.files > 1 {
        output.line(&format!("lengths    {}", lengths(data)))?;
    }
    output.line(&format!("advice     {}", advice(answer)))?;
    // What is not so needs no line; --json and --html have every rule.
    let tells = |finding: &&Finding| {
        let plain_no = finding.unit == Unit::Truth && finding.outcome == Outcome::No;
        finding.on_path && !plain_no
    };
    for (i, finding) in answer.rules.iter().filter(tells).enumerate() {
        let title = if i == 0 { "because" } else { "" };
        output.line(&format!("{title:10} {} {}", finding.asks, finding.evidence()))?;
    }
    match &answer.runner_up {
        Some(runner) => output.line(&format!(
            "runner-up  {}, which lost by: {}",
            runner.way.title(),
            runner.reason
        ))?,
        None => output.line("runner-up  none: no single answer would change it")?,
    }
    table(answer, output)?;
    for finding in answer.checks.iter().filter(|check| check.outcome == Outcome::Yes) {
        let says = finding.says.unwrap_or_default();
        output.line(&format!("note       {} {}: {says}", finding.asks, finding.evidence()))?;
    }
    for unknown in &answer.unknown {
        output.line(&format!("unknown    {}: {}", unknown.what, unknown.hangs))?;
    }
    output.line(&format!(
        "prices     {}, {}: {}",
        answer.prices.region, answer.prices.date, answer.prices.source
    ))?;
    next(answer, args, output)
}

/// How long files are: the rules look at this, not at a mean.
pub(super) fn lengths(data: &Summary) -> String {
    let of = |len: u64| Unit::Bytes.show(len as f64);
    let lens = data.quantiles;
    format!(
        "half of the files to {}, nine in ten to {}, all to {}; {} of the bytes in files below {}",
        of(lens.half),
        of(lens.nine_tenths),
        of(lens.all),
        Unit::Share.show(data.small.bytes as f64 / data.bytes.max(1) as f64),
        of(SMALL)
    )
}

fn table(answer: &Answer, output: &mut Output) -> Result<()> {
    output.line(&format!(
        "{:10} {:14} {:>9} {:>11} {:>9} {:>11} {:>7} {:>9} {:>9}",
        "estimate", "", "start", "first batch", "epoch", "GETs", "LISTs", "disk", "cost"
    ))?;
    for estimate in &answer.estimates {
        output.line(&row(estimate))?;
    }
    Ok(())
}

fn row(estimate: &Estimate) -> String {
    let seconds = |seconds: f64| Unit::Seconds.show(seconds);
    format!(
        "{:10} {:14} {:>9} {:>11} {:>9} {:>11} {:>7} {:>9} {:>9}",
        "",
        estimate.way.title(),
        seconds(estimate.start),
        seconds(estimate.first_batch),
        estimate.epoch.map_or("unknown".into(), seconds),
        Unit::Count.show(estimate.gets as f64),
        Unit::Count.show(estimate.lists as f64),
        Unit::Bytes.show(estimate.disk as f64),
        cost(estimate)
    )
}

/// Dollars; `>=` where a part of them is unknown.
pub(super) fn cost(estimate: &Estimate) -> String {
    let known = [estimate.storage_cost, estimate.waiting_cost];
    let sum: f64 = estimate.requests_cost + known.iter().flatten().sum::<f64>();
    let least = if known.contains(&None) { ">=" } else { "" };
    match sum {
        0.01.. => format!("{least}${sum:.2}"),
        0.0 => format!("{least}$0"),
        _ => format!("{least}$0.01"), // no price is shown as nothing
    }
}

/// The command that does what is advised.
fn next(answer: &Answer, args: &AdviseArgs, output: &mut Output) -> Result<()> {
    if !answer.serialise || answer.data.packed {
        return Ok(());
    }
    let readers = answer.job.hosts.saturating_mul(answer.job.workers);
    let multiple = if readers > 1 { format!(" --shard-multiple {readers}") } else { String::new() };
    output.line(&format!(
        "next       shardpack pack {} DST --target {}{multiple}",
        args.data.source.display(),
        ByteSize(answer.job.target)
    ))
}
