//! Archives made by the crates that read them, then damaged by hand.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::*;
use crate::{Bytes, ErrorKind, Source};

struct Scratch {
    folder: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("archive");
        // Truncating the one before would make ext4 write it out first, thousands of times.
        let _ = std::fs::remove_file(&path);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn read_all(source: &dyn Source) -> Result<Vec<(String, Vec<u8>)>> {
    let files = (0..).zip(source.listing().iter());
    files
        .map(|(id, file)| {
            let mut bytes = Vec::new();
            source.fetch(id, 0, file.len, &mut Bytes::new(&mut bytes))?;
            Ok((file.display(), bytes))
        })
        .collect()
}

/// An object that counts how often it is read, and fails at a read of a number.
#[derive(Debug)]
struct Counted {
    bytes: Vec<u8>,
    reads: Arc<AtomicUsize>,
    fails_at: usize,
}

impl Counted {
    fn open(bytes: Vec<u8>) -> (Arc<AtomicUsize>, Box<dyn Object>) {
        let reads = Arc::<AtomicUsize>::default();
        (Arc::clone(&reads), Box::new(Self { bytes, reads, fails_at: usize::MAX }))
    }
}

impl Object for Counted {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize> {
        if self.reads.fetch_add(1, Relaxed) == self.fails_at {
            return Err(Error::changed("the object", "its ETag differs"));
        }
        let rest = self.bytes.get(offset as usize..).unwrap_or_default();
        let n = rest.len().min(buf.len());
        buf[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }
}

/// Whichever read fails, the error is the store's own, not one about a damaged archive.
fn fails_as_the_store_does<S: Source>(archive: &[u8], open: impl Fn(Box<dyn Object>) -> Result<S>) {
    for fails_at in 0.. {
        let reads = Arc::<AtomicUsize>::default();
        let bytes = archive.to_vec();
        let object = Box::new(Counted { bytes, reads: Arc::clone(&reads), fails_at });
        match open(object).and_then(|tree| read_all(&tree)) {
            Ok(_) if reads.load(Relaxed) <= fails_at => {
                assert!(fails_at > 2, "nothing failed");
                return;
            }
            Ok(_) => panic!("read {fails_at} failed and nobody was told"),
            Err(error) => {
                let changed = matches!(error.kind(), ErrorKind::Changed { .. });
                assert!(changed, "read {fails_at}: {error}");
            }
        }
    }
}

fn reason(error: &Error) -> String {
    assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error:?}");
    error.to_string()
}

#[cfg(feature = "tar")]
mod tar_archives {
    use ::tar::{Builder, EntryType, Header};

    use super::*;

    fn append(tar: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, body: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(body.len() as u64);
        header.set_mode(0o644);
        header.as_gnu_mut().unwrap().realsize = *b"000000000000";
        header.as_mut_bytes()[..path.len().min(100)]
            .copy_from_slice(&path.as_bytes()[..path.len().min(100)]);
        header.set_cksum();
        tar.append(&header, body).unwrap();
    }

    fn sample() -> Vec<u8> {
        let mut tar = Builder::new(Vec::new());
        append(&mut tar, "./z/", EntryType::Directory, b"");
        append(&mut tar, "./z/2.jpg", EntryType::Regular, &[b'2'; 700]);
        append(&mut tar, "a.txt", EntryType::Regular, b"");
        append(&mut tar, "pipe", EntryType::Fifo, b"");
        append(&mut tar, "soft", EntryType::Symlink, b"");
        let long = format!("{}/1.jpg", "long".repeat(60));
        let mut header = Header::new_gnu();
        header.set_size(3);
        header.set_mode(0o644);
        tar.append_data(&mut header, long, &b"one"[..]).unwrap();
        tar.into_inner().unwrap()
    }

    fn expected() -> Vec<(String, Vec<u8>)> {
        let long = format!("{}/1.jpg", "long".repeat(60));
        vec![("z/2.jpg".into(), vec![b'2'; 700]), ("a.txt".into(), vec![]), (long, b"one".to_vec())]
    }

    #[test]
    fn members_come_in_the_order_of_the_archive() {
        let scratch = Scratch::new();
        let tree = TarTree::open(scratch.file(&sample())).unwrap();
        assert_eq!(read_all(&tree).unwrap(), expected());
        let skipped = [("symbolic link", 1), ("no file (pipe, socket or device)", 1)];
        assert_eq!(tree.listing().skipped, skipped.map(|(why, n)| (why.to_owned(), n)));
    }

    #[test]
    fn an_object_of_a_store_is_an_archive_too() {
        let (reads, object) = Counted::open(sample());
        let tree = TarTree::of(object, "mem://a.tar").unwrap();
        assert_eq!(reads.load(Relaxed), 3, "whether it is compressed, all headers, the end");
        assert_eq!(read_all(&tree).unwrap(), expected());
        assert_eq!(tree.describe(), "mem://a.tar");
        fails_as_the_store_does(&sample(), |object| TarTree::of(object, "mem://a.tar"));
        let cut = TarTree::of(Counted::open(sample()[..900].to_vec()).1, "mem://a.tar");
        assert!(reason(&cut.unwrap_err()).starts_with("mem://a.tar"));
    }

    #[test]
    fn headers_of_small_members_come_many_in_a_request_and_large_members_do_not() {
        let tar = |len: usize, count: usize| {
            let mut tar = Builder::new(Vec::new());
            let body = vec![7; len];
            for i in 0..count {
                append(&mut tar, &format!("{i}.jpg"), EntryType::Regular, &body);
            }
            tar.into_inner().unwrap()
        };
        let listed = |tar: Vec<u8>, members: usize| {
            let (reads, object) = Counted::open(tar);
            let tree = TarTree::of(object, "mem://a.tar").unwrap();
            assert_eq!(tree.listing().len(), members);
            reads.load(Relaxed)
        };
        let small = listed(tar(20_000, 1000), 1000);
        assert!(small < 15, "{small} requests for 20 MB");
        let large = listed(tar(3 << 20, 10), 10);
        assert!(large <= 13, "{large} requests for 10 members");
    }

    #[test]
    fn an_archive_cut_anywhere_is_refused() {
        let scratch = Scratch::new();
        let tar = sample();
        let end = tar.len() - 1024; // one of the two zero blocks is enough
        for len in 0..end + 512 {
            let error = TarTree::open(scratch.file(&tar[..len])).expect_err(&len.to_string());
            reason(&error);
        }
        for len in end + 512..=tar.len() {
            assert!(TarTree::open(scratch.file(&tar[..len])).is_ok(), "{len}");
        }
    }

    #[test]
    fn a_flipped_bit_in_a_header_is_no_panic_and_no_other_file() {
        let scratch = Scratch::new();
        let tar = sample();
        for bit in 0..tar.len() * 8 {
            if bit % 8 != bit / 8 % 8 {
                continue; // each byte once, each bit of a byte in turn
            }
            let mut damaged = tar.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(tree) = TarTree::open(scratch.file(&damaged)) {
                // Bodies and padding have no checksum; what is listed must stay readable.
                assert_eq!(read_all(&tree).unwrap().len(), 3, "bit {bit}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_says_what_to_do() {
        let scratch = Scratch::new();
        let one = |path: &str, kind, body: &[u8]| {
            let mut tar = Builder::new(Vec::new());
            append(&mut tar, "ok", EntryType::Regular, b"1");
            append(&mut tar, path, kind, body);
            tar.into_inner().unwrap()
        };
        let mut giant = one("long", EntryType::GNULongName, &vec![b'x'; 2 << 20]);
        giant.truncate(giant.len() - 1024);
        giant.extend(one("x", EntryType::Regular, b""));
        let regular = EntryType::Regular;
        for (bytes, text) in [
            (one("../up", regular, b""), "has .. in it"),
            (one("/etc/passwd", regular, b""), "is absolute"),
            (one("./ok", regular, b"2"), "is in the archive twice"),
            (one("hard", EntryType::Link, b""), "--hard-dereference"),
            (one("sparse", EntryType::GNUSparse, b""), "sparse"),
            ([sample(), sample()].concat(), "goes on behind its end mark"),
            (b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "gzip -d"),
            (vec![b'x'; 2048], "archive"),
            (Vec::new(), "has no end mark"),
            (giant, "exceed 1 MiB"),
        ] {
            let error = TarTree::open(scratch.file(&bytes)).expect_err(text);
            assert!(reason(&error).contains(text), "{error} should say {text}");
        }
    }

    #[test]
    fn an_archive_written_since_it_was_listed_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.file(&sample());
        for change in [Change::Grow, Change::Shrink, Change::Touch] {
            scratch.file(&sample());
            let tree = TarTree::open(&path).unwrap();
            change.make(&path);
            let error = read_all(&tree).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Changed { .. }), "{error}");
        }
    }
}

enum Change {
    Grow,
    Shrink,
    Touch,
}

impl Change {
    fn make(&self, path: &Path) {
        let file = File::options().append(true).open(path).unwrap();
        let len = file.metadata().unwrap().len();
        match self {
            Self::Grow => (&file).write_all(b"more").unwrap(),
            Self::Shrink => file.set_len(len / 2).unwrap(),
            Self::Touch => file.set_modified(std::time::UNIX_EPOCH).unwrap(),
        }
    }
}

#[cfg(feature = "zip")]
mod zip_archives {
    use ::zip::CompressionMethod::{Deflated, Stored};
    use ::zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn sample() -> Vec<u8> {
        let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
        let stored = SimpleFileOptions::default().compression_method(Stored);
        let deflated = stored.compression_method(Deflated);
        zip.add_directory("z", stored).unwrap();
        for (name, options, body) in [
            ("z/stored.jpg", stored, &b"0123456789"[..]),
            ("deflated.txt", deflated, &[b'd'; 5000]),
            ("empty", stored, b""),
            ("ü.txt", deflated, b"umlaut"),
        ] {
            zip.start_file(name, options).unwrap();
            zip.write_all(body).unwrap();
        }
        zip.add_symlink("link", "empty", stored).unwrap();
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn members_come_in_the_order_of_the_archive() {
        let scratch = Scratch::new();
        let tree = ZipTree::open(scratch.file(&sample())).unwrap();
        let expected: [(&str, &[u8]); 4] = [
            ("z/stored.jpg", b"0123456789"),
            ("deflated.txt", &[b'd'; 5000]),
            ("empty", b""),
            ("ü.txt", b"umlaut"),
        ];
        let expected = expected.map(|(name, body)| (name.to_owned(), body.to_vec()));
        assert_eq!(read_all(&tree).unwrap(), expected);
        assert_eq!(tree.listing().skipped, [("symbolic link".to_owned(), 1)]);
        for (id, start, len, bytes) in
            [(0, 3, 4, &b"3456"[..]), (1, 4999, 1, b"d"), (3, 1, 2, b"ml")]
        {
            let mut found = Vec::new();
            tree.fetch(id, start, len, &mut Bytes::new(&mut found)).unwrap();
            assert_eq!(found, bytes);
        }
    }

    #[test]
    fn an_object_of_a_store_is_an_archive_too() {
        let (_, object) = Counted::open(sample());
        let tree = ZipTree::of(object, "mem://a.zip").unwrap();
        let file = ZipTree::open(Scratch::new().file(&sample())).unwrap();
        assert_eq!(read_all(&tree).unwrap(), read_all(&file).unwrap());
        fails_as_the_store_does(&sample(), |object| ZipTree::of(object, "mem://a.zip"));
    }

    #[test]
    fn an_archive_cut_anywhere_is_refused() {
        let scratch = Scratch::new();
        let zip = sample();
        for len in 0..zip.len() {
            reason(&ZipTree::open(scratch.file(&zip[..len])).expect_err(&len.to_string()));
        }
    }

    #[test]
    fn a_flipped_bit_never_passes_for_the_bytes_that_were_packed() {
        let scratch = Scratch::new();
        let zip = sample();
        let whole = read_all(&ZipTree::open(scratch.file(&zip)).unwrap()).unwrap();
        for bit in 0..zip.len() * 8 {
            if bit % 8 != bit / 8 % 8 {
                continue; // each byte once, each bit of a byte in turn
            }
            let mut damaged = zip.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let Ok(tree) = ZipTree::open(scratch.file(&damaged)) else { continue };
            let Ok(files) = read_all(&tree) else { continue };
            // A directory entry has no checksum: names may differ, and kinds of entries. The
            // bytes of a file may not.
            for (name, bytes) in files {
                let same = whole.iter().any(|(_, b)| *b == bytes) || bytes == b"empty";
                assert!(same, "bit {bit}: {name}");
            }
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_says_what_to_do() {
        let scratch = Scratch::new();
        let one = |name: &str| {
            let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
            zip.start_file(name, SimpleFileOptions::default().compression_method(Stored)).unwrap();
            zip.write_all(b"body").unwrap();
            zip.finish().unwrap().into_inner()
        };
        let patched = |at_local: usize, at_central: usize, bytes: [u8; 2]| {
            let mut zip = one("a.txt");
            let central = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
            zip[at_local..at_local + 2].copy_from_slice(&bytes);
            zip[central + at_central..central + at_central + 2].copy_from_slice(&bytes);
            zip
        };
        for (bytes, text) in [
            (one("../up"), "has .. in it"),
            (one("/etc/passwd"), "is absolute"),
            (patched(6, 8, [1, 0]), "is encrypted"),
            (patched(8, 10, [14, 0]), "only deflate can be read"),
            (b"no zip".to_vec(), ""),
        ] {
            let error = ZipTree::open(scratch.file(&bytes)).expect_err(text);
            assert!(reason(&error).contains(text), "{error} should say {text}");
        }
    }

    #[test]
    fn an_archive_written_since_it_was_listed_is_refused() {
        let scratch = Scratch::new();
        let path = scratch.file(&sample());
        for change in [Change::Grow, Change::Shrink, Change::Touch] {
            scratch.file(&sample());
            let tree = ZipTree::open(&path).unwrap();
            change.make(&path);
            let error = read_all(&tree).unwrap_err();
            assert!(matches!(error.kind(), ErrorKind::Changed { .. }), "{error}");
        }
    }
}
