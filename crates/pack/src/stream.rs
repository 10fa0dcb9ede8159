//! A shard that goes through a compressor: one stream, written in order.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use shardpack_formats::{Compression, Compressor, Crc64Nvme};
use shardpack_store::Upload;

use crate::{Error, Result};

/// Compresses what is written into an upload.
pub(crate) struct Compressed<'a> {
    compressor: Compressor<'a>,
    written: Arc<Mutex<Written>>,
}

/// Length and checksum of what left the compressor.
#[derive(Default)]
struct Written {
    len: u64,
    crc64: Crc64Nvme,
}

/// Puts a stream at the end of what an upload has.
struct Append<'a> {
    upload: &'a dyn Upload,
    written: Arc<Mutex<Written>>,
}

impl<'a> Compressed<'a> {
    pub(crate) fn new(
        compression: Compression,
        level: Option<i32>,
        upload: &'a dyn Upload,
    ) -> Result<Self> {
        let written = Arc::new(Mutex::new(Written::default()));
        let append = Append { upload, written: Arc::clone(&written) };
        let buffered = io::BufWriter::with_capacity(BUFFER, append);
        let compressor = compression.writer(level, Box::new(buffered)).map_err(failed)?;
        Ok(Self { compressor, written })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.compressor.write_all(bytes).map_err(failed)
    }

    /// Ends the stream; gives its length and CRC-64/NVME.
    pub(crate) fn finish(self) -> Result<(u64, u64)> {
        self.compressor.finish().map_err(failed)?;
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        Ok((written.len, written.crc64.value()))
    }
}

/// Compressors emit a few KiB at a time; a write call wants more.
const BUFFER: usize = 1 << 20;

impl Write for Append<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.upload.write_at(written.len, bytes).map_err(io::Error::other)?;
        written.crc64.update(bytes);
        written.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A store's error that passed through the compressor comes out as what it was.
fn failed(error: io::Error) -> Error {
    let source = match error.downcast::<shardpack_store::Error>() {
        Ok(source) => source,
        Err(error) => shardpack_store::Error::io(error, "compressed shard"),
    };
    Error::Store(source)
}
