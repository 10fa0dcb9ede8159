//! `shardpack append`.

use std::path::Path;
use std::sync::Arc;

use shardpack_pack::{AppendOptions, AppendReport, Error, Progress, append};
use shardpack_store::{LocalStore, S3Store, Store};

use super::{destination, pack, s3, source};
use crate::args::AppendArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

pub(super) fn run(args: &AppendArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let kind = source::kind(&args.source, &args.files)?;
    let walked =
        matches!(kind, source::Kind::Folder | source::Kind::S3) && args.files.files_from.is_none();
    destination::check(&args.source, &args.destination, walked)?;
    let defaults = AppendOptions::default();
    let mut options = AppendOptions {
        sync: args.sync,
        dry_run: args.run.dry_run,
        restart: args.run.restart,
        labels: args.labels.as_ref().map(pack::read_labels).transpose()?,
        jobs: args.run.jobs.unwrap_or(defaults.jobs),
        io_depth: args.run.io_depth,
        memory: args.run.memory.0,
    };

    let progress = Arc::new(Progress::default());
    signal::watch(Arc::clone(&progress), log)?;
    let display = super::display(args.output, "appending", &progress, log);
    // A quarter of the memory is for parts on their way to or from S3.
    let limits = s3::Limits { io_depth: options.io_depth, memory: options.memory / 4 };
    let opening = source::Opening { files: &args.files, s3: &args.s3, limits, log };
    let source::Opened { source, labels } = source::open(&args.source, opening)?;
    options.labels = options.labels.or(labels);
    let store: Box<dyn Store> = match s3::uri(&args.destination)? {
        Some(uri) => Box::new(S3Store::open(s3::connect(&uri, &args.s3, limits, log)?, uri)),
        None => {
            let local = pack::local_options(&args.run, &*source);
            Box::new(LocalStore::open(&args.destination, &local))
        }
    };
    let report = append(&*source, &*store, &options, &progress)
        .map_err(|error| told(error, &args.destination))?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => print(&report, output)?,
    }
    Ok(Exit::Done)
}

/// Another run may be faster where nothing is locked, and full devices have a place.
pub(super) fn told(error: Error, destination: &Path) -> Failure {
    match error {
        Error::Store(error) if error.is_changed() => {
            Failure::of(&error).hint("run the same command again: it starts from what is there now")
        }
        error => pack::name_full_device(error, destination),
    }
}

/// The last line says what became of the dataset.
fn print(report: &AppendReport, output: &mut Output) -> Result<()> {
    for (reason, number) in &report.skipped {
        output.line(&format!("left out {number}: {reason}"))?;
    }
    for doubt in &report.doubts {
        output.line(&format!("warning: {doubt}"))?;
    }
    if report.resumed_shards > 0 {
        let shards = counted(report.resumed_shards as u64, "shard");
        output.line(&format!("{shards} were sealed by an earlier run"))?;
    }
    if report.deleted > 0 {
        let samples = counted(report.deleted, "sample");
        output
            .line(&format!("left out {samples} deleted in the dataset; --sync brings them back"))?;
    }
    if let Some(digest) = &report.digest {
        output.line(&format!("digest {digest}"))?;
    }
    if report.nothing {
        return output.line(&format!(
            "nothing to do: all {} are there as they are: {}",
            counted(report.unchanged, "sample"),
            report.dataset
        ));
    }
    let mut parts = vec![counted(report.added, "sample")];
    for (number, what) in [(report.replaced, "replaced"), (report.removed, "marked as deleted")] {
        if number > 0 {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    let verb = if report.dry_run { "would add" } else { "added" };
    output.line(&format!(
        "{verb} {} in {} of {} in all; version {} has {}: {}",
        parts.join(", "),
        counted(report.shards as u64, "new shard"),
        bytes(report.shard_bytes),
        report.version,
        counted(report.live, "live sample"),
        report.dataset,
    ))
}
