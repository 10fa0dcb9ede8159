//! `shardpack warm`.
//!
//! A file of Lustre whose bytes are in an archive (for FSx, in S3) is *released*: it has a name and a
//! length, and no bytes. Reading any of it has Lustre restore all of it, and the reader waits for
//! that (Lustre Operations Manual, chapter "Hierarchical Storage Management": reading, writing or
//! truncating the file fetches its data; a partial restore does not exist). So one byte a file is
//! enough. `posix_fadvise` and `readahead` are not: they fill the page cache of this host from
//! Lustre, promise nothing, and need not wait.

mod hsm;
mod touch;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use shardpack_store::{LocalTree, Source, Symlinks, WalkOptions};

use crate::args::WarmArgs;
use crate::exit::{Exit, Failure, Result};
use crate::log::Log;
use crate::output::Output;
use crate::signal;
use crate::size::{bytes, count, counted};

/// Failures that are told one by one.
const TOLD: usize = 10;
/// How often progress is told.
const LINES: Duration = Duration::from_secs(10);

/// A file with bytes to bring.
#[derive(Debug)]
struct Cold {
    path: PathBuf,
    len: u64,
}

/// What was done.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// Files that are there now, and their bytes.
    files: u64,
    bytes: u64,
    /// Files that were there before; none where nobody can tell.
    already: Option<u64>,
    /// Bytes that were read for it.
    read: u64,
    /// Files without a byte, which need nothing.
    empty: u64,
    seconds: f64,
    /// Files that could not be read.
    failed: u64,
    /// What was wrong with the first of them.
    failures: Vec<String>,
}

impl Report {
    fn warmed(&mut self, file: &Cold) {
        self.files += 1;
        self.bytes += file.len;
    }

    fn failed(&mut self, what: String) {
        self.failed += 1;
        if self.failures.len() < TOLD {
            self.failures.push(what);
        }
    }
}

pub(super) fn run(args: &WarmArgs, log: Log, output: &mut Output) -> Result<Exit> {
    signal::end_at_once(log, "interrupted: what is there stays; run again to go on")?;
    let start = Instant::now();
    let (files, empty) = list(&args.path, args.jobs as usize)?;
    let mut pace = Pace::new(log, &files);
    let mut report = match args.hsm {
        true => hsm::restore(&files, args.batch as usize, &mut pace)?,
        false => touch::read(&files, args.jobs as usize, args.whole, &mut pace),
    };
    report.empty = empty;
    report.seconds = start.elapsed().as_secs_f64();
    match args.report.json {
        true => output.json(&report)?,
        false if args.report.quiet => {}
        false => print(&report, output)?,
    }
    match report.failed {
        0 => Ok(Exit::Done),
        failed => Err(Failure {
            causes: report.failures,
            ..Failure::new(format!("{} could not be warmed", counted(failed, "file")))
        }
        .hint("run again: what is there already costs next to nothing")),
    }
}

/// Files below a path that have bytes, and the number of those without.
fn list(path: &Path, io_depth: usize) -> Result<(Vec<Cold>, u64)> {
    let name = path.display().to_string();
    if name.contains("://") {
        return Err(Failure::new(format!("{name}: an address has nothing to warm"))
            .hint("name the folder where the file system is mounted"));
    }
    // Absolute, so that no name looks like an option of lfs.
    let path = &std::path::absolute(path).map_err(|error| Failure::of(&error))?;
    let meta = fs::metadata(path)
        .map_err(|error| Failure::from(shardpack_store::Error::io(error, name)))?;
    let all = match meta.is_dir() {
        false => vec![Cold { path: path.to_owned(), len: meta.len() }],
        true => {
            let options = WalkOptions {
                symlinks: Symlinks::Skip, // what they point to may be anywhere
                hidden: true,
                enter: None,
                keep: None,
                io_depth,
            };
            let tree = LocalTree::open(path, &options)?;
            let below = |name: Vec<u8>| path.join(OsStr::from_bytes(&name));
            let files = tree.listing().iter();
            files.map(|file| Cold { path: below(file.path()), len: file.len }).collect()
        }
    };
    let found = all.len();
    let files: Vec<Cold> = all.into_iter().filter(|file| file.len > 0).collect();
    let empty = found - files.len();
    Ok((files, empty as u64))
}

/// Tells every ten seconds how far it is.
struct Pace {
    log: Log,
    files: u64,
    bytes: u64,
    told: Instant,
}

impl Pace {
    fn new(log: Log, files: &[Cold]) -> Self {
        let bytes = files.iter().map(|file| file.len).sum();
        Self { log, files: files.len() as u64, bytes, told: Instant::now() }
    }

    fn tell(&mut self, report: &Report) {
        if self.told.elapsed() < LINES || self.log.quiet {
            return;
        }
        self.told = Instant::now();
        match self.log.json {
            true => self.log.event(&json!({
                "event": "progress", "stage": "warming",
                "files": report.files, "files_planned": self.files,
                "bytes": report.bytes, "bytes_planned": self.bytes,
            })),
            false => self.log.note(&format!(
                "warming: {} of {} files, {} of {}",
                count(report.files),
                count(self.files),
                bytes(report.bytes),
                bytes(self.bytes)
            )),
        }
    }
}

fn print(report: &Report, output: &mut Output) -> Result<()> {
    let already = report
        .already
        .map_or(String::new(), |already| format!(", {} of them there before", count(already)));
    output.line(&format!(
        "warmed {}, {}{already}; {} read in {:.1} s",
        counted(report.files, "file"),
        bytes(report.bytes),
        bytes(report.read),
        report.seconds
    ))
}
