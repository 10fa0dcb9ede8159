//! `shardpack unpack`.

use std::sync::Arc;

use shardpack_pack::{Progress, UnpackOptions, unpack, unpack_into};
use shardpack_store::S3Store;

use super::dataset::Place;
use super::{destination, s3};
use crate::args::UnpackArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, counted};

pub(super) fn run(args: &UnpackArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let out = args.out.display();
    signal::end_at_once(log, &format!("interrupted: {out} is not complete; remove it"))?;
    let place = Place::of(&args.dataset, log)?;
    destination::check(&args.dataset.path, &args.out, true)?;
    let dataset = place.dataset()?;
    let progress = Arc::new(Progress::default());
    let display = super::display(args.output, "unpacking", &progress, log);
    let defaults = UnpackOptions::default();
    let options = UnpackOptions {
        splits: args.split.clone(),
        shards: args.shards.clone(),
        jobs: place.jobs(args.work, defaults.jobs),
        memory: args.work.memory.0,
        durable: !args.no_fsync,
    };
    let report = match s3::uri(&args.out)? {
        None => unpack(&dataset, &args.out, &options, &progress)?,
        Some(uri) => {
            let connection = s3::connect(&uri, &args.dataset.s3, s3::Limits::default(), log)?;
            unpack_into(&dataset, &S3Store::open(connection, uri), &options, &progress)?
        }
    };
    drop(display);
    match args.output.json {
        true => output.json(&report)?,
        false if args.output.quiet => {}
        false => {
            if report.label_fields > 0 {
                let labels = counted(report.label_fields, "label");
                output.line(&format!("left out {labels} that were packed as fields"))?;
            }
            output.line(&format!(
                "unpacked {} of {} ({}) out of {}: {}",
                counted(report.files, "file"),
                counted(report.samples, "sample"),
                bytes(report.file_bytes),
                counted(report.shards, "shard"),
                report.destination
            ))?;
        }
    }
    Ok(Exit::Done)
}
