//! What the thread does: decoders stay where they are made, samples go out in batches.

use std::io::{self, BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shardpack_formats::{Error as FormatError, ErrorKind, Position, Record};

use super::contents::{Foreign, Planned, Read};
use super::deal::Dealer;
use super::passage::Passage;
use super::queue::{Outbox, Queue};
use super::record::Origin;
use super::streamed::{Inner, Pass};
use super::{Stop, Streams};
use crate::pipe::Stalled;
use crate::plan::SampleId;
use crate::{Error, Result};

/// Bytes that are read at once: few enough that they are still in the core's cache when they are
/// decoded.
const BUFFER: usize = 256 << 10;

/// An epoch to read.
pub(super) struct Work {
    pub(super) inner: Arc<Inner>,
    pub(super) pass: Pass,
    pub(super) queue: Arc<Queue>,
    pub(super) stop: Stop,
}

impl Work {
    pub(super) fn run(self) {
        let tells = self.inner.source.says_when_it_waits();
        let outbox = Arc::new(Outbox::new(Arc::clone(&self.queue), !tells));
        if tells {
            let outbox = Arc::clone(&outbox);
            self.stop.when_waiting(move || outbox.flush());
        }
        let read = catch_unwind(AssertUnwindSafe(|| self.read(&outbox)));
        // A loop that waits for a thread which is gone would wait for ever.
        let read = read.unwrap_or_else(|_| Err(Error::usage("the thread that reads panicked")));
        if let Err(error) = read {
            outbox.push(Err(error), 0);
        }
        outbox.end();
    }

    fn read(&self, outbox: &Arc<Outbox>) -> Result<()> {
        let Self { inner, pass, .. } = self;
        let skip = pass.share.as_ref().map_or(0, |(_, skip)| *skip);
        let (rule, window) = (inner.rule(pass), inner.window(pass));
        let mut dealer = Dealer::new(rule, window, outbox, inner.damage(), skip);
        let mut streams = inner.source.epoch(pass.epoch, &self.stop)?;
        match &inner.contents {
            Read::Known(planned) => known(planned, &mut *streams, &mut dealer, outbox)?,
            Read::Foreign(contents) => {
                let joined = inner.source.is_joined();
                foreign(contents, joined, &mut *streams, &mut dealer, outbox)?;
            }
        }
        dealer.finish()
    }
}

/// Reads shards of a manifest, all in one stream.
fn known(
    planned: &Planned,
    streams: &mut dyn Streams,
    dealer: &mut Dealer<'_>,
    outbox: &Arc<Outbox>,
) -> Result<()> {
    match streams.next()? {
        Some(stream) => Passage::new(planned, stream, dealer, outbox).run(),
        None => Err(Error::usage("shards of a manifest come in one stream: there is none")),
    }
}

/// Reads records of which nothing is known.
fn foreign(
    contents: &Foreign,
    joined: bool,
    streams: &mut dyn Streams,
    dealer: &mut Dealer<'_>,
    outbox: &Arc<Outbox>,
) -> Result<()> {
    let mut record = Record::default();
    let mut shard = 0;
    while let Some((name, bytes)) = streams.next()? {
        tracing::debug!(shard = &*name, "shard");
        let name: Arc<str> = name.into();
        let mut input = buffered(bytes, outbox);
        // Shards that are none have no end blocks either.
        if joined && is_empty(&mut input, &name)? {
            continue;
        }
        let mut decoder = contents.decoder(Box::new(input), joined);
        let mut ordinal = 0;
        loop {
            match decoder.read(&mut record) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let at = error.position().unwrap_or_else(|| decoder.position());
                    return Err(failed(error, (name.to_string(), at)));
                }
            }
            let place = Some(SampleId { shard, ordinal });
            dealer.take(
                &mut record,
                place,
                Origin::Stream(Arc::clone(&name), contents.format()),
                None,
            )?;
            ordinal += 1;
        }
        shard += 1;
    }
    Ok(())
}

/// Bytes of a stream in large pieces; samples are handed over before one is waited for.
fn buffered(bytes: Box<dyn io::Read + Send>, outbox: &Arc<Outbox>) -> BufReader<Watched> {
    BufReader::with_capacity(BUFFER, Watched { bytes, outbox: Arc::clone(outbox) })
}

fn is_empty(input: &mut BufReader<Watched>, name: &str) -> Result<bool> {
    let start = input.fill_buf().map(<[u8]>::is_empty);
    start.map_err(|error| failed(error.into(), (name.to_owned(), Position::default())))
}

struct Watched {
    bytes: Box<dyn io::Read + Send>,
    outbox: Arc<Outbox>,
}

impl io::Read for Watched {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.outbox.before_read();
        let read = self.bytes.read(buf)?;
        self.outbox.read(read);
        Ok(read)
    }
}

/// The error of a stream that could not be decoded further, at this place.
pub(super) fn failed(error: FormatError, (shard, position): (String, Position)) -> Error {
    let ErrorKind::Io(source) = error.kind() else {
        return Error::Shard { shard, reason: error.with_position(position).to_string() };
    };
    match source.get_ref().and_then(|inner| inner.downcast_ref::<Stalled>()) {
        Some(stalled) => Error::Stalled(stalled.clone()),
        None => Error::Format(error),
    }
}
