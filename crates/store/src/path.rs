//! Paths as bytes.

use std::borrow::Cow;

/// A path for messages: a newline or a stray byte in it must not garble them.
pub(crate) fn display(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() { text.extend(char.escape_default()) } else { text.push(char) }
        }
        text.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    text
}

/// Folder (empty for the root) and name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A path that someone else wrote down, without the `./` and `//` that tools leave in. Fails,
/// saying why, for one that names no file below the root.
pub(crate) fn clean(path: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    let parts = || path.split(|&byte| byte == b'/');
    if path.contains(&0) {
        return Err("the name holds a NUL byte");
    }
    if path.starts_with(b"/") {
        return Err("the path is absolute");
    }
    if matches!(parts().next_back(), None | Some(b"" | b".")) {
        return Err("the path names a folder, not a file");
    }
    if parts().any(|part| part == b"..") {
        return Err("the path has .. in it");
    }
    if parts().all(|part| !matches!(part, b"" | b".")) {
        return Ok(Cow::Borrowed(path));
    }
    let parts: Vec<&[u8]> = parts().filter(|part| !matches!(part, &(b"" | b"."))).collect();
    Ok(Cow::Owned(parts.join(&b'/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_or_refused() {
        for (path, cleaned) in [
            ("a/b.jpg", Ok("a/b.jpg")),
            ("./a//b.jpg", Ok("a/b.jpg")),
            ("..a/b..", Ok("..a/b..")),
            ("a/../b.jpg", Err("the path has .. in it")),
            ("..", Err("the path has .. in it")),
            ("a/", Err("the path names a folder, not a file")),
            ("a/.", Err("the path names a folder, not a file")),
            ("", Err("the path names a folder, not a file")),
            ("/a", Err("the path is absolute")),
            ("a\0b", Err("the name holds a NUL byte")),
        ] {
            let found = clean(path.as_bytes());
            assert_eq!(found.as_deref(), cleaned.map(str::as_bytes).as_ref().copied(), "{path:?}");
        }
    }

    #[test]
    fn messages_stay_on_one_line() {
        assert_eq!(display("ü/a b".as_bytes()), "ü/a b");
        assert_eq!(display(b"a\nb\x1b\xff\x7f"), "a\\nb\\u{1b}\\xff\\u{7f}");
    }
}
