//! `shardpack shuffle-score`.

use shardpack_dataset::{Mixing, mixing};
use shardpack_pack::{Dataset, Error};

use super::dataset::Place;
use crate::args::ShuffleScoreArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{count, counted};

pub(super) fn run(args: &ShuffleScoreArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let store = Place::at(&args.path, &args.s3, log)?.with_manifest()?;
    let dataset = Dataset::open(&*store).map_err(Error::from)?;
    let splits = mixing(&dataset, args.window as usize).map_err(Error::from)?;
    if args.report.json {
        output.json(&splits)?;
    } else if !args.report.quiet {
        for split in &splits {
            output.line(&text(split))?;
        }
    }
    Ok(Exit::Done)
}

/// What a line tells of a split.
pub(super) fn text(mixing: &Mixing) -> String {
    let Mixing { split, samples, unlabelled, classes, window, mean, ideal, score, .. } = mixing;
    let split = split.as_ref().map_or(String::new(), |split| format!("{split}: "));
    let without = match unlabelled {
        0 => String::new(),
        number => format!(", {} without a label left out", count(*number)),
    };
    format!(
        "{split}score {score:.3}: {mean:.2} classes in {window} samples, {ideal:.2} at random \
         ({}, {}{without})",
        counted(*samples, "sample"),
        match classes {
            1 => "1 class".into(),
            many => format!("{} classes", count(*many)),
        }
    )
}
