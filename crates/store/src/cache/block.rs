//! One block of an object as a file: its bytes, then a trailer that proves them.
//!
//! The trailer is `magic, object, number, length, a crc32c for each chunk, a crc32c of the trailer`,
//! in little endian. Whatever a crash leaves (a file cut short, zeros where the kernel wrote no
//! page, another block's bytes) does not have it, and is fetched again. A checksum for each chunk
//! lets a small read check what it takes and no more.

use std::fs::{File, FileTimes};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use shardpack_formats::crc32c;

/// Bytes of a block: what is fetched, kept and evicted at once. A request of less costs more time
/// than it brings bytes; a block of more makes a random read of one sample dear. 100 GB are 100,000
/// files.
pub(super) const BLOCK: u64 = 1 << 20;
/// Bytes that one checksum covers.
const CHUNK: usize = 64 << 10;
const MAGIC: &[u8; 8] = b"spcache1";

/// Which block of which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockId {
    /// Hash of the object's address and version.
    pub(super) object: u128,
    pub(super) number: u64,
    /// Its length in bytes: `BLOCK`, or what the object has left.
    pub(super) len: u32,
}

impl BlockId {
    /// Length of its file.
    pub(super) fn file_len(&self) -> u64 {
        let chunks = (self.len as usize).div_ceil(CHUNK);
        u64::from(self.len) + (MAGIC.len() + 16 + 8 + 4 + 4 * chunks + 4) as u64
    }

    /// What stands behind the bytes.
    pub(super) fn trailer(&self, bytes: &[u8]) -> Vec<u8> {
        let mut trailer = self.head();
        trailer.extend(bytes.chunks(CHUNK).flat_map(|chunk| crc32c(chunk).to_le_bytes()));
        let sum = crc32c(&trailer);
        trailer.extend(sum.to_le_bytes());
        trailer
    }

    fn head(&self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend(self.object.to_le_bytes());
        head.extend(self.number.to_le_bytes());
        head.extend(self.len.to_le_bytes());
        head
    }

    /// The checksums in a trailer; none if it is not this block's, or damaged.
    fn sums(&self, trailer: &[u8]) -> Option<Vec<u32>> {
        let (body, sum) = trailer.split_last_chunk::<4>()?;
        if crc32c(body) != u32::from_le_bytes(*sum) {
            return None;
        }
        let (sums, rest) = body.strip_prefix(&*self.head())?.as_chunks::<4>();
        let sums: Vec<u32> = sums.iter().map(|sum| u32::from_le_bytes(*sum)).collect();
        (rest.is_empty() && sums.len() == (self.len as usize).div_ceil(CHUNK)).then_some(sums)
    }
}

/// A block that is open. It can be read although it is evicted meanwhile.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) id: BlockId,
    file: File,
    sums: Vec<u32>,
}

impl Block {
    /// Opens a block and marks it as used now. Fails with `InvalidData` if the file is not what it
    /// should be.
    pub(super) fn open(path: &Path, id: BlockId) -> io::Result<Self> {
        let file = File::open(path)?;
        let found = file.metadata()?.len();
        if found != id.file_len() {
            return Err(damaged());
        }
        let mut trailer = vec![0; (found - u64::from(id.len)) as usize];
        file.read_exact_at(&mut trailer, id.len.into())?;
        let sums = id.sums(&trailer).ok_or_else(damaged)?;
        // Another user's file cannot be marked: then it counts as used when it was written.
        let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
        Ok(Self { id, file, sums })
    }

    /// Fills `out` from byte `at` of the block; the range lies inside of it. Fails with
    /// `InvalidData` where bytes are not those that were written.
    pub(super) fn read(&self, at: usize, out: &mut [u8]) -> io::Result<()> {
        let mut spare = Vec::new();
        let (mut at, mut rest) = (at, out);
        while !rest.is_empty() {
            let (number, from) = (at / CHUNK, at % CHUNK);
            let whole = CHUNK.min((self.id.len as usize).saturating_sub(number * CHUNK));
            let wanted = rest.len().min(whole.saturating_sub(from));
            if wanted == 0 {
                return Err(damaged());
            }
            let (piece, behind) = rest.split_at_mut(wanted);
            match wanted == whole {
                true => self.chunk(number, piece)?,
                false => {
                    spare.resize(whole, 0);
                    self.chunk(number, &mut spare)?;
                    piece.copy_from_slice(&spare[from..from + wanted]);
                }
            }
            (at, rest) = (at + wanted, behind);
        }
        Ok(())
    }

    /// Reads and checks a whole chunk.
    fn chunk(&self, number: usize, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, (number * CHUNK) as u64)?;
        match self.sums.get(number) {
            Some(sum) if *sum == crc32c(out) => Ok(()),
            _ => Err(damaged()),
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "a block of the cache is damaged")
}

/// Whether a file is there and must go: damaged, or cut short under the reader.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
    }

    fn written(len: usize) -> (tempfile::TempDir, std::path::PathBuf, BlockId, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let (path, bytes) = (folder.path().join("block"), bytes(len));
        let id = BlockId { object: 7 << 100 | 9, number: 3, len: len as u32 };
        fs::write(&path, [&bytes[..], &id.trailer(&bytes)].concat()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), id.file_len());
        (folder, path, id, bytes)
    }

    #[test]
    fn any_range_of_a_block_is_read_and_checked() {
        for len in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 100] {
            let (_folder, path, id, bytes) = written(len);
            let block = Block::open(&path, id).unwrap();
            for (from, to) in [(0, len), (0, 1), (len - 1, len), (len / 3, len), (len / 3, len / 2)]
            {
                let mut out = vec![0; to - from];
                block.read(from, &mut out).unwrap();
                assert!(out == bytes[from..to], "{from}..{to} of {len}");
            }
            assert!(is_damage(&block.read(len - 1, &mut [0; 2]).unwrap_err()), "beyond the end");
        }
    }

    #[test]
    fn every_kind_of_damage_shows() {
        let (_folder, path, id, bytes) = written(2 * CHUNK + 10);
        let whole = fs::read(&path).unwrap();
        let read = |id: BlockId| {
            let mut out = vec![0; bytes.len()];
            Block::open(&path, id).and_then(|block| block.read(0, &mut out))
        };
        for at in [0, CHUNK, bytes.len() - 1, bytes.len(), whole.len() - 30, whole.len() - 1] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            assert!(is_damage(&read(id).unwrap_err()), "byte {at}");
        }
        for len in [0, 1, bytes.len(), whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(is_damage(&read(id).unwrap_err()), "cut to {len}");
        }
        fs::write(&path, vec![0; whole.len()]).unwrap();
        assert!(is_damage(&read(id).unwrap_err()), "zeros after a power failure");
        fs::write(&path, &whole).unwrap();
        read(id).unwrap();
        for other in [BlockId { object: 1, ..id }, BlockId { number: 4, ..id }] {
            assert!(is_damage(&read(other).unwrap_err()), "{other:?}");
        }
        // The other chunks of a damaged block are still good.
        let mut flipped = whole;
        flipped[0] ^= 1;
        fs::write(&path, flipped).unwrap();
        Block::open(&path, id).unwrap().read(CHUNK, &mut [0; 10]).unwrap();
    }

    #[test]
    fn a_block_that_is_removed_is_read_to_its_end() {
        let (_folder, path, id, bytes) = written(CHUNK + 5);
        let block = Block::open(&path, id).unwrap();
        fs::remove_file(&path).unwrap();
        let mut out = vec![0; bytes.len()];
        block.read(0, &mut out).unwrap();
        assert!(out == bytes);
    }
}
