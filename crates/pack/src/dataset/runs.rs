//! The records of a shard where its index has them, in one pass over the file.

use std::io::{self, Read};

use shardpack_manifest::Index;

/// How much memory one worker may use, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Read at once from the store.
    pub(super) piece: usize,
    /// Records that are looked at together.
    pub(super) run: usize,
    /// Largest record that is held in memory: twice, as it stands in the shard and decoded.
    pub(super) record: usize,
}

impl Budget {
    /// A worker's share of `memory` when there are `jobs` of them.
    pub(super) fn new(memory: u64, jobs: usize) -> Self {
        let share = usize::try_from(memory).unwrap_or(usize::MAX) / jobs.max(1);
        let run = (share / 8).clamp(64 << 10, 4 << 20);
        Self {
            piece: (share / 16).clamp(64 << 10, shardpack_dataset::PIECE),
            run,
            record: (share / 4).max(run),
        }
    }
}

/// The next part of a shard.
#[derive(Debug)]
pub(super) enum Step<'b> {
    /// Whole records that follow each other without a gap; `bytes` starts at `offset`.
    Records { first: usize, end: usize, offset: u64, bytes: &'b [u8] },
    /// The next piece of a record that is larger than memory allows.
    Large { record: usize, offset: u64, bytes: &'b [u8], last: bool },
    /// The next piece of what is in no record: end blocks, directories.
    Outside { offset: u64, bytes: &'b [u8] },
}

/// Why a shard could not be read to its end.
#[derive(Debug)]
pub(super) struct Cut {
    /// The first record that is not whole; the number of records when what follows them is not.
    pub(super) record: usize,
    /// Offset of the first byte that is missing, in the uncompressed shard.
    pub(super) offset: u64,
    /// None where the file just ends.
    pub(super) error: Option<io::Error>,
}

/// Reads a shard as a sequence of [`Step`]s.
pub(super) struct Runs<'i, R> {
    index: &'i Index<'i>,
    input: R,
    budget: Budget,
    buffer: Vec<u8>,
    /// Next record.
    next: usize,
    /// Offset of the next byte to read.
    offset: u64,
    /// What ended the stream; reported once everything before it was handed out.
    ended: Option<Cut>,
}

impl<'i, R: Read> Runs<'i, R> {
    /// Reads `input`, the uncompressed stream of the shard that `index` describes.
    pub(super) fn new(index: &'i Index<'i>, input: R, budget: Budget) -> Self {
        Self { index, input, budget, buffer: Vec::new(), next: 0, offset: 0, ended: None }
    }

    /// The next part; none at the end of the stream, wherever the index has it.
    pub(super) fn next(&mut self) -> Result<Option<Step<'_>>, Cut> {
        if let Some(cut) = self.ended.take() {
            return Err(cut);
        }
        let Some(record) = self.index.get(self.next) else { return self.tail() };
        if self.offset < record.offset {
            return self.outside(record.offset - self.offset);
        }
        let inside = self.offset - record.offset;
        if record.len - inside > self.budget.record as u64 || inside > 0 {
            return self.large(record.len - inside);
        }
        self.records()
    }

    /// As many whole records as fit, at least one.
    fn records(&mut self) -> Result<Option<Step<'_>>, Cut> {
        let (first, offset) = (self.next, self.offset);
        let mut len = 0;
        for record in (first..).map_while(|i| self.index.get(i)) {
            let with = len + record.len;
            let fits = with <= self.budget.run as u64 || self.next == first;
            if record.offset != offset + len || !fits || record.len > self.budget.record as u64 {
                break;
            }
            len = with;
            self.next += 1;
        }
        let filled = self.fill(len);
        if self.ended.is_some() {
            let whole = |i: usize| {
                let record = self.index.get(i);
                record.is_some_and(|r| r.offset + r.len <= offset + filled as u64)
            };
            self.next = (first..self.next).find(|i| !whole(*i)).unwrap_or(self.next);
            if let Some(cut) = &mut self.ended {
                cut.record = self.next;
            }
        }
        let bytes = &self.buffer[..filled];
        Ok(Some(Step::Records { first, end: self.next, offset, bytes }))
    }

    /// The next piece of a large record of which `left` bytes are to come.
    fn large(&mut self, left: u64) -> Result<Option<Step<'_>>, Cut> {
        let offset = self.offset;
        let len = left.min(self.budget.run as u64);
        let filled = self.fill(len);
        if let Some(cut) = self.ended.take() {
            return Err(Cut { record: self.next, ..cut });
        }
        let (record, last) = (self.next, len == left);
        self.next += usize::from(last);
        Ok(Some(Step::Large { record, offset, bytes: &self.buffer[..filled], last }))
    }

    /// The next piece of the `left` bytes before the next record.
    fn outside(&mut self, left: u64) -> Result<Option<Step<'_>>, Cut> {
        let offset = self.offset;
        let filled = self.fill(left.min(self.budget.run as u64));
        Ok(Some(Step::Outside { offset, bytes: &self.buffer[..filled] }))
    }

    /// What follows the last record.
    fn tail(&mut self) -> Result<Option<Step<'_>>, Cut> {
        let offset = self.offset;
        let filled = self.fill(self.budget.run as u64);
        // Here the end is where it should be, unless reading failed.
        if self.ended.as_ref().is_some_and(|cut| cut.error.is_none()) {
            self.ended = None;
        }
        match filled {
            0 => self.ended.take().map_or(Ok(None), Err),
            _ => Ok(Some(Step::Outside { offset, bytes: &self.buffer[..filled] })),
        }
    }

    /// Fills the buffer with the next `len` bytes, or fewer when the stream ends before.
    fn fill(&mut self, len: u64) -> usize {
        // `len` is at most a run or a record, both of which the budget allows.
        let len = len as usize;
        if self.buffer.len() < len {
            self.buffer.resize(len, 0);
        }
        let mut filled = 0;
        while filled < len {
            match self.input.read(&mut self.buffer[filled..len]) {
                Ok(0) => {
                    self.ended = Some(self.cut(filled, None));
                    break;
                }
                Ok(n) => filled += n.min(len - filled),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.ended = Some(self.cut(filled, Some(e)));
                    break;
                }
            }
        }
        self.offset += filled as u64;
        filled
    }

    fn cut(&self, filled: usize, error: Option<io::Error>) -> Cut {
        Cut { record: self.next, offset: self.offset + filled as u64, error }
    }
}
