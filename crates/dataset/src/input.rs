//! A shard's file as a stream, read in large pieces and checksummed on the way.

use std::io::{self, Read};

use shardpack_formats::Crc64Nvme;
use shardpack_store::Object;

/// Reads an object from one end to the other.
#[derive(Debug)]
pub struct ShardReader<'o> {
    object: &'o dyn Object,
    buffer: Vec<u8>,
    /// The part of the buffer that was read and not yet taken.
    start: usize,
    end: usize,
    /// Offset of the next byte to read.
    offset: u64,
    crc: Crc64Nvme,
}

/// Bytes read at once, where memory allows: enough to hide a network's answer, small enough to
/// stay in a core's cache until the bytes are checked.
pub const PIECE: usize = 1 << 20;

impl<'o> ShardReader<'o> {
    /// A reader from the object's start that reads `piece` bytes at once.
    pub fn new(object: &'o dyn Object, piece: usize) -> Self {
        Self::from(object, 0, piece)
    }

    /// A reader from `offset` on; its checksum counts from there.
    pub fn from(object: &'o dyn Object, offset: u64, piece: usize) -> Self {
        let buffer = vec![0; piece.max(1)];
        Self { object, buffer, start: 0, end: 0, offset, crc: Crc64Nvme::default() }
    }

    /// CRC-64/NVME of all bytes so far, those that wait in the buffer included.
    pub fn crc64(&self) -> u64 {
        self.crc.value()
    }

    /// Number of bytes read so far, those that wait in the buffer included.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl Read for ShardReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.start == self.end {
            // What would fill the buffer anyway is read straight to its place.
            let direct = out.len() >= self.buffer.len();
            let target = if direct { &mut *out } else { &mut self.buffer[..] };
            let read = self.object.read_at(self.offset, target).map_err(io::Error::other)?;
            self.crc.update(&target[..read]);
            self.offset += read as u64;
            if direct {
                return Ok(read);
            }
            (self.start, self.end) = (0, read);
        }
        let len = out.len().min(self.end - self.start);
        out[..len].copy_from_slice(&self.buffer[self.start..self.start + len]);
        self.start += len;
        Ok(len)
    }
}
