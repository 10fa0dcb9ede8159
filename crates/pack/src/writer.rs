//! Writes consecutive records into a shard: files are read straight into one aligned buffer,
//! checked while they are in the processor's cache, and written from there. One pass over the
//! bytes, no copy in user space.

use shardpack_formats::{Crc32c, Crc64Nvme, Layout, SampleShape, Segment, SplitScan, crc32c, mask};
use shardpack_store::{Sink, Source, Upload};

use crate::plan::Body;
use crate::stream::Compressed;
use crate::{Error, Result};

/// Alignment of buffers and of most writes: what `O_DIRECT` asks for on every device in use.
pub(crate) const ALIGN: usize = 4096;

/// Where finished bytes go.
pub(crate) enum Output<'a> {
    /// To their place in the shard.
    Place(&'a dyn Upload),
    /// Through a compressor.
    Stream(Box<Compressed<'a>>),
}

/// Where the bodies of one record come from.
#[derive(Clone, Copy)]
pub(crate) struct Bodies<'b> {
    pub(crate) source: &'b dyn Source,
    /// One a field.
    pub(crate) bodies: &'b [Body],
    /// What [`Body::Inline`] counts.
    pub(crate) inline: &'b [(&'static str, Vec<u8>)],
}

/// Checksums that one record left behind. Reuse it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// crc32c of the encoded record.
    pub(crate) record: u32,
    /// crc32c of each field, in the sample's order.
    pub(crate) fields: Vec<u32>,
    /// Offsets in the payload at which the record must be split, found just now.
    pub(crate) splits: Vec<u64>,
}

/// Appends records from one offset of a shard on.
pub(crate) struct Writer<'a> {
    output: Output<'a>,
    /// A window of the shard, in memory aligned as in the shard: whole windows lie at multiples of
    /// their size, so that the kernel takes them in its largest pages.
    buffer: Vec<u8>,
    window: usize,
    /// Where the bytes for offset `at` start in `buffer`, where the filled part and the window end.
    start: usize,
    end: usize,
    limit: usize,
    /// Offset in the shard of the first byte that is still in the buffer.
    at: u64,
    crc64: Crc64Nvme,
    record: Crc32c,
    /// TFRecord's payload checksum, inside a payload.
    checked: Option<Crc32c>,
    field: Crc32c,
    scan: Option<SplitScan>,
}

/// Pieces from here on are read once for their checksum, which is then appended to each of the
/// others: cheaper than reading them again.
const LONG: usize = 8 << 10;

impl<'a> Writer<'a> {
    /// A writer whose first byte belongs at `at`, with a buffer of `window` bytes, a
    /// multiple of [`ALIGN`].
    pub(crate) fn new(output: Output<'a>, at: u64, window: usize, buffer: Vec<u8>) -> Self {
        let mut writer = Self {
            output,
            buffer,
            window,
            start: 0,
            end: 0,
            limit: 0,
            at,
            crc64: Crc64Nvme::default(),
            record: Crc32c::default(),
            checked: None,
            field: Crc32c::default(),
            scan: None,
        };
        writer.buffer.resize(window + ALIGN, 0);
        writer.rebase();
        writer
    }

    /// Moves the window to where the next byte belongs.
    fn rebase(&mut self) {
        let base = self.buffer.as_ptr().align_offset(ALIGN);
        self.start = base + (self.at % self.window as u64) as usize;
        self.limit = base + self.window;
        self.end = self.start;
    }

    /// Writes one record. `scan` looks for words at which the format must split it; a layout that
    /// is split already leaves `word` out of its bodies.
    pub(crate) fn record(
        &mut self,
        layout: &Layout,
        shape: &SampleShape<'_>,
        from: Bodies<'_>,
        word: u32,
        scan: Option<SplitScan>,
        written: &mut Written,
    ) -> Result<()> {
        self.scan = scan;
        self.record = Crc32c::default();
        written.fields.clear();
        written.fields.resize(from.bodies.len(), 0);
        let mut body = BodyState::default();
        for segment in &layout.segments {
            match segment {
                Segment::Literal(range) => {
                    let bytes = layout.literals.get(range.clone()).unwrap_or_default();
                    self.put(bytes, false)?;
                }
                Segment::Body { field, start, len } => {
                    body.enter(*field, *start, word);
                    self.field = body.crc;
                    match from.bodies[*field] {
                        Body::File(file) => from.source.fetch(file, *start, *len, self)?,
                        Body::Inline(i) => {
                            let range = *start as usize..(*start + *len) as usize;
                            self.put(from.inline[i].1.get(range).unwrap_or_default(), true)?;
                        }
                    }
                    body.crc = self.field;
                    body.next = *start + *len;
                    written.fields[*field] = body.crc.value();
                }
                Segment::ChecksumStart => self.checked = Some(Crc32c::default()),
                Segment::MaskedCrc32c => {
                    let checked = self.checked.take().unwrap_or_default();
                    self.put(&mask(checked.value()).to_le_bytes(), false)?;
                }
            }
        }
        if let (false, Some(last)) = (shape.splits.is_empty(), shape.fields.len().checked_sub(1)) {
            // A body may end in words at which it was split, or be nothing else.
            body.enter(last, shape.fields[last].len, word);
            written.fields[last] = body.crc.value();
        }
        written.record = self.record.value();
        written.splits = self.scan.take().map_or_else(Vec::new, SplitScan::finish);
        Ok(())
    }

    /// Writes bytes outside any record.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        self.put(bytes, false)
    }

    /// Writes what is left; gives back the buffer and the checksum of the bytes of this writer, or
    /// the whole file's length and checksum where it was compressed.
    pub(crate) fn finish(mut self) -> Result<(Vec<u8>, u64, u64)> {
        self.flush()?;
        match self.output {
            Output::Place(_) => Ok((self.buffer, self.at, self.crc64.value())),
            Output::Stream(compressor) => {
                let (len, crc64) = compressor.finish()?;
                Ok((self.buffer, len, crc64))
            }
        }
    }

    fn put(&mut self, mut bytes: &[u8], body: bool) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            self.fill(n, body);
            bytes = &bytes[n..];
        }
        Ok(())
    }

    fn room(&mut self) -> Result<&mut [u8]> {
        if self.end == self.limit {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.end..self.limit])
    }

    /// Takes the next `n` bytes of the room, which are filled; of a field's body or not.
    fn fill(&mut self, n: usize, body: bool) {
        let bytes = &self.buffer[self.end..self.end + n];
        let field = body.then_some(&mut self.field);
        let sums = [field, Some(&mut self.record), self.checked.as_mut()].into_iter().flatten();
        if n < LONG {
            sums.for_each(|sum| sum.update(bytes));
        } else {
            let piece = crc32c(bytes);
            sums.for_each(|sum| sum.append(piece, n as u64));
        }
        if let (true, Some(scan)) = (body, &mut self.scan) {
            scan.update(bytes);
        }
        self.end += n;
    }

    /// Writes the buffer out.
    fn flush(&mut self) -> Result<()> {
        let bytes = &self.buffer[self.start..self.end];
        match &mut self.output {
            Output::Place(upload) => {
                self.crc64.update(bytes);
                if !bytes.is_empty() {
                    upload.write_at(self.at, bytes)?;
                }
            }
            Output::Stream(compressor) => compressor.write(bytes)?,
        }
        self.at += bytes.len() as u64;
        self.rebase();
        Ok(())
    }
}

/// The body in progress: a field that the format splits arrives in several ranges.
#[derive(Default)]
struct BodyState {
    field: Option<usize>,
    next: u64,
    crc: Crc32c,
}

impl BodyState {
    /// Goes on with `field` at `start`. Where the format dropped the words at which it split, the
    /// body still has them.
    fn enter(&mut self, field: usize, start: u64, word: u32) {
        if self.field != Some(field) {
            *self = Self { field: Some(field), ..Self::default() };
        }
        while self.next < start {
            self.crc.update(&word.to_le_bytes());
            self.next += 4;
        }
    }
}

impl Sink for Writer<'_> {
    fn space(&mut self) -> shardpack_store::Result<&mut [u8]> {
        match self.room() {
            Ok(room) => Ok(room),
            Err(Error::Store(error)) => Err(error),
            Err(other) => Err(shardpack_store::Error::io(std::io::Error::other(other), "shard")),
        }
    }

    fn advance(&mut self, n: usize) -> shardpack_store::Result<()> {
        self.fill(n, true);
        Ok(())
    }
}
