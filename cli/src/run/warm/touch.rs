//! Reading files, many at a time: whoever reads waits, so threads are what there must be many of.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use super::{Cold, LINES, Pace, Report};

/// Bytes that are read at once where all are.
const PIECE: usize = 4 << 20;

/// Reads a byte of each file, or all of it.
pub(super) fn read(files: &[Cold], jobs: usize, whole: bool, pace: &mut Pace) -> Report {
    let mut report = Report::default();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (done, results) = channel();
        for _ in 0..jobs.min(files.len()) {
            let (done, next) = (done.clone(), &next);
            scope.spawn(move || {
                let mut buffer = vec![0; if whole { PIECE } else { 1 }];
                while let Some(file) = files.get(next.fetch_add(1, Relaxed)) {
                    // The receiver outlives the threads.
                    let _ = done.send((file, bring(file, whole, &mut buffer)));
                }
            });
        }
        drop(done);
        loop {
            match results.recv_timeout(LINES) {
                Ok((file, Ok(read))) => {
                    report.read += read;
                    report.warmed(file);
                }
                Ok((file, Err(error))) => {
                    report.failed(format!("{}: {error}", file.path.display()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            pace.tell(&report);
        }
    });
    report
}

/// Reads the first byte of a file, or all of them; gives how many came.
fn bring(file: &Cold, whole: bool, buffer: &mut [u8]) -> io::Result<u64> {
    let open = File::open(&file.path)?;
    let (mut at, end) = (0, if whole { file.len } else { 1 });
    while at < end {
        match open.read_at(buffer, at) {
            Ok(0) => break, // it became shorter: nothing of it is left to bring
            Ok(read) => at += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}
