//! Ctrl-C, and SIGTERM from whoever runs the job.

use std::io::IsTerminal;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use shardpack_pack::{Progress, Stage};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::{Exit, Failure, Result};
use crate::log::Log;

/// Signals that come this close together are one wish: `timeout` and job managers send theirs to
/// the process and again to its group.
const ONE_WISH: Duration = Duration::from_millis(500);

/// Ends the run on a signal. The first one while shards are written lets the records in hand end,
/// so that the run can say what is sealed; any other one ends the process at once, which is safe:
/// what is not published is not visible, and what is sealed is found again.
pub(crate) fn watch(progress: Arc<Progress>, log: Log) -> Result<()> {
    let mut signals = signals()?;
    thread::spawn(move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            if progress.stage() == Stage::Plan {
                end(log, "interrupted before packing began; no shard was written");
            }
            match first {
                None => {
                    first = Some(Instant::now());
                    progress.stop();
                }
                Some(first) if first.elapsed() < ONE_WISH => {}
                Some(_) => end(
                    log,
                    "interrupted twice: stopped at once; run the same command again to finish",
                ),
            }
        }
    });
    Ok(())
}

/// Ends the process at the first signal: for commands that leave nothing to be tidied up.
pub(crate) fn end_at_once(log: Log, message: &str) -> Result<()> {
    let mut signals = signals()?;
    let message = message.to_owned();
    thread::spawn(move || {
        if signals.forever().next().is_some() {
            end(log, &message);
        }
    });
    Ok(())
}

fn signals() -> Result<Signals> {
    Signals::new([SIGINT, SIGTERM]).map_err(|error| Failure::of(&error))
}

fn end(log: Log, message: &str) -> ! {
    if std::io::stderr().is_terminal() {
        eprintln!(); // a bar may stand on the line
    }
    let exit = Exit::Interrupted;
    Failure { exit, ..Failure::new(message) }.report(log);
    std::process::exit(exit as i32)
}
