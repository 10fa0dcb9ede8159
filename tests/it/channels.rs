//! `shardpack channels`: a packed dataset from an S3 server in each input mode, and what becomes of
//! an agent that is stopped or killed.

mod bad;
mod detached;
mod ended;
mod faults;
mod file_systems;
mod groups;
mod killed;
mod manifests;
mod modes;
mod ordinary;
mod refused;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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
        let mut random = Random(5);
        let lens: Vec<u64> = (0..60).map(|_| 200 + random.below(600)).collect();
        Self::of(&lens, &format!("--max-samples 7 {pack}"))
    }

    /// One shard of 3 MB.
    fn large() -> Self {
        Self::of(&[100_000; 30], "--format tfrecord")
    }

    fn of(lens: &[u64], pack: &str) -> Self {
        let (home, server) = (Home::new(), S3Server::start());
        let mut random = Random(5);
        for (i, len) in lens.iter().enumerate() {
            home.write(&format!("src/{i:03}.bin"), random.bytes(*len));
        }
        home.line(&format!("pack src packed --quiet {pack}")).done();
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

    /// The training loop, run by whoever likes, in an environment that `up` wrote to a file.
    fn train_in(&self, env_file: &str, args: &str) -> Running {
        let mut command = Command::new(train());
        command.args(["--channel", "train"]).args(args.split_whitespace());
        command.envs(self.environment(env_file)).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("it runs").into()
    }

    fn environment(&self, file: &str) -> BTreeMap<String, String> {
        let text = std::fs::read_to_string(self.home.path(file)).expect("an environment");
        let pair =
            |line: &str| line.split_once('=').map(|(name, value)| (name.into(), value.into()));
        text.lines().map(|line| pair(line).expect("NAME=VALUE")).collect()
    }

    /// Keys whose bytes the server was asked for since this was last called.
    fn fetched(&self) -> BTreeSet<String> {
        let calls = self.server.calls();
        self.server.forget_calls();
        let bodies = calls.into_iter().filter(|call| call.operation == "GetObject");
        bodies.filter_map(|call| call.key).collect()
    }

    /// Nothing is left of an agent at a root: a mount, a FIFO, a process.
    fn is_gone(&self, root: &str) -> bool {
        let mut entries = std::fs::read_dir(self.data(root)).into_iter().flatten().flatten();
        let is_fifo = |entry: std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_fifo());
        let fifos = entries.any(is_fifo);
        let root = self.home.path(root);
        !fifos && mounts(&root).is_empty() && processes(&root.display().to_string()).is_empty()
    }

    /// Waits for that; it takes as long as the machine lets whoever tidies up.
    #[track_caller]
    fn until_gone(&self, root: &str) {
        let begin = std::time::Instant::now();
        while !self.is_gone(root) {
            let path = self.home.path(root);
            let left = (mounts(&path), processes(&path.display().to_string()));
            assert!(begin.elapsed().as_secs() < 60, "{left:?}");
            std::thread::yield_now();
        }
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
