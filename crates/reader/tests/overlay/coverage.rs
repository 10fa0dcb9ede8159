//! Logs of what was read with overlays, and mixes of it: samples are the base's.

use shardpack_reader::Mixed;
use shardpack_reader::coverage::{AuditOptions, AuditReport, Coverage, Log, audit};

use super::stream::Job;
use super::*;

/// The proof that the logs in a folder are of what they are over.
fn audited(base: &Memory, folder: &Path) -> AuditReport {
    let entries = fs::read_dir(folder).unwrap();
    let read =
        |entry: io::Result<fs::DirEntry>| Log::open(&entry.unwrap().path()).unwrap().unwrap();
    let logs: Vec<Log> = entries.map(read).collect();
    let reader = Reader::of_store(base.clone(), logs[0].options()).unwrap();
    audit(&reader, &logs, &AuditOptions::default()).unwrap()
}

/// Reads up to `most` steps of what a state left of an epoch, damaged ones included, and tells.
fn logged(reader: &ChannelReader, folder: &Path, most: usize) -> Option<State> {
    let mut log = Coverage::create(folder, reader).unwrap();
    let mut samples = reader.epoch(0);
    for found in std::iter::from_fn(|| samples.next()).take(most) {
        assert!(matches!(found, Ok(_) | Err(Error::Damaged(_))), "{found:?}");
    }
    log.note(&samples).unwrap();
    samples.state()
}

#[test]
fn an_epoch_with_overlays_is_proved_and_damage_in_them_is_the_samples() {
    let base = base("webdataset");
    let over = laid(&base, &texts(&["txt"], |_| false), &format("tfrecord"));
    let bad = damage(&over, 1, 2);
    for damage in [Damage::Fail, Damage::Skip { most: 3 }] {
        let folder = tempfile::tempdir().unwrap();
        let mut state = None;
        for (world, most) in [(3, 11), (2, usize::MAX)] {
            let mut saved = None;
            for rank in 0..world {
                let mut options = options(rank, world);
                options.damage = damage;
                let reader = resume(&base, &[&over], &options, state.as_ref()).unwrap();
                saved = logged(&reader.into(), folder.path(), most);
            }
            state = saved;
        }
        let report = audited(&base, folder.path());
        let epoch = &report.epochs[0];
        assert!(report.is_exact() && report.starts.len() == 2, "{report:#?}");
        assert_eq!((epoch.exact, epoch.damaged, &epoch.first_damaged[0].key), (89, 1, &bad));

        let folder = tempfile::tempdir().unwrap();
        let mut options = options(0, 1);
        options.damage = damage;
        let mut state: Option<State> = None;
        for most in [40, usize::MAX] {
            let job = Job::new(&base, &over);
            let reader = job.reader(&options, state.as_ref()).unwrap();
            state = logged(&reader, folder.path(), most);
        }
        let report = audited(&base, folder.path());
        let epoch = &report.epochs[0];
        assert!(report.is_exact() && report.starts.len() == 2, "{report:#?}");
        assert_eq!((epoch.exact, epoch.damaged, &epoch.first_damaged[0].key), (89, 1, &bad));
    }
}

#[test]
fn a_mix_has_the_fields_of_overlays() {
    let base = base("tfrecord");
    let over = laid(&base, &texts(&["txt"], |_| false), &format("tfrecord"));
    let options = options(0, 1);
    let alone = Reader::of_store(base.clone(), options.clone()).unwrap();
    let job = Job::new(&base, &over);
    let readers: Vec<ChannelReader> = vec![
        alone.into(),
        open(&base, &[&over], &options).unwrap().into(),
        job.reader(&options, None).unwrap(),
    ];
    let mut samples = Mixed::new(readers, &[1.0; 3], 5).unwrap().samples();
    for step in samples.by_ref().take(200) {
        let (source, sample) = step.unwrap();
        assert_eq!(sample.field("txt").is_some(), source > 0, "{sample:?}");
    }
    assert!((0..3).all(|source| samples.taken(source) > 50));
}
