//! The three checksums of a shard: crc32c over fields and records (TFRecord's polynomial) and
//! CRC-64/NVME over the file (the one S3 computes). Both come from `crc-fast`, at the speed of
//! memory; combining is for joining long runs only, it costs microseconds.

use crc_fast::{CrcAlgorithm, Digest};

/// Running crc32c (Castagnoli, reflected 0x82F63B78, initial and final xor all ones). Four bytes: the
/// library's own digest carries a quarter of a kilobyte of tables, which showed where every sample
/// starts several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crc32c(u32);

/// Running CRC-64/NVME.
#[derive(Clone, Debug)]
pub struct Crc64Nvme(Digest);

impl Crc32c {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!self.0));
        digest.update(bytes);
        self.0 = digest.finalize() as u32;
    }

    /// Adds the `len` bytes that `sum` is the checksum of, without reading them: about 0.1 µs.
    pub fn append(&mut self, sum: u32, len: u64) {
        self.0 = crc32c_field::append(self.0, sum, len);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u32 {
        self.0
    }
}

impl Default for Crc64Nvme {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc64Nvme))
    }
}

impl Crc64Nvme {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

/// crc32c of `bytes`.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// CRC-64/NVME of `bytes`.
pub fn crc64nvme(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

/// CRC-64/NVME of `a` followed by the `len` bytes that `b` is the checksum of.
///
/// About 0.2 µs. The library's own combination squares matrices and takes 10 to 60, which was a twelfth of the processor time of packing small files.
pub fn combine_crc64(a: u64, b: u64, len: u64) -> u64 {
    crc64_field::append(a, b, len)
}

// Arithmetic of polynomials over GF(2) modulo a checksum's polynomial, for joining checksums:
// appending `len` bytes multiplies by `x^(8 * len)`. Lowest power in the highest bit.
macro_rules! field {
    ($name:ident, $word:ty, $polynomial:expr) => {
        mod $name {
            /// The checksum of the bytes of `a` and then those of `b`, which are `len`.
            pub(super) fn append(a: $word, b: $word, len: u64) -> $word {
                multiply(a, power(len)) ^ b
            }

            const ONE: $word = 1 << (<$word>::BITS - 1);

            /// `x^(8 * 2^k)` for every bit k of a length in bytes.
            const SQUARES: [$word; 64] = {
                let mut squares = [0; 64];
                squares[0] = ONE >> 8;
                let mut k = 1;
                while k < 64 {
                    squares[k] = multiply(squares[k - 1], squares[k - 1]);
                    k += 1;
                }
                squares
            };

            /// `x^(8 * len)` for lengths of one byte that is not 0, by the byte's place.
            static POWERS: [[$word; 256]; 8] = {
                let mut powers = [[ONE; 256]; 8];
                let mut i = 0_usize;
                while i < 8 * 256 {
                    let (place, byte) = (i / 256, i % 256);
                    if byte > 0 {
                        let low = byte.trailing_zeros() as usize;
                        let rest = powers[place][byte & (byte - 1)];
                        powers[place][byte] = multiply(rest, SQUARES[8 * place + low]);
                    }
                    i += 1;
                }
                powers
            };

            fn power(len: u64) -> $word {
                let bytes = len.to_le_bytes().into_iter().zip(&POWERS);
                let factors = bytes.filter(|(byte, _)| *byte > 0).map(|(b, p)| p[b as usize]);
                factors.reduce(multiply).unwrap_or(ONE)
            }

            const fn multiply(a: $word, mut b: $word) -> $word {
                let mut product = 0;
                let mut bit = <$word>::BITS;
                while bit > 0 {
                    bit -= 1;
                    product ^= b & (a >> bit & 1).wrapping_neg();
                    b = (b >> 1) ^ ($polynomial & (b & 1).wrapping_neg());
                }
                product
            }
        }
    };
}

field!(crc32c_field, u32, 0x82f6_3b78_u32);
field!(crc64_field, u64, 0x9a6c_9329_ac4b_c9b5_u64);

/// TFRecord's mask: a checksum stored beside data that may itself hold checksums.
pub fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Undoes [`mask`].
pub fn unmask(masked: u32) -> u32 {
    masked.wrapping_sub(0xa282_ead8).rotate_left(15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_values() {
        // RFC 3720, appendix B.4 (32 zeroes, 32 ones) and the catalogues' check string.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc64nvme(b"123456789"), 0xae8b_1486_0a79_9888);
        // What TensorFlow stores for the same 32 bytes.
        assert_eq!(mask(crc32c(&[0; 32])), 0x0fd7_fffa);
        assert_eq!(mask(crc32c(&[0xff; 32])), 0xf909_b029);
        assert_eq!(unmask(mask(0x1234_5678)), 0x1234_5678);
    }

    #[test]
    fn running_and_combined_equal_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 255, 256, 5000, 10_000] {
            let (a, b) = bytes.split_at(cut);
            let mut running = Crc64Nvme::default();
            running.update(a);
            running.update(b);
            assert_eq!(running.value(), crc64nvme(&bytes), "cut {cut}");
            let mut appended = Crc32c::default();
            appended.update(a);
            let mut running = appended;
            running.update(b);
            appended.append(crc32c(b), b.len() as u64);
            assert_eq!((running.value(), appended), (crc32c(&bytes), running), "cut {cut}");
            let joined = combine_crc64(crc64nvme(a), crc64nvme(b), b.len() as u64);
            assert_eq!(joined, crc64nvme(&bytes), "cut {cut}");
            let library = crc_fast::checksum_combine(
                CrcAlgorithm::Crc64Nvme,
                crc64nvme(a),
                crc64nvme(b),
                b.len() as u64,
            );
            assert_eq!(joined, library, "cut {cut}");
        }
    }
}
