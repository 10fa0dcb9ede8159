//! An open file: what is read on is fetched ahead, what is read here and there is fetched as it is.
//!
//! No thread that takes the kernel's calls waits here. A read whose bytes are on their way is
//! answered by the thread that brings them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fuser::Errno;
use shardpack_store::{Error, ErrorKind};

use crate::crew::{Buffer, PIECE};
use crate::faults::Passed;
use crate::objects::Objects;
use crate::pipe::Shared;

/// The first block: who reads on has a second one soon, who looks at a header has paid little.
const FIRST: u64 = 256 << 10;
/// Blocks on their way once they are the longest: at 50 ms before the first byte of each, one
/// reader of one file would else wait most of the time.
const AHEAD: u64 = 4;
/// How far from the place where the last read ended a read may start and still be one that reads
/// on: the kernel's own read-ahead asks for several stretches at a time, in any order.
const SLACK: u64 = 2 << 20;

/// Takes the bytes of a read, or why there are none.
pub(super) type Answer = Box<dyn FnOnce(Result<&[u8], Errno>) + Send>;

pub(super) struct OpenFile {
    object: usize,
    len: u64,
    objects: Arc<dyn Objects>,
    shared: Shared,
    state: Mutex<State>,
    passed: Mutex<Passed>,
}

#[derive(Default)]
struct State {
    /// Where a read that reads on starts.
    next: u64,
    /// Bytes that were read on so far.
    run: u64,
    /// Adjoining stretches, in order.
    blocks: VecDeque<Block>,
}

struct Block {
    start: u64,
    end: u64,
    bytes: Bytes,
}

enum Bytes {
    Coming(Vec<Wanted>),
    Here(Arc<Buffer>),
    Failed(Errno),
}

struct Wanted {
    offset: u64,
    end: u64,
    answer: Answer,
}

/// What became of a read.
enum Found {
    Bytes(Vec<(Arc<Buffer>, u64, u64)>, Answer),
    Failed(Errno, Answer),
    /// It waits with a block, or was left to be fetched by itself.
    Waits,
    Missing(Wanted),
}

impl State {
    fn end(&self) -> u64 {
        self.blocks.back().map_or(self.next, |block| block.end)
    }

    fn holds(&self, offset: u64) -> bool {
        self.blocks.front().is_some_and(|first| (first.start..self.end()).contains(&offset))
    }

    /// Whether a read goes on where others ended, or where the file begins.
    fn reads_on(&self, offset: u64) -> bool {
        self.holds(offset) || self.next.abs_diff(offset) <= if self.run > 0 { SLACK } else { 0 }
    }

    /// Forgets what lies behind; what somebody waits for stays.
    fn trim(&mut self, offset: u64) {
        while let Some(first) = self.blocks.front() {
            let is_idle = !matches!(&first.bytes, Bytes::Coming(waiting) if !waiting.is_empty());
            if first.end.saturating_add(SLACK) > offset || !is_idle {
                return;
            }
            self.blocks.pop_front();
        }
    }

    fn is_idle(&self) -> bool {
        let waits = |block: &Block| matches!(&block.bytes, Bytes::Coming(w) if !w.is_empty());
        !self.blocks.iter().any(waits)
    }

    /// Gathers the bytes of a read, or has it wait for the first of its blocks that is not there.
    fn find(&mut self, wanted: Wanted) -> Found {
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

impl OpenFile {
    pub(super) fn new(
        object: usize,
        len: u64,
        objects: Arc<dyn Objects>,
        shared: Shared,
    ) -> Arc<Self> {
        let (state, passed) = (Mutex::default(), Mutex::default());
        Arc::new(Self { object, len, objects, shared, state, passed })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a read of at most [`PIECE`] bytes, now or later.
    pub(super) fn read(self: &Arc<Self>, offset: u64, size: u64, answer: Answer) {
        let end = self.len.min(offset.saturating_add(size.min(PIECE)));
        if offset >= end {
            return answer(Ok(&[]));
        }
        let wanted = Wanted { offset, end, answer };
        let mut state = self.state();
        let found = match state.reads_on(offset) {
            true => self.read_on(&mut state, wanted),
            false => {
                (state.next, state.run) = (end, 0);
                Found::Missing(wanted)
            }
        };
        drop(state);
        self.conclude(found);
    }

    fn read_on(self: &Arc<Self>, state: &mut State, wanted: Wanted) -> Found {
        let (offset, end) = (wanted.offset, wanted.end);
        if !state.holds(offset) {
            if !state.is_idle() {
                return Found::Missing(wanted); // a little off, and others wait for what is there
            }
            state.blocks.clear();
            state.next = offset;
        }
        state.trim(offset);
        let window = state.run.next_power_of_two().clamp(FIRST, PIECE);
        while state.end() < end {
            let need = (end - state.end()).max(window);
            self.fetch(state, need, true);
        }
        // The first read of a file brings nothing ahead: many look at a header and go.
        let most = if window == PIECE { AHEAD } else { 1 };
        let reach = if state.run == 0 { end } else { end.saturating_add(most * window) };
        while state.end() < self.len.min(reach) && self.fetch(state, window, false) {}
        state.run += end - offset;
        state.next = state.next.max(end);
        state.find(wanted)
    }

    /// Has one more block fetched; false when there is no memory for it.
    fn fetch(self: &Arc<Self>, state: &mut State, len: u64, must: bool) -> bool {
        let start = state.end();
        let len = len.min(PIECE).min(self.len.saturating_sub(start));
        let stop = self.shared.link.stop();
        let Some(buffer) = self.shared.memory.take(len, must, stop) else { return false };
        let bytes = Bytes::Coming(Vec::new());
        state.blocks.push_back(Block { start, end: start + len, bytes });
        let file = Arc::downgrade(self);
        self.shared.crew.hand(move || {
            // Nobody has it open any more: nobody waits.
            let Some(file) = file.upgrade() else { return };
            file.shared.link.request();
            let filled = buffer.fill(&*file.objects, file.object, start);
            file.arrived(start, filled);
        });
        true
    }

    /// A block is there, or never will be.
    fn arrived(self: &Arc<Self>, start: u64, filled: shardpack_store::Result<Buffer>) {
        let bytes = match filled {
            Ok(buffer) => Bytes::Here(Arc::new(buffer)),
            Err(error) => Bytes::Failed(self.errno(&error)),
        };
        let mut state = self.state();
        let coming =
            |block: &&mut Block| block.start == start && matches!(block.bytes, Bytes::Coming(_));
        let Some(block) = state.blocks.iter_mut().find(coming) else { return };
        let Bytes::Coming(waiting) = std::mem::replace(&mut block.bytes, bytes) else { return };
        let found: Vec<Found> = waiting.into_iter().map(|wanted| state.find(wanted)).collect();
        drop(state);
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
mod tests {
    use std::fs;

    use crossbeam_channel::bounded;
    use proptest::prelude::*;

    use super::*;
    use crate::crew::{Crew, Memory};
    use crate::faults::Link;
    use crate::objects::LocalObjects;
    use crate::{Faults, Stop, Tell};

    const LEN: usize = 20 << 20;

    fn open(bytes: &[u8], faults: Faults, threads: usize) -> (tempfile::TempDir, Arc<OpenFile>) {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("x"), bytes).unwrap();
        let objects = Arc::new(LocalObjects::list(home.path()).unwrap());
        let link = Arc::new(Link::new(faults, Stop::default()));
        let crew = Arc::new(Crew::start(threads).unwrap());
        let shared = Shared { crew, memory: Memory::new(64 << 20), link, tell: Tell::default() };
        (home, OpenFile::new(0, bytes.len() as u64, objects, shared))
    }

    fn bytes() -> Vec<u8> {
        (0..LEN / 4).flat_map(|i| (i as u32).wrapping_mul(0x9e37_79b9).to_le_bytes()).collect()
    }

    fn read(file: &Arc<OpenFile>, offset: u64, size: u64) -> Result<Vec<u8>, i32> {
        let (sender, receiver) = bounded(1);
        let answer = move |bytes: Result<&[u8], Errno>| {
            sender.send(bytes.map(<[u8]>::to_vec).map_err(Errno::code)).unwrap();
        };
        file.read(offset, size, Box::new(answer));
        receiver.recv().unwrap()
    }

    #[test]
    fn a_whole_file_comes_in_order_by_any_stride() {
        let wanted = bytes();
        let (_home, file) = open(&wanted, Faults::default(), 4);
        for stride in [131_072, 1 << 20, 999_983] {
            let mut all = Vec::new();
            while let Ok(part) = read(&file, all.len() as u64, stride) {
                if part.is_empty() {
                    break;
                }
                all.extend(part);
            }
            assert!(all == wanted, "{stride}");
        }
        assert!(file.state().blocks.len() <= AHEAD as usize + 2, "what was read is let go");
    }

    #[test]
    fn a_cut_file_fails_and_a_changed_one_is_stale() {
        let wanted = bytes();
        let faults = Faults { drop_after: Some(300_000), ..Faults::default() };
        let (_home, file) = open(&wanted, faults, 2);
        assert_eq!(read(&file, 0, 131_072).unwrap(), wanted[..131_072]);
        assert_eq!(read(&file, 131_072, 131_072).unwrap(), wanted[131_072..262_144]);
        assert_eq!(read(&file, 262_144, 131_072), Err(Errno::EIO.code()));
        let (home, file) = open(&wanted, Faults::default(), 2);
        fs::write(home.path().join("x"), b"other").unwrap();
        assert_eq!(read(&file, 0, 10), Err(Errno::ESTALE.code()));
        assert_eq!(read(&file, 7 << 20, 10), Err(Errno::ESTALE.code()));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
        /// Reads of several threads at any places bring what stands there.
        #[test]
        fn reads_bring_what_stands_there(
            reads in prop::collection::vec((0u64..LEN as u64 + 5, 1u64..1 << 20), 1..40),
        ) {
            let wanted = bytes();
            let (_home, file) = open(&wanted, Faults::default(), 3);
            let one = |(offset, size): (u64, u64)| {
                let end = (offset + size).min(LEN as u64).max(offset.min(LEN as u64));
                let (from, to) = (offset.min(LEN as u64) as usize, end as usize);
                assert!(read(&file, offset, size).unwrap() == wanted[from..to], "{offset}+{size}");
            };
            std::thread::scope(|scope| {
                for third in 0..3 {
                    let own: Vec<_> = reads.iter().skip(third).step_by(3).copied().collect();
                    scope.spawn(move || own.into_iter().for_each(one));
                }
                scope.spawn(|| (0..LEN as u64).step_by(1 << 20).for_each(|at| one((at, 1 << 20))));
            });
        }
    }
}
