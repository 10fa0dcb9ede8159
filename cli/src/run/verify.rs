//! `shardpack verify`.

use std::path::Path;
use std::sync::Arc;

use shardpack_pack::{AgainstReport, Progress, Sightings, VerifyOptions, VerifyReport, verify};
use shardpack_store::WalkOptions;

use super::dataset::Place;
use super::{overlay, quarantine, source};
use crate::args::VerifyArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

pub(super) fn run(args: &VerifyArgs, log: Log, output: &mut Output) -> Result<Exit> {
    if args.quick && args.against.is_some() {
        return Err(Failure::new(
            "--quick reads no shard, so it cannot compare --against a source",
        )
        .hint("leave one of them out"));
    }
    signal::end_at_once(log, "interrupted: nothing is known of the dataset yet")?;
    let place = Place::of(&args.dataset, log)?;
    let dataset = place.dataset()?;
    if let (Some(file), None) = (&args.quarantine, dataset.manifest()) {
        return Err(quarantine::without_manifest(file));
    }
    let progress = Arc::new(Progress::default());
    let display = super::display(args.output, "verifying", &progress, log);
    let defaults = VerifyOptions::default();
    let limits =
        super::s3::Limits { io_depth: WalkOptions::default().io_depth, ..Default::default() };
    let opening = source::Opening { files: &args.files, s3: &args.dataset.s3, limits, log };
    let open = |path| source::open(path, opening).map(|opened| opened.source);
    let against = args.against.as_deref().map(open).transpose()?;
    let options = VerifyOptions {
        against: against.as_deref(),
        jobs: place.jobs(args.work, defaults.jobs),
        memory: args.work.memory.0,
        quick: args.quick,
    };
    let mut report = verify(&dataset, &options, &progress)?;
    let over = overlay::verify(args, &dataset, options.jobs, &mut report, log)?;
    drop(display);
    let written = args.quarantine.as_deref();
    let written = written
        .map(|file| quarantine::write(file, &dataset, &report, &args.dataset.s3, log))
        .transpose()?;
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet && report.is_whole() => {}
        false => {
            print(&report, &args.dataset.path, over.as_deref(), output)?;
            written.map_or(Ok(()), |written| output.line(&written))?;
        }
    }
    Ok(if report.is_whole() { Exit::Done } else { Exit::Damage })
}

/// Everything that is wrong, a line each; the last line is the verdict.
fn print(
    report: &VerifyReport,
    path: &Path,
    over: Option<&str>,
    output: &mut Output,
) -> Result<()> {
    for damage in &report.damage {
        output.line(&format!("damage: {damage}"))?;
    }
    if report.damage_not_listed > 0 {
        output.line(&format!("damage: {} places more", count(report.damage_not_listed)))?;
    }
    for duplicate in &report.duplicates {
        let place = |(shard, record): &(String, u64)| format!("{shard}, record {record}");
        let places: Vec<_> = duplicate.places.iter().map(place).collect();
        output.line(&format!("twice: key {:?} in {}", duplicate.key, places.join(" and ")))?;
    }
    for extra in &report.extra {
        output
            .line(&format!("extra: {extra} is not in the manifest, but a channel would read it"))?;
    }
    if let Some(against) = &report.against {
        compared(against, output)?;
    }
    for caveat in &report.caveats {
        output.line(&format!("note: {caveat}"))?;
    }
    if report.deleted > 0 {
        let deleted = counted(report.deleted, "sample");
        output.line(&format!(
            "note: {deleted} of these marked as deleted, and still in the shards"
        ))?;
    }
    if let (Some(over), Some(records)) = (over, report.over) {
        let keys = counted(records, "record");
        output.line(&format!("over {over}: {keys} of the same key"))?;
    }
    output.line(&format!("digest {}", report.digest))?;
    output.line(&verdict(report, path))
}

fn compared(against: &AgainstReport, output: &mut Output) -> Result<()> {
    let mut differ = |found: &Sightings, what: &str| -> Result<()> {
        for name in &found.first {
            output.line(&format!("differs: {name} {what}"))?;
        }
        match found.count.saturating_sub(found.first.len() as u64) {
            0 => Ok(()),
            more => output.line(&format!("differs: and {} more {what}", count(more))),
        }
    };
    differ(&against.missing, "is in no shard")?;
    differ(&against.extra, "is not in the source")?;
    differ(&against.different, "has other bytes in the source")?;
    let equal = counted(against.equal, "file");
    output.line(&format!("against {}: {equal} equal", against.source))
}

fn verdict(report: &VerifyReport, path: &Path) -> String {
    let what = format!(
        "{} ({}, {}) in {} of {} in all: {}",
        counted(report.samples, "sample"),
        counted(report.files, "field"),
        bytes(report.file_bytes),
        counted(report.shards, "shard"),
        bytes(report.shard_bytes),
        path.display()
    );
    match (report.is_whole(), report.quick) {
        (true, false) => format!("whole: {what}"),
        (true, true) => format!("nothing missing (--quick: no shard was read): {what}"),
        (false, _) => format!("NOT WHOLE; what is whole: {what}"),
    }
}
