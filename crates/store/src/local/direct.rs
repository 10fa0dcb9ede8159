//! Writes that pass the page cache by.
//!
//! Once about a tenth of memory holds unwritten pages the kernel slows buffered writers down to
//! what the disk accepts and scans its cache for every page besides; direct writers keep the
//! disk's own rate and leave the cache to the files being read. The price is alignment: offsets,
//! lengths and addresses are multiples of [`BLOCK`].

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::lock;
use crate::aligned::{AlignedBuf, BLOCK};

/// Bytes copied at a time when a caller's memory is not aligned with the file.
const BOUNCE: usize = 1 << 20;

/// Turns ranges of any place and length into aligned writes.
#[derive(Debug, Default)]
pub(super) struct DirectWriter {
    seams: Mutex<HashMap<u64, Seam>>, // by offset
    bounce: Mutex<Vec<AlignedBuf>>,
}

/// A block that several ranges share.
#[derive(Debug)]
struct Seam {
    block: AlignedBuf,
    filled: usize,
}

impl DirectWriter {
    /// Writes a range: its whole blocks now, the blocks it shares with others when they are full.
    pub(super) fn write_at(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let inside = (offset % BLOCK as u64) as usize;
        let head = if inside == 0 { 0 } else { bytes.len().min(BLOCK - inside) };
        let (head, rest) = bytes.split_at(head);
        let (body, tail) = rest.split_at(rest.len() - rest.len() % BLOCK);
        let body_at = offset + head.len() as u64;
        self.share(file, offset, head)?;
        self.write_blocks(file, body_at, body)?;
        self.share(file, body_at + body.len() as u64, tail)
    }

    /// Writes the blocks that are not full: the last one, when everything has come. The file is
    /// longer than its object afterwards, by less than a block.
    pub(super) fn finish(&self, file: &File) -> io::Result<()> {
        let seams = std::mem::take(&mut *lock(&self.seams));
        seams.into_iter().try_for_each(|(at, seam)| write_aligned(file, at, &seam.block))
    }

    fn share(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let inside = (offset % BLOCK as u64) as usize;
        let at = offset - inside as u64;
        let full = {
            let mut seams = lock(&self.seams);
            let seam = seams
                .entry(at)
                .or_insert_with(|| Seam { block: AlignedBuf::new(BLOCK), filled: 0 });
            seam.block[inside..inside + bytes.len()].copy_from_slice(bytes);
            seam.filled += bytes.len();
            if seam.filled < BLOCK { None } else { seams.remove(&at) }
        };
        full.map_or(Ok(()), |seam| write_aligned(file, at, &seam.block))
    }

    fn write_blocks(&self, file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() || bytes.as_ptr().align_offset(BLOCK) == 0 {
            return write_aligned(file, offset, bytes);
        }
        let spare = lock(&self.bounce).pop();
        let mut buffer = spare.unwrap_or_else(|| AlignedBuf::new(BOUNCE));
        for (i, piece) in bytes.chunks(BOUNCE).enumerate() {
            buffer[..piece.len()].copy_from_slice(piece);
            write_aligned(file, offset + (i * BOUNCE) as u64, &buffer[..piece.len()])?;
        }
        lock(&self.bounce).push(buffer);
        Ok(())
    }
}

/// Writes blocks. A file system that takes O_DIRECT at opening and not at writing (some FUSE and
/// network ones do) gets plain writes from here on.
fn write_aligned(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    match file.write_all_at(bytes, offset) {
        Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            let flags = rustix::fs::fcntl_getfl(file)?;
            rustix::fs::fcntl_setfl(file, flags - OFlags::DIRECT)?;
            file.write_all_at(bytes, offset)
        }
        done => done,
    }
}
