//! Places of an open file that are read on, and the blocks that are fetched ahead of them.

use std::collections::VecDeque;
use std::sync::Arc;

use fuser::Errno;

use super::open::Answer;
use crate::crew::Buffer;

/// Places of one file that are told apart: a loop that reads with several threads, or several
/// workers that share an open file, read a shard at as many.
const STREAMS: usize = 8;
/// How far from the place where the last read ended a read may start and still be one that reads
/// on: the kernel's own read-ahead asks for several stretches at a time, in any order.
const SLACK: u64 = 2 << 20;

/// The places of a file that are read on side by side.
pub(super) struct Streams {
    all: Vec<Stream>,
    /// Reads so far, by which streams were last of use.
    reads: u64,
    /// Blocks so far.
    blocks: u64,
}

/// One place that is read on.
#[derive(Default)]
pub(super) struct Stream {
    /// Where it began.
    begun: u64,
    /// Where a read that reads on starts.
    next: u64,
    /// Bytes that were read on so far.
    pub(super) run: u64,
    /// Adjoining stretches, in order.
    pub(super) blocks: VecDeque<Block>,
    /// Number of the last read.
    used: u64,
}

pub(super) struct Block {
    pub(super) id: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) bytes: Bytes,
}

pub(super) enum Bytes {
    Coming(Vec<Wanted>),
    Here(Arc<Buffer>),
    Failed(Errno),
}

pub(super) struct Wanted {
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) answer: Answer,
}

impl Default for Streams {
    fn default() -> Self {
        // Who opens a file most often reads its first byte first.
        Self { all: vec![Stream::default()], reads: 0, blocks: 0 }
    }
}

impl Streams {
    /// The stream that a read goes on with: one that has its first byte, or ended close by.
    pub(super) fn at(&mut self, offset: u64) -> Option<usize> {
        self.reads += 1;
        let holds = self.all.iter().position(|stream| stream.holds(offset));
        let near = self.all.iter().enumerate().filter(|(_, stream)| stream.reads_on(offset));
        let longest = near.max_by_key(|(_, stream)| stream.run).map(|(number, _)| number);
        let found = holds.or(longest)?;
        if let Some(stream) = self.all.get_mut(found) {
            stream.used = self.reads;
        }
        Some(found)
    }

    /// Notes a read that goes on with nothing: the next one may go on with it.
    pub(super) fn begin(&mut self, end: u64) {
        let stream = Stream { begun: end, next: end, used: self.reads, ..Stream::default() };
        if self.all.len() < STREAMS {
            return self.all.push(stream);
        }
        // Those that were read once first: reads here and there must not end what is read on.
        let idle = self.all.iter_mut().filter(|stream| stream.is_idle());
        if let Some(oldest) = idle.min_by_key(|stream| (stream.run > 0, stream.used)) {
            *oldest = stream;
        }
    }

    pub(super) fn get(&mut self, number: usize) -> Option<&mut Stream> {
        self.all.get_mut(number)
    }

    /// Where bytes are another stream's: none is fetched ahead twice.
    pub(super) fn border(&self, number: usize) -> u64 {
        let end = self.all.get(number).map_or(0, Stream::end);
        let others = self.all.iter().enumerate().filter(|(other, _)| *other != number);
        let starts = others.map(|(_, stream)| stream.begun).filter(|start| *start >= end);
        starts.min().unwrap_or(u64::MAX)
    }

    /// A number for a block that no other block of the file has.
    pub(super) fn block_id(&mut self) -> u64 {
        self.blocks += 1;
        self.blocks
    }

    /// The stream with a block, and the block's place in it; none where nobody has use for it now.
    pub(super) fn block(&mut self, id: u64) -> Option<(&mut Stream, usize)> {
        self.all.iter_mut().find_map(|stream| {
            let place = stream.blocks.iter().position(|block| block.id == id)?;
            Some((stream, place))
        })
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.all.iter().map(|stream| stream.blocks.len()).sum()
    }
}

/// What became of a read.
pub(super) enum Found {
    Bytes(Vec<(Arc<Buffer>, u64, u64)>, Answer),
    Failed(Errno, Answer),
    /// It waits with a block, or was left to be fetched by itself.
    Waits,
    Missing(Wanted),
}

impl Stream {
    pub(super) fn end(&self) -> u64 {
        self.blocks.back().map_or(self.next, |block| block.end)
    }

    /// Goes on at another place.
    pub(super) fn jump(&mut self, offset: u64) {
        self.blocks.clear();
        (self.begun, self.next) = (offset, offset);
    }

    /// Notes a read from `offset` to `end`.
    pub(super) fn note(&mut self, offset: u64, end: u64) {
        self.run += end - offset;
        self.next = self.next.max(end);
    }

    pub(super) fn holds(&self, offset: u64) -> bool {
        self.blocks.front().is_some_and(|first| (first.start..self.end()).contains(&offset))
    }

    /// Whether a read goes on where others ended, or where the file begins.
    fn reads_on(&self, offset: u64) -> bool {
        self.holds(offset) || self.next.abs_diff(offset) <= if self.run > 0 { SLACK } else { 0 }
    }

    /// Forgets what lies behind; what somebody waits for stays.
    pub(super) fn trim(&mut self, offset: u64) {
        while let Some(first) = self.blocks.front() {
            let is_idle = !matches!(&first.bytes, Bytes::Coming(waiting) if !waiting.is_empty());
            if first.end.saturating_add(SLACK) > offset || !is_idle {
                return;
            }
            self.blocks.pop_front();
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        let waits = |block: &Block| matches!(&block.bytes, Bytes::Coming(w) if !w.is_empty());
        !self.blocks.iter().any(waits)
    }

    /// Gathers the bytes of a read, or has it wait for the first of its blocks that is not there.
    pub(super) fn find(&mut self, wanted: Wanted) -> Found {
        let (mut at, mut parts) = (wanted.offset, Vec::new());
        while at < wanted.end {
            let block = self.blocks.iter_mut().find(|block| (block.start..block.end).contains(&at));
            let Some(block) = block else { return Found::Missing(wanted) };
            match &mut block.bytes {
                Bytes::Coming(waiting) => {
                    waiting.push(wanted);
                    return Found::Waits;
                }
                Bytes::Failed(errno) => return Found::Failed(*errno, wanted.answer),
                Bytes::Here(buffer) => {
                    let end = block.end.min(wanted.end);
                    parts.push((Arc::clone(buffer), at - block.start, end - block.start));
                    at = end;
                }
            }
        }
        Found::Bytes(parts, wanted.answer)
    }
}
