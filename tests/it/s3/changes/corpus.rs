//! A bucket for the program: its parts are S3's, so each dataset has a sample that takes two of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use shardpack_testkit::s3::{S3Config, S3Server};

use super::Files;
use crate::append::{PACK, change, sample, source};
use crate::map::UPPER;
use crate::program::Random;
use crate::s3::Cloud;

/// Where a command makes or changes a dataset, and its line.
pub(super) type Line = (&'static str, &'static str);

pub(super) const APPEND: Line = ("one/", "append s3://bucket/one s3://bucket/new");
pub(super) const SYNC: Line = ("one/", "append s3://bucket/one src --sync");
pub(super) const COMPACT: Line = ("dead/", "compact s3://bucket/dead --keep 0");
pub(super) const MERGE: Line = ("dst/", "merge two s3://bucket/one s3://bucket/dst");
pub(super) const OVERLAY: Line =
    ("dst/", "join s3://bucket/dead s3://bucket/dst --with s3://bucket/extra --overlay");
pub(super) const MAP: Line = (
    "dst/",
    "reshard s3://bucket/dead s3://bucket/dst --map-cmd ./upper --map-frame nul --scratch tmp",
);

/// A command in its bucket, and what a run that nobody disturbs makes of it.
pub(super) struct Corpus {
    pub(super) cloud: Cloud,
    pub(super) before: Files,
    pub(super) whole: Files,
    /// Calls of such a run.
    pub(super) calls: usize,
}

impl Corpus {
    pub(super) fn new((_, line): Line) -> Self {
        let cloud = bucket();
        let before = cloud.objects("");
        cloud.server.forget_calls();
        cloud.line(line).done();
        let (calls, whole) = (cloud.server.call_count(), cloud.objects(""));
        Self { cloud, before, whole, calls }
    }

    /// The manifest at `place`, now and in a run's life.
    pub(super) fn heads(&self, place: &str) -> [Option<Vec<u8>>; 3] {
        let head = format!("{place}manifest.json");
        let now = self.cloud.server.get(&head).map(|bytes| bytes.to_vec());
        [now, self.before.get(&head).cloned(), self.whole.get(&head).cloned()]
    }
}

fn bucket() -> Cloud {
    let server = S3Server::start_with(S3Config { md5: false, ..S3Config::default() });
    let cloud = Cloud { server, ..Cloud::new() };
    let home = &cloud.home;
    let large = |name: &str| home.write(name, Random(9).bytes(9_000_000));
    let pack = |from: &str, to: &str| cloud.line(&format!("pack {from} {to} {PACK}")).done();
    source(home);
    pack("src", "s3://bucket/one");
    (60..70).for_each(|i| sample(home, "new", i, 3));
    (80..90).for_each(|i| sample(home, "more", i, 3));
    (0..75).for_each(|i| home.write(&format!("extra/c{}/s{i:03}.note", i % 3), format!("{i}")));
    change(home);
    large("new/c0/large.jpg");
    large("more/c0/larger.jpg");
    large("src/c0/large.jpg");
    large("extra/c0/large.png");
    for folder in ["src", "new"] {
        home.write(&format!("{folder}/c0/large.txt"), "large");
    }
    pack("more", "two");
    cloud.upload("new", "new/");
    cloud.line("pack src s3://bucket/dead --labels folder --max-samples 25").done();
    cloud.line("delete s3://bucket/dead c0/s000 c1/s001 c2/s002 c0/s003").done();
    cloud.line("pack extra s3://bucket/extra").done();
    home.write("upper", format!("#!/usr/bin/env python3\n{UPPER}"));
    fs::set_permissions(home.path("upper"), Permissions::from_mode(0o755)).expect("its owner");
    cloud
}
