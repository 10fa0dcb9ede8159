//! One tar header: 512 bytes, written as ustar, read as v7, ustar or GNU.

use std::ops::Range;

/// Everything in a tar stands in blocks of this many bytes.
pub(super) const BLOCK: usize = 512;

/// Length in the archive of a body of `len` bytes: whole blocks.
pub(super) fn padded(len: u64) -> u64 {
    len.checked_next_multiple_of(BLOCK as u64).unwrap_or(u64::MAX)
}

/// Longest name that fits the header's name field.
pub(super) const MAX_NAME: usize = 100;
/// Longest directory part that fits the prefix field.
const MAX_PREFIX: usize = 155;
/// Largest size in eleven octal digits: 8 GiB - 1. Beyond it the size is written in base 256, which
/// is no ustar but what GNU tar and Python's tarfile write and every tar reader in use takes; a PAX
/// record would cost two blocks more and is read by fewer.
const MAX_OCTAL: u64 = 0o777_7777_7777;
/// Largest size that is written: readers keep offsets in 63 bits.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64 - (BLOCK as u64 - 1);

const NAME: Range<usize> = 0..100;
const SIZE: Range<usize> = 124..136;
const CHECKSUM: Range<usize> = 148..156;
const TYPE: usize = 156;
const MAGIC: Range<usize> = 257..263;
const PREFIX: Range<usize> = 345..500;

/// A member's header without name, size and checksum. Mode, owner and the empty device numbers are
/// those of the webdataset library's writer, so that equal samples give equal bytes.
const TEMPLATE: [u8; BLOCK] = template();

/// Sum of the template's bytes with the checksum field as blanks, as the checksum is defined.
const TEMPLATE_SUM: u32 = sum_of(&TEMPLATE);

const fn template() -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block = put(block, 100, b"0000444\x000000000\x000000000\x00"); // mode, uid, gid
    block = put(block, 124, b"00000000000\x0000000000000\x00        0"); // size, mtime, checksum, type
    block = put(block, 257, b"ustar\x0000bigdata");
    put(block, 297, b"bigdata")
}

const fn put(mut block: [u8; BLOCK], at: usize, bytes: &[u8]) -> [u8; BLOCK] {
    let mut i = 0;
    while i < bytes.len() {
        block[at + i] = bytes[i];
        i += 1;
    }
    block
}

const fn sum_of(block: &[u8; BLOCK]) -> u32 {
    let (mut sum, mut i) = (0, 0);
    while i < BLOCK {
        sum += block[i] as u32;
        i += 1;
    }
    sum
}

/// Where `key.field` is cut to fit a header: the length of the directory part that goes to the
/// prefix field, 0 for none. The first slash that leaves few enough bytes is taken, as Python does.
pub(super) fn cut(key: &str, field: &str) -> Option<usize> {
    let len = key.len() + 1 + field.len();
    if len <= MAX_NAME {
        return Some(0);
    }
    let first = len - MAX_NAME - 1;
    let slash = first + key.as_bytes().get(first..)?.iter().position(|b| *b == b'/')?;
    (1..=MAX_PREFIX).contains(&slash).then_some(slash)
}

/// Appends the header of `key.field`, a name that [`cut`] could cut, with a body of `len` bytes.
pub(super) fn write(key: &str, field: &str, len: u64, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&TEMPLATE);
    let Some(block) = out[start..].first_chunk_mut::<BLOCK>() else { return };

    let cut = cut(key, field);
    debug_assert!(cut.is_some(), "the name was not checked");
    let (prefix, name) = match cut {
        Some(slash @ 1..) => (&key[..slash], &key[slash + 1..]),
        _ => ("", key),
    };
    let mut sum = TEMPLATE_SUM;
    sum += fill(&mut block[PREFIX], prefix);
    let (stem, rest) = block[NAME].split_at_mut(name.len().min(MAX_NAME));
    sum += fill(stem, name);
    if let Some((dot, rest)) = rest.split_first_mut() {
        *dot = b'.';
        sum += u32::from(b'.') + fill(rest, field);
    }
    match len > MAX_OCTAL {
        true => sum = sum - 11 * u32::from(b'0') + base_256(&mut block[SIZE], len),
        false => sum += octal(&mut block[124..135], len),
    }
    // At most 512 x 255: six digits always hold it.
    octal(&mut block[148..154], u64::from(sum));
    block[154] = 0;
}

/// Copies `text` and returns the sum of its bytes.
fn fill(field: &mut [u8], text: &str) -> u32 {
    let mut sum = 0;
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
        sum += u32::from(from);
    }
    sum
}

/// Writes zero-padded octal digits and returns by how much their sum exceeds that of zeroes.
fn octal(field: &mut [u8], mut value: u64) -> u32 {
    let mut sum = 0;
    for to in field.iter_mut().rev() {
        let digit = (value & 7) as u8;
        *to = b'0' + digit;
        sum += u32::from(digit);
        value >>= 3;
    }
    sum
}

/// Writes a number in base 256, marked by its first bit, and returns the sum of the bytes.
fn base_256(field: &mut [u8], value: u64) -> u32 {
    let (zeroes, digits) = field.split_at_mut(field.len() - 8);
    zeroes.fill(0);
    zeroes[0] = 0x80;
    digits.copy_from_slice(&value.to_be_bytes());
    field.iter().map(|byte| u32::from(*byte)).sum()
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    HardLink,
    /// Symbolic link, device or FIFO: a header and no body.
    Special,
    /// A type of no meaning here; it has a body.
    Unknown,
    /// GNU: the body is the next member's name.
    LongName,
    /// GNU: the body is the next member's link target.
    LongTarget,
    /// PAX records for the next member.
    Extended,
    /// PAX records for all further members.
    Global,
    /// GNU: a file with holes.
    Sparse,
}

impl Kind {
    /// False for kinds that never have a body, whatever the size says: old writers put the link
    /// target's there.
    pub(super) fn has_body(self) -> bool {
        !matches!(self, Self::Directory | Self::HardLink | Self::Special)
    }
}

/// The parts of a header that matter for reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) kind: Kind,
    /// Length of the body in bytes.
    pub(super) size: u64,
}

impl Header {
    /// Reads a header block, or says what is wrong with it.
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, String> {
        check_sum(block)?;
        let size = number(&block[SIZE]).ok_or("the size in a tar header is not a number")?;
        let kind = match block[TYPE] {
            // Before there was a type for directories, a slash at the end of the name marked them.
            0 if text(&block[NAME]).ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2'..=b'4' | b'6' => Kind::Special,
            b'5' => Kind::Directory,
            b'L' => Kind::LongName,
            b'K' => Kind::LongTarget,
            b'x' | b'X' => Kind::Extended,
            b'g' => Kind::Global,
            b'S' => Kind::Sparse,
            _ => Kind::Unknown,
        };
        Ok(Self { kind, size: if kind.has_body() { size } else { 0 } })
    }
}

/// Appends the name in a header to `path`.
pub(super) fn read_name(block: &[u8; BLOCK], path: &mut Vec<u8>) {
    // GNU keeps times where ustar has the prefix, and says so with another magic.
    let prefix = if block[MAGIC] == *b"ustar\0" { text(&block[PREFIX]) } else { &[] };
    if !prefix.is_empty() {
        path.extend_from_slice(prefix);
        path.push(b'/');
    }
    path.extend_from_slice(text(&block[NAME]));
}

/// A field's bytes up to its first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|b| *b == 0).next().unwrap_or_default()
}

fn check_sum(block: &[u8; BLOCK]) -> Result<(), String> {
    let stored = number(&block[CHECKSUM]).ok_or("the checksum in a tar header is not a number")?;
    let blanks = CHECKSUM.len() as u32 * u32::from(b' ');
    let field: u32 = block[CHECKSUM].iter().map(|b| u32::from(*b)).sum();
    let unsigned = block.iter().map(|b| u32::from(*b)).sum::<u32>() - field + blanks;
    if u64::from(unsigned) == stored {
        return Ok(());
    }
    // Some old writers summed signed bytes: each byte from 128 on counts 256 less.
    let high = |bytes: &[u8]| bytes.iter().filter(|b| **b >= 128).count() as i64;
    let signed = i64::from(unsigned) - 256 * (high(block) - high(&block[CHECKSUM]));
    if u64::try_from(signed) == Ok(stored) {
        return Ok(());
    }
    Err(format!(
        "the tar header's checksum is {stored:o}, its bytes sum up to {unsigned:o} (octal)"
    ))
}

/// A number in octal digits, or in base 256 when its first bit is set. Blank is 0; negative
/// numbers and numbers over 64 bits are none.
fn number(field: &[u8]) -> Option<u64> {
    if let [0x80, digits @ ..] = field {
        return digits
            .iter()
            .try_fold(0u64, |n, b| (n < 1 << 56).then_some(n << 8 | u64::from(*b)));
    }
    text(field).trim_ascii().iter().try_fold(0u64, |n, b| match b {
        b'0'..=b'7' => n.checked_mul(8).map(|n| n + u64::from(b - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(key: &str, field: &str, len: u64) -> [u8; BLOCK] {
        let mut out = Vec::new();
        write(key, field, len, &mut out);
        out.try_into().expect("one block")
    }

    #[test]
    fn what_is_written_is_read() {
        let directory = "d".repeat(150);
        for (key, field, len) in [
            ("a", "jpg", 0),
            ("été/b", "seg.png", MAX_OCTAL),
            ("a", "bin", MAX_OCTAL + 1),
            ("a", "bin", 20_000_000_000),
            ("a", "bin", MAX_SIZE),
            (&*format!("{directory}/{}", "k".repeat(96)), "jpg", 1),
            (&*"k".repeat(96), "jpg", 511),
        ] {
            let block = written(key, field, len);
            let header = Header::parse(&block).expect("a header");
            assert_eq!((header.kind, header.size), (Kind::File, len));
            let mut name = Vec::new();
            read_name(&block, &mut name);
            assert_eq!(name, format!("{key}.{field}").into_bytes());
        }
    }

    #[test]
    fn names_are_cut_at_the_first_slash_that_helps() {
        let k = |n| "k".repeat(n);
        for (key, want) in [
            (k(96), Some(0)),
            (k(97), None),
            (format!("d/{}", k(94)), Some(0)),
            (format!("d/{}", k(95)), Some(1)),
            (format!("d/e/{}", k(93)), Some(1)),
            (format!("d/e/{}", k(96)), Some(3)),
            (format!("d/{}", k(97)), None),
            (format!("{}/{}", k(155), k(96)), Some(155)),
            (format!("{}/{}", k(156), k(95)), None),
            (format!("{}/{}", k(50), k(204)), None),
        ] {
            assert_eq!(cut(&key, "jpg"), want, "{key}");
        }
    }

    #[test]
    fn numbers() {
        for (field, want) in [
            (&b"00000000017\0"[..], Some(15)),
            (b"        17 \0", Some(15)),
            (b"77777777777 ", Some(MAX_OCTAL)),
            (b"777777777777", Some((1 << 36) - 1)),
            (b"\0\0\0\0", Some(0)),
            (b"18\0", None),
            (b"-1\0", None),
            (b"7777777777777777777777777", None),
            (b"\x80\0\0\0\0\0\0\x02\0\0\0\0", Some(1 << 33)),
            (b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", Some(u64::MAX)),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
        ] {
            assert_eq!(number(field), want, "{field:?}");
        }
    }

    #[test]
    fn sums_of_signed_bytes_are_accepted() {
        let mut block = written("é", "txt", 3);
        let signed: i64 = block
            .iter()
            .enumerate()
            .map(|(i, b)| if CHECKSUM.contains(&i) { 32 } else { i64::from(*b as i8) })
            .sum();
        octal(&mut block[148..154], signed as u64);
        assert!(Header::parse(&block).is_ok());
        octal(&mut block[148..154], signed as u64 + 1);
        assert!(Header::parse(&block).is_err());
    }
}
