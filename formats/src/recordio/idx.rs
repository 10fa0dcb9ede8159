//! `.idx` files: where each record of a `.rec` file starts.
//!
//! One line a record, `key TAB offset LF` in decimal. Readers of MXNet and DALI written in C++
//! take one such file for all data files together, with offsets in their concatenation, ignore
//! the keys, and take each record to end where the next one starts.

use std::io::{self, Write};

use crate::{Error, Position, Result};

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key: the id of its `.lst` line, or its number.
    pub key: u64,
    /// Offset in bytes of its first part.
    pub offset: u64,
}

/// Reads an index: pairs of numbers, separated by any white space, as MXNet's C++ does. The
/// entries come back sorted by offset.
///
/// # Errors
/// [`Corrupt`](crate::ErrorKind::Corrupt) with the line (from 0, as the position's record) for a
/// word that is no number, an offset that is no multiple of four (a failed `tell` of MXNet's
/// Python left 18446744073709551615) or that stands twice, and a key without an offset.
///
/// ```
/// use shardpack_formats::recordio::idx::{Entry, parse};
///
/// let index = parse(b"1\t96\n0\t0\n")?;
/// assert_eq!(index, [Entry { key: 0, offset: 0 }, Entry { key: 1, offset: 96 }]);
/// # Ok::<(), shardpack_formats::Error>(())
/// ```
pub fn parse(index: &[u8]) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut key = None;
    let mut position = Position::default();
    for line in index.split_inclusive(|byte| *byte == b'\n') {
        for word in line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()) {
            let number = number(word, position)?;
            match key.take() {
                None => key = Some(number),
                Some(_) if !number.is_multiple_of(4) => {
                    let reason = format!("offset {number} is no multiple of four");
                    return Err(Error::corrupt(reason, position));
                }
                Some(key) => entries.push(Entry { key, offset: number }),
            }
        }
        position.record += 1;
        position.offset += line.len() as u64;
    }
    if let Some(key) = key {
        return Err(Error::truncated(format!("the entry of key {key}"), position));
    }
    entries.sort_by_key(|entry| entry.offset);
    match entries.windows(2).find(|pair| pair[0].offset == pair[1].offset) {
        Some(pair) => {
            let reason = format!("offset {} stands twice", pair[0].offset);
            Err(Error::corrupt(reason, position))
        }
        None => Ok(entries),
    }
}

/// Writes an index that every reader takes, MXNet's Python included, which splits at tabs only.
pub fn write(entries: &[Entry], out: &mut impl Write) -> io::Result<()> {
    entries.iter().try_for_each(|entry| writeln!(out, "{}\t{}", entry.key, entry.offset))
}

fn number(word: &[u8], position: Position) -> Result<u64> {
    let number = std::str::from_utf8(word).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| {
        let word = String::from_utf8_lossy(word.get(..40).unwrap_or(word)).into_owned();
        Error::corrupt(format!("{word:?} is no whole number"), position)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mxnets_own_file_comes_back_byte_for_byte() {
        let file = include_bytes!("../../../testdata/recordio/golden/images.idx");
        let entries = parse(file).unwrap();
        assert_eq!(entries.len(), 6);
        assert_eq!(entries[2], Entry { key: 20, offset: 196 });
        let mut out = Vec::new();
        write(&entries, &mut out).unwrap();
        assert_eq!(out, file);
    }

    #[test]
    fn white_space_and_refusals() {
        let two = [Entry { key: 5, offset: 0 }, Entry { key: 3, offset: 8 }];
        for index in [&b"5 0\n3 8"[..], b"5\t0\r\n3\t8\r\n", b" 3 8 5\n0 ", b"3\n8\n\n5\t\t0"] {
            assert_eq!(parse(index).unwrap(), two, "{index:?}");
        }
        assert_eq!(parse(b"").unwrap(), []);
        for (index, part) in [
            (&b"0\t18446744073709551615\n"[..], "multiple of four"),
            (b"0\t0\n1\t0\n", "twice"),
            (b"0\t0\n1", "key 1"),
            (b"0\t0\nx\t8\n", "\"x\""),
            (b"0\t-4\n", "\"-4\""),
            (b"\xff\t0\n", "no whole number"),
        ] {
            let error = parse(index).unwrap_err();
            assert!(error.to_string().contains(part), "{error}");
        }
        assert_eq!(parse(b"0\t0\nx\t8\n").unwrap_err().position().unwrap().record, 1);
    }
}
