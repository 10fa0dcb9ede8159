//! Buffers that the kernel can hand to a disk as they are.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// What direct writes want of a file's offsets, lengths and of the memory they come from. Disks
/// ask for 512 or 4,096 bytes; the larger serves both.
pub const BLOCK: usize = 4096;

/// Zeroed bytes that start at a multiple of [`BLOCK`] in memory.
///
/// A writer that keeps the byte for file offset `o` at a place congruent to `o` modulo [`BLOCK`]
/// spares a direct [`Upload`](crate::Upload) every copy but that of the first and last block.
///
/// ```
/// use shardpack_store::{AlignedBuf, BLOCK};
///
/// let mut buffer = AlignedBuf::new(10_000);
/// buffer[..3].copy_from_slice(b"abc");
/// assert_eq!(buffer.as_ptr() as usize % BLOCK, 0);
/// assert_eq!(buffer.len(), 10_000);
/// ```
pub struct AlignedBuf {
    bytes: Vec<u8>, // never grows, so `start` stays right
    start: usize,
    len: usize,
}

impl AlignedBuf {
    /// A buffer of `len` bytes. Its pages cost memory once they are written.
    pub fn new(len: usize) -> Self {
        let bytes = vec![0; len + BLOCK - 1];
        // The worst case of `align_offset` is "cannot tell": then writes take the copying path.
        let start = bytes.as_ptr().align_offset(BLOCK).min(BLOCK - 1);
        Self { bytes, start, len }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf").field("len", &self.len).finish_non_exhaustive()
    }
}
