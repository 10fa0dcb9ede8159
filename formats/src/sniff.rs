//! Names bytes whose format kept no name.

/// Extension that the first bytes of a file call for; `data` when they say nothing.
///
/// Only signatures of three bytes and more count: with fewer, one text in 65,536 would become a
/// bitmap.
pub(crate) fn extension(bytes: &[u8]) -> &'static str {
    const SIGNATURES: &[(&[u8], &str)] = &[
        (b"\xff\xd8\xff", "jpg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"II*\0", "tif"),
        (b"MM\0*", "tif"),
        (b"\x93NUMPY", "npy"),
        (b"fLaC", "flac"),
        (b"%PDF-", "pdf"),
    ];
    if let Some((_, name)) = SIGNATURES.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return name;
    }
    match (bytes.get(..4), bytes.get(8..12)) {
        (Some(b"RIFF"), Some(b"WEBP")) => "webp",
        (Some(b"RIFF"), Some(b"WAVE")) => "wav",
        _ => "data",
    }
}

#[cfg(test)]
mod tests {
    use super::extension;

    #[test]
    fn known_signatures_and_nothing_else() {
        for (bytes, want) in [
            (&b"\xff\xd8\xff\xe0"[..], "jpg"),
            (b"\x89PNG\r\n\x1a\n", "png"),
            (b"GIF89a", "gif"),
            (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
            (b"RIFF\0\0\0\0AVI ", "data"),
            (b"\xff\xd8", "data"),
            (b"BM", "data"),
            (b"", "data"),
        ] {
            assert_eq!(extension(bytes), want, "{bytes:?}");
        }
    }
}
