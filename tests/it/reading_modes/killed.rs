//! `kill -9` at any moment, again and again, and on from the last checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use shardpack_manifest::Digest;
use shardpack_reader::plan::{Cursor, State};

use super::container::{Container, Mode, can_mount, digests, packed, shards, whole};
use crate::program::{Home, Random, Running};

const EPOCHS: u64 = 3;

/// The checkpoint in a file, and how far it came; none before the first.
fn saved(path: &Path) -> Option<(Cursor, String)> {
    let text = fs::read_to_string(path).ok()?;
    let (state, _) = text.split_once('\n').expect("a whole checkpoint");
    Some((state.parse::<State>().expect("a state").cursor(), text))
}

fn cursor(path: &Path) -> Cursor {
    saved(path).map_or_else(Cursor::default, |(cursor, _)| cursor)
}

/// Waits until all files have come to a cursor, or a process has ended.
fn wait_for(running: &mut [Running], files: &[PathBuf], target: Cursor) {
    let reached = || files.iter().map(|file| cursor(file)).min() >= Some(target);
    running.iter_mut().all(|running| running.until(reached));
}

/// Ranks of a job whose size changes with every start, but for streams, which go on with as many. Ranks
/// do not wait for each other, as those of a real job do; what all of them have saved is the least of
/// their checkpoints.
fn killed_again_and_again(mode: Mode) {
    let home = packed(600, "--max-samples 40 --format tfrecord");
    let shards = shards(&home);
    let container =
        |name: &str, host| Container::new(&home, name, mode, &shards, "FullyReplicated", host);
    let shared = (mode != Mode::Pipe).then(|| container("job", [0, 1]));
    let coverage = home.path("coverage");
    let mut random = Random(mode as u64 + 1);
    let (mut kills, mut least, mut number) = (0u64, None::<(Cursor, String)>, 0);
    let worlds: &[usize] = if mode == Mode::Pipe { &[3] } else { &[3, 1, 4, 2, 5] };
    let mut worlds = worlds.iter().copied().cycle();
    while least.as_ref().is_none_or(|(cursor, _)| cursor.epoch < EPOCHS) {
        let world = worlds.next().expect("a world");
        let files: Vec<PathBuf> =
            (0..world).map(|rank| home.path(&format!("{number}-{rank}"))).collect();
        let mut running: Vec<Running> = Vec::new();
        // A FIFO has one reader: each rank is on a host of its own.
        let own = |rank| container(&format!("job-{number}-{rank}"), [rank, world]);
        let hosts: Vec<Container> = match &shared {
            Some(_) => Vec::new(),
            None => (0..world).map(own).collect(),
        };
        for (rank, file) in files.iter().enumerate() {
            if let Some((_, state)) = &least {
                fs::write(file, state).expect("a state");
            }
            let every = 1 + random.below(4);
            let host = shared.as_ref().unwrap_or_else(|| &hosts[rank]);
            let mut command =
                host.command(&format!("--epochs {EPOCHS} --every {every} --compute-us 100"));
            command.env("RANK", rank.to_string()).env("WORLD_SIZE", world.to_string());
            command.arg("--state").arg(file).arg("--coverage").arg(&coverage);
            running.push(command.spawn().expect("it runs").into());
        }
        // Some way on, or not even begun.
        let start = least.as_ref().map_or_else(Cursor::default, |(cursor, _)| *cursor);
        let target = Cursor { consumed: start.consumed + random.below(80), ..start };
        wait_for(&mut running, &files, target);
        for running in running {
            kills += u64::from(running.kill());
        }
        least = files.iter().map(|file| saved(file)).min().flatten().or(least);
        number += 1;
        assert!(number < 300, "it does not come on");
    }
    assert!(kills > 40, "{kills} processes were killed");
    let audit = home.line(&format!("audit packed coverage --epochs {EPOCHS}"));
    assert_eq!(audit.code, Some(0), "{}{}", audit.stdout, audit.stderr);
    assert!(audit.stdout.contains("proved: every sample once an epoch"), "{}", audit.stdout);
    assert!(audit.stdout.contains("undone by a restart"), "{}", audit.stdout);
    // The proof is one: without the log of one rank that came on there is none.
    let log = fullest(&coverage);
    fs::remove_file(log).expect("a log");
    assert_eq!(home.line(&format!("audit packed coverage --epochs {EPOCHS}")).code, Some(1));
}

/// The longest log.
fn fullest(folder: &Path) -> PathBuf {
    let logs = fs::read_dir(folder).expect("logs").map(|entry| entry.expect("an entry").path());
    logs.max_by_key(|path| fs::metadata(path).map_or(0, |found| found.len())).expect("a log")
}

#[test]
fn files() {
    killed_again_and_again(Mode::File);
}

#[test]
fn a_mount() {
    if can_mount() {
        killed_again_and_again(Mode::FastFile);
    }
}

#[test]
fn streams() {
    killed_again_and_again(Mode::Pipe);
}

/// A stream comes again from its beginning, and the same number of ranks skips what it had. The
/// digest of a rank's epoch goes on in its checkpoint, so it proves what was seen before and after.
#[test]
fn pipes() {
    let home = packed(600, "--max-samples 40 --format tfrecord");
    let mut epochs: BTreeMap<u64, Digest> = BTreeMap::new();
    let mut kills = 0;
    for host in 0..2 {
        let mut own = BTreeMap::new();
        kills += one_host(&home, host, &mut own);
        own.into_iter().for_each(|(epoch, digest)| *epochs.entry(epoch).or_default() += digest);
    }
    let whole = whole(&home);
    assert_eq!(epochs, (0..EPOCHS).map(|epoch| (epoch, whole)).collect());
    assert!(kills > 20, "{kills} processes were killed");
}

/// Notes the digest of each epoch; gives how often it was killed.
fn one_host(home: &Home, host: usize, own: &mut BTreeMap<u64, Digest>) -> u64 {
    let (shards, state) = (shards(home), home.path(&format!("state-{host}")));
    let mut random = Random(host as u64);
    let mut kills = 0;
    for number in 0..300 {
        let start = cursor(&state);
        if start.epoch == EPOCHS {
            return kills;
        }
        let name = format!("job-{host}-{number}");
        let container =
            Container::new(home, &name, Mode::Pipe, &shards, "FullyReplicated", [host, 2]);
        let every = 1 + random.below(4);
        let mut command =
            container.command(&format!("--epochs {EPOCHS} --every {every} --compute-us 100"));
        let child = command.arg("--state").arg(&state).spawn().expect("it runs");
        let mut running = Running::from(child);
        let target = Cursor { consumed: start.consumed + random.below(120), ..start };
        wait_for(std::slice::from_mut(&mut running), std::slice::from_ref(&state), target);
        running.signal(rustix::process::Signal::KILL);
        let ran = running.end();
        kills += u64::from(ran.code.is_none());
        assert!(matches!(ran.code, None | Some(0)), "{}", ran.stderr);
        for (epoch, digest) in digests(&ran) {
            let before = own.insert(epoch, digest);
            assert!(before.is_none_or(|before| before == digest), "epoch {epoch} of host {host}");
        }
    }
    panic!("it does not come on");
}
