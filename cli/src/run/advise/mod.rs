//! `shardpack advise`.

pub(super) mod data;
mod html;
mod text;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use shardpack_advise::{Access, Answer, Error, Job, Prices, advise};

use crate::args::{AccessArg, AdviseArgs, JobArgs, YesNo};
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;

pub(super) fn run(args: &AdviseArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted")?;
    let prices = args.prices.as_deref().map_or_else(|| Ok(Prices::default()), prices)?;
    let found = data::find(&args.data, &args.files, &args.s3, log)?;
    let answer = advise(&found.data, &job(&args.job), &prices)
        .map_err(|error| data::failure(&error, &found.name))?;
    if let Some(page) = &args.html {
        write(page, &html::page(&answer, &found.name))?;
    }
    match args.report.json {
        true => output.json(&answer)?,
        false if args.report.quiet => {}
        false => text::print(&answer, args, output)?,
    }
    Ok(Exit::Done)
}

fn job(args: &JobArgs) -> Job {
    let mut job = Job::default();
    job.access = args.access.map(|access| match access {
        AccessArg::Sequential => Access::Sequential,
        AccessArg::Random => Access::Random,
    });
    (job.hosts, job.workers, job.epochs) = (args.hosts, args.workers, args.epochs);
    job.consume = args.consume.map(|rate| rate.0);
    job.disk = args.disk.map(|size| size.0);
    job.memory = args.memory.map(|size| size.0);
    job.vpc = args.vpc.map(|answer| answer == YesNo::Yes);
    job.hours = args.hours;
    job.can_serialise = !args.keep_files;
    job.target = args.target.0;
    job
}

/// More than any table of prices has.
const LONGEST: u64 = 1 << 20;

fn prices(path: &Path) -> Result<Prices> {
    let name = format!("--prices {}", path.display());
    let mut json = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut json))
        .map_err(|error| Failure::from(shardpack_store::Error::io(error, name.clone())))?;
    Prices::parse(&json).map_err(|error| {
        let hint = r#"write {"region": "eu-west-1", "date": "2026-11", "source": "...", "instance_hour": 3.8}"#;
        let hint = match error {
            Error::Number { .. } => "prices are in dollars, 0 or above",
            _ => hint,
        };
        Failure::new(format!("{name}: {error}")).hint(hint)
    })
}

fn write(page: &Path, html: &str) -> Result<()> {
    fs::write(page, html).map_err(|error| {
        Failure::from(shardpack_store::Error::io(error, format!("--html {}", page.display())))
    })
}

/// What to do, in one line.
fn advice(answer: &Answer) -> String {
    use shardpack_advise::Unit;
    let each = Unit::Bytes.show(answer.shards.bytes as f64);
    let count = Unit::Count.show(answer.shards.count as f64);
    let ending = if answer.shards.count == 1 { "" } else { "s" };
    let what = match (answer.serialise, answer.data.packed) {
        (true, false) => format!("pack into {count} shard{ending} of {each}"),
        (true, true) => format!("pack again, into {count} shard{ending} of {each}"),
        (false, true) => format!("keep the {count} shard{ending}"),
        (false, false) => format!("keep the {count} file{ending}"),
    };
    match answer.storage {
        "S3" => format!("{what}; {}; {}", answer.choice.title(), answer.distribution),
        _ => format!("{what}; {}, mounted (input mode File)", answer.choice.title()),
    }
}
