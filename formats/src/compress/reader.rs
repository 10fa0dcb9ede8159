//! Reading a compressed stream strictly: one loop for every codec.

use std::io::{self, BufRead, BufReader, Read};

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder as ZstdDecoder, Operation};

type Input<'r> = BufReader<Box<dyn Read + Send + 'r>>;

pub(super) fn inflate<'r>(input: Input<'r>, codec: Decompress) -> Box<dyn Read + Send + 'r> {
    Box::new(Expand { input, codec, inside: true })
}

pub(super) fn zstd<'r>(input: Input<'r>) -> io::Result<Box<dyn Read + Send + 'r>> {
    Ok(Box::new(Expand { input, codec: ZstdDecoder::new()?, inside: true }))
}

/// What a stream that ends early is called.
pub(super) fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the compressed stream")
}

/// The libraries' own readers are not used: some of them take the end of the input for the end of
/// the stream, and they disagree on what follows it.
struct Expand<'r, C> {
    input: Input<'r>,
    codec: C,
    /// A stream has begun and not yet ended.
    inside: bool,
}

/// One call of a decompressor.
struct Step {
    consumed: usize,
    written: usize,
    /// The stream ended here, and its checksum holds.
    ended: bool,
}

trait Codec {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step>;

    /// Makes ready for another stream.
    fn restart(&mut self) -> io::Result<()>;
}

impl<C: Codec> Read for Expand<'_, C> {
    fn read(&mut self, output: &mut [u8]) -> io::Result<usize> {
        if output.is_empty() {
            return Ok(0);
        }
        loop {
            let input = self.input.fill_buf()?;
            if !self.inside {
                if input.is_empty() {
                    return Ok(0);
                }
                self.codec.restart()?;
                self.inside = true;
            }
            let at_end = input.is_empty();
            let step = self.codec.step(input, output)?;
            self.input.consume(step.consumed);
            self.inside = !step.ended;
            if step.written > 0 {
                return Ok(step.written);
            }
            if at_end && self.inside {
                return Err(cut());
            }
        }
    }
}

impl Codec for Decompress {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let (consumed, written) = (self.total_in(), self.total_out());
        let status = self
            .decompress(input, output, FlushDecompress::None)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(Step {
            consumed: (self.total_in() - consumed) as usize,
            written: (self.total_out() - written) as usize,
            ended: status == Status::StreamEnd,
        })
    }

    fn restart(&mut self) -> io::Result<()> {
        self.reset(true);
        Ok(())
    }
}

impl Codec for ZstdDecoder<'_> {
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Step> {
        let status = self
            .run_on_buffers(input, output)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(Step {
            consumed: status.bytes_read,
            written: status.bytes_written,
            ended: status.remaining == 0,
        })
    }

    fn restart(&mut self) -> io::Result<()> {
        self.reinit()
    }
}
