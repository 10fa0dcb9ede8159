//! Shards that are cut or changed.

use proptest::prelude::*;

use super::*;
use crate::{ErrorKind, crc32c};

fn small() -> Vec<u8> {
    let long = format!("{}/é", "d".repeat(101));
    shard(&[
        sample("a", &[("cls", b"7"), ("jpg", &[9; 520])]),
        sample("b", &[("cls", b"")]),
        sample(&long, &[("txt", b"text")]),
    ])
}

/// The same shard with every extension a foreign writer may use.
fn foreign() -> Vec<u8> {
    end([
        pax(b'g', "comment", b"for all"),
        pax(b'x', "path", b"a.cls"),
        files(&["x"]),
        member(b'L', b"././@LongLink", b"a.jpg\0"),
        files(&["x"]),
        member(b'5', b"d", b""),
        member(b'1', b"a.txt", b""),
        files(&["b.cls"]),
    ]
    .concat())
}

#[test]
fn a_cut_at_any_byte_is_truncation_at_its_record() {
    for bytes in [small(), foreign()] {
        let whole = read(&bytes).expect("an undamaged shard");
        assert!(whole.len() > 1);
        for cut in 0..bytes.len() {
            let (records, error) = read_with(&bytes[..cut], |_| ());
            let error = error.unwrap_or_else(|| panic!("a cut at {cut} passed"));
            assert!(matches!(error.kind(), ErrorKind::Truncated { .. }), "cut at {cut}: {error}");
            // A sample is known to be whole once the headers of the next one are read.
            assert_eq!(records[..], whole[..records.len()], "cut at {cut}");
            let position = error.position().expect("a position");
            assert_eq!(position.record, records.len() as u64, "cut at {cut}");
            assert!(position.offset <= cut as u64, "cut at {cut}: {error}");
        }
    }
}

/// Without end blocks a cut between members cannot be told from the end; every other one can.
#[test]
fn with_a_missing_end_only_cuts_between_members_pass() {
    let bytes = small();
    let ends = [1024, 2560, 3072, 4096, 4608, 5120];
    assert_eq!(bytes.len(), 5120);
    for cut in 0..bytes.len() {
        let (_, error) = read_with(&bytes[..cut], |o| o.missing_end = true);
        assert_eq!(error.is_none(), cut == 0 || ends.contains(&cut), "cut at {cut}: {error:?}");
    }
}

/// Headers have a checksum, bodies and their padding have none in a tar: there, the record's
/// crc32c tells.
#[test]
fn a_flipped_bit_is_an_error_or_shows_in_the_checksum() {
    for mut bytes in [small(), foreign()] {
        let whole = read(&bytes).expect("an undamaged shard");
        let sums =
            |records: &[Record]| records.iter().map(|r| (r.offset, r.crc32c)).collect::<Vec<_>>();
        let mut in_headers = 0;
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (records, error) = read_with(&bytes, |_| ());
            let covered =
                whole.iter().any(|r| (r.offset..r.offset + r.len).contains(&(bit as u64 / 8)));
            match error {
                Some(error) => {
                    let named = matches!(error.kind(), ErrorKind::Name { .. });
                    assert!(error.is_damage() || named, "bit {bit}: {error}");
                    assert!(error.position().is_some(), "bit {bit}: {error}");
                    in_headers += 1;
                }
                None if covered => assert_ne!(sums(&records), sums(&whole), "bit {bit}"),
                // The body of a skipped member between two records.
                None => assert_eq!(sums(&records), sums(&whole), "bit {bit}"),
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        // Nearly all of four header blocks and both end blocks, at least.
        assert!(in_headers > 6 * 4000, "{in_headers}");
    }
}

#[test]
fn every_flip_in_a_header_is_noticed_but_for_the_checksum_s_own_blanks() {
    let mut bytes = shard(&[sample("a", &[("cls", b"7")])]);
    for bit in 0..BLOCK * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        // The field is a zero and five digits, NUL, blank: a blank for the zero or the NUL, or
        // anything behind the NUL, is as good.
        let blank = bit == 148 * 8 + 4 || bit == 154 * 8 + 5 || bit / 8 == 155;
        assert_eq!(read(&bytes).is_ok(), blank, "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(crc32c(&bytes), crc32c(&shard(&[sample("a", &[("cls", b"7")])])));
}

proptest! {
    /// Noise never panics and never asks for the memory it claims to fill.
    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..3000), concatenated: bool, missing_end: bool) {
        let _ = read_with(&bytes, |o| (o.concatenated, o.missing_end) = (concatenated, missing_end));
    }

    /// Headers that check out with anything in them.
    #[test]
    fn plausible_noise(
        members in prop::collection::vec(
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..100), prop::collection::vec(any::<u8>(), 12),
             prop::collection::vec(any::<u8>(), 0..600)), 0..6),
        missing_end: bool,
    ) {
        let mut bytes = Vec::new();
        for (kind, name, size, body) in members {
            bytes.extend(patched(&name, &body, |h| {
                h[156] = b"0\x0015Lxg7KS"[kind as usize % 10];
                if kind > 200 {
                    h[124..136].copy_from_slice(&size);
                }
            }));
        }
        let _ = read_with(&end(bytes), |o| o.missing_end = missing_end);
    }
}
