//! `shardpack compact`.

use std::sync::Arc;

use shardpack_pack::{CompactOptions, CompactReport, Progress, compact};
use shardpack_store::{LocalOptions, LocalStore, S3Store, Store};

use super::{append, s3};
use crate::args::CompactArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

pub(super) fn run(args: &CompactArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let defaults = CompactOptions::default();
    let options = CompactOptions {
        merge_small: args.merge_small,
        keep: args.keep,
        dry_run: args.run.dry_run,
        restart: args.run.restart,
        jobs: args.run.jobs.unwrap_or(defaults.jobs),
        io_depth: args.run.io_depth,
        memory: args.run.memory.0,
        scratch: args.scratch.clone().unwrap_or(defaults.scratch),
    };
    let progress = Arc::new(Progress::default());
    signal::watch(Arc::clone(&progress), log)?;
    let display = super::display(args.output, "compacting", &progress, log);
    let limits = s3::Limits { io_depth: options.io_depth, memory: options.memory / 4 };
    let store: Box<dyn Store> = match s3::uri(&args.destination)? {
        Some(uri) => Box::new(S3Store::open(s3::connect(&uri, &args.s3, limits, log)?, uri)),
        None => {
            let local = LocalOptions {
                durable: !args.run.no_fsync,
                direct: args.run.direct_io,
                ..LocalOptions::default()
            };
            Box::new(LocalStore::open(&args.destination, &local))
        }
    };
    let report = compact(&*store, &options, &progress)
        .map_err(|error| append::told(error, &args.destination))?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => print(&report, output)?,
    }
    Ok(Exit::Done)
}

/// The last line says what became of the dataset.
fn print(report: &CompactReport, output: &mut Output) -> Result<()> {
    let (would, verb) = if report.dry_run { ("would be ", "would drop") } else { ("", "dropped") };
    if report.resumed_shards > 0 {
        let shards = counted(report.resumed_shards as u64, "shard");
        output.line(&format!("{shards} were sealed by an earlier run"))?;
    }
    if report.removed_versions > 0 {
        output.line(&format!(
            "{}, {} of {} {would}removed",
            counted(report.removed_versions, "version"),
            counted(report.removed_shards, "shard"),
            bytes(report.removed_bytes)
        ))?;
    }
    if let Some(digest) = &report.digest {
        output.line(&format!("digest {digest}"))?;
    }
    if report.nothing {
        let live = counted(report.live, "sample");
        return output.line(&format!("nothing to do: {live}, none is dead: {}", report.dataset));
    }
    if report.rewritten == 0 {
        return Ok(());
    }
    let became = match report.dry_run {
        true => String::new(),
        false => format!(", now {}", count(report.shards as u64)),
    };
    output.line(&format!(
        "{verb} {} from {}{became}; version {} has {}: {}",
        counted(report.dropped, "dead sample"),
        counted(report.rewritten as u64, "shard"),
        report.version,
        counted(report.live, "live sample"),
        report.dataset,
    ))
}
