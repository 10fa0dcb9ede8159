//! What must hold for every compressed stream.

use std::io::{self, ErrorKind, Read, Write};

use shardpack_formats::Compression;

use crate::{Pieces, within};

/// Bytes that are expanded: a bomb of 64 KiB would give 64 MiB.
const LIMIT: u64 = 1 << 20;

/// What a reader may hold beside the bytes read: its buffer and a window.
const ALLOWANCE: usize = 512 << 10;

/// Expands `stream`. It gives the same bytes or fails alike however its own bytes arrive, fails
/// only as damage, and what it gives compresses and expands again.
pub fn check(compression: Compression, stream: &[u8]) {
    let whole = expand(compression, Box::new(stream));
    let pieces = expand(compression, Box::new(Pieces(stream)));
    match (whole, pieces) {
        // Damage behind the limit shows sooner to a reader that has more of the stream.
        (Ok(bytes), _) | (_, Ok(bytes)) if bytes.len() as u64 == LIMIT => {}
        (Ok(one), Ok(other)) => {
            assert!(one == other, "{} bytes or {}", one.len(), other.len());
            comes_back(compression, &one).expect("a stream of our own");
        }
        (Err(one), Err(other)) => {
            // Not by their texts: zlib-rs finds another word for it when it is short of input.
            assert_eq!(one.kind(), other.kind());
            let damage = [ErrorKind::UnexpectedEof, ErrorKind::InvalidData];
            assert!(damage.contains(&one.kind()), "{one:?}");
        }
        (one, other) => panic!("{one:?} of the whole stream, {other:?} of its pieces"),
    }
}

fn expand(compression: Compression, stream: Box<dyn Read + Send + '_>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(LIMIT as usize);
    within(ALLOWANCE, || compression.reader(stream)?.take(LIMIT).read_to_end(&mut bytes))?;
    Ok(bytes)
}

fn comes_back(compression: Compression, bytes: &[u8]) -> io::Result<()> {
    let mut stream = Vec::new();
    let mut writer = compression.writer(Some(1), Box::new(&mut stream))?;
    writer.write_all(bytes)?;
    writer.finish()?;
    let mut again = Vec::new();
    compression.reader(Box::new(&stream[..]))?.read_to_end(&mut again)?;
    assert!(again == bytes, "{} bytes became {}", bytes.len(), again.len());
    Ok(())
}
