//! Makes checksums hold: no mutation would guess them, and what lies behind them would stay unseen.

use shardpack_formats::{crc32c, mask};

/// The lengths and payloads of a TFRecord stream, as far as lengths lead.
pub fn tfrecord(stream: &[u8]) -> Vec<u8> {
    let mut stream = stream.to_vec();
    let mut rest = &mut stream[..];
    while let Some((header, body)) = rest.split_first_chunk_mut::<12>() {
        let (len, crc) = header.split_at_mut(8);
        crc.copy_from_slice(&mask(crc32c(len)).to_le_bytes());
        let len = len.iter().rev().fold(0, |len: u64, byte| len << 8 | u64::from(*byte));
        let Some((payload, footer)) = body.split_at_mut_checked(len as usize) else { break };
        let Some((crc, next)) = footer.split_first_chunk_mut::<4>() else { break };
        *crc = mask(crc32c(payload)).to_le_bytes();
        rest = next;
    }
    stream
}

/// The headers of a tar: every block that has the magic.
pub fn tar(archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    for block in archive.as_chunks_mut::<512>().0 {
        if block[257..].starts_with(b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    archive
}

/// The last four bytes of a sample index.
pub fn index(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32c(body).to_le_bytes();
    }
    bytes
}

/// The last field of a manifest; put there if it is missing.
pub fn manifest(bytes: &[u8]) -> Vec<u8> {
    const SEAL: &[u8] = b"  \"crc32c\": \"";
    let seal = bytes.windows(SEAL.len()).rposition(|window| window == SEAL);
    let body = &bytes[..seal.unwrap_or(bytes.len())];
    [body, SEAL, format!("{:08x}\"\n}}\n", crc32c(body)).as_bytes()].concat()
}
