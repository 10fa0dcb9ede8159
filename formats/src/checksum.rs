//! The three checksums of a shard: crc32c over fields and records (TFRecord's polynomial) and
//! CRC-64/NVME over the file (the one S3 computes). Both come from `crc-fast`, at the speed of
//! memory; combining is for joining long runs only, it costs microseconds.

use crc_fast::{CrcAlgorithm, Digest};

/// Running crc32c (Castagnoli, reflected 0x82F63B78, initial and final xor all ones).
#[derive(Clone, Debug)]
pub struct Crc32c(Digest);

/// Running CRC-64/NVME.
#[derive(Clone, Debug)]
pub struct Crc64Nvme(Digest);

impl Default for Crc32c {
    fn default() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }
}

impl Crc32c {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all bytes so far.
    pub fn value(&self) -> u32 {
        self.0.finalize() as u32
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
/// About a microsecond. The library's own combination squares matrices and takes 10 to 60, which
/// was a twelfth of the processor time of packing small files.
pub fn combine_crc64(a: u64, b: u64, len: u64) -> u64 {
    multiply(a, power(len)) ^ b
}

/// CRC-64/NVME's polynomial without its highest term, lowest power in the highest bit.
const POLYNOMIAL: u64 = 0x9a6c_9329_ac4b_c9b5;

/// `x^(8 * 2^k)` modulo the polynomial for every bit k of a length in bytes.
static POWERS: [u64; 64] = {
    let mut powers = [0; 64];
    let mut power = 1u64 << (63 - 8);
    let mut k = 0;
    while k < 64 {
        powers[k] = power;
        power = multiply(power, power);
        k += 1;
    }
    powers
};

/// `x^(8 * len)` modulo the polynomial: what appending `len` bytes multiplies a checksum by.
fn power(len: u64) -> u64 {
    let one = 1 << 63;
    (0..64).filter(|k| len >> k & 1 == 1).fold(one, |product, k| multiply(product, POWERS[k]))
}

/// Product of two polynomials over GF(2), modulo the polynomial.
const fn multiply(a: u64, mut b: u64) -> u64 {
    let mut product = 0;
    let mut bit = 64;
    while bit > 0 {
        bit -= 1;
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
    }
    product
}

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
