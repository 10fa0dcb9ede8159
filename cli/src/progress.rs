//! Draws a run's progress: a bar on a terminal, a line every ten seconds elsewhere.
//!
//! One thread polls the counters. Workers never draw: a slow terminal must not slow a pack.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use shardpack_pack::{Progress, Stage};

use crate::log::Log;
use crate::size::{bytes, count};

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// One bar that is drawn again and again.
    Bar,
    /// A line now and then.
    Lines,
    /// A JSON object now and then, one when the stage changes and one at the end.
    Json,
    /// Nothing.
    None,
}

/// How often the counters are read.
const POLL: Duration = Duration::from_millis(100);
/// How often a line is told: a log of a day's run stays readable.
const LINES: Duration = Duration::from_secs(10);

/// The drawing thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Display {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Display {
    pub(crate) fn start(
        style: Style,
        work: &'static str,
        progress: Arc<Progress>,
        log: Log,
    ) -> Self {
        if style == Style::None {
            return Self { running: None };
        }
        let (stop, stopped) = channel();
        let thread = thread::spawn(move || {
            let mut drawer = Drawer::new(style, log);
            while stopped.recv_timeout(POLL) == Err(RecvTimeoutError::Timeout) {
                drawer.draw(&Snapshot::of(&progress, work));
            }
            drawer.end(&Snapshot::of(&progress, work));
        });
        Self { running: Some((stop, thread)) }
    }
}

impl Drop for Display {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// The counters at one moment.
#[derive(Clone, Debug)]
struct Snapshot {
    stage: Stage,
    /// What is done in [`Stage::Pack`]: packing, verifying.
    work: &'static str,
    stopped: bool,
    files: [u64; 2],
    bytes: [u64; 2],
    shards: [u64; 2],
}

impl Snapshot {
    fn of(progress: &Progress, work: &'static str) -> Self {
        let pair = |done: &AtomicU64, all: &AtomicU64| [done.load(Relaxed), all.load(Relaxed)];
        Self {
            stage: progress.stage(),
            work,
            stopped: progress.stopped(),
            files: pair(&progress.files, &progress.files_planned),
            bytes: pair(&progress.bytes, &progress.bytes_planned),
            shards: pair(&progress.shards, &progress.shards_planned),
        }
    }

    fn stage(&self) -> &'static str {
        match (self.stopped, self.stage) {
            (true, Stage::Map | Stage::Pack) => "stopping",
            (_, Stage::Plan) => "listing",
            (_, Stage::Map) => "mapping",
            (_, Stage::Pack) => self.work,
            (_, Stage::Publish) => "publishing",
        }
    }
}

/// What was done when packing began, and since when: sealed shards of an earlier run are no speed.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn bytes_per_second(&self, now: &Snapshot) -> f64 {
        let seconds = self.since.elapsed().as_secs_f64().max(0.001);
        now.bytes[0].saturating_sub(self.bytes) as f64 / seconds
    }

    /// Seconds to go, once there is a pace to tell from.
    fn left(&self, now: &Snapshot) -> Option<u64> {
        let rate = self.bytes_per_second(now);
        (rate > 0.0).then(|| (now.bytes[1].saturating_sub(now.bytes[0]) as f64 / rate) as u64)
    }
}

struct Drawer {
    style: Style,
    log: Log,
    bar: Option<ProgressBar>,
    start: Instant,
    pace: Option<Pace>,
    told: Instant,
    stage: &'static str,
}

impl Drawer {
    fn new(style: Style, log: Log) -> Self {
        let bar = (style == Style::Bar).then(|| {
            // Templates are fixed; indicatif's own style is the fallback.
            // Two lines, so that a terminal of 80 columns has room for both.
            let template = "{prefix:10} [{wide_bar}] {percent:>3}%\n{wide_msg}";
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(1).with_style(style.progress_chars("=> "))
        });
        let now = Instant::now();
        Self { style, log, bar, start: now, pace: None, told: now, stage: "" }
    }

    fn draw(&mut self, now: &Snapshot) {
        let changed = std::mem::replace(&mut self.stage, now.stage()) != now.stage();
        if matches!(now.stage, Stage::Map | Stage::Pack) && (self.pace.is_none() || changed) {
            self.pace = Some(Pace { since: Instant::now(), bytes: now.bytes[0] });
        }
        let due = self.told.elapsed() >= LINES;
        match self.style {
            Style::Bar => self.draw_bar(now),
            Style::Json if due || changed => self.log.event(&self.event(now)),
            Style::Lines if due || (changed && now.stopped) => {
                self.log.note(&format!("{}: {}", now.stage(), self.text(now)));
            }
            _ => return,
        }
        self.told = Instant::now();
    }

    fn draw_bar(&self, now: &Snapshot) {
        let Some(bar) = &self.bar else { return };
        // Empty files have a count but no bytes.
        let [done, all] = if now.bytes[1] > 0 { now.bytes } else { now.files };
        if bar.length() != Some(all.max(1)) {
            bar.set_length(all.max(1));
        }
        if bar.prefix() != now.stage() {
            bar.set_prefix(now.stage());
        }
        bar.set_position(done);
        bar.set_message(self.text(now)); // draws
    }

    fn end(&mut self, now: &Snapshot) {
        if let Some(bar) = &self.bar {
            self.draw_bar(now); // a short run shows its bar as well
            bar.finish_and_clear();
        }
        if self.style == Style::Json {
            self.log.event(&self.event(now));
        }
    }

    fn text(&self, now: &Snapshot) -> String {
        if now.shards[1] == 0 {
            return format!("{} s", self.start.elapsed().as_secs());
        }
        let of = |[done, all]: [u64; 2]| format!("{} of {}", count(done), count(all));
        // Who reads shards counts no files.
        let files = match now.files[1] {
            0 => String::new(),
            _ => format!("{} files, ", of(now.files)),
        };
        let size = format!("{} of {}", bytes(now.bytes[0]), bytes(now.bytes[1]));
        let unit = if now.stage == Stage::Map { "pieces" } else { "shards" };
        let mut text = format!("{files}{size}, {} {unit}", of(now.shards));
        if let Some((pace, left)) = self.pace.and_then(|pace| Some((pace, pace.left(now)?))) {
            let rate = bytes(pace.bytes_per_second(now) as u64);
            text.push_str(&format!(", {rate}/s, {} left", clock(left)));
        }
        text
    }

    fn event(&self, now: &Snapshot) -> Value {
        json!({
            "event": "progress",
            "stage": now.stage(),
            "seconds": self.start.elapsed().as_secs_f64(),
            "files": now.files[0],
            "files_planned": now.files[1],
            "bytes": now.bytes[0],
            "bytes_planned": now.bytes[1],
            "shards": now.shards[0],
            "shards_planned": now.shards[1],
            "bytes_per_second": self.pace.map(|pace| pace.bytes_per_second(now)),
            "seconds_left": self.pace.and_then(|pace| pace.left(now)),
        })
    }
}

/// `2:05`, `1:00:00`.
fn clock(seconds: u64) -> String {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    match minutes / 60 {
        0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{:02}:{seconds:02}", minutes % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> Snapshot {
        Snapshot {
            stage: Stage::Pack,
            work: "packing",
            stopped: false,
            files: [1_500, 3_000],
            bytes: [40_000_000, 80_000_000],
            shards: [2, 4],
        }
    }

    #[test]
    fn a_line_tells_files_bytes_shards_pace_and_time_left() {
        let mut drawer = Drawer::new(Style::Lines, Log::default());
        let since = Instant::now() - Duration::from_secs(100);
        drawer.pace = Some(Pace { since, bytes: 20_000_000 });
        let text = drawer.text(&snapshot());
        assert_eq!(
            text.split(", ").take(3).collect::<Vec<_>>(),
            ["1,500 of 3,000 files", "40.0 MB of 80.0 MB", "2 of 4 shards"]
        );
        // 20 MB in 100 s: what an earlier run had sealed is not counted.
        assert!(text.contains("200 kB/s") || text.contains("199 kB/s"), "{text}");
        assert!(text.ends_with("3:20 left"), "{text}");
        let verifying = Snapshot { files: [0, 0], ..snapshot() };
        assert!(drawer.text(&verifying).starts_with("40.0 MB of 80.0 MB, 2 of 4 shards"));
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        let mut drawer = Drawer::new(Style::Json, Log::default());
        let empty = Snapshot { bytes: [0, 0], files: [0, 0], shards: [0, 0], ..snapshot() };
        drawer.pace = Some(Pace { since: Instant::now(), bytes: 0 });
        assert_eq!(drawer.event(&empty)["seconds_left"], Value::Null);
        assert!(drawer.text(&empty).ends_with(" s"));
    }

    #[test]
    fn clocks() {
        assert_eq!([0, 65, 3600].map(clock), ["0:00", "1:05", "1:00:00"]);
    }
}
