//! Mounts a folder as FastFile would: `fuse-mount FOLDER AT [--latency-ms N]` prints `mounted` and
//! serves until its standard input ends; then it unmounts.
//!
//! A program of its own: whoever reads from a mount that its own process serves cannot be killed.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (folder, at, latency) = match &*arguments {
        [folder, at] => (folder, at, Some(0)),
        [folder, at, flag, latency] if flag == "--latency-ms" => (folder, at, latency.parse().ok()),
        _ => return usage(),
    };
    let Some(latency) = latency else { return usage() };
    let session = match shardpack_testkit::fuse::mount(
        Path::new(folder),
        Path::new(at),
        Duration::from_millis(latency),
    ) {
        Ok(session) => session,
        Err(error) => {
            eprintln!("{at}: {error}");
            return ExitCode::FAILURE;
        }
    };
    println!("mounted");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    match session.umount_and_join() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{at}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: fuse-mount FOLDER AT [--latency-ms N]");
    ExitCode::FAILURE
}
