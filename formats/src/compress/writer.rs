//! Writing a compressed stream.

use std::fmt;
use std::io::{self, Write};

use flate2::{Compress, Crc, FlushCompress, Status};
use zstd::stream::write::Encoder as ZstdEncoder;

use super::Compression;

type Output<'w> = Box<dyn Write + Send + 'w>;

/// Compresses what is written to it; see [`Compression::writer`].
///
/// A stream is complete only when [`Compressor::finish`] returned: dropping one leaves a stream
/// that readers call truncated. After an error every further call fails.
pub struct Compressor<'w> {
    stream: Stream<'w>,
    /// What is written and not yet compressed.
    gathered: Vec<u8>,
    failed: bool,
}

/// Bytes that a compressor gets at once. What it writes depends on how its input is cut, so it is
/// cut the same way whatever the sizes of the writes.
const PIECE: usize = 128 << 10;

enum Stream<'w> {
    Plain(Output<'w>),
    Deflate(Deflate<'w>),
    Zstd(ZstdEncoder<'static, Output<'w>>),
}

impl<'w> Compressor<'w> {
    pub(super) fn new(kind: Compression, level: i32, output: Output<'w>) -> io::Result<Self> {
        let stream = match kind {
            Compression::None => Stream::Plain(output),
            Compression::Gzip => Stream::Deflate(Deflate::gzip(level, output)?),
            Compression::Zlib => Stream::Deflate(Deflate::zlib(level, output)),
            Compression::Zstd => {
                let mut encoder = ZstdEncoder::new(output, level)?;
                // Without it a changed byte in a stored block would go unnoticed.
                encoder.include_checksum(true)?;
                Stream::Zstd(encoder)
            }
        };
        Ok(Self { stream, gathered: Vec::new(), failed: false })
    }

    /// Ends the stream and flushes the output.
    pub fn finish(mut self) -> io::Result<()> {
        if self.failed {
            return Err(failed());
        }
        self.stream.compress(&self.gathered)?;
        match self.stream {
            Stream::Plain(mut output) => output.flush(),
            Stream::Deflate(deflate) => deflate.finish()?.flush(),
            Stream::Zstd(encoder) => encoder.finish()?.flush(),
        }
    }

    fn gather(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if !self.gathered.is_empty() {
            let (missing, rest) = bytes.split_at(bytes.len().min(PIECE - self.gathered.len()));
            self.gathered.extend_from_slice(missing);
            if self.gathered.len() < PIECE {
                return Ok(());
            }
            self.stream.compress(&self.gathered)?;
            self.gathered.clear();
            bytes = rest;
        }
        let mut pieces = bytes.chunks_exact(PIECE);
        pieces.try_for_each(|piece| self.stream.compress(piece))?;
        self.gathered.extend_from_slice(pieces.remainder());
        Ok(())
    }

    /// Runs a call, and remembers that it failed.
    fn latch<T>(&mut self, call: impl FnOnce(&mut Self) -> io::Result<T>) -> io::Result<T> {
        if self.failed {
            return Err(failed());
        }
        let result = call(self);
        // An interrupted call did nothing and is made again.
        self.failed = matches!(&result, Err(e) if e.kind() != io::ErrorKind::Interrupted);
        result
    }
}

impl Stream<'_> {
    fn compress(&mut self, piece: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(output) => output.write_all(piece),
            Stream::Deflate(deflate) => deflate.compress(piece),
            Stream::Zstd(encoder) => encoder.write_all(piece),
        }
    }
}

fn failed() -> io::Error {
    io::Error::other("an earlier write to this compressed stream failed")
}

impl Write for Compressor<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.latch(|this| match &mut this.stream {
            Stream::Plain(output) => output.write(bytes),
            _ => this.gather(bytes).map(|()| bytes.len()),
        })
    }

    /// Flushes the output. What is gathered stays: a block boundary here would make the stream
    /// depend on when it was flushed.
    fn flush(&mut self) -> io::Result<()> {
        self.latch(|this| match &mut this.stream {
            Stream::Plain(output) => output.flush(),
            Stream::Deflate(deflate) => deflate.output.flush(),
            Stream::Zstd(encoder) => encoder.get_mut().flush(),
        })
    }
}

impl fmt::Debug for Compressor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("failed", &self.failed).finish_non_exhaustive()
    }
}

/// No name, no time; 3 (Unix) is the system byte of TensorFlow's and gzip's streams, fixed here so
/// that every platform writes the same.
const GZIP_HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];

/// Compressed bytes gathered before they are passed on.
const BUFFER: usize = 64 << 10;

/// Deflate in a gzip or zlib wrapping. `flate2`'s own writers complete their stream when dropped,
/// which would make an abandoned shard look whole.
struct Deflate<'w> {
    output: Output<'w>,
    codec: Compress,
    /// Gzip's trailer; zlib's is the codec's business.
    crc: Option<Crc>,
    buffer: Vec<u8>,
}

impl<'w> Deflate<'w> {
    fn gzip(level: i32, mut output: Output<'w>) -> io::Result<Self> {
        output.write_all(&GZIP_HEADER)?;
        Ok(Self::new(output, Compress::new(deflate_level(level), false), Some(Crc::new())))
    }

    fn zlib(level: i32, output: Output<'w>) -> Self {
        Self::new(output, Compress::new(deflate_level(level), true), None)
    }

    fn new(output: Output<'w>, codec: Compress, crc: Option<Crc>) -> Self {
        Self { output, codec, crc, buffer: Vec::with_capacity(BUFFER) }
    }

    fn compress(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut rest = piece;
        while !rest.is_empty() {
            let before = self.codec.total_in();
            self.step(rest, FlushCompress::None)?;
            rest = &rest[(self.codec.total_in() - before) as usize..];
        }
        if let Some(crc) = &mut self.crc {
            crc.update(piece);
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<Output<'w>> {
        while self.step(&[], FlushCompress::Finish)? != Status::StreamEnd {}
        if let Some(crc) = &self.crc {
            self.output.write_all(&crc.sum().to_le_bytes())?;
            self.output.write_all(&crc.amount().to_le_bytes())?;
        }
        Ok(self.output)
    }

    fn step(&mut self, input: &[u8], flush: FlushCompress) -> io::Result<Status> {
        self.buffer.clear();
        let status = self
            .codec
            .compress_vec(input, &mut self.buffer, flush)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        self.output.write_all(&self.buffer)?;
        Ok(status)
    }
}

fn deflate_level(level: i32) -> flate2::Compression {
    flate2::Compression::new(level.clamp(0, 9) as u32)
}
