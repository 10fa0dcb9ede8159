//! Commands that change datasets on S3 or make them of others, disturbed at every call: the result is
//! that of a run that nobody disturbs, or an error and the dataset that was there before.

mod commands;
mod corpus;
mod faults;
mod gone;
mod kill;

use std::sync::OnceLock;

use shardpack_pack::{Dataset, Error, Progress, VerifyOptions, verify};
use shardpack_store::{S3, S3Store};
use shardpack_testkit::s3::{S3Config, S3Server};
use tempfile::TempDir;

use self::commands::{Command, MAKE};
use super::faults::{connect, uri};
use super::{Files, difference, objects};

/// Part of an upload: every shard has two or more, and one record is long enough to be copied.
const PART: u64 = 1_500;
/// Bytes of a body.
const BODY: usize = 900;

/// Makes the bucket hold these objects and no others.
fn restore(server: &S3Server, files: &Files) {
    for (name, bytes) in files {
        server.put(name, bytes.clone());
    }
    for name in server.keys().iter().filter(|name| !files.contains_key(*name)) {
        server.remove(name);
    }
}

/// What is missing of `wanted`, or other. Files for SageMaker are written just before the manifest, and
/// may be those of `next`.
fn lost(found: &Files, wanted: &Files, next: &Files) -> Option<String> {
    let early = |name: &String, bytes: &Vec<u8>| {
        name.contains("/sagemaker/") && next.get(name) == Some(bytes)
    };
    let known = |(name, bytes): (&String, &Vec<u8>)| {
        let wanted = wanted.get(name)?;
        Some((name.clone(), if early(name, bytes) { wanted.clone() } else { bytes.clone() }))
    };
    difference(&found.iter().filter_map(known).collect(), wanted)
}

/// A bucket with small datasets of all kinds.
struct World {
    server: S3Server,
    /// What maps made waits here for the same command.
    scratch: TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self::empty();
        restore(&world.server, Self::bucket());
        world
    }

    /// What is in the bucket before a command runs.
    fn bucket() -> &'static Files {
        static BUCKET: OnceLock<Files> = OnceLock::new();
        BUCKET.get_or_init(|| {
            let world = Self::empty();
            world.fill();
            objects(&world.server, "")
        })
    }

    fn empty() -> Self {
        let config = S3Config { least_part: 1, md5: false, ..S3Config::default() };
        let scratch = tempfile::tempdir().expect("a folder");
        Self { server: S3Server::start_with(config), scratch }
    }

    /// Files to pack, and what `commands.rs` is about.
    fn fill(&self) {
        let put = |folder: &str, i: u8, what: &str| {
            let line = format!("{what} {i} {}\n", "=".repeat(BODY - what.len() - 4));
            self.server.put(&format!("{folder}/ü/{i}.txt"), line);
        };
        (0..4).for_each(|i| put("src", i, "text"));
        (0..6).for_each(|i| put("grown", i, "text"));
        [0, 3, 4].iter().for_each(|i| put("changed", *i, "text"));
        put("changed", 1, "other");
        (7..9).for_each(|i| put("more", i, "text"));
        let rows = (0..4).map(|i| format!("ü/{i},caption {i}\n")).collect::<String>();
        self.server.put("t.csv", format!("key,caption\n{rows}"));
        for (made, make) in MAKE {
            make(self).unwrap_or_else(|error| panic!("{made}: {error}"));
        }
        for (name, bytes) in objects(&self.server, "one/shards/") {
            self.server.put(&format!("theirs/{name}"), bytes);
        }
    }

    fn s3(&self) -> S3 {
        connect(&self.server, PART)
    }

    fn store(&self, place: &str) -> S3Store {
        S3Store::open(self.s3(), uri(place))
    }

    /// Fails unless the dataset at `place` is whole, and what an unfinished run has beside it is told.
    fn verify(&self, place: &str) -> Result<(), Error> {
        let store = self.store(place);
        let dataset = Dataset::open(&store)?;
        let report = verify(&dataset, &VerifyOptions::default(), &Progress::default())?;
        let told = report.caveats.iter().any(|caveat| caveat.contains("the same command"));
        let whole = report.damage.is_empty() && report.duplicates.is_empty();
        match whole && (report.extra.is_empty() || told) {
            true => Ok(()),
            false => Err(Error::NotFound(format!("{:?}, {:?}", report.damage, report.extra))),
        }
    }
}
