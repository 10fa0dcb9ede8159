//! `shardpack merge`.

use std::path::PathBuf;
use std::sync::Arc;

use shardpack_pack::{MergeOptions, MergeReport, Progress, merge};
use shardpack_store::{LocalOptions, LocalStore, S3Store, Store};

use super::dataset::Place;
use super::reshard::name;
use super::{destination, pack, s3};
use crate::args::MergeArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

pub(super) fn run(args: &MergeArgs, log: Log, output: &mut Output) -> Result<Exit> {
    for source in &args.sources {
        destination::check(source, &args.destination, true)?;
    }
    let place = |source: &PathBuf| Place::at(source, &args.s3, log);
    let places = args.sources.iter().map(place).collect::<Result<Vec<_>>>()?;
    let inputs = (places.iter().zip(&args.sources))
        .map(|(place, source)| {
            place.with_manifest()?;
            Ok((place.dataset()?, name(source)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let uri = s3::uri(&args.destination)?;
    let defaults = MergeOptions::default();
    let options = MergeOptions {
        duplicates: args.duplicates.into(),
        name: args.name.as_ref().map(|name| name.parse()).transpose()?,
        indexes: args.index.clone(),
        s3_prefix: args.s3_prefix.clone().or(uri.as_ref().map(ToString::to_string)),
        dry_run: args.dry_run,
        restart: args.restart,
        jobs: args.jobs.unwrap_or(defaults.jobs),
    };
    let progress = Arc::new(Progress::default());
    signal::watch(Arc::clone(&progress), log)?;
    let display = super::display(args.output, "merging", &progress, log);
    let store: Box<dyn Store> = match uri {
        Some(uri) => {
            let connection = s3::connect(&uri, &args.s3, s3::Limits::default(), log)?;
            Box::new(S3Store::open(connection, uri))
        }
        None => Box::new(LocalStore::open(&args.destination, &LocalOptions::default())),
    };
    let report = merge(&inputs, &*store, &options, &progress)
        .map_err(|error| pack::name_full_device(error, &args.destination))?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => print(&report, output)?,
    }
    Ok(Exit::Done)
}

/// The last line says what is where.
fn print(report: &MergeReport, output: &mut Output) -> Result<()> {
    for doubt in &report.doubts {
        output.line(&format!("warning: {doubt}"))?;
    }
    if report.resumed_shards > 0 && !report.already_complete {
        let shards = counted(report.resumed_shards as u64, "shard");
        output.line(&format!("{shards} were copied by an earlier run"))?;
    }
    output.line(&format!("digest {}", report.digest))?;
    let verb = match (report.already_complete, report.dry_run) {
        (true, _) => "already complete:",
        (_, true) => "would merge",
        (_, false) => "merged",
    };
    let deleted = match (report.deleted, report.duplicates) {
        (0, _) => String::new(),
        (all, 0) => format!(" and {} deleted", count(all)),
        (all, twice) => format!(" and {} deleted, {} for their keys", count(all), count(twice)),
    };
    output.line(&format!(
        "{verb} {} of {} with {}{deleted}: {}",
        counted(report.shards, "shard"),
        bytes(report.shard_bytes),
        counted(report.live, "live sample"),
        report.dataset,
    ))
}
