//! Pipe mode: a FIFO an epoch, `<channel>_<n>`, without end.

mod fifo;
mod record;
mod units;

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use shardpack_channel::{CompressionType, RecordWrapper, fifo as fifo_path};
use shardpack_formats::Compression;

use crate::crew::{Crew, Memory};
use crate::faults::Link;
use crate::survey::Surveyed;
use crate::{Error, Result, Stop, Tell};
use fifo::{Fifo, Sent, Waits};
use units::{Ahead, Piece, Unit};

/// Most bytes of a RecordIO payload.
const MAX_RECORD: u64 = (1 << 29) - 1;
/// Inflated bytes that are written at a time.
const CHUNK: usize = 1 << 20;
/// How often the end knocks on a FIFO whose writer waits for a reader.
const KNOCK: Duration = Duration::from_millis(20);

/// What all channels of an agent share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) crew: Arc<Crew>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) link: Arc<Link>,
    pub(crate) tell: Tell,
}

/// A channel that is streamed by a thread of its own, until it is dropped.
#[derive(Debug)]
pub(crate) struct Pipe {
    path: PathBuf,
    stop: Stop,
    at: Arc<Waits>,
    writer: Option<JoinHandle<()>>,
    ended: Receiver<()>,
}

impl Pipe {
    /// Makes the first two FIFOs and starts to serve them. `path` is what their names begin with.
    pub(crate) fn start(channel: Arc<Surveyed>, path: PathBuf, shared: Shared) -> Result<Self> {
        fifo::make(&fifo_path(&path, 0))?;
        fifo::make(&fifo_path(&path, 1))?;
        let (alive, ended) = bounded::<()>(0);
        let stop = shared.link.stop().clone();
        let (own, at) = (path.clone(), Arc::<Waits>::default());
        let waits = Arc::clone(&at);
        let writer = thread::Builder::new()
            .name(format!("pipe-{}", channel.request.name))
            .spawn(move || {
                let writer = Writer { channel, path: own, at: waits, shared };
                if let Err(error) = writer.serve() {
                    writer.shared.tell.say(&format!("{}: {error}", writer.channel.request.name));
                }
                drop(alive);
            })
            .map_err(|error| Error::io(error, &path))?;
        Ok(Self { path, stop, at, writer: Some(writer), ended })
    }
}

impl Drop for Pipe {
    /// Ends the writer, wherever it is, and removes what FIFOs there are.
    fn drop(&mut self) {
        self.stop.set();
        // It may wait for a reader of the one it is at.
        while self.ended.recv_timeout(KNOCK) == Err(crossbeam_channel::RecvTimeoutError::Timeout) {
            self.at.knock();
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        fifo::remove_all(&self.path);
    }
}

/// Removes the FIFOs whose names begin with `path`: what a killed agent left.
pub(crate) fn remove_all(path: &Path) {
    fifo::remove_all(path);
}

struct Writer {
    channel: Arc<Surveyed>,
    path: PathBuf,
    at: Arc<Waits>,
    shared: Shared,
}

impl Writer {
    fn stop(&self) -> &Stop {
        self.shared.link.stop()
    }

    fn serve(&self) -> Result<()> {
        for epoch in 0.. {
            let path = fifo_path(&self.path, epoch);
            fifo::make(&path)?;
            // The next one is there before this one ends: readers look for it at once.
            fifo::make(&fifo_path(&self.path, epoch + 1))?;
            let mut fifo = self.at.open(&path, &self.shared.link)?;
            if self.stop().is_set() {
                return Ok(());
            }
            match self.epoch(epoch, &mut fifo) {
                Ok(_) => {}
                Err(Error::Stopped) => return Ok(()),
                // The reader sees a stream that ends too early, and this tells why.
                Err(error) => self.shared.tell.say(&format!("{}: {error}", path.display())),
            }
            // Unlinked while it is still open for writing: whoever came after that would wait for a
            // writer for ever.
            let _ = std::fs::remove_file(&path);
        }
        Ok(())
    }

    /// All units of an epoch. A reader that goes away before the end is an epoch that is over.
    fn epoch(&self, epoch: u64, fifo: &mut Fifo) -> Result<Sent> {
        let request = &self.channel.request;
        let is_gzip = request.compression == CompressionType::Gzip;
        let wraps = request.wrapper == RecordWrapper::RecordIo;
        let order = self.channel.order(epoch);
        if !is_gzip
            && self.shared.link.is_clear()
            && let Some(sent) = self.files(&order, wraps, fifo)?
        {
            return Ok(sent);
        }
        let units = units::of(&self.channel, order);
        let mut ahead = Ahead::new(units, &self.channel, &self.shared);
        while let Some(unit) = ahead.unit() {
            let sent = match (is_gzip, wraps) {
                (false, false) => plain(&mut ahead, fifo)?,
                (true, false) => self.inflated(&unit, &mut ahead, fifo)?,
                (false, true) => {
                    let (len, name) = (ahead.size(&unit), ahead.name(&unit));
                    record::fetched(len, &name, &mut ahead, fifo)?
                }
                (true, true) => self.inflated_record(&unit, &mut ahead, fifo)?,
            };
            if sent == Sent::ReaderGone {
                return Ok(sent);
            }
        }
        Ok(Sent::All)
    }

    /// Files of this machine go from the page cache into the pipe. None where objects are no files.
    fn files(&self, order: &[usize], wraps: bool, fifo: &mut Fifo) -> Result<Option<Sent>> {
        for unit in units::of(&self.channel, order.to_vec()) {
            let Unit::Object(i) = unit else { return Ok(None) };
            let Some(file) = units::objects(&self.channel).and_then(|all| all.file(i)) else {
                return Ok(None);
            };
            let file = file?;
            let sent = match wraps {
                true => record::file(&file, fifo)?,
                false => fifo.splice(&file.file, 0..u64::MAX)?,
            };
            if sent == Sent::ReaderGone {
                return Ok(Some(sent));
            }
            file.check()?;
        }
        Ok(Some(Sent::All))
    }

    /// The bytes of a unit of a compressed channel, inflated.
    fn reader<'a>(&self, unit: &Unit, ahead: &'a mut Ahead) -> Result<Box<dyn Read + Send + 'a>> {
        // What a line itself holds was never compressed, and an object without bytes holds nothing.
        let inflates = ahead.size(unit) > 0 && matches!(unit, Unit::Object(_));
        let compression = if inflates { Compression::Gzip } else { Compression::None };
        let name = ahead.name(unit);
        compression.reader(Box::new(ahead)).map_err(|error| failed(error, &name))
    }

    fn inflated(&self, unit: &Unit, ahead: &mut Ahead, fifo: &mut Fifo) -> Result<Sent> {
        let name = ahead.name(unit);
        let mut reader = self.reader(unit, ahead)?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = reader.read(&mut chunk).map_err(|error| failed(error, &name))?;
            if read == 0 {
                return Ok(Sent::All);
            }
            if fifo.write(chunk.get(..read).unwrap_or_default())? == Sent::ReaderGone {
                return Ok(Sent::ReaderGone);
            }
        }
    }

    /// Its inflated length is known when all of it is.
    fn inflated_record(&self, unit: &Unit, ahead: &mut Ahead, fifo: &mut Fifo) -> Result<Sent> {
        let name = ahead.name(unit);
        let mut payload = Vec::new();
        let reader = self.reader(unit, ahead)?;
        reader
            .take(MAX_RECORD + 1)
            .read_to_end(&mut payload)
            .map_err(|error| failed(error, &name))?;
        record::bytes(&payload, &name, fifo)
    }
}

/// What is fetched, as it comes.
fn plain(ahead: &mut Ahead, fifo: &mut Fifo) -> Result<Sent> {
    loop {
        match ahead.piece()? {
            Piece::End => return Ok(Sent::All),
            piece => {
                if fifo.write(piece.bytes())? == Sent::ReaderGone {
                    return Ok(Sent::ReaderGone);
                }
            }
        }
    }
}

/// A stream that could not be read, or inflated.
fn failed(error: io::Error, name: &str) -> Error {
    match error.downcast::<units::Failed>() {
        Ok(failed) => failed.0,
        Err(error) => Error::Store(shardpack_store::Error::io(error, name)),
    }
}

#[cfg(test)]
mod tests;
