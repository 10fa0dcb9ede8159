//! What is done to each sample: options of a map, and what is told of it.

use std::time::Duration;

use shardpack_pack::{Map, MapCommand, MapReport, Tell, Transform};

use crate::args::MapArgs;
use crate::exit::{Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::size::{count, counted};

/// The map that was asked for.
pub(super) fn options(args: &MapArgs, log: Log) -> Result<Option<Map>> {
    let Some(command) = &args.map_cmd else { return Ok(None) };
    if command.trim().is_empty() {
        return Err(Failure::new("--map-cmd: there is no command"));
    }
    if args.map_timeout.0 <= 0.0 {
        return Err(Failure::new("--map-timeout: no command answers in no time"));
    }
    let mut asked = MapCommand::new(command);
    asked.frame = args.map_frame.into();
    asked.timeout = Duration::from_secs_f64(args.map_timeout.0);
    asked.tell = Tell::new(move |line| log.note(line));
    let mut map = Map::new(Transform::Command(asked));
    map.errors = args.map_errors.into();
    if let Some(scratch) = &args.scratch {
        map.scratch.clone_from(scratch);
    }
    Ok(Some(map))
}

/// What a map did.
pub(super) fn print(report: &MapReport, output: &mut Output) -> Result<()> {
    let MapReport { samples, changed, kept, dropped, failed, failures, .. } = report;
    for failure in failures {
        output.line(&format!("failed {failure}"))?;
    }
    if *failed > failures.len() as u64 {
        output.line(&format!("and {} more failed", count(failed - failures.len() as u64)))?;
    }
    output.line(&format!(
        "mapped {}: {} changed, {} kept, {} dropped, {} failed",
        counted(*samples, "sample"),
        count(*changed),
        count(*kept),
        count(*dropped),
        count(*failed)
    ))
}
