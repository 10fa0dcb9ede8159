//! `shardpack cat`.

use shardpack_pack::{CatOptions, cat};

use super::dataset::Place;
use crate::args::CatArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;

pub(super) fn run(args: &CatArgs, log: Log, output: &mut Output) -> Result<Exit> {
    let place = Place::of(&args.dataset, log)?;
    let dataset = place.dataset()?;
    let options = CatOptions { memory: args.memory.0 };
    let written = cat(&dataset, &args.name, output, &options);
    // A reader that went away is no failure, whatever `cat` made of it.
    if output.is_closed() {
        return Err(Failure::closed());
    }
    written?;
    Ok(Exit::Done)
}
