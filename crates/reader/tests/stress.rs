//! Readers used and dropped by many threads at once: nothing hangs, and neither a thread nor a
//! descriptor stays. A binary of one test, as it counts those of its whole process.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use shardpack_formats::Compression;
use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::{Channel, ChannelReader, ReadOptions, Reader};
use shardpack_store::{LocalOptions, LocalStore, MemoryTree};

const THREADS: u64 = 32;
/// Of each thread.
const READERS: u64 = 80;
const SAMPLES: usize = 2000;

/// 2000 samples in 250 shards: several windows, so that most readers are dropped while they read
/// ahead.
fn dataset(folder: &Path, compression: Compression) {
    let files: Vec<_> =
        (0..SAMPLES).map(|i| (format!("{i:04}.txt"), "x".repeat(100 + i % 50))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let store = LocalStore::open(folder, &LocalOptions::default());
    let options = PackOptions {
        format: "tfrecord".into(),
        max_samples: Some(8),
        compression,
        ..PackOptions::default()
    };
    pack(&files, &store, &options, &Progress::default()).unwrap();
}

fn entries(folder: &str) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// Takes some samples and drops the rest. Some readers are this thread's, some are shared, some
/// read ahead further than anybody asks; what is taken is right.
fn use_one(number: u64, places: &[String], shared: &[ChannelReader]) -> u64 {
    let place = number as usize % places.len();
    let mut options = ReadOptions::default();
    options.threads = Some((number / 3 % 4) as usize);
    options.memory = if number.is_multiple_of(5) { 1 } else { 1 << 20 };
    let own = match number % 3 {
        0 => shared[place].clone(),
        1 => Channel::find("train", Some(&places[place]), &|_| None)
            .and_then(|channel| channel.reader(options))
            .unwrap(),
        _ => ChannelReader::Seek(Reader::open(&places[0], options).unwrap()),
    };
    let mut samples = own.epoch(number);
    let most = (number.wrapping_mul(0x9e37_79b9) % 600) as usize;
    let taken = samples
        .by_ref()
        .take(most)
        .filter(|sample| !sample.as_ref().unwrap().key().is_empty())
        .count();
    assert_eq!(taken, most.min(SAMPLES), "of reader {number}");
    taken as u64
}

#[test]
fn thousands_of_readers_in_many_threads_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    dataset(Path::new(&path("plain")), Compression::None);
    dataset(Path::new(&path("gzip")), Compression::Gzip);
    // Without its manifest a dataset is a stream of shards.
    dataset(Path::new(&path("foreign")), Compression::None);
    fs::rename(path("foreign/shards"), path("bare")).unwrap();
    let places = [path("plain"), path("gzip"), path("bare")];
    let shared: Vec<ChannelReader> = places
        .iter()
        .map(|place| Channel::find("train", Some(place), &|_| None).unwrap())
        .map(|channel| channel.reader(ReadOptions::default()).unwrap())
        .collect();
    assert!(matches!(
        shared[..],
        [ChannelReader::Seek(_), ChannelReader::Seek(_), ChannelReader::Stream(_)]
    ));
    let (tasks, files) = (entries("/proc/self/task"), entries("/proc/self/fd"));

    let taken = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (places, shared, taken) = (&places, &shared, &taken);
            scope.spawn(move || {
                for reader in 0..READERS {
                    taken.fetch_add(use_one(reader * THREADS + thread, places, shared), Relaxed);
                }
            });
        }
    });
    assert!(taken.load(Relaxed) > THREADS * READERS * 50);
    drop(shared);

    // Nobody waits for the threads of what is dropped: they end after what they read just now.
    let start = Instant::now();
    loop {
        let now = (entries("/proc/self/task"), entries("/proc/self/fd"));
        if now.0 <= tasks && now.1 <= files {
            break;
        }
        let text = format!("threads and files: {:?} before, {now:?} now", (tasks, files));
        assert!(start.elapsed() < Duration::from_secs(30), "{text}");
        thread::yield_now();
    }
}
