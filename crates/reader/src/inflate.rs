//! Compressed shards: streams without a middle.

use std::collections::HashMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use shardpack_formats::Compression;

use crate::set::OpenShard;
use crate::{Error, Result};

/// Streams that are open, by lane and shard: a lane reads a shard from front to back, so the next
/// piece mostly goes on where the one before ended.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<HashMap<(u32, u32), Stream>>);

/// One decompressed shard, up to where it was read.
pub(crate) struct Stream {
    shard: Arc<OpenShard>,
    bytes: Box<dyn Read + Send>,
    offset: u64,
}

impl Streams {
    /// A stream that is not yet beyond `offset`.
    pub(crate) fn take(
        &self,
        place: (u32, u32),
        shard: &Arc<OpenShard>,
        compression: Compression,
        offset: u64,
    ) -> Result<Stream> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&place);
        match held.filter(|stream| stream.offset <= offset) {
            Some(stream) => Ok(stream),
            None => Stream::open(shard, compression),
        }
    }

    /// Keeps a stream for the next piece of its lane. A lane has one: it does not come back to a
    /// shard that it has left, but for windows of small blocks, which start anew.
    pub(crate) fn keep(&self, place: (u32, u32), stream: Stream) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(lane, shard), _| *lane != place.0 || *shard == place.1);
        held.insert(place, stream);
    }
}

impl Stream {
    fn open(shard: &Arc<OpenShard>, compression: Compression) -> Result<Self> {
        let input = Whole { shard: Arc::clone(shard), offset: 0 };
        let bytes = compression.reader(Box::new(input)).map_err(|e| damaged(shard, &e))?;
        Ok(Self { shard: Arc::clone(shard), bytes, offset: 0 })
    }

    /// Fills `buf` from `offset` of the plain bytes; fewer only at the end. What lies before is
    /// passed over.
    pub(crate) fn read_at(&mut self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let gap = offset.saturating_sub(self.offset);
        let passed = io::copy(&mut self.bytes.by_ref().take(gap), &mut io::sink());
        self.offset += passed.map_err(|e| damaged(&self.shard, &e))?;
        let mut filled = 0;
        while filled < buf.len() {
            match self.bytes.read(&mut buf[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(damaged(&self.shard, &error)),
            }
        }
        self.offset += filled as u64;
        Ok(filled)
    }
}

fn damaged(shard: &OpenShard, error: &io::Error) -> Error {
    Error::Shard { shard: shard.indexed.path.clone(), reason: error.to_string() }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// The bytes of a shard's file.
struct Whole {
    shard: Arc<OpenShard>,
    offset: u64,
}

impl Read for Whole {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.shard.object.read_at(self.offset, buf).map_err(io::Error::other)?;
        self.offset += read as u64;
        Ok(read)
    }
}
