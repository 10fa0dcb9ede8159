//! The S3 server of the tests as a program of its own, for benchmarks and for trying things out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, fs, io, thread};

use shardpack_testkit::s3::{S3Config, S3Server};

const USAGE: &str = "\
usage: s3-server [options]

Prints its endpoint, then serves until it is killed. Clients sign with the keys of S3Server.

  --port N        listen there; default: any free port
  --root DIR      every file DIR/BUCKET/KEY is an object from the start
  --keys N/M      N empty objects in M folders of the bucket `bucket`; 0 folders: all in its root
  --latency-ms N  answer every request so much later
  --anonymous     let requests without a signature in
  --md5           ETags are MD5, as rclone wants them; 2 s of processor time for a GB";

/// What went wrong, and whose fault it is.
enum Failure {
    Usage(String),
    Io(String, io::Error),
}

#[derive(Default)]
struct Options {
    config: S3Config,
    latency: Duration,
    root: Option<String>,
    keys: Option<(u64, u64)>,
}

fn main() -> ExitCode {
    match start() {
        Ok(server) => {
            println!("{}", server.endpoint());
            loop {
                thread::park();
            }
        }
        Err(Failure::Usage(what)) => {
            eprintln!("s3-server: {what}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(Failure::Io(what, error)) => {
            eprintln!("s3-server: {what}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<S3Server, Failure> {
    let Options { config, latency, root, keys } = options()?;
    let port = format!("port {}", config.port);
    let server = S3Server::try_start(config).map_err(|error| Failure::Io(port, error))?;
    if let Some(root) = root {
        buckets(&server, Path::new(&root))?;
    }
    if let Some((count, folders)) = keys {
        server.put_many((0..count).map(|i| key(i, count, folders)), "");
    }
    server.latency(latency);
    Ok(server)
}

fn options() -> Result<Options, Failure> {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let config = S3Config { md5: false, remember: false, threads, ..S3Config::default() };
    let mut options = Options { config, ..Options::default() };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| usage(format!("{name} needs a value")));
        match name.as_str() {
            "--port" => options.config.port = number(&name, &value()?)?,
            "--latency-ms" => options.latency = Duration::from_millis(number(&name, &value()?)?),
            "--root" => options.root = Some(value()?),
            "--keys" => {
                let value = value()?;
                let (count, folders) = value.split_once('/').unwrap_or((&value, "0"));
                options.keys = Some((number(&name, count)?, number(&name, folders)?));
            }
            "--anonymous" => options.config.anonymous = true,
            "--md5" => options.config.md5 = true,
            _ => return Err(usage(format!("unknown option {name}"))),
        }
    }
    Ok(options)
}

fn usage(what: String) -> Failure {
    Failure::Usage(what)
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Failure> {
    value.parse().map_err(|_| usage(format!("{name}: {value} is no number for it")))
}

/// The name of object `i` of `count`.
fn key(i: u64, count: u64, folders: u64) -> String {
    match folders {
        0 => format!("flat/{i:08}.bin"),
        _ => format!("deep/d{:05}/{i:08}.bin", i / count.div_ceil(folders)),
    }
}

/// Puts every file below the folders of `root`.
fn buckets(server: &S3Server, root: &Path) -> Result<(), Failure> {
    for (name, path) in entries(root)? {
        if path.is_dir() {
            load(server, &name, &path, "")?;
        }
    }
    Ok(())
}

fn load(server: &S3Server, bucket: &str, folder: &Path, prefix: &str) -> Result<(), Failure> {
    for (name, path) in entries(folder)? {
        let key = format!("{prefix}{name}");
        if path.is_dir() {
            load(server, bucket, &path, &format!("{key}/"))?;
        } else {
            let bytes = fs::read(&path).map_err(|error| at(&path, error))?;
            server.put_in(bucket, &key, bytes);
        }
    }
    Ok(())
}

/// Names and paths in a folder.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let read = || {
        fs::read_dir(folder)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().into_string();
                let name = name.map_err(|name| {
                    let what = format!("{}: not UTF-8", name.display());
                    io::Error::new(io::ErrorKind::InvalidData, what)
                })?;
                Ok((name, entry.path()))
            })
            .collect::<io::Result<Vec<_>>>()
    };
    read().map_err(|error| at(folder, error))
}

fn at(path: &Path, error: io::Error) -> Failure {
    Failure::Io(path.display().to_string(), error)
}
