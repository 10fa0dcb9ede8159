//! The last field of our JSON files: what proves the rest.

use shardpack_formats::crc32c;

use crate::lines::Lines;
use crate::{Error, Result, hex};

/// Digits of a crc32c.
const CRC_DIGITS: usize = 8;
/// What follows the checked bytes, around those digits.
const SEAL: (&str, &str) = ("  \"crc32c\": \"", "\"\n}\n");

/// The last field is the crc32c of all bytes before its line.
pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    let len = SEAL.0.len() + CRC_DIGITS + SEAL.1.len();
    let digits = bytes.len().checked_sub(len).and_then(|at| {
        let (body, seal) = bytes.split_at_checked(at)?;
        let seal = seal.strip_prefix(SEAL.0.as_bytes())?.strip_suffix(SEAL.1.as_bytes())?;
        Some((body, std::str::from_utf8(seal).ok()?))
    });
    let wrong = |reason: String| Error::corrupt(reason).in_field("crc32c");
    let (body, digits) = digits.ok_or_else(|| {
        wrong("the text does not end with its checksum: it was cut or rewritten".into())
    })?;
    let stored = hex::parse(digits, CRC_DIGITS).map_err(wrong)?;
    let found = crc32c(body);
    match stored == u128::from(found) {
        true => Ok(()),
        false => Err(wrong(format!(
            "the text has checksum {found:08x}, not {digits}: it was damaged or edited"
        ))),
    }
}

/// The text with its checksum.
pub(crate) fn close(lines: Lines) -> Vec<u8> {
    let text = lines.open();
    let crc = crc32c(text.as_bytes());
    format!("{text}{}{crc:08x}{}", SEAL.0, SEAL.1).into_bytes()
}
