//! Pipe channels: one FIFO an epoch, `<channel>_<number>`, each read once from its start.
//!
//! A FIFO brings all shards of its epoch one after the other and then ends. Opening it is what
//! uses it up: whoever opens `train_0` just to look takes an epoch away. So the FIFOs' numbers are
//! not the epochs of the training: an epoch that is read takes the next FIFO that is there.

mod fifo;
mod lock;
mod turn;

use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fifo::Fifo;
use shardpack_formats::Compression;
use turn::Turns;

use crate::Result;
use crate::stream::{Source, Stop, Stream, Streams};

/// How FIFOs are opened and waited for.
#[derive(Clone, Debug)]
pub struct PipeOptions {
    /// How long the first byte of the first FIFO may take: the service lists objects, and writers
    /// start after readers. Default 1 h, after which SageMaker itself is known to give up.
    pub start: Duration,
    /// How long any later byte may take, and the first one of a later FIFO. The time that the loop
    /// takes does not count. Default 5 min.
    pub stall: Duration,
    /// Number of the first FIFO. Default 0. Where it is gone, the first that is there is taken: a
    /// process before this one has used it up.
    pub first: u64,
    /// Folder for the file whose lock keeps a second reader out. Default: the system's folder for
    /// temporary files. All processes of a container need the same one.
    pub locks: Option<PathBuf>,
}

impl Default for PipeOptions {
    fn default() -> Self {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        Self { start: minutes(60), stall: minutes(5), first: 0, locks: None }
    }
}

/// The FIFOs of a channel. Clones share their turn.
///
/// Each is opened once, by one process; a second reader is [`Error::Busy`](crate::Error::Busy).
/// One that is left before its end is closed, and its writer goes on to the next; but not while a
/// process that was forked off in the meantime lives, which holds it open too.
///
/// Bytes that begin like gzip, zlib or zstd are decompressed.
///
/// ```
/// use std::io::Write;
/// use std::sync::Arc;
///
/// use shardpack_formats::{DecodeOptions, FormatOptions};
/// use shardpack_reader::ReadOptions;
/// use shardpack_reader::pipe::{Pipe, PipeOptions};
/// use shardpack_reader::plan::Part;
/// use shardpack_reader::stream::{Contents, Streamed};
///
/// let folder = tempfile::tempdir()?;
/// let fifo = folder.path().join("train_0");
/// rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
/// let writer = std::thread::spawn(move || {
///     let record = b"\x03\0\0\0\0\0\0\0\xb0\x99\x49\x0efoo\x61\x8a\xbe\xfe";
///     std::fs::OpenOptions::new().write(true).open(fifo)?.write_all(record)
/// });
///
/// let mut options = FormatOptions::default();
/// options.schema = shardpack_formats::Schema::Raw;
/// let format = shardpack_formats::open("tfrecord", &options)?;
/// let contents = Contents::Foreign { format, decode: DecodeOptions::default() };
/// let pipe = Pipe::new(folder.path().join("train"), PipeOptions::default());
/// let reader =
///     Streamed::new(Arc::new(pipe), contents, Part::default(), ReadOptions::default(), None)?;
/// for sample in reader.epoch(0) {
///     assert_eq!(sample?.field("data"), Some(&b"foo"[..]));
/// }
/// writer.join().unwrap()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pipe {
    channel: PathBuf,
    options: PipeOptions,
    turns: Arc<Turns>,
}

impl Pipe {
    /// The channel whose FIFOs begin with the path `channel`. Opens nothing.
    pub fn new(channel: impl Into<PathBuf>, options: PipeOptions) -> Self {
        let turns = Arc::new(Turns::new(options.first));
        Self { channel: channel.into(), options, turns }
    }

    /// What the FIFOs' paths begin with.
    pub fn channel(&self) -> &Path {
        &self.channel
    }

    /// Number of the FIFO that is opened next, if it is there.
    pub fn next(&self) -> u64 {
        self.turns.next()
    }
}

impl Source for Pipe {
    fn epoch(&self, _epoch: u64, stop: &Stop) -> Result<Box<dyn Streams>> {
        Ok(Box::new(Epoch { pipe: self.clone(), stop: stop.clone(), is_open: false }))
    }

    fn is_joined(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        format!("channel {:?}", turn::name(&self.channel))
    }

    fn says_when_it_waits(&self) -> bool {
        true
    }
}

/// The one stream of an epoch.
struct Epoch {
    pipe: Pipe,
    stop: Stop,
    is_open: bool,
}

impl Streams for Epoch {
    fn next(&mut self) -> Result<Option<Stream>> {
        if std::mem::replace(&mut self.is_open, true) {
            return Ok(None);
        }
        let Pipe { channel, options, turns } = &self.pipe;
        let fifo = Fifo::open(channel, options, turns, &self.stop)?;
        let name = fifo.name().to_owned();
        let plain = plain(fifo).map_err(|error| failed(error, &name))?;
        Ok(Some((name, plain)))
    }
}

/// The bytes behind a stream that may be compressed.
fn plain(mut fifo: Fifo) -> io::Result<Box<dyn Read + Send>> {
    let mut start = Vec::new();
    // Mostly the first byte shows that nothing is compressed, and nothing more is waited for.
    let mut wanted = 1;
    while start.len() < wanted && fifo.by_ref().take(1).read_to_end(&mut start)? > 0 {
        if matches!(start.first(), Some(0x1f | 0x28 | 0x50..=0x5f | 0x78)) {
            wanted = SIGNATURE;
        }
    }
    let compression = Compression::detect(&start);
    compression.reader(Box::new(Cursor::new(start).chain(fifo)))
}

/// First bytes that tell how a stream is compressed.
const SIGNATURE: usize = 512;

fn failed(error: io::Error, name: &str) -> crate::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Stalled>()) {
        Some(stalled) => crate::Error::Stalled(stalled.clone()),
        None => shardpack_store::Error::io(error, name).into(),
    }
}

/// A pipe that did not come, or a writer that fell silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stalled {
    /// Name of the FIFO: `train_0`.
    pub pipe: String,
    /// How long it was waited for.
    pub waited: Duration,
    /// What for.
    pub awaited: Awaited,
}

/// What was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The FIFO itself.
    Fifo,
    /// Somebody who writes to it.
    Writer,
    /// More bytes.
    Bytes {
        /// After so many.
        after: u64,
    },
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pipe, waited, awaited } = self;
        match awaited {
            Awaited::Fifo => {
                write!(
                    f,
                    "{pipe}: not there after {waited:.1?}; each epoch takes a FIFO of its own"
                )
            }
            Awaited::Writer => write!(f, "{pipe}: nobody wrote to it for {waited:.1?}"),
            Awaited::Bytes { after } => {
                write!(f, "{pipe}: its writer fell silent after {after} bytes, for {waited:.1?}")
            }
        }
    }
}

impl std::error::Error for Stalled {}
