//! Datasets, and ways to stream them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};
use shardpack_channel::Rank;
use shardpack_formats::Compression;
use shardpack_manifest::{Digest, Manifest};
use shardpack_pack::{PackOptions, Progress, Split, pack};
use shardpack_reader::pipe::{Pipe, PipeOptions};
use shardpack_reader::plan::{Part, State, Tail};
use shardpack_reader::stream::{Contents, Source, Stop, Stream, StreamSamples, Streamed, Streams};
use shardpack_reader::{ReadOptions, Reader, Result};
use shardpack_store::{MemoryStore, MemoryTree, PutMode, Store};

pub(crate) const FORMATS: [&str; 4] = ["webdataset", "tfrecord", "recordio", "recordio-protobuf"];

/// What a test's dataset is like.
pub(crate) struct Make {
    pub(crate) format: &'static str,
    /// Number of the first sample: keys and bodies follow from numbers.
    pub(crate) first: usize,
    pub(crate) samples: usize,
    pub(crate) per_shard: u64,
    pub(crate) compression: Compression,
    pub(crate) splits: &'static [(&'static str, f64)],
}

impl Make {
    /// 300 samples in 11 shards or more.
    pub(crate) fn new(format: &'static str) -> Self {
        let compression = Compression::None;
        Self { format, first: 0, samples: 300, per_shard: 29, compression, splits: &[] }
    }

    /// Three shards of two samples.
    pub(crate) fn tiny(format: &'static str) -> Self {
        Self { samples: 6, per_shard: 2, ..Self::new(format) }
    }

    pub(crate) fn dataset(&self) -> Set {
        let body = |i: usize| {
            let mut body = vec![i as u8; 10 + i % 50];
            // RecordIO splits records at its magic word.
            if i.is_multiple_of(7) {
                body.resize(16, 0);
                body.extend_from_slice(&0xced7_230a_u32.to_le_bytes());
            }
            body
        };
        let two = matches!(self.format, "webdataset" | "tfrecord");
        let files = (self.first..self.first + self.samples).flat_map(|i| {
            let name = format!("{}/{i:03}", i % 3);
            let text = two.then(|| (format!("{name}.txt"), format!("text {i}").into_bytes()));
            std::iter::once((format!("{name}.jpg"), body(i))).chain(text)
        });
        let files: Vec<_> = files.collect();
        let files = MemoryTree::new(files.iter().map(|(name, body)| (&**name, &**body)));
        let splits = self
            .splits
            .iter()
            .map(|(name, fraction)| Split { name: (*name).into(), fraction: *fraction });
        let options = PackOptions {
            format: self.format.into(),
            // Shards of WebDataset are filled before they have so many samples.
            target: 30_000,
            max_samples: Some(self.per_shard),
            compression: self.compression,
            splits: splits.collect(),
            ..PackOptions::default()
        };
        let store = Arc::new(MemoryStore::new());
        pack(&files, &*store, &options, &Progress::default()).unwrap();
        Set { manifest: manifest(&store), store }
    }
}

fn manifest(store: &MemoryStore) -> Manifest {
    Manifest::parse(&shardpack_dataset::read(store, "manifest.json").unwrap()).unwrap()
}

/// A dataset in memory.
#[derive(Clone)]
pub(crate) struct Set {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) manifest: Manifest,
}

impl Set {
    pub(crate) fn shard(&self, number: usize) -> Vec<u8> {
        shardpack_dataset::read(&*self.store, &self.manifest.shards[number].path).unwrap()
    }

    /// These shards one after the other.
    pub(crate) fn joined(&self, order: impl IntoIterator<Item = usize>) -> Vec<u8> {
        order.into_iter().flat_map(|number| self.shard(number)).collect()
    }

    pub(crate) fn all(&self) -> Vec<u8> {
        self.joined(0..self.manifest.shards.len())
    }

    /// Another order of all shards for every number.
    pub(crate) fn shuffled(&self, number: usize) -> Vec<usize> {
        let shards = self.manifest.shards.len();
        let mut order: Vec<usize> = (0..shards).collect();
        order.rotate_left(number % shards);
        order.swap(0, shards / 2);
        order
    }

    pub(crate) fn delete(&mut self, keys: &[&str]) {
        self.manifest.tombstones = keys.iter().map(|key| (*key).to_owned()).collect();
        let bytes = self.manifest.to_bytes().unwrap();
        self.store.put("manifest.json", &bytes, PutMode::Replace).unwrap();
    }

    pub(crate) fn contents(&self, host: Option<Rank>) -> Contents {
        let indexes: Arc<dyn Store> = self.store.clone();
        Contents::Dataset { manifest: Box::new(self.manifest.clone()), indexes, host }
    }

    pub(crate) fn reader(&self, part: Part, options: &ReadOptions) -> Reader {
        let mut options = options.clone();
        options.part = Some(part);
        Reader::of_store(self.store.clone(), options).unwrap()
    }

    pub(crate) fn streamed(&self, bytes: Vec<u8>, part: Part, options: &ReadOptions) -> Streamed {
        self.resumed(bytes, part, options, None).unwrap()
    }

    pub(crate) fn resumed(
        &self,
        bytes: Vec<u8>,
        part: Part,
        options: &ReadOptions,
        state: Option<&State>,
    ) -> Result<Streamed> {
        let source = Arc::new(Joined { bytes: bytes.into(), piece: 1000 });
        Streamed::new(source, self.contents(None), part, options.clone(), state)
    }
}

pub(crate) fn part(rank: u64, world: u64) -> Part {
    Part { rank, world, replicas: 1 }
}

pub(crate) fn options(tail: Tail) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.plan.tail = tail;
    options
}

/// One stream of bytes in memory, a piece at a time.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) piece: usize,
}

struct Once(Option<Pieces>);

struct Pieces {
    bytes: Arc<[u8]>,
    at: usize,
    piece: usize,
}

impl Source for Joined {
    fn epoch(&self, _epoch: u64, _stop: &Stop) -> Result<Box<dyn Streams>> {
        let (bytes, piece) = (Arc::clone(&self.bytes), self.piece);
        Ok(Box::new(Once(Some(Pieces { bytes, at: 0, piece }))))
    }

    fn is_joined(&self) -> bool {
        true
    }
}

impl Streams for Once {
    fn next(&mut self) -> Result<Option<Stream>> {
        Ok(self.0.take().map(|pieces| ("memory".to_owned(), Box::new(pieces) as Box<_>)))
    }
}

impl Read for Pieces {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let piece = self.piece.min(buf.len());
        let read = (&self.bytes[self.at..]).read(&mut buf[..piece])?;
        self.at += read;
        Ok(read)
    }
}

/// What ranks were given.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) keys: BTreeMap<String, u32>,
    pub(crate) digest: Digest,
    pub(crate) steps: Vec<u64>,
}

impl Seen {
    pub(crate) fn read(&mut self, samples: &mut StreamSamples, most: usize) {
        let mut steps = 0;
        for sample in samples.by_ref().take(most) {
            let sample = sample.unwrap();
            steps += 1;
            if sample.is_real() {
                *self.keys.entry(sample.key().to_owned()).or_default() += 1;
            }
        }
        self.steps.push(steps);
        self.digest += samples.digest();
    }

    /// Every sample once, and equally many steps.
    pub(crate) fn whole(&self, manifest: &Manifest) {
        assert_eq!(self.keys.len() as u64, manifest.totals.samples);
        assert!(self.keys.values().all(|times| *times == 1), "{:?}", self.keys);
        assert_eq!(self.digest, manifest.digest);
        assert!(self.steps.iter().all(|steps| *steps == self.steps[0]), "{:?}", self.steps);
    }
}

/// Longer than any machine takes.
pub(crate) const PATIENT: Duration = Duration::from_secs(60);

/// A folder of FIFOs.
pub(crate) struct Fifos(pub(crate) tempfile::TempDir);

impl Fifos {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, number: u64) -> PathBuf {
        self.0.path().join(format!("train_{number}"))
    }

    pub(crate) fn make(&self, number: u64) -> PathBuf {
        let path = self.path(number);
        make(&path);
        path
    }

    /// Waits so long that a test which hangs fails.
    pub(crate) fn pipe(&self) -> Pipe {
        self.patient(PATIENT, PATIENT)
    }

    pub(crate) fn patient(&self, start: Duration, stall: Duration) -> Pipe {
        let locks = self.0.path().join("locks");
        std::fs::create_dir_all(&locks).unwrap();
        let locks = Some(locks);
        let options = PipeOptions { start, stall, locks, ..PipeOptions::default() };
        Pipe::new(self.0.path().join("train"), options)
    }
}

pub(crate) fn make(path: &Path) {
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR).unwrap();
}

/// Opens a FIFO for writing, once somebody reads.
pub(crate) fn open(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

/// Writes to a FIFO in pieces, from a thread.
pub(crate) fn write(path: &Path, bytes: Vec<u8>, piece: usize) -> JoinHandle<io::Result<()>> {
    let path = path.to_owned();
    thread::spawn(move || {
        let mut fifo = open(&path);
        bytes.chunks(piece).try_for_each(|piece| fifo.write_all(piece))
    })
}
