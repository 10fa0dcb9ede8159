//! Finds the words at which RecordIO has to split a record, while the bytes stream past.

/// Scans a payload for a little-endian word at multiples of four.
///
/// Offsets are relative to the payload's start; a word that is cut off by the payload's end does
/// not count, as in the reference writer.
#[derive(Clone, Debug)]
pub struct SplitScan {
    word: u32,
    at: u64,
    partial: [u8; 4],
    found: Vec<u64>,
}

/// Words tested together. The test has no early exit inside a block, so it compiles to vector
/// compares; hits are one word in 2^32, so a block with a hit may be searched twice.
const BLOCK: usize = 4096;

impl SplitScan {
    /// A scan that starts `offset` bytes into the payload (a multiple of four).
    pub fn new(word: u32, offset: u64) -> Self {
        debug_assert!(offset.is_multiple_of(4));
        Self { word, at: offset, partial: [0; 4], found: Vec::new() }
    }

    /// Looks at the next bytes of the payload.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !self.at.is_multiple_of(4) && !bytes.is_empty() {
            self.partial[(self.at % 4) as usize] = bytes[0];
            bytes = &bytes[1..];
            self.at += 1;
            if self.at.is_multiple_of(4) && u32::from_le_bytes(self.partial) == self.word {
                self.found.push(self.at - 4);
            }
        }
        let (whole, rest) = bytes.split_at(bytes.len() & !3);
        for block in whole.chunks(BLOCK) {
            if contains(block, self.word) {
                self.search(block);
            }
            self.at += block.len() as u64;
        }
        self.partial[..rest.len()].copy_from_slice(rest);
        self.at += rest.len() as u64;
    }

    /// Offsets of the words found, ascending.
    pub fn finish(self) -> Vec<u64> {
        self.found
    }

    fn search(&mut self, block: &[u8]) {
        for (i, w) in block.chunks_exact(4).enumerate() {
            if w == self.word.to_le_bytes() {
                self.found.push(self.at + 4 * i as u64);
            }
        }
    }
}

fn contains(block: &[u8], word: u32) -> bool {
    let word = word.to_le_bytes();
    block.chunks_exact(4).fold(false, |hit, w| hit | (w == word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORD: u32 = 0xced7_230a;

    fn slow(bytes: &[u8]) -> Vec<u64> {
        bytes
            .chunks_exact(4)
            .enumerate()
            .filter(|(_, w)| *w == WORD.to_le_bytes())
            .map(|(i, _)| 4 * i as u64)
            .collect()
    }

    #[test]
    fn only_aligned_whole_words_count() {
        for (bytes, want) in [
            (&b"\x0a\x23\xd7\xce"[..], vec![0]),
            (b"ab\x0a\x23\xd7\xcecd", vec![]),
            (b"abcd\x0a\x23\xd7", vec![]),
            (b"\x0a\x23\xd7\xce\x0a\x23\xd7\xcex", vec![0, 4]),
        ] {
            let mut scan = SplitScan::new(WORD, 0);
            scan.update(bytes);
            assert_eq!(scan.finish(), want, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_chunking_finds_the_same(
            words in prop::collection::vec(prop_oneof![Just(WORD), any::<u32>()], 0..3000),
            tail in 0usize..4,
            cuts in prop::collection::vec(1usize..5000, 1..20),
        ) {
            let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            bytes.extend_from_slice(&WORD.to_le_bytes()[..tail]);
            let mut scan = SplitScan::new(WORD, 0);
            let mut rest = &bytes[..];
            for cut in cuts.iter().cycle() {
                let n = (*cut).min(rest.len());
                scan.update(&rest[..n]);
                rest = &rest[n..];
                if rest.is_empty() { break; }
            }
            prop_assert_eq!(scan.finish(), slow(&bytes));
        }
    }
}
