//! What a check found, and how far downloads are.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use shardpack_agent::{Held, Progress, Survey};

use super::super::display;
use crate::args::OutputArgs;
use crate::exit::Result;
use crate::log::Log;
use crate::output::Output;

/// How often counters are taken over.
const POLL: Duration = Duration::from_millis(100);

/// Prints rules that are broken, doubts, and what each channel holds.
pub(super) fn findings(survey: &Survey, json: bool, output: &mut Output) -> Result<()> {
    let findings = &survey.findings;
    if json {
        let all = findings.iter().map(|finding| {
            let violation = &finding.violation;
            json!({
                "broken": finding.is_broken,
                "field": violation.field,
                "value": violation.value,
                "rule": violation.rule,
                "advice": violation.advice,
                "source": finding.source,
            })
        });
        let channels = survey.held().map(|held| match held.folder {
            Some(folder) => json!({ "name": held.name, "mode": held.mode, "folder": folder }),
            None => json!({
                "name": held.name,
                "mode": held.mode,
                "objects": held.own,
                "objects_of_all_hosts": held.all,
            }),
        });
        return output.json(&json!({
            "findings": all.collect::<Vec<_>>(),
            "channels": channels.collect::<Vec<_>>(),
        }));
    }
    for Held { name, mode, own, all, folder } in survey.held() {
        output.line(&match folder {
            Some(folder) => format!("{name}: {mode}, the folder {}", folder.display()),
            None => format!("{name}: {mode}, {own} of {all} objects for this host"),
        })?;
    }
    for finding in findings {
        let kind = if finding.is_broken { "broken" } else { "doubt" };
        output.line(&format!("{kind}: {finding}"))?;
    }
    Ok(())
}

/// Shows downloads as the program shows everything else.
pub(super) struct Display {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Display {
    /// A run without downloads shows nothing.
    pub(super) fn start(how: OutputArgs, progress: Arc<Progress>, log: Log) -> Self {
        let (stop, stopped) = channel::<()>();
        let thread = thread::spawn(move || {
            let shown = Arc::new(shardpack_pack::Progress::default());
            shown.enter(shardpack_pack::Stage::Pack);
            let mut drawn = None;
            loop {
                let end = stopped.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout);
                take_over(&progress, &shown);
                if progress.files_planned() > 0 && drawn.is_none() && !end {
                    drawn = Some(display(how, "fetching", &shown, log));
                }
                if end {
                    return;
                }
            }
        });
        Self { running: Some((stop, thread)) }
    }
}

fn take_over(from: &Progress, to: &shardpack_pack::Progress) {
    use std::sync::atomic::Ordering::Relaxed;
    // What a channel brings is shards, mostly.
    to.shards_planned.store(from.files_planned(), Relaxed);
    to.shards.store(from.files_done(), Relaxed);
    to.bytes_planned.store(from.bytes_planned(), Relaxed);
    to.bytes.store(from.bytes_done(), Relaxed);
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}
