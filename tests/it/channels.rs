//! `shardpack channels`: a packed dataset from an S3 server in each input mode, and what becomes of
//! an agent that is stopped or killed.

mod ended;
mod modes;
mod refused;

use std::path::PathBuf;
use std::process::Command;

use shardpack_manifest::Digest;
use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Random, Running, train};

/// A dataset of a few shards on an S3 server, and the program beside it.
struct Lab {
    home: Home,
    server: S3Server,
}

impl Lab {
    fn new(pack: &str) -> Self {
        let (home, server) = (Home::new(), S3Server::start());
        let mut random = Random(5);
        for i in 0..60 {
            let len = 200 + random.below(600);
            home.write(&format!("src/{i:03}.bin"), random.bytes(len));
        }
        home.line(&format!("pack src packed --quiet --max-samples 7 {pack}")).done();
        let lab = Self { home, server };
        for (name, bytes) in lab.home.files("packed") {
            lab.server.put(&format!("set/{name}"), bytes);
        }
        lab
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.envs(self.server.environment());
        let others = [
            "AWS_PROFILE",
            "AWS_SESSION_TOKEN",
            "AWS_ENDPOINT_URL_S3",
            "SM_CHANNEL_TRAIN",
            "SAGEMAKER_BASE_DIR",
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
            "LOCAL_WORLD_SIZE",
        ];
        others.iter().for_each(|name| _ = command.env_remove(name));
        command
    }

    /// Starts `channels ...`; the words of `line`, then those of `rest`.
    fn start(&self, line: &str, rest: &[&str]) -> Running {
        let words = line.split_whitespace().chain(rest.iter().copied());
        let args: Vec<&str> = ["channels"].into_iter().chain(words).collect();
        self.command(&args).spawn().expect("the program runs").into()
    }

    fn run(&self, line: &str, rest: &[&str]) -> Ran {
        self.start(line, rest).end()
    }

    /// The reader's training loop among the dataset's channels, with these options of `run`.
    fn train(&self, root: &str, options: &str, mode: &str, args: &str) -> Ran {
        let bucket = S3Server::BUCKET;
        let line = format!(
            "run --quiet --root {root} {options} --channel train=s3://{bucket}/set/shards/,{mode} \
             --channel manifest={} -- {} --channel train {args}",
            self.home.path("meta").display(),
            train().display(),
        );
        self.run(&line, &[])
    }

    /// Manifest and indexes in a folder of their own, as a channel beside the shards.
    fn with_meta(self) -> Self {
        for (name, bytes) in self.home.files("packed") {
            if name.starts_with("index/") || name == "manifest.json" {
                self.home.write(&format!("meta/{name}"), bytes);
            }
        }
        self
    }

    fn whole(&self) -> Digest {
        let text = std::fs::read(self.home.path("packed/manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        manifest["digest"].as_str().expect("a digest").parse().expect("a digest")
    }

    fn data(&self, root: &str) -> PathBuf {
        self.home.path(root).join("input/data")
    }
}

/// The digests that a training loop printed, by epoch.
fn digests(ran: &Ran) -> Vec<Digest> {
    let line = |line: &str| line.split_once(": digest ")?.1.parse().ok();
    ran.stdout.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text}"))).collect()
}

/// Mounts at or below a path.
fn mounts(path: &std::path::Path) -> Vec<String> {
    let path = path.display().to_string();
    let table = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    table.lines().filter(|line| line.contains(&path)).map(str::to_owned).collect()
}

/// Processes whose command line holds a text.
fn processes(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let line = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).ok();
    all.filter_map(line)
        .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}
