//! An open file: what is read on is fetched ahead, what is read here and there is fetched as it is.
//!
//! No thread that takes the kernel's calls waits here. A read whose bytes are on their way is
//! answered by the thread that brings them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::Errno;
use shardpack_store::{Error, ErrorKind};

use super::stream::{Block, Bytes, Found, Streams, Wanted};
use crate::crew::{Buffer, PIECE};
use crate::faults::Passed;
use crate::objects::Objects;
use crate::pipe::Shared;

/// The first block: who reads on has a second one soon, who looks at a header has paid little.
const FIRST: u64 = 256 << 10;
/// Blocks on their way once they are the longest: at 50 ms before the first byte of each, one
/// reader of one file would else wait most of the time.
const AHEAD: u64 = 4;
/// Takes the bytes of a read, or why there are none.
pub(super) type Answer = Box<dyn FnOnce(Result<&[u8], Errno>) + Send>;

pub(super) struct OpenFile {
    object: usize,
    len: u64,
    objects: Arc<dyn Objects>,
    shared: Shared,
    streams: Mutex<Streams>,
    passed: Mutex<Passed>,
}

impl OpenFile {
    pub(super) fn new(
        object: usize,
        len: u64,
        objects: Arc<dyn Objects>,
        shared: Shared,
    ) -> Arc<Self> {
        let (streams, passed) = (Mutex::default(), Mutex::default());
        Arc::new(Self { object, len, objects, shared, streams, passed })
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a read of at most [`PIECE`] bytes, now or later.
    pub(super) fn read(self: &Arc<Self>, offset: u64, size: u64, answer: Answer) {
        let end = self.len.min(offset.saturating_add(size.min(PIECE)));
        if offset >= end {
            return answer(Ok(&[]));
        }
        let wanted = Wanted { offset, end, answer };
        let mut streams = self.streams();
        let found = match streams.at(offset) {
            Some(number) => self.read_on(&mut streams, number, wanted),
            None => {
                streams.begin(end);
                Found::Missing(wanted)
            }
        };
        drop(streams);
        self.conclude(found);
    }

    fn read_on(self: &Arc<Self>, streams: &mut Streams, number: usize, wanted: Wanted) -> Found {
        let (offset, end) = (wanted.offset, wanted.end);
        let Some(stream) = streams.get(number) else { return Found::Missing(wanted) };
        if !stream.holds(offset) {
            if !stream.is_idle() {
                return Found::Missing(wanted); // a little off, and others wait for what is there
            }
            stream.jump(offset);
        }
        stream.trim(offset);
        // Four times what was read on so far: at 100 ms a request, doubling would cost every shard
        // half a second before it comes at full speed.
        let window = stream.run.saturating_mul(4).next_power_of_two().clamp(FIRST, PIECE);
        let run = stream.run;
        let end_of = |streams: &mut Streams| streams.get(number).map_or(0, |s| s.end());
        // The first read of a file brings nothing ahead: many look at a header and go.
        let most = if window == PIECE { AHEAD } else { 1 };
        let reach = if run == 0 { end } else { end.saturating_add(most * window) };
        let border = streams.border(number);
        loop {
            let at = end_of(streams);
            let (need, room) = (end.saturating_sub(at), border.saturating_sub(at));
            let wants = need > 0 || at < self.len.min(reach).min(border);
            if !wants || !self.fetch(streams, number, need.max(window.min(room)), need > 0) {
                break;
            }
        }
        let Some(stream) = streams.get(number) else { return Found::Missing(wanted) };
        stream.note(offset, end);
        stream.find(wanted)
    }

    /// Has one more block of a stream fetched; false when there is no memory for it.
    fn fetch(self: &Arc<Self>, streams: &mut Streams, number: usize, len: u64, must: bool) -> bool {
        let id = streams.block_id();
        let Some(stream) = streams.get(number) else { return false };
        let start = stream.end();
        let len = len.min(PIECE).min(self.len.saturating_sub(start));
        let stop = self.shared.link.stop();
        let Some(buffer) = self.shared.memory.take(len, must, stop) else { return false };
        let bytes = Bytes::Coming(Vec::new());
        stream.blocks.push_back(Block { id, start, end: start + len, bytes });
        let file = Arc::downgrade(self);
        self.shared.crew.hand(move || {
            // Nobody has it open any more: nobody waits.
            let Some(file) = file.upgrade() else { return };
            file.shared.link.request();
            let filled = buffer.fill(&*file.objects, file.object, start);
            file.arrived(id, filled);
        });
        true
    }

    /// A block is there, or never will be.
    fn arrived(self: &Arc<Self>, id: u64, filled: shardpack_store::Result<Buffer>) {
        let bytes = match filled {
            Ok(buffer) => Bytes::Here(Arc::new(buffer)),
            Err(error) => Bytes::Failed(self.errno(&error)),
        };
        let mut streams = self.streams();
        let Some((stream, place)) = streams.block(id) else { return };
        let Some(block) = stream.blocks.get_mut(place) else { return };
        let Bytes::Coming(waiting) = std::mem::replace(&mut block.bytes, bytes) else { return };
        let found: Vec<Found> = waiting.into_iter().map(|wanted| stream.find(wanted)).collect();
        drop(streams);
        found.into_iter().for_each(|found| self.conclude(found));
    }

    fn conclude(self: &Arc<Self>, found: Found) {
        match found {
            Found::Waits => {}
            Found::Failed(errno, answer) => answer(Err(errno)),
            Found::Missing(wanted) => self.alone(wanted),
            Found::Bytes(parts, answer) if self.shared.link.is_clear() => deliver(&parts, answer),
            Found::Bytes(parts, answer) => {
                // Time passes here, so another thread's.
                let file = Arc::clone(self);
                self.shared.crew.hand(move || {
                    let len = parts.iter().map(|(_, from, to)| to - from).sum::<u64>();
                    match file.pass(len) {
                        true => deliver(&parts, answer),
                        false => answer(Err(Errno::EIO)),
                    }
                });
            }
        }
    }

    /// Fetches just what a read wants.
    fn alone(self: &Arc<Self>, wanted: Wanted) {
        let (file, Wanted { offset, end, answer }) = (Arc::clone(self), wanted);
        self.shared.crew.hand(move || {
            file.shared.link.request();
            // As much as the kernel has asked for, which has an end of its own.
            let buffer = file.shared.memory.take(end - offset, true, file.shared.link.stop());
            let filled = buffer.map(|buffer| buffer.fill(&*file.objects, file.object, offset));
            match filled {
                Some(Ok(_)) if !file.pass(end - offset) => answer(Err(Errno::EIO)),
                Some(Ok(buffer)) => answer(Ok(buffer.bytes())),
                Some(Err(error)) => answer(Err(file.errno(&error))),
                None => answer(Err(Errno::EIO)),
            }
        });
    }

    /// Whether so many bytes may still pass.
    fn pass(&self, len: u64) -> bool {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.link.pass(&mut passed, len) == len
    }

    fn errno(&self, error: &Error) -> Errno {
        if !self.shared.link.stop().is_set() {
            self.shared.tell.say(&error.to_string());
        }
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::Changed { .. } => Errno::ESTALE,
            ErrorKind::Denied => Errno::EACCES,
            _ => Errno::EIO,
        }
    }
}

/// Hands the bytes of a read over, gathered where they lie in more than one block.
fn deliver(parts: &[(Arc<Buffer>, u64, u64)], answer: Answer) {
    let slices = parts.iter().map(|(buffer, from, to)| {
        buffer.bytes().get(*from as usize..*to as usize).unwrap_or_default()
    });
    let slices: Vec<&[u8]> = slices.collect();
    match slices[..] {
        [slice] => answer(Ok(slice)),
        // An iterator of bytes instead took a fifth of all processor time of a mount.
        _ => answer(Ok(&slices.concat())),
    }
}

#[cfg(test)]
mod tests;
