//! The program against an S3 server, whole and at fault.

use std::collections::BTreeMap;
use std::process::Command;

use shardpack_testkit::s3::S3Server;

use crate::program::{Home, Ran, Random, Running};

mod changes;
mod copies;
mod credentials;
mod damage;
mod faults;
mod kill;
mod rules;
mod same;
mod tls;
mod writers;

type Files = BTreeMap<String, Vec<u8>>;

/// A folder of its own and a server of its own, and the program run between them.
pub(crate) struct Cloud {
    pub(crate) home: Home,
    pub(crate) server: S3Server,
}

impl Cloud {
    pub(crate) fn new() -> Self {
        Self { home: Home::new(), server: S3Server::start() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.home.command(args);
        command.envs(self.server.environment());
        for other in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
            command.env_remove(other);
        }
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Running::from(self.command(args).spawn().expect("the program runs")).end()
    }

    /// The same, with the arguments in one line.
    pub(crate) fn line(&self, line: &str) -> Ran {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn start(&self, line: &str) -> Running {
        let args: Vec<&str> = line.split_whitespace().collect();
        self.command(&args).spawn().expect("the program runs").into()
    }

    /// Copies a folder of the disk to the objects below `prefix`.
    fn upload(&self, folder: &str, prefix: &str) {
        for (name, bytes) in self.home.files(folder) {
            self.server.put(&format!("{prefix}{name}"), bytes);
        }
    }

    /// Objects below a prefix, by what follows it.
    pub(crate) fn objects(&self, prefix: &str) -> Files {
        objects(&self.server, prefix)
    }

    pub(crate) fn wipe(&self, prefix: &str) {
        wipe(&self.server, prefix);
    }
}

fn objects(server: &S3Server, prefix: &str) -> Files {
    let below = |key: String| {
        let bytes = server.get(&key)?.to_vec();
        Some((key.strip_prefix(prefix)?.to_owned(), bytes))
    };
    server.keys().into_iter().filter_map(below).collect()
}

fn wipe(server: &S3Server, prefix: &str) {
    for key in server.keys().into_iter().filter(|key| key.starts_with(prefix)) {
        server.remove(&key);
    }
}

/// Names what differs instead of printing megabytes.
fn difference(found: &Files, expected: &Files) -> Option<String> {
    let missing = expected.keys().filter(|name| !found.contains_key(*name));
    let extra = found.keys().filter(|name| !expected.contains_key(*name));
    let other =
        found.iter().filter(|(name, bytes)| expected.get(*name).is_some_and(|e| e != *bytes));
    let all: Vec<String> = missing
        .map(|name| format!("{name} is missing"))
        .chain(extra.map(|name| format!("{name} is extra")))
        .chain(other.map(|(name, _)| format!("{name} has other bytes")))
        .collect();
    (!all.is_empty()).then(|| all.join(", "))
}

#[track_caller]
pub(crate) fn same(found: &Files, expected: &Files) {
    assert_eq!(difference(found, expected), None);
}

/// `count` samples of an image and a text in the folder `src`, in classes with names of several
/// scripts; some 2 KB each.
fn tree(home: &Home, count: u64) {
    let mut random = Random(11);
    for i in 0..count {
        let class = ["cat", "dög", "日本 犬", "a+b&c=d%20"][i as usize % 4];
        let key = format!("src/{class}/s {i:03}");
        let len = 500 + random.below(3_000);
        home.write(&format!("{key}.jpg"), random.bytes(len));
        home.write(&format!("{key}.txt"), format!("sample {i}"));
    }
}
