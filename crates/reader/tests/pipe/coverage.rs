//! Logs of what came in streams, and the proof that they are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shardpack_channel::Rank;
use shardpack_formats::DecodeOptions;
use shardpack_reader::coverage::{AuditOptions, AuditReport, Coverage, EpochAudit, Log, audit};
use shardpack_reader::plan::{State, Tail};
use shardpack_reader::stream::{Contents, StreamSamples, Streamed};
use shardpack_reader::{Damage, Error, ReadOptions, Reader};
use tempfile::TempDir;

use crate::support::*;

/// What all processes of a job wrote, over a dataset.
struct Job {
    set: Set,
    folder: TempDir,
    options: ReadOptions,
}

impl Job {
    fn new(format: &'static str, shuffle: &str) -> Self {
        let mut options = options(Tail::Mask);
        options.plan.shuffle = shuffle.parse().unwrap();
        options.plan.lanes = Some(8);
        Self { set: Make::new(format).dataset(), folder: tempfile::tempdir().unwrap(), options }
    }

    /// A start of `world` ranks, each of which takes up to `steps` steps of an epoch and tells; gives what
    /// rank 0 would save after `save` of them.
    fn run(&self, world: u64, [steps, save]: [u64; 2], from: Option<&State>) -> Option<State> {
        let order = self.set.shuffled(4);
        self.run_over(self.set.joined(order), world, [steps, save], from)
    }

    fn run_over(
        &self,
        bytes: Vec<u8>,
        world: u64,
        [steps, save]: [u64; 2],
        from: Option<&State>,
    ) -> Option<State> {
        let mut saved = None;
        for rank in 0..world {
            let options = &self.options;
            let reader = self.set.resumed(bytes.clone(), part(rank, world), options, from).unwrap();
            let mut log = Coverage::create(self.folder.path(), &reader).unwrap();
            let mut samples = reader.epoch(reader.start().epoch);
            for step in 1..=steps {
                if samples.next().is_none() {
                    break;
                }
                log.note(&samples).unwrap();
                if step == save {
                    log.sync().unwrap();
                    saved = samples.state();
                }
            }
        }
        saved
    }

    fn logs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    fn audit(&self, options: &AuditOptions) -> AuditReport {
        let read = |path: &PathBuf| Log::open(path).unwrap().unwrap();
        let logs: Vec<Log> = self.logs().iter().map(read).collect();
        let reader = Reader::of_store(self.set.store.clone(), logs[0].options()).unwrap();
        audit(&reader, &logs, options).unwrap()
    }

    fn epoch(&self) -> EpochAudit {
        self.audit(&AuditOptions::default()).epochs.remove(0)
    }
}

/// exact, missing, doubled, pending, undone.
fn counts(epoch: &EpochAudit) -> [u64; 5] {
    let EpochAudit { exact, missing, doubled, pending, undone, .. } = *epoch;
    [exact, missing, doubled, pending, undone]
}

const ALL: [u64; 2] = [u64::MAX, 0];

#[test]
fn an_epoch_is_proved_through_crashes_in_every_shuffle() {
    for shuffle in ["off", "window:16:shard", "window:40:7", "exact"] {
        for world in [1, 3] {
            let job = Job::new("tfrecord", shuffle);
            let saved = job.run(world, [31, 20], None);
            assert_eq!(counts(&job.epoch()), [31 * world, 0, 0, 300 - 31 * world, 0], "{shuffle}");
            // Dies before its first checkpoint, and again later.
            job.run(world, [5, 0], saved.as_ref());
            let saved = job.run(world, [60, 30], saved.as_ref());
            assert_eq!(
                counts(&job.epoch()),
                [80 * world, 0, 0, 300 - 80 * world, 16 * world],
                "{shuffle}"
            );
            job.run(world, ALL, saved.as_ref());
            let epoch = job.epoch();
            assert_eq!(counts(&epoch), [300, 0, 0, 0, 46 * world], "{shuffle}");
            assert_eq!(job.audit(&AuditOptions::default()).starts.len(), 4);

            // A log less is a proof less, whichever it is: also that of what was taken before a crash.
            for path in job.logs() {
                let text = std::fs::read(&path).unwrap();
                std::fs::remove_file(&path).unwrap();
                let counted = text.windows(5).any(|part| part == b"took=");
                let took = job.epoch();
                assert!(!counted || took.missing > 0 || took.undone < 46 * world, "{path:?}");
                std::fs::write(&path, text).unwrap();
            }
        }
    }
}

/// A shuffled channel begins in another order: what a state passes over is not what was taken.
#[test]
fn a_stream_that_comes_in_another_order_after_a_crash_is_found() {
    let job = Job::new("webdataset", "window:16:shard");
    let saved = job.run(1, [100, 100], None);
    job.run_over(job.set.joined(job.set.shuffled(5)), 1, ALL, saved.as_ref());
    let epoch = job.epoch();
    assert!(epoch.missing > 20 && epoch.missing == epoch.doubled, "{:?}", counts(&epoch));
    let seen = &epoch.first_doubled[0];
    assert_eq!((seen.times, seen.ranks.len()), (2, 2), "{seen:?}");
    let never = &epoch.first_missing[0];
    assert_eq!((never.times, &*never.ranks), (0, &["rank 0".to_owned()][..]));
}

/// The other way round another number of ranks would go on from there.
#[test]
fn a_job_that_began_with_files_is_proved_to_its_end_in_streams() {
    let job = Job::new("recordio", "window:16:shard");
    let mut saved = None;
    for rank in 0..2 {
        let reader = job.set.reader(part(rank, 2), &job.options);
        let mut log = Coverage::create(job.folder.path(), &reader).unwrap();
        let mut samples = reader.epoch(0);
        for step in 0..50 {
            samples.next().unwrap().unwrap();
            log.note(&samples).unwrap();
            if step == 40 {
                log.sync().unwrap();
                saved = Some(samples.state());
            }
        }
    }
    let saved = job.run(3, [20, 10], saved.as_ref());
    assert_eq!(counts(&job.epoch()), [82 + 60, 0, 0, 300 - 82 - 60, 18]);
    job.run(3, ALL, saved.as_ref());
    assert_eq!(counts(&job.epoch()), [300, 0, 0, 0, 18 + 30]);
}

#[test]
fn damaged_and_deleted_samples_are_told_apart() {
    for damage in [Damage::Skip { most: 9 }, Damage::Fail] {
        let mut job = Job::new("tfrecord", "window:16:shard");
        job.options.damage = damage;
        job.set.delete(&["0/003", "1/004"]);
        let index = &job.set.manifest.shards[1];
        let index = shardpack_dataset::examine(&*job.set.store, &job.set.manifest, index).unwrap();
        let bad = index.unwrap().get(3).map(|row| (row.key.to_owned(), row.offset + 20)).unwrap();
        let mut bytes = job.set.all();
        bytes[job.set.shard(0).len() + bad.1 as usize] ^= 1;
        let saved = job.run_over(bytes.clone(), 3, [40, 25], None);
        job.run_over(bytes, 3, ALL, saved.as_ref());
        let epoch = job.epoch();
        assert_eq!(counts(&epoch)[..4], [297, 0, 0, 0], "{damage:?}: {epoch:?}");
        assert_eq!((epoch.damaged, &epoch.first_damaged[0].key), (1, &bad.0));
    }
}

#[test]
fn a_worker_that_walks_again_is_seen_twice() {
    let job = Job::new("webdataset", "off");
    let reader = job.set.streamed(job.set.all(), part(0, 1), &job.options);
    let mut log = Coverage::create(job.folder.path(), &reader).unwrap();
    for _ in 0..2 {
        let mut samples = reader.epoch(0);
        samples.by_ref().for_each(|sample| drop(sample.unwrap()));
        log.note(&samples).unwrap();
    }
    drop(log);
    let mut twice = AuditOptions::default();
    twice.times = 2;
    assert!(job.audit(&twice).is_exact());
    assert_eq!(counts(&job.epoch()), [0, 0, 300, 0, 0]);
}

/// Ranks of hosts that get other shards each, for some of which the plan has no step.
fn divided(job: &Job, hosts: u32, local: u64, steps: usize) {
    let order = job.set.shuffled(7);
    for host in 0..hosts {
        let given = order.iter().copied().skip(host as usize).step_by(hosts as usize);
        let bytes = job.set.joined(given);
        for rank in 0..local {
            let source = Arc::new(Joined { bytes: bytes.clone().into(), piece: 700 });
            let contents = job.set.contents(Some(Rank { rank: host, world: hosts }));
            let part = part(rank, local);
            let reader = Streamed::new(source, contents, part, job.options.clone(), None).unwrap();
            let mut log = Coverage::create(job.folder.path(), &reader).unwrap();
            let mut samples = reader.epoch(0);
            samples.by_ref().take(steps).for_each(|sample| drop(sample.unwrap()));
            log.note(&samples).unwrap();
        }
    }
}

#[test]
fn hosts_with_other_shards_each_prove_an_epoch_together() {
    for (hosts, local) in [(2, 1), (3, 2)] {
        for shuffle in ["off", "window:16:shard"] {
            let job = Job::new("tfrecord", shuffle);
            divided(&job, hosts, local, 20);
            let taken = 20 * local * u64::from(hosts);
            assert_eq!(counts(&job.epoch()), [taken, 0, 0, 300 - taken, 0]);
            // Begun again, all of it.
            divided(&job, hosts, local, usize::MAX);
            let report = job.audit(&AuditOptions::default());
            assert_eq!(counts(&report.epochs[0]), [300, 0, 0, 0, taken], "{hosts} {shuffle}");
            assert_eq!(report.starts[0].world, u64::from(hosts) * local);
            let last = |path: &&PathBuf| name(path).starts_with("host-1-rank-0");
            let logs = job.logs();
            logs.iter().filter(last).for_each(|path| std::fs::remove_file(path).unwrap());
            let epoch = job.epoch();
            assert!(epoch.missing > 20 && epoch.exact + epoch.missing == 300, "{epoch:?}");
            assert!(epoch.first_missing[0].ranks.is_empty());
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

#[test]
fn what_a_host_has_more_than_others_is_left_out() {
    let mut job = Job::new("tfrecord", "window:16:shard");
    job.options.plan.tail = Tail::Drop;
    divided(&job, 3, 1, usize::MAX);
    let epoch = job.epoch();
    assert!(epoch.dropped > 0 && epoch.exact + epoch.dropped == 300, "{epoch:?}");
    assert_eq!(counts(&epoch)[1..], [0; 4]);
}

#[test]
fn what_cannot_be_logged_is_an_error_that_says_why() {
    let job = Job::new("tfrecord", "off");
    let format = shardpack_formats::open("tfrecord", &Default::default()).unwrap();
    let contents = Contents::Foreign { format, decode: DecodeOptions::default() };
    let source = Arc::new(Joined { bytes: job.set.all().into(), piece: 700 });
    let foreign =
        Streamed::new(source, contents, part(0, 1), ReadOptions::default(), None).unwrap();
    let told = |error: Error| match error {
        Error::Usage(what) => what,
        other => panic!("{other}"),
    };
    let error = told(Coverage::create(job.folder.path(), &foreign).unwrap_err());
    assert!(error.contains("no manifest") && error.contains("shardpack index"), "{error}");

    let sought = job.set.reader(part(0, 1), &job.options);
    let mut log = Coverage::create(job.folder.path(), &sought).unwrap();
    let stream: StreamSamples = job.set.streamed(job.set.all(), part(0, 1), &job.options).epoch(0);
    let error = told(log.note(&stream).unwrap_err());
    assert!(error.contains("streams or of shards that are sought"), "{error}");
}

#[test]
fn a_log_is_a_few_short_lines_whatever_the_dataset() {
    let job = Job::new("tfrecord", "window:16:shard");
    job.run(1, ALL, None);
    let text = std::fs::read_to_string(&job.logs()[0]).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 6, "begin, pass, shards, first step, shards, last step: {text}");
    assert!(lines[0].starts_with("coverage=2,rank=0,world=1,replicas=1,started="), "{text}");
    let shards = job.set.manifest.shards.len();
    assert!(lines[1].starts_with("stream=0,from=0,steps=300,skip=0,window=128,"), "{text}");
    let listed = [lines[2], lines[4]].map(|line| {
        let list = line.strip_prefix("shards=").unwrap().split(',').next().unwrap();
        list.split('+').count()
    });
    assert_eq!(listed.iter().sum::<usize>(), shards, "{text}");
    assert!(lines[3].starts_with("took=1,at=") && lines[5].starts_with("took=300,at="), "{text}");
}
