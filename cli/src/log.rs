//! Messages on stderr: text for people, one JSON object a line for programs.

use std::io::Write;

use serde_json::{Value, json};
use shardpack_store::Retried;

use crate::exit::{Exit, Failure};

/// How messages are told.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Log {
    /// One JSON object a line.
    pub(crate) json: bool,
    /// Only failures.
    pub(crate) quiet: bool,
}

impl Log {
    /// Something worth knowing that is no failure.
    pub(crate) fn note(self, text: &str) {
        if self.quiet {
            return;
        }
        match self.json {
            true => line(&json!({ "event": "note", "message": text }).to_string()),
            false => line(text),
        }
    }

    /// An object of its own, for programs only.
    pub(crate) fn event(self, event: &Value) {
        line(&event.to_string());
    }

    /// A request to S3 that failed and is sent again.
    pub(crate) fn retried(self, retried: &Retried<'_>) {
        if self.quiet {
            return;
        }
        let Retried { operation, name, why, attempt, wait } = retried;
        match self.json {
            true => line(
                &json!({
                    "event": "retry",
                    "operation": operation,
                    "object": name,
                    "attempt": attempt,
                    "wait_ms": wait.as_millis() as u64,
                    "why": why,
                })
                .to_string(),
            ),
            false => line(&format!(
                "retry {attempt} of {operation} {name} in {:.1} s: {why}",
                wait.as_secs_f64()
            )),
        }
    }

    /// The end of a run that failed: what, why and what to do, each on its own line.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            return line(
                &json!({
                    "event": "error",
                    "exit": failure.exit as u8,
                    "message": failure.message,
                    "causes": failure.causes,
                    "hint": failure.hint,
                })
                .to_string(),
            );
        }
        line(&text(failure));
    }
}

fn text(failure: &Failure) -> String {
    let mut text = match failure.exit {
        Exit::Interrupted => failure.message.clone(),
        _ => format!("error: {}", failure.message),
    };
    for cause in &failure.causes {
        text.push_str(&format!("\n  caused by: {cause}"));
    }
    if let Some(hint) = &failure.hint {
        text.push_str(&format!("\n  hint: {hint}"));
    }
    text
}

/// One write, so that lines of two threads do not mix. Nobody can be told that stderr is gone.
fn line(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_why_and_what_to_do_have_a_line_each() {
        let mut failure = Failure::new("a.tar: corrupt").hint("fetch it again");
        failure.causes.push("checksum differs".into());
        assert_eq!(
            text(&failure),
            "error: a.tar: corrupt\n  caused by: checksum differs\n  hint: fetch it again"
        );
    }
}
