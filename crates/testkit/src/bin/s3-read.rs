//! Reads every object below a prefix through the store and throws the bytes away: what reading from
//! S3 costs before anything is done with them. For benchmarks.
//!
//! `s3-read s3://BUCKET/PREFIX THREADS [MIB]`, with the standard AWS configuration. Objects are read
//! whole, or in ranges of so many MiB.

use std::panic::resume_unwind;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Instant;

use shardpack_store::{FileId, Result, S3, S3Options, S3Tree, Sink, Source};

/// Room that is written again and again: a quarter of a MiB stays in the processor's cache.
struct Nothing(Vec<u8>);

impl Sink for Nothing {
    fn space(&mut self) -> Result<&mut [u8]> {
        Ok(&mut self.0)
    }

    fn advance(&mut self, _: usize) -> Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |i: usize| arguments.get(i).and_then(|text| text.parse::<u64>().ok());
    let (Some(uri), Some(threads)) = (arguments.first(), number(1)) else {
        eprintln!("usage: s3-read s3://BUCKET/PREFIX THREADS [MIB]");
        return ExitCode::from(2);
    };
    let piece = number(2).map_or(u64::MAX, |mib| mib.max(1) << 20);
    let start = Instant::now();
    match read(uri, threads, piece) {
        Ok((ranges, bytes)) => {
            let seconds = start.elapsed().as_secs_f64();
            println!("{{\"ranges\": {ranges}, \"bytes\": {bytes}, \"seconds\": {seconds:.4}}}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("s3-read: {error}");
            ExitCode::FAILURE
        }
    }
}

/// How many ranges were read, and their bytes.
fn read(uri: &str, threads: u64, piece: u64) -> Result<(usize, u64)> {
    let uri = uri.parse()?;
    let tree = S3Tree::open(S3::connect(&uri, S3Options::default())?, &uri, &|_| None)?;
    let mut ranges: Vec<(FileId, u64, u64)> = Vec::new();
    for (id, file) in (0..).zip(tree.listing().iter()) {
        let starts = (0..file.len).step_by(usize::try_from(piece).unwrap_or(usize::MAX));
        ranges.extend(starts.map(|start| (id, start, piece.min(file.len - start))));
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        let mut sink = Nothing(vec![0; 256 << 10]);
        while let Some(&(id, start, len)) = ranges.get(next.fetch_add(1, Relaxed)) {
            tree.fetch(id, start, len, &mut sink)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut done = workers.into_iter().map(thread::ScopedJoinHandle::join);
        done.try_for_each(|result| result.unwrap_or_else(|panic| resume_unwind(panic)))
    })?;
    Ok((ranges.len(), ranges.iter().map(|(_, _, len)| len).sum()))
}
