//! `shardpack audit`.

use std::fs;
use std::path::{Path, PathBuf};

use shardpack_reader::coverage::{
    AuditOptions, AuditReport, EpochAudit, Log as Coverage, Seen, audit,
};
use shardpack_reader::{Error, Reader};

use super::dataset::Place;
use super::s3;
use crate::args::AuditArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{count, counted};

/// What the names of logs end in.
const EXTENSION: &str = "coverage";

pub(super) fn run(args: &AuditArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted: nothing is proved yet")?;
    let place = Place::at(&args.path, &args.s3, log)?;
    let store = place.with_manifest()?;
    let mut logs = Vec::new();
    for path in files(&args.logs)? {
        match Coverage::open(&path)? {
            Some(read) => logs.push(read),
            None => log.note(&format!("{}: says nothing, and is left out", path.display())),
        }
    }
    let Some(first) = logs.first() else {
        return Err(Failure::new("no log says that anything was read"));
    };
    let mut options = first.options();
    options.split = args.part.split.clone();
    options.quarantine = args.part.quarantine.clone();
    options.s3 = s3::options(&args.s3, s3::Limits::default(), log);
    options.plan.subset = args.part.subset.unwrap_or_default();
    let reader = Reader::resume_store(store, options, Some(&first.state));
    let mut wanted = AuditOptions::default();
    (wanted.times, wanted.epochs) = (args.times, args.epochs);
    let audited = reader.and_then(|reader| audit(&reader, &logs, &wanted));
    let report = audited.map_err(|error| match error {
        Error::Different { differences } => Failure {
            causes: differences,
            ..Failure::new("the logs are not of this dataset as it is, or not of one job")
        }
        .hint("give the logs of one job, and --split and --subset as it had them; samples that were deleted or brought back since then make another dataset"),
        error => error.into(),
    })?;
    match (args.report.json, args.report.quiet) {
        (true, _) => output.json(&report)?,
        (false, true) if report.is_exact() => {}
        (false, _) => print(&report, output)?,
    }
    Ok(if report.is_exact() { Exit::Done } else { Exit::Damage })
}

/// The logs that arguments name, those of folders sorted by name.
fn files(arguments: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in arguments {
        let failed = |e| shardpack_store::Error::io(e, path.display().to_string());
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        for entry in fs::read_dir(path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                files.push(path);
            }
        }
        if files.len() == before {
            let what = format!("{}: no file here ends in .{EXTENSION}", path.display());
            return Err(Failure::new(what).hint("name the logs, or the folder that ranks wrote to"));
        }
    }
    files.sort();
    files.dedup_by(|a, b| same(a, b));
    Ok(files)
}

fn same(a: &Path, b: &Path) -> bool {
    a == b || fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b)
}

fn print(report: &AuditReport, output: &mut Output) -> Result<()> {
    for torn in &report.torn {
        output.line(&format!("note: the last line of {torn} was cut off, and is left out"))?;
    }
    for start in &report.starts {
        output.line(&format!(
            "start: epoch {}, position {}: {} with {}",
            start.epoch,
            count(start.position),
            counted(start.world, "rank"),
            counted(start.logs, "log")
        ))?;
    }
    for epoch in &report.epochs {
        found("missing", &epoch.first_missing, epoch.missing, output)?;
        found("too often", &epoch.first_doubled, epoch.doubled, output)?;
        found("damaged", &epoch.first_damaged, epoch.damaged, output)?;
        output.line(&sum(epoch, report))?;
    }
    let times = times(report.times);
    output.line(&match report.is_exact() {
        true => format!("proved: every sample {times} an epoch"),
        false => format!("NOT every sample {times} an epoch"),
    })
}

/// The samples of a kind that have names.
fn found(kind: &str, first: &[Seen], all: u64, output: &mut Output) -> Result<()> {
    for seen in first {
        let ranks = match &*seen.ranks {
            [] => String::new(), // nobody knows which host's it was
            ranks => format!(": {}", ranks.join(", ")),
        };
        output.line(&format!(
            "{kind}: {:?} at position {}, seen {}{ranks}",
            seen.key,
            seen.position,
            times(seen.times)
        ))?;
    }
    match all.saturating_sub(first.len() as u64) {
        0 => Ok(()),
        more => output.line(&format!("{kind}: and {} more", count(more))),
    }
}

/// An epoch in a line; only what there is of.
fn sum(epoch: &EpochAudit, report: &AuditReport) -> String {
    let mut text = format!("epoch {}", epoch.epoch);
    if report.epochs.iter().any(|other| other.replica > 0) {
        text.push_str(&format!(", replica {}", epoch.replica));
    }
    text.push_str(&format!(
        ": {} of {} {}",
        count(epoch.exact),
        counted(report.samples, "sample"),
        times(report.times)
    ));
    for (number, what) in [
        (epoch.missing, "missing"),
        (epoch.doubled, "too often"),
        (epoch.damaged, "damaged and not handed out"),
        (epoch.pending, "not reached yet"),
        (epoch.dropped, "left out by the plan"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", count(number)));
        }
    }
    for (number, what) in [(epoch.padding, "of padding"), (epoch.undone, "undone by a restart")] {
        if number > 0 {
            text.push_str(&format!("; {} {what}", counted(number, "step")));
        }
    }
    text
}

fn times(times: u64) -> String {
    match times {
        0 => "never".into(),
        1 => "once".into(),
        n => format!("{n} times"),
    }
}
