//! stub
use crate::args::WarmArgs;
use crate::exit::{Exit, Result};
use crate::log::Log;
use crate::output::Output;
pub(super) fn run(_: &WarmArgs, _: Log, _: &mut Output) -> Result<Exit> {
    Ok(Exit::Done)
}
