//! Jobs that crash and change their size, and logs that contradict each other.

mod format;

use std::sync::Arc;

use proptest::prelude::*;
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};

use super::*;
use crate::plan::{Cursor, Part, SampleId, State, Tail};
use crate::{Damage, Error, ReadOptions, Reader};

const SAMPLES: u64 = 50;

/// Fifty samples in five shards.
fn dataset() -> Arc<MemoryStore> {
    let files: Vec<_> = (0..SAMPLES).map(|i| (format!("k{i:02}.txt"), format!("{i}"))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let store = MemoryStore::new();
    let options = PackOptions { max_samples: Some(10), ..PackOptions::default() };
    pack(&files, &store, &options, &Progress::default()).unwrap();
    Arc::new(store)
}

fn options(rank: u64, world: u64) -> ReadOptions {
    let part = Some(Part { rank, world, replicas: 1 });
    let mut options = ReadOptions { part, ..ReadOptions::default() };
    options.plan.tail = Tail::Mask;
    options.plan.lanes = Some(4);
    options.threads = Some(0);
    options
}

/// A job whose logs are collected. Time stands in the logs only, so it is made up.
struct Job {
    store: Arc<MemoryStore>,
    folder: tempfile::TempDir,
    saved: Option<State>,
    logs: Vec<Log>,
    clock: u64,
}

impl Job {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: dataset(), folder, saved: None, logs: Vec::new(), clock: 1000 }
    }

    fn reader(&self, options: ReadOptions) -> Reader {
        Reader::resume_store(self.store.clone(), options, self.saved.as_ref()).unwrap()
    }

    /// A start of `world` ranks from the last checkpoint, each of which takes `steps` steps in all;
    /// they save a checkpoint after `save` of them.
    fn run(&mut self, world: u64, steps: u64, save: u64) {
        let mut saved = None;
        for rank in 0..world {
            let reader = self.reader(options(rank, world));
            let mut coverage = Coverage::create(self.folder.path(), &reader).unwrap();
            let mut done = 0;
            for epoch in reader.start().epoch.. {
                let mut samples = reader.epoch(epoch);
                while done < steps && samples.next().transpose().unwrap().is_some() {
                    coverage.note(&samples).unwrap();
                    done += 1;
                    if done == save {
                        saved = Some(samples.state());
                        if rank == 0 {
                            coverage.sync().unwrap(); // a disk takes its time
                        }
                    }
                }
                if done == steps {
                    break;
                }
            }
            let path = coverage.path().to_owned();
            drop(coverage);
            self.collect(&path);
        }
        self.saved = saved.or(self.saved.take());
        self.clock += 1000;
    }

    fn collect(&mut self, path: &std::path::Path) {
        let log = Log::open(path).unwrap().unwrap();
        self.logs.push(Log { started: self.clock, ended: self.clock + 500, ..log });
    }

    fn audit(&self) -> AuditReport {
        self.audit_with(&AuditOptions::default())
    }

    fn audit_with(&self, options: &AuditOptions) -> AuditReport {
        let options_of_log = self.logs[0].options();
        let reader = Reader::of_store(self.store.clone(), options_of_log).unwrap();
        audit(&reader, &self.logs, options).unwrap()
    }
}

/// exact, missing, doubled, pending, undone.
fn counts(epoch: &EpochAudit) -> [u64; 5] {
    let EpochAudit { exact, missing, doubled, pending, undone, .. } = *epoch;
    [exact, missing, doubled, pending, undone]
}

#[test]
fn a_quiet_job_is_exact() {
    let mut job = Job::new();
    job.run(4, 26, 0);
    let report = job.audit();
    assert!(report.is_exact(), "{report:#?}");
    let [a, b] = &report.epochs[..] else { panic!("{report:#?}") };
    assert_eq!((counts(a), a.padding), ([50, 0, 0, 0, 0], 2));
    assert_eq!((counts(b), b.padding), ([50, 0, 0, 0, 0], 2));
    assert_eq!((report.samples, report.logs, report.starts.len()), (50, 4, 1));
}

#[test]
fn crashes_and_other_worlds_undo_what_no_checkpoint_has() {
    let mut job = Job::new();
    job.run(3, 9, 7); // a checkpoint at 21, dies at 27
    job.run(5, 1, 0); // dies again before any checkpoint: 5 from 21 on
    job.run(5, 4, 2); // a checkpoint at 31, dies at 41
    let report = job.audit();
    assert!(report.is_exact(), "{report:#?}");
    assert_eq!(counts(&report.epochs[0]), [41, 0, 0, 9, 6 + 5]);
    job.run(2, 10 + 25, 0); // ends the epoch, and another one
    let report = job.audit();
    let starts: Vec<_> = report.starts.iter().map(|s| (s.position, s.world)).collect();
    assert_eq!(starts, [(0, 3), (21, 5), (21, 5), (31, 2)]);
    assert_eq!(counts(&report.epochs[0]), [50, 0, 0, 0, 6 + 5 + 10]);
    assert_eq!(counts(&report.epochs[1]), [50, 0, 0, 0, 0]);
}

#[test]
fn a_rank_that_is_missing_or_there_twice_is_named() {
    let mut job = Job::new();
    job.run(3, 17, 0);
    let lost = job.logs.remove(1);
    let report = job.audit();
    assert!(!report.is_exact());
    let epoch = &report.epochs[0];
    assert_eq!(counts(epoch), [33, 17, 0, 0, 0]);
    assert_eq!(epoch.first_missing.len(), 10);
    let first = &epoch.first_missing[0];
    assert_eq!((first.position, first.times, &*first.ranks), (1, 0, &["rank 1".to_owned()][..]));

    job.logs.push(lost.clone());
    job.logs.push(Log { name: "again".into(), ..lost });
    let epoch = &job.audit().epochs[0];
    assert_eq!(counts(epoch), [33, 0, 17, 0, 0]);
    let first = &epoch.first_doubled[0];
    assert_eq!((first.position, first.times, first.ranks.len()), (1, 2, 2));
    assert!(first.ranks[1].contains("again"), "{first:?}");
    let reader = job.reader(options(0, 1));
    let sample = reader.plan().epoch(0).sample(1).unwrap();
    assert_eq!(first.key, reader.key(sample).unwrap());
}

/// A process that was killed before its first step tells that its rank was there.
#[test]
fn a_rank_that_did_nothing_before_the_crash_is_of_that_attempt() {
    let mut job = Job::new();
    job.run(3, 5, 0);
    job.logs[0].passes.clear();
    job.run(3, 17, 0);
    let report = job.audit();
    assert_eq!((counts(&report.epochs[0]), report.starts.len()), ([50, 0, 0, 0, 10], 2));
    // One that never had anything to do undoes nothing, whenever it started.
    let idle = Log { started: job.clock, passes: Vec::new(), ..job.logs[0].clone() };
    job.logs.push(idle);
    assert_eq!(counts(&job.audit().epochs[0]), [50, 0, 0, 0, 10]);
}

/// The clock of one host is ahead of the others'.
#[test]
fn a_late_log_joins_those_that_began_where_it_did() {
    let mut job = Job::new();
    job.run(3, 9, 7);
    job.run(5, 6, 0);
    job.logs[2].started = job.clock; // after all of the second attempt
    job.logs[2].ended = job.clock + 1;
    let report = job.audit();
    assert_eq!((counts(&report.epochs[0]), report.starts.len()), ([50, 0, 0, 0, 6], 2));
}

/// A rank is killed before it has a log, and the job begins again where it had begun.
#[test]
fn a_rank_without_a_log_leaves_no_room_for_one_of_the_next_start() {
    let mut job = Job::new();
    job.run(3, 5, 0);
    job.logs.remove(1);
    job.run(3, 17, 0);
    job.logs[3].started -= 1; // of all that are of the next start, the one of that rank is the first
    let report = job.audit();
    assert_eq!((counts(&report.epochs[0]), report.starts.len()), ([50, 0, 0, 0, 10], 2));
}

/// Every process takes itself for the only one: the commonest mistake there is.
#[test]
fn four_processes_that_all_read_everything_are_found() {
    let mut job = Job::new();
    job.run(1, 50, 0);
    let log = job.logs[0].clone();
    job.logs.extend((1..4).map(|i| Log { started: log.started + i, ..log.clone() }));
    assert_eq!(counts(&job.audit().epochs[0]), [0, 0, 50, 0, 0]);
    // One after the other they would be restarts.
    (0..4).for_each(|i| job.logs[i].started += 1000 * i as u64);
    (0..4).for_each(|i| job.logs[i].ended = job.logs[i].started + 500);
    assert_eq!(counts(&job.audit().epochs[0]), [50, 0, 0, 0, 150]);
}

#[test]
fn an_evaluation_reads_an_epoch_again_and_again() {
    let mut job = Job::new();
    for rank in 0..2 {
        let reader = job.reader(options(rank, 2));
        let mut coverage = Coverage::create(job.folder.path(), &reader).unwrap();
        for _ in 0..3 {
            let mut samples = reader.epoch(0);
            while samples.next().is_some() {}
            coverage.note(&samples).unwrap();
        }
        let path = coverage.path().to_owned();
        drop(coverage);
        job.collect(&path);
    }
    let options = AuditOptions { times: 3, ..AuditOptions::default() };
    assert_eq!(counts(&job.audit_with(&options).epochs[0]), [50, 0, 0, 0, 0]);
    assert_eq!(counts(&job.audit().epochs[0]), [0, 0, 50, 0, 0]);
}

/// What a loop did not get is not seen, whether a neighbour stood in for it or it was an error that
/// the loop went on behind.
#[test]
fn a_damaged_sample_is_told_apart() {
    for damage in [Damage::Skip { most: 5 }, Damage::Fail] {
        let mut job = Job::new();
        let shard = "shards/data-00002-of-00005.tar";
        let mut bytes = shardpack_dataset::read(&*job.store, shard).unwrap();
        bytes[512] ^= 1; // the body of its first sample
        job.store.put(shard, &bytes, PutMode::Replace).unwrap();
        for rank in 0..3 {
            let mut options = options(rank, 3);
            options.damage = damage;
            let reader = job.reader(options);
            let mut coverage = Coverage::create(job.folder.path(), &reader).unwrap();
            for epoch in 0..2 {
                let mut samples = reader.epoch(epoch);
                while samples.next().is_some() {}
                coverage.note(&samples).unwrap();
            }
            let path = coverage.path().to_owned();
            drop(coverage);
            job.collect(&path);
        }
        let report = job.audit();
        assert!(report.is_exact() && report.epochs.len() == 2, "{report:#?}");
        let reader = job.reader(options(0, 1));
        for epoch in &report.epochs {
            assert_eq!((epoch.exact, epoch.damaged), (49, 1));
            let first = &epoch.first_damaged[0];
            assert_eq!(first.key, reader.key(SampleId { shard: 2, ordinal: 0 }).unwrap());
            assert_eq!((first.times, first.ranks.len()), (0, 1));
            assert!(first.ranks[0].starts_with(&format!("rank {}", first.position % 3)));
        }
    }
}

#[test]
fn workers_and_replicas_are_counted_for_themselves() {
    let mut job = Job::new();
    for rank in 0..4 {
        let mut options = options(rank, 4);
        options.part = Some(Part { rank, world: 4, replicas: 2 });
        options.plan.tail = Tail::Drop;
        options.plan.batch = Some(4);
        for worker in 0..3 {
            let reader = job.reader(options.clone());
            let mut samples = reader.worker(0, worker, 3, 4).unwrap();
            let mut coverage = Coverage::create(job.folder.path(), &reader).unwrap();
            while samples.next().is_some() {
                coverage.note(&samples).unwrap();
            }
            let path = coverage.path().to_owned();
            drop(coverage);
            job.collect(&path);
        }
    }
    let report = job.audit();
    assert_eq!(report.epochs.len(), 2, "one for each replica");
    for (epoch, replica) in report.epochs.iter().zip(0..) {
        assert_eq!((epoch.replica, counts(epoch)), (replica, [48, 0, 0, 0, 0]));
        assert_eq!(epoch.dropped, 2);
    }
    job.logs.retain(|log| log.part.rank != 1 || log.passes[0].worker.worker != 2);
    let report = job.audit();
    assert_eq!(report.epochs[0].missing, 0);
    assert_eq!(report.epochs[1].missing, 8);
    assert_eq!(report.epochs[1].first_missing[0].ranks, ["rank 1"]);
}

#[test]
fn epochs_that_should_be_there_are_asked_for() {
    let mut job = Job::new();
    job.run(2, 30, 0);
    assert_eq!(counts(&job.audit().epochs[1]), [10, 0, 0, 40, 0]);
    let mut options = AuditOptions { epochs: Some(3), ..AuditOptions::default() };
    let report = job.audit_with(&options);
    assert_eq!(counts(&report.epochs[1]), [10, 40, 0, 0, 0]);
    assert_eq!(counts(&report.epochs[2]), [0, 50, 0, 0, 0]);
    options.epochs = Some(1);
    assert_eq!(job.audit_with(&options).epochs.len(), 2);
}

#[test]
fn logs_of_something_else_are_refused_by_name() {
    let mut job = Job::new();
    job.run(1, 50, 0);
    let mut other = job.logs[0].clone();
    other.name = "other".into();
    other.state.seed = 9;
    job.logs.push(other);
    let reader = Reader::of_store(job.store.clone(), job.logs[0].options()).unwrap();
    let error = audit(&reader, &job.logs, &AuditOptions::default()).unwrap_err();
    assert!(error.to_string().contains("other: seed: 9 then, 0 now"), "{error}");
    assert!(audit(&reader, &[], &AuditOptions::default()).is_err());
}

#[test]
fn a_log_is_of_one_plan_and_one_process() {
    let job = Job::new();
    let reader = job.reader(options(0, 2));
    let mut coverage = Coverage::create(job.folder.path(), &reader).unwrap();
    let mut second = Coverage::create(job.folder.path(), &reader).unwrap();
    assert_ne!(coverage.path(), second.path());
    coverage.note(&reader.epoch(0)).unwrap();
    assert!(coverage.note(&job.reader(options(1, 2)).epoch(0)).is_err());
    let mut other = options(0, 2);
    other.plan.seed = 3;
    assert!(matches!(second.note(&job.reader(other).epoch(0)), Err(Error::Different { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Whatever a job lives through, its effective samples are each once.
    #[test]
    fn any_history_is_exact(
        starts in prop::collection::vec((1u64..6, 1u64..40, 0u64..40), 0..5),
        world in 1u64..6,
    ) {
        let mut job = Job::new();
        for (world, steps, save) in starts {
            job.run(world, steps, save);
        }
        let start = job.saved.as_ref().map_or(Cursor::default(), State::cursor);
        let left = (SAMPLES - start.consumed).div_ceil(world);
        job.run(world, left, 0);
        let report = job.audit();
        prop_assert!(report.is_exact(), "{:#?}", report);
        prop_assert_eq!(report.epochs[start.epoch as usize].exact, SAMPLES);
        let all: u64 = report.epochs.iter().map(|e| e.exact + e.pending).sum();
        prop_assert_eq!(all, SAMPLES * report.epochs.len() as u64);
        // One log less, and it shows: unless all that it says was undone.
        let gone = job.logs.pop().unwrap();
        let took: u64 = gone.passes.iter().map(|pass| pass.took).sum();
        if world > 1 && took > 0 && gone.passes[0].start.consumed + world <= SAMPLES {
            prop_assert!(!job.audit().is_exact());
        }
    }
}
