//! `shardpack index`.

use std::sync::Arc;

use shardpack_pack::{AdoptOptions, Progress, adopt};

use super::dataset::Place;
use super::pack;
use crate::args::IndexArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, counted};

pub(super) fn run(args: &IndexArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted: no manifest was written; run the same command again")?;
    let place = Place::of(&args.dataset, log)?;
    let dataset = place.foreign()?;
    let progress = Arc::new(Progress::default());
    let display = super::display(args.output, "indexing", &progress, log);
    let defaults = AdoptOptions::default();
    let options =
        AdoptOptions { jobs: place.jobs(args.work, defaults.jobs), memory: args.work.memory.0 };
    let report = adopt(&dataset, &options, &progress)
        .map_err(|error| pack::name_full_device(error, &args.dataset.path))?;
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => {
            for (reason, number) in &report.skipped {
                output.line(&format!("not a sample, {number}: {reason}"))?;
            }
            output.line(&format!("digest {}", report.digest))?;
            output.line(&format!(
                "indexed {} ({}, {}) in {} of {}: manifest and index in {}",
                counted(report.samples, "sample"),
                counted(report.files, "field"),
                bytes(report.file_bytes),
                counted(report.shards, "shard"),
                report.format,
                report.dataset
            ))?;
        }
    }
    Ok(Exit::Done)
}
