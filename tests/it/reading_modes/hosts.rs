//! Ten hosts, each with its own container and configuration. `algo-10` sorts before `algo-2`.

use std::collections::BTreeSet;
use std::fs;

use shardpack_manifest::Digest;

use super::container::{Container, MODES, Mode, can_mount, digests, packed, shards, whole};
use crate::program::{Home, Ran};

const HOSTS: usize = 10;

/// How many steps a loop of one epoch said it took.
fn steps(ran: &Ran) -> u64 {
    let steps = ran.stderr.lines().find_map(|line| line.split_once(" samples, "));
    steps.expect("a line of steps").0.parse().expect("a number")
}

/// Every sample on one host, and equally many steps on each.
fn ten_hosts(mode: Mode, distribution: &str) {
    // 23 shards do not divide by ten, nor do 161 samples.
    let home = packed(161, "--max-samples 7 --format tfrecord");
    let shards = shards(&home);
    assert!(!shards.len().is_multiple_of(HOSTS) && shards.len() > 2 * HOSTS, "{}", shards.len());
    let mut sum = Digest::default();
    let (mut lengths, mut seen) = (BTreeSet::new(), BTreeSet::new());
    for host in 0..HOSTS {
        let part: Vec<_> = match distribution {
            "ShardedByS3Key" => shards.iter().skip(host).step_by(HOSTS).cloned().collect(),
            _ => shards.clone(),
        };
        let name = format!("host-{host}");
        let container = Container::new(&home, &name, mode, &part, distribution, [host, HOSTS]);
        let ran = container.run(&format!("--coverage {}", home.path("coverage").display()));
        lengths.insert(steps(&ran));
        let [(0, digest)] = digests(&ran)[..] else { panic!("{}", ran.stdout) };
        sum += digest;
        assert!(seen.insert(digest.to_string()), "two hosts saw the same samples");
    }
    assert_eq!(sum, whole(&home), "{mode:?} {distribution}");
    assert_eq!(lengths.len(), 1, "{mode:?} {distribution}: steps {lengths:?}");
    // Files of a part are a dataset of their own to the reader: each host can be audited for itself.
    if mode == Mode::Pipe || distribution == "FullyReplicated" {
        proved_by_all_logs_alone(&home);
    }
}

/// The logs of all hosts prove that every sample was seen once; without any one of them they do not.
fn proved_by_all_logs_alone(home: &Home) {
    let audit = home.line("audit packed coverage --epochs 1").done();
    assert!(audit.stdout.contains("10 ranks with 10 logs"), "{}", audit.stdout);
    assert!(audit.stdout.contains("epoch 0: 161 of 161 samples once"), "{}", audit.stdout);
    let log = fs::read_dir(home.path("coverage")).expect("logs").next();
    fs::remove_file(log.expect("a log").expect("a log").path()).expect("a log");
    let audit = home.line("audit packed coverage --epochs 1");
    assert_eq!(audit.code, Some(1), "{}{}", audit.stdout, audit.stderr);
    assert!(audit.stdout.contains("seen never"), "{}", audit.stdout);
}

#[test]
fn all_shards_on_every_host() {
    let mounts = can_mount();
    for mode in MODES.into_iter().filter(|mode| mounts || *mode != Mode::FastFile) {
        ten_hosts(mode, "FullyReplicated");
    }
}

#[test]
fn every_shard_on_one_host() {
    let mounts = can_mount();
    for mode in MODES.into_iter().filter(|mode| mounts || *mode != Mode::FastFile) {
        ten_hosts(mode, "ShardedByS3Key");
    }
}
