//! `shardpack delete`.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use shardpack_pack::{DeleteOptions, Error, delete};

use super::dataset::Place;
use super::pack;
use crate::args::DeleteArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{count, counted};

/// Longest list of keys in bytes: a manifest, which has to hold them, may be as long.
const MOST: u64 = 256 << 20;
/// Indexes that are read at a time over a network: some megabytes each.
const REMOTE_JOBS: usize = 8;

pub(super) fn run(args: &DeleteArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted: all samples are marked, or none; see shardpack info")?;
    let mut keys = args.keys.clone();
    if let Some(file) = &args.from {
        keys.extend(listed(file)?);
    }
    let place = Place::at(&args.path, &args.s3, log)?;
    let store = place.with_manifest()?;
    let mut options =
        DeleteOptions { undo: args.undo, dry_run: args.dry_run, ..DeleteOptions::default() };
    if place.is_remote() {
        options.jobs = REMOTE_JOBS;
    }
    let report = delete(&*store, &keys, &options).map_err(|error| match error {
        Error::Store(error) if error.is_changed() => {
            Failure::of(&error).hint("run the same command again: it starts from what is there now")
        }
        error => pack::name_full_device(error, &args.path),
    })?;
    if args.report.json {
        output.json(&report)?;
    } else if !args.report.quiet {
        let verb = match (args.undo, args.dry_run) {
            (false, false) => "deleted",
            (false, true) => "would delete",
            (true, false) => "brought back",
            (true, true) => "would bring back",
        };
        let already = match report.unchanged {
            0 => String::new(),
            n if args.undo => format!(" ({} not deleted)", count(n)),
            n => format!(" ({} deleted already)", count(n)),
        };
        output.line(&format!(
            "{verb} {}{already}; {} live, {} deleted: {}",
            counted(report.changed, "sample"),
            count(report.live),
            count(report.deleted),
            args.path.display()
        ))?;
    }
    Ok(Exit::Done)
}

/// The lines of a file. An empty one is no key.
fn listed(file: &Path) -> Result<Vec<String>> {
    let name = file.display();
    let input: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(file).map_err(|e| failed(file, e))?),
    };
    let mut bytes = Vec::new();
    input.take(MOST + 1).read_to_end(&mut bytes).map_err(|e| failed(file, e))?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::new(format!("{name}: a list of keys has at most {MOST} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new(format!("{name}: no UTF-8 at byte {at}")).hint("keys are text, one a line")
    })?;
    let keys = text.lines().filter(|line| !line.is_empty());
    Ok(keys.map(str::to_owned).collect())
}

fn failed(file: &Path, error: io::Error) -> Failure {
    shardpack_store::Error::io(error, file.display().to_string()).into()
}
