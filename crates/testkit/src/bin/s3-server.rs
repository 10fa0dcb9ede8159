//! The S3 server of the tests as a program of its own, for benchmarks and for trying things out.
//!
//! `s3-server [--port N] [--latency-ms N] [--root DIR] [--anonymous]` prints its endpoint, then
//! serves until it is killed. With `--root`, every file `DIR/BUCKET/KEY` is an object from the
//! start; with `--anonymous`, requests need no signature. Clients sign with the keys of `S3Server`.

use std::io;
use std::path::Path;
use std::time::Duration;
use std::{env, fs, thread};

use shardpack_testkit::s3::{S3Config, S3Server};

const USAGE: &str = "usage: s3-server [--port N] [--latency-ms N] [--root DIR] [--anonymous]";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let threads = thread::available_parallelism()?.get();
    let mut config = S3Config { md5: false, remember: false, threads, ..Default::default() };
    let (mut latency, mut root) = (Duration::ZERO, None);
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match name.as_str() {
            "--port" => config.port = value()?.parse()?,
            "--latency-ms" => latency = Duration::from_millis(value()?.parse()?),
            "--root" => root = Some(value()?),
            "--anonymous" => config.anonymous = true,
            _ => return Err(USAGE.into()),
        }
    }
    let server = S3Server::start_with(config);
    if let Some(root) = root {
        for bucket in fs::read_dir(&root)? {
            let bucket = bucket?;
            if fs::metadata(bucket.path())?.is_dir() {
                load(&server, &text(bucket.file_name())?, &bucket.path(), "")?;
            }
        }
    }
    server.latency(latency);
    println!("{}", server.endpoint());
    loop {
        thread::park();
    }
}

/// Puts every file below `folder`.
fn load(server: &S3Server, bucket: &str, folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let key = format!("{prefix}{}", text(entry.file_name())?);
        if fs::metadata(entry.path())?.is_dir() {
            load(server, bucket, &entry.path(), &format!("{key}/"))?;
        } else {
            server.put_in(bucket, &key, fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn text(name: std::ffi::OsString) -> io::Result<String> {
    name.into_string().map_err(|name| {
        io::Error::new(io::ErrorKind::InvalidData, format!("{}: not UTF-8", name.display()))
    })
}
