//! Keys as listings carry them.

use std::borrow::Cow;

/// Undoes the encoding that listings are asked for: XML has no way to write most control
/// characters. `None` for what is no such encoding or no UTF-8.
pub(super) fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (pair, after) = rest.split_at_checked(2)?;
                rest = after;
                let digit = |b: u8| (b as char).to_digit(16);
                (digit(pair[0])? * 16 + digit(pair[1])?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A key as a header names it: all but letters, digits, `-._~` and `/` as `%` and two digits.
pub(super) fn encode(key: &str) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(byte.into());
            }
            other => _ = write!(text, "%{other:02X}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_keys_come_back() {
        for (text, key) in [
            ("plain/key.jpg", Some("plain/key.jpg")),
            ("a+b%2Bc%20d", Some("a b+c d")),
            ("%C3%BC%0A%25", Some("ü\n%")),
            ("%", None),
            ("%0", None),
            ("%zz", None),
            ("%FF", None),
        ] {
            assert_eq!(decode(text).as_deref(), key, "{text}");
        }
    }

    #[test]
    fn keys_are_encoded_for_headers() {
        for (key, text) in [
            ("plain/a-b_c.d~1", "plain/a-b_c.d~1"),
            ("a b+c%", "a%20b%2Bc%25"),
            ("é?&#", "%C3%A9%3F%26%23"),
        ] {
            assert_eq!(encode(key), text);
            assert_eq!(decode(text).as_deref(), Some(key));
        }
    }
}
