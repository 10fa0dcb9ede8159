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

/// What a key is called below the prefix that was asked for.
///
/// A prefix is a text, not a folder: `data/train` is also the start of `data/train-01.jpg`. As
/// SageMaker names the files of a channel: everything through the prefix's last slash goes, and so
/// does the folder that the prefix names in full.
#[derive(Debug)]
pub(super) struct Naming<'p> {
    /// Bytes of the prefix through its last slash.
    cut: usize,
    /// What follows, with a slash: `train/`.
    folder: Option<String>,
    prefix: &'p str,
}

impl<'p> Naming<'p> {
    pub(super) fn new(prefix: &'p str) -> Self {
        let cut = prefix.rfind('/').map_or(0, |slash| slash + 1);
        let folder = Some(&prefix[cut..]).filter(|last| !last.is_empty());
        Self { cut, folder: folder.map(|last| format!("{last}/")), prefix }
    }

    /// The name of a key, and whether it lies in the folder that the prefix names.
    pub(super) fn name<'k>(&self, key: &'k str) -> (&'k str, bool) {
        let below = key.get(self.cut..).unwrap_or_default();
        match self.folder.as_deref().and_then(|folder| below.strip_prefix(folder)) {
            Some(name) => (name, true),
            None => (below, self.prefix.ends_with('/') || self.prefix.is_empty()),
        }
    }
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
    fn names_follow_the_rules_of_channels() {
        for (prefix, key, name, inside) in [
            ("", "a/b.jpg", "a/b.jpg", true),
            ("train", "train/class_dog/x.jpg", "class_dog/x.jpg", true),
            ("train/", "train/class_dog/x.jpg", "class_dog/x.jpg", true),
            ("data/train", "data/train-data.csv", "train-data.csv", false),
            ("data/train", "data/train/x.jpg", "x.jpg", true),
            ("data/train-01.jpg", "data/train-01.jpg", "train-01.jpg", false),
            ("in", "in/in/a.rec", "in/a.rec", true),
        ] {
            assert_eq!(Naming::new(prefix).name(key), (name, inside), "{prefix} {key}");
        }
    }
}
