//! A process that is forked off in the middle of an epoch, at whatever its threads are doing, reads
//! on as its parent does. A binary of one test: a fork takes the locks of all threads with it as
//! they are.
#![allow(unsafe_code, reason = "the standard library cannot fork, and data loaders do")]

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use shardpack_pack::{PackOptions, Progress, pack};
use shardpack_reader::{ReadOptions, Reader, Samples};
use shardpack_store::{
    LocalOptions, LocalStore, Lock, MemoryTree, Object, ObjectMeta, PutMode, Result, Store, Upload,
};

const FORKS: usize = 30;

/// Opening takes a while, as on a network: so there is a thread in the middle of it at every fork.
#[derive(Debug)]
struct Slow(LocalStore);

impl Store for Slow {
    fn open(&self, key: &str) -> Result<Box<dyn Object>> {
        thread::sleep(Duration::from_millis(1));
        self.0.open(key)
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn create(&self, key: &str, len: Option<u64>) -> Result<Box<dyn Upload>> {
        self.0.create(key, len)
    }

    fn put(&self, key: &str, bytes: &[u8], mode: PutMode) -> Result<()> {
        self.0.put(key, bytes, mode)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, key: &str) -> Result<()> {
        self.0.remove(key)
    }

    fn sweep(&self, prefix: &str) -> Result<u64> {
        self.0.sweep(prefix)
    }

    fn lock(&self, prefix: &str) -> Result<Box<dyn Lock>> {
        self.0.lock(prefix)
    }

    fn describe(&self) -> String {
        self.0.describe()
    }
}

/// What the child does: reads to the end. Its exit code says whether all was there.
fn child(mut samples: Samples, reader: &Reader) -> i32 {
    let left = samples.left();
    if samples.by_ref().filter(std::result::Result::is_ok).count() as u64 != left {
        return 1;
    }
    if samples.digest() != reader.manifest().digest {
        return 2;
    }
    // And an epoch of its own.
    match reader.epoch(77).filter(std::result::Result::is_ok).count() {
        4000 => 0,
        _ => 3,
    }
}

/// Exit code of a child; none when it had to be killed.
fn wait(child: i32) -> Option<i32> {
    let start = Instant::now();
    let mut status = 0;
    loop {
        // SAFETY: waits for a child of this process; `status` outlives the call.
        let ended = unsafe { libc::waitpid(child, &mut status, libc::WNOHANG) };
        if ended == child {
            return libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
        }
        if start.elapsed() > Duration::from_secs(20) {
            // SAFETY: signals a child that was not waited for yet, so the number is still its own.
            unsafe { libc::kill(child, libc::SIGKILL) };
        }
        thread::yield_now();
    }
}

#[test]
fn a_fork_in_the_middle_of_an_epoch_reads_on() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> =
        (0..4000).map(|i| (format!("{i:04}.txt"), "x".repeat(100 + i % 50))).collect();
    let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
    let store = LocalStore::open(folder.path(), &LocalOptions::default());
    let options = PackOptions { max_samples: Some(16), ..PackOptions::default() };
    pack(&files, &store, &options, &Progress::default()).unwrap();

    let mut options = ReadOptions::default();
    options.threads = Some(4);
    options.memory = 10_000_000;
    options.plan.shuffle = "window:4:shard".parse().unwrap();
    let reader = Reader::of_store(Arc::new(Slow(store)), options).unwrap();
    for fork in 0..FORKS {
        let mut samples = reader.epoch(fork as u64);
        for _ in 0..1 + fork % 900 {
            samples.next().unwrap().unwrap();
        }
        // SAFETY: the child reads and leaves by `_exit`; glibc keeps its allocator usable in it.
        match unsafe { libc::fork() } {
            0 => {
                let code = child(samples, &reader);
                // SAFETY: ends this process at once, without the harness's own end.
                unsafe { libc::_exit(code) }
            }
            process => {
                assert!(process > 0, "no fork");
                assert_eq!(wait(process), Some(0), "fork {fork}");
                assert_eq!(
                    samples.by_ref().filter(std::result::Result::is_ok).count(),
                    3999 - fork % 900
                );
                assert_eq!(samples.digest(), reader.manifest().digest);
            }
        }
    }
}
