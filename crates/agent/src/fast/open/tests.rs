use std::fs;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_channel::bounded;
use proptest::prelude::*;
use shardpack_store::Sink;

use super::*;
use crate::crew::{Crew, Memory};
use crate::faults::Link;
use crate::objects::LocalObjects;
use crate::{Faults, Stop, Tell};

const LEN: usize = 20 << 20;

fn open(bytes: &[u8], faults: Faults, threads: usize) -> (tempfile::TempDir, Arc<OpenFile>) {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("x"), bytes).unwrap();
    let objects = Arc::new(LocalObjects::list(home.path()).unwrap());
    let link = Arc::new(Link::new(faults, Stop::default()));
    let crew = Arc::new(Crew::start(threads).unwrap());
    let shared = Shared { crew, memory: Memory::new(64 << 20), link, tell: Tell::default() };
    (home, OpenFile::new(0, bytes.len() as u64, objects, shared))
}

fn bytes() -> Vec<u8> {
    (0..LEN / 4).flat_map(|i| (i as u32).wrapping_mul(0x9e37_79b9).to_le_bytes()).collect()
}

fn read(file: &Arc<OpenFile>, offset: u64, size: u64) -> Result<Vec<u8>, i32> {
    let (sender, receiver) = bounded(1);
    let answer = move |bytes: Result<&[u8], Errno>| {
        sender.send(bytes.map(<[u8]>::to_vec).map_err(Errno::code)).unwrap();
    };
    file.read(offset, size, Box::new(answer));
    receiver.recv().unwrap()
}

#[test]
fn a_whole_file_comes_in_order_by_any_stride() {
    let wanted = bytes();
    let (_home, file) = open(&wanted, Faults::default(), 4);
    for stride in [131_072, 1 << 20, 999_983] {
        let mut all = Vec::new();
        while let Ok(part) = read(&file, all.len() as u64, stride) {
            if part.is_empty() {
                break;
            }
            all.extend(part);
        }
        assert!(all == wanted, "{stride}");
    }
    assert!(file.streams().held() <= AHEAD as usize + 2, "what was read is let go");
}

/// Counts requests, and the bytes that they fetch.
#[derive(Debug)]
struct Counted(LocalObjects, AtomicU64, AtomicU64);

impl Objects for Counted {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn key(&self, i: usize) -> &str {
        self.0.key(i)
    }
    fn size(&self, i: usize) -> u64 {
        self.0.size(i)
    }
    fn stamp(&self, i: usize) -> u64 {
        self.0.stamp(i)
    }
    fn modified(&self, i: usize) -> Option<std::time::SystemTime> {
        self.0.modified(i)
    }
    fn name(&self, i: usize) -> String {
        self.0.name(i)
    }
    fn fetch(
        &self,
        i: usize,
        start: u64,
        len: u64,
        sink: &mut dyn Sink,
    ) -> shardpack_store::Result<()> {
        self.1.fetch_add(1, Relaxed);
        self.2.fetch_add(len, Relaxed);
        self.0.fetch(i, start, len, sink)
    }
}

/// As a loop that shuffles reads a shard: each thread a stretch, the next thread the next one.
#[test]
fn places_that_are_read_side_by_side_are_fetched_once_each() {
    let wanted = bytes();
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("x"), &wanted).unwrap();
    let objects =
        Counted(LocalObjects::list(home.path()).unwrap(), AtomicU64::new(0), AtomicU64::new(0));
    let objects = Arc::new(objects);
    let link = Arc::new(Link::new(Faults::default(), Stop::default()));
    let crew = Arc::new(Crew::start(4).unwrap());
    let shared = Shared { crew, memory: Memory::new(256 << 20), link, tell: Tell::default() };
    let shared_objects: Arc<dyn Objects> = Arc::clone(&objects) as _;
    let file = OpenFile::new(0, wanted.len() as u64, shared_objects, shared);
    const STRETCH: u64 = 2 << 20;
    const READ: u64 = 256 << 10;
    let third = |place: u64| place * (LEN as u64 / 3 / READ) * READ;
    for turn in 0..(LEN as u64 / 3 / STRETCH) {
        for step in 0..STRETCH / READ {
            for place in 0..3 {
                let at = third(place) + turn * STRETCH + step * READ;
                let found = read(&file, at, READ).unwrap();
                assert!(found == wanted[at as usize..][..READ as usize], "{at}");
            }
        }
    }
    let (requests, fetched) = (objects.1.load(Relaxed), objects.2.load(Relaxed));
    assert!(requests < 40, "{requests} requests for 72 reads");
    assert!(fetched <= LEN as u64 + 4 * PIECE, "{fetched} bytes fetched of {LEN}");
}

#[test]
fn a_cut_file_fails_and_a_changed_one_is_stale() {
    let wanted = bytes();
    let faults = Faults { drop_after: Some(300_000), ..Faults::default() };
    let (_home, file) = open(&wanted, faults, 2);
    assert_eq!(read(&file, 0, 131_072).unwrap(), wanted[..131_072]);
    assert_eq!(read(&file, 131_072, 131_072).unwrap(), wanted[131_072..262_144]);
    assert_eq!(read(&file, 262_144, 131_072), Err(Errno::EIO.code()));
    let (home, file) = open(&wanted, Faults::default(), 2);
    fs::write(home.path().join("x"), b"other").unwrap();
    assert_eq!(read(&file, 0, 10), Err(Errno::ESTALE.code()));
    assert_eq!(read(&file, 7 << 20, 10), Err(Errno::ESTALE.code()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// Reads of several threads at any places bring what stands there.
    #[test]
    fn reads_bring_what_stands_there(
        reads in prop::collection::vec((0u64..LEN as u64 + 5, 1u64..1 << 20), 1..40),
    ) {
        let wanted = bytes();
        let (_home, file) = open(&wanted, Faults::default(), 3);
        let one = |(offset, size): (u64, u64)| {
            let end = (offset + size).min(LEN as u64).max(offset.min(LEN as u64));
            let (from, to) = (offset.min(LEN as u64) as usize, end as usize);
            assert!(read(&file, offset, size).unwrap() == wanted[from..to], "{offset}+{size}");
        };
        std::thread::scope(|scope| {
            for third in 0..3 {
                let own: Vec<_> = reads.iter().skip(third).step_by(3).copied().collect();
                scope.spawn(move || own.into_iter().for_each(one));
            }
            scope.spawn(|| (0..LEN as u64).step_by(1 << 20).for_each(|at| one((at, 1 << 20))));
        });
    }
}
