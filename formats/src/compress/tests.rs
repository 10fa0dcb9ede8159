//! Streams of ours and of others, whole, cut and changed.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::Compression::{self, Gzip, None as Plain, Zlib, Zstd};
use super::read_error;
use crate::testing::{OneByte, Owned, hex, read_from};
use crate::{DecodeOptions, Label, Position, crc32c, mask};

fn pack_at(kind: Compression, level: Option<i32>, plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = kind.writer(level, Box::new(&mut out)).expect("a writer");
    writer.write_all(plain).expect("room");
    writer.finish().expect("the end");
    out
}

fn pack(kind: Compression, plain: &[u8]) -> Vec<u8> {
    pack_at(kind, None, plain)
}

fn unpack(kind: Compression, stream: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    kind.reader(Box::new(stream))?.read_to_end(&mut out).map(|_| out)
}

/// Bytes that compress a little: four bits of noise in each.
fn some_bytes(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 28) as u8
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn names_and_extensions() {
    for kind in Compression::ALL {
        assert_eq!(Compression::from_name(kind.name()), Some(kind));
        assert!(kind.levels().contains(&kind.default_level()));
    }
    assert_eq!(Compression::from_name("bzip2"), None);
    assert_eq!(
        Compression::ALL.map(Compression::extension),
        [None, Some("gz"), Some("zz"), Some("zst")]
    );
}

#[test]
fn what_is_written_is_read_back() {
    for kind in Compression::ALL {
        for len in [0, 1, 65_535, 65_536, 1_000_000] {
            let plain = some_bytes(len);
            let stream = pack(kind, &plain);
            assert!(unpack(kind, &stream).expect("a stream of ours") == plain, "{kind:?} {len}");
        }
    }
}

#[test]
fn every_level_is_taken_and_no_other() {
    let plain = some_bytes(10_000);
    for kind in [Gzip, Zlib, Zstd] {
        for level in [*kind.levels().start(), 0, 1, *kind.levels().end()] {
            let stream = pack_at(kind, Some(level), &plain);
            assert_eq!(unpack(kind, &stream).expect("a stream of ours"), plain, "{kind:?} {level}");
        }
        for level in [kind.levels().start() - 1, kind.levels().end() + 1] {
            let error = kind.writer(Some(level), Box::new(io::sink())).expect_err("no such level");
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}

#[test]
fn bytes_are_the_same_however_they_are_written() {
    let plain = some_bytes(300_000);
    for kind in [Gzip, Zlib, Zstd] {
        let mut out = Vec::new();
        let mut writer = kind.writer(None, Box::new(&mut out)).expect("a writer");
        for piece in plain.chunks(777) {
            writer.write_all(piece).expect("room");
            writer.flush().expect("room");
        }
        writer.finish().expect("the end");
        assert!(out == pack(kind, &plain), "{kind:?}");
    }
    let gzip = pack(Gzip, &plain);
    assert_eq!(&gzip[..10], hex("1f8b0800000000000003"));
    assert_eq!(&gzip[gzip.len() - 4..], 300_000u32.to_le_bytes());
}

/// The stream itself is pinned: a library update that changes it changes every compressed shard.
#[test]
fn bytes_are_the_same_in_every_build() {
    let plain = some_bytes(300_000);
    let sums = [Gzip, Zlib, Zstd].map(|kind| crc32c(&pack(kind, &plain)));
    assert_eq!(sums, [0x8413_81cc, 0x03c1_8b26, 0x5d59_475e], "{sums:08x?}");
}

#[test]
fn streams_one_after_another_are_read_to_the_last() {
    for kind in [Gzip, Zlib, Zstd] {
        let stream = [pack(kind, b"one "), pack(kind, b""), pack(kind, b"two")].concat();
        assert_eq!(unpack(kind, &stream).expect("three streams"), b"one two", "{kind:?}");
        let mut out = Vec::new();
        let mut reader = kind.reader(Box::new(OneByte(&stream))).expect("a reader");
        reader.read_to_end(&mut out).expect("three streams, a byte at a time");
        assert_eq!(out, b"one two", "{kind:?}");
    }
}

#[test]
fn a_cut_at_any_byte_is_an_error() {
    for kind in [Gzip, Zlib, Zstd] {
        for plain in [&b""[..], b"x", &some_bytes(2000)] {
            let first = pack(kind, plain);
            let stream = [&first[..], &first].concat();
            for cut in (0..stream.len()).filter(|cut| *cut != first.len()) {
                let error = unpack(kind, &stream[..cut]).expect_err("a cut stream");
                assert_eq!(
                    error.kind(),
                    ErrorKind::UnexpectedEof,
                    "{kind:?} cut at {cut}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error_or_means_nothing() {
    for kind in [Gzip, Zlib, Zstd] {
        let plain = some_bytes(2000);
        let mut stream = pack(kind, &plain);
        let mut passed = Vec::new();
        for bit in 0..stream.len() * 8 {
            stream[bit / 8] ^= 1 << (bit % 8);
            match unpack(kind, &stream) {
                Ok(found) => {
                    assert!(found == plain, "{kind:?} bit {bit}");
                    passed.push(bit / 8);
                }
                Err(error) => assert!(
                    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
                    "{kind:?} bit {bit}: {error:?}"
                ),
            }
            stream[bit / 8] ^= 1 << (bit % 8);
        }
        // Gzip's time, level and system bytes, a flag for text; the bits that fill deflate's last
        // byte; zstd's window size and unused bits.
        assert!(passed.len() < 64, "{kind:?}: {passed:?}");
    }
}

#[test]
fn junk_behind_a_stream_is_an_error() {
    for kind in [Gzip, Zlib, Zstd] {
        for junk in [&b"junk that is no stream"[..], &[0; 600]] {
            let error = unpack(kind, &[&pack(kind, b"x")[..], junk].concat()).expect_err("junk");
            assert!(
                matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof),
                "{kind:?}"
            );
        }
    }
}

/// Zstd itself, without content checksum and with a skippable frame; gzip with all optional fields.
#[test]
fn streams_of_others() {
    let frame = zstd::encode_all(&b"plain"[..], 1).expect("a frame");
    let skippable = hex("502a4d18 03000000 616263");
    assert_eq!(unpack(Zstd, &[&skippable[..], &frame].concat()).expect("frames"), b"plain");
    assert_eq!(Compression::detect(&skippable), Zstd);

    let mut full = flate2::GzBuilder::new()
        .filename("name")
        .comment("comment")
        .extra(*b"ab\x01\0x")
        .mtime(1)
        .write(Vec::new(), flate2::Compression::best());
    full.write_all(b"plain").expect("room");
    assert_eq!(unpack(Gzip, &full.finish().expect("the end")).expect("a member"), b"plain");
}

#[test]
fn detection() {
    let record = |len: u64| {
        let len = len.to_le_bytes();
        [&len[..], &mask(crc32c(&len)).to_le_bytes(), b"payload"].concat()
    };
    let mut tar = vec![0; 512];
    tar[..7].copy_from_slice(b"x^2.png");
    tar[257..262].copy_from_slice(b"ustar");
    for (start, want) in [
        (pack(Gzip, b"x"), Gzip),
        (pack(Zlib, b"x"), Zlib),
        (pack_at(Zlib, Some(1), b"x"), Zlib),
        (pack_at(Zlib, Some(9), b"x"), Zlib),
        (pack_at(Zlib, Some(0), b"x"), Zlib),
        (pack(Zstd, b"x"), Zstd),
        (record(0x0178), Plain),
        (record(0x088b1f), Plain),
        (record(0xfd2fb528), Plain),
        (tar, Plain),
        (hex("0a23d7ce00000000"), Plain),
        (b"x".to_vec(), Plain),
        (vec![], Plain),
    ] {
        assert_eq!(Compression::detect(&start), want, "{:02x?}", &start[..start.len().min(12)]);
    }
}

/// A sink that fails after some bytes.
struct Full(Arc<Mutex<Vec<u8>>>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = self.0.lock().expect("no panic");
        let room = bytes.len().min(self.1 - taken.len());
        if room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        taken.extend_from_slice(&bytes[..room]);
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_failed_write_stays_failed_and_an_abandoned_stream_stays_cut() {
    let plain = some_bytes(400_000);
    for kind in [Gzip, Zlib, Zstd] {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut writer = kind.writer(None, Box::new(Full(taken.clone(), 1000))).expect("a writer");
        let error = writer.write_all(&plain).expect_err("a full sink");
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert!(writer.write(b"x").is_err() && writer.flush().is_err());
        assert!(writer.finish().is_err());

        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut writer =
            kind.writer(None, Box::new(Full(taken.clone(), 1 << 20))).expect("a writer");
        writer.write_all(&plain).expect("room");
        drop(writer);
        let error =
            unpack(kind, &taken.lock().expect("no panic")).expect_err("an abandoned stream");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{kind:?}");
    }
}

#[test]
fn damage_to_the_stream_is_damage_to_the_shard() {
    let at = Position { record: 3, offset: 7 };
    for (kind, damage) in [
        (ErrorKind::UnexpectedEof, true),
        (ErrorKind::InvalidData, true),
        (ErrorKind::PermissionDenied, false),
    ] {
        let error = read_error(kind.into(), at);
        assert_eq!((error.is_damage(), error.position()), (damage, Some(at)));
    }
}

/// Every decoder calls a cut or changed stream damage, never trouble with the disk.
#[test]
fn decoders_of_compressed_shards_report_damage() {
    for name in crate::NAMES {
        let format = crate::open(name, &crate::FormatOptions::default()).expect("a format");
        let body = some_bytes(100_000);
        let sample = Owned::new("a", 1, &[("jpg", &body)], Label::default());
        let shard =
            [sample.encode(&*format).expect("a record"), format.trailer().to_vec()].concat();
        for kind in [Gzip, Zlib, Zstd] {
            let stream = pack(kind, &shard);
            let mut changed = stream.clone();
            changed[stream.len() / 2..].fill(0xff);
            for stream in [&stream[..stream.len() / 2], &changed] {
                let reader = kind.reader(Box::new(stream)).expect("a stream");
                let (_, error) = read_from(&*format, reader, &DecodeOptions::default());
                let error = error.expect("damage");
                assert!(error.is_damage(), "{name} {kind:?}: {error}");
                assert!(error.position().is_some(), "{name} {kind:?}: {error}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_in_any_pieces(
        plain in prop::collection::vec(0u8..20, 0..20_000),
        piece in 1usize..5000,
        kind in prop::sample::select(Compression::ALL.to_vec()),
    ) {
        let mut out = Vec::new();
        let mut writer = kind.writer(None, Box::new(&mut out)).expect("a writer");
        for piece in plain.chunks(piece) {
            writer.write_all(piece).expect("room");
        }
        writer.finish().expect("the end");
        prop_assert_eq!(unpack(kind, &out).expect("a stream of ours"), plain);
    }

    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        for kind in [Gzip, Zlib, Zstd] {
            let own = pack(kind, b"");
            let start = own.len().min(2 + own.len() / 2);
            let _ = unpack(kind, &bytes);
            let _ = unpack(kind, &[&own[..start], &bytes].concat());
        }
    }
}
