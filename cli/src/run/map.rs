//! What is done to each sample: options of a map, and what is told of it.

use std::time::Duration;

#[cfg(feature = "image")]
use shardpack_pack::{Colour, Encoding, ImageOptions};
use shardpack_pack::{Map, MapCommand, MapReport, Tell, Transform};

use crate::args::MapArgs;
#[cfg(feature = "image")]
use crate::args::{ColourArg, EncodingArg};
use crate::exit::{Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::size::{count, counted};

/// The map that was asked for.
pub(super) fn options(args: &MapArgs, log: Log) -> Result<Option<Map>> {
    let command = args.map_cmd.as_ref().map(|cmd| command(args, cmd, log)).transpose()?;
    let transform = match (command, pictures(args)) {
        (None, None) => return Ok(None),
        (Some(transform), None) | (None, Some(transform)) => transform,
        (Some(_), Some(_)) => {
            return Err(Failure::new("--map-cmd: not together with what is done to pictures")
                .hint("have the command do it, or reshard the result once more"));
        }
    };
    let mut map = Map::new(transform);
    map.errors = args.map_errors.into();
    if let Some(scratch) = &args.scratch {
        map.scratch.clone_from(scratch);
    }
    Ok(Some(map))
}

fn command(args: &MapArgs, command: &str, log: Log) -> Result<Transform> {
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
    Ok(Transform::Command(asked))
}

/// What is done to pictures, if any option asks for it.
#[cfg(feature = "image")]
fn pictures(args: &MapArgs) -> Option<Transform> {
    let image = &args.image;
    let asked = image.resize.is_some()
        || image.center_crop
        || image.quality.is_some()
        || image.encoding.is_some()
        || image.color.is_some();
    asked.then(|| {
        Transform::Image(ImageOptions {
            resize: image.resize,
            resize_up: image.resize_up,
            center_crop: image.center_crop,
            encoding: match image.encoding {
                Some(EncodingArg::Png) => Encoding::Png,
                _ => Encoding::Jpg,
            },
            quality: image.quality,
            colour: match image.color {
                None => Colour::Keep,
                Some(ColourArg::Rgb) => Colour::Rgb,
                Some(ColourArg::Grey) => Colour::Grey,
            },
            max_pixels: image.max_pixels,
        })
    })
}

#[cfg(not(feature = "image"))]
fn pictures(_args: &MapArgs) -> Option<Transform> {
    None
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
