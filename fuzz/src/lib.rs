//! What the fuzz targets share: a limit on memory, and what must hold beside "it did not panic".

pub mod compressed;
pub mod indexes;
pub mod records;
pub mod repair;
pub mod trees;

use std::alloc::System;
use std::io::{self, Read};

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Runs `work`; ends the process when it holds more than `allowance` bytes on top of what is held.
pub fn within<T>(allowance: usize, work: impl FnOnce() -> T) -> T {
    set_limit(MEMORY.allocated().saturating_add(allowance));
    let result = work();
    set_limit(usize::MAX);
    result
}

/// Runs a parser of `input`, which may hold what the text is worth and no more.
pub fn within_worth<T>(input: &[u8], parser: impl FnOnce() -> T) -> T {
    // A line of four bytes becomes a value of up to 64 bytes, in a vector that doubles.
    within((64 << 10) + 64 * input.len(), parser)
}

fn set_limit(limit: usize) {
    MEMORY.set_limit(limit).expect("more memory is held than is allowed");
}

/// Hands out a few bytes at a time, as a pipe may.
pub struct Pieces<'a>(pub &'a [u8]);

impl Read for Pieces<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // No multiple of a word, a tar block or a header.
        let len = buf.len().min(509);
        self.0.read(&mut buf[..len])
    }
}
