//! `shardpack shuffle-score`.

use serde::Serialize;
use shardpack_dataset::{Mixing, mixing};
use shardpack_pack::{Dataset, Error};

use super::dataset::Place;
use crate::args::ShuffleScoreArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{count, counted};

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    mixing: &'a Mixing,
    /// The mean over the ideal.
    score: f64,
}

pub(super) fn run(args: &ShuffleScoreArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let store = Place::at(&args.path, &args.s3, log)?.with_manifest()?;
    let dataset = Dataset::open(&*store).map_err(Error::from)?;
    let splits = mixing(&dataset, args.window as usize).map_err(Error::from)?;
    let rows: Vec<Row<'_>> =
        splits.iter().map(|mixing| Row { mixing, score: mixing.score() }).collect();
    if args.report.json {
        output.json(&rows)?;
    } else if !args.report.quiet {
        for row in rows {
            line(&row, args.window, output)?;
        }
    }
    Ok(Exit::Done)
}

fn line(row: &Row<'_>, window: u32, output: &mut Output) -> Result<()> {
    let Mixing { split, samples, unlabelled, classes, mean, ideal, .. } = row.mixing;
    let split = split.as_ref().map_or(String::new(), |split| format!("{split}: "));
    let without = match unlabelled {
        0 => String::new(),
        number => format!(", {} without a label left out", count(*number)),
    };
    output.line(&format!(
        "{split}score {:.3}: {mean:.2} classes in {window} samples, {ideal:.2} at random \
         ({}, {}{without})",
        row.score,
        counted(*samples, "sample"),
        match classes {
            1 => "1 class".into(),
            many => format!("{} classes", count(*many)),
        }
    ))
}
