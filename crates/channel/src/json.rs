//! JSON objects, member by member.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Error, ErrorKind, Result};

/// Longest text in bytes that is parsed. The largest that a job can bring are its hyperparameters:
/// 100 of 2,500 characters.
const MAX_BYTES: usize = 4 << 20;

/// The members of an object, in the order of the text. A member twice is an error: readers differ
/// in which one they take.
#[derive(Debug, Default)]
pub(crate) struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'j> Members<'j> {
    /// The object that a whole file holds.
    pub(crate) fn parse(bytes: &'j [u8]) -> Result<Self> {
        Ok(serde_json::from_str(text(bytes)?)?)
    }

    /// The object that is the value of a member.
    pub(crate) fn of(raw: &'j RawValue) -> serde_json::Result<Self> {
        serde_json::from_str(raw.get())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'j RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_str(), *value))
    }

    /// The value of a member. `null` is as good as none.
    pub(crate) fn get(&self, key: &str) -> Option<&'j RawValue> {
        let mut same = self.iter().filter(|(name, value)| *name == key && value.get() != "null");
        same.next().map(|(_, value)| value)
    }
}

/// The JSON text of a whole file.
pub(crate) fn text(bytes: &[u8]) -> Result<&str> {
    let (len, limit) = (bytes.len(), MAX_BYTES);
    if len > limit {
        return Err(Error::new(ErrorKind::TooLarge { len, limit }));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| Error::json(e.to_string()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

impl<'de: 'j, 'j> Deserialize<'de> for Members<'j> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Self::Value, A::Error> {
                let mut seen = std::collections::HashSet::new();
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    if !seen.insert(key.clone()) {
                        return Err(A::Error::custom(format_args!("{key:?} stands twice")));
                    }
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Object)
    }
}

/// A value for a message: texts without their quotes, and not more than fits a line.
pub(crate) fn shown(raw: &RawValue) -> String {
    match serde_json::from_str::<String>(raw.get()) {
        Ok(text) => clipped(&text),
        Err(_) => clipped(raw.get()),
    }
}

/// The beginning of a text, for a message.
pub(crate) fn clipped(text: &str) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST).and_then(|(end, _)| text.get(..end)) {
        Some(start) => format!("{start}..."),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_taken_apart() {
        let members =
            Members::parse("\u{feff}{\"a\":1,\"b\":null,\"c\":\"x\"}".as_bytes()).unwrap();
        assert_eq!(members.get("a").map(RawValue::get), Some("1"));
        assert_eq!(members.get("b").map(RawValue::get), None);
        assert_eq!(members.get("c").map(shown).as_deref(), Some("x"));
        assert_eq!(members.iter().count(), 3);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let long = vec![b' '; MAX_BYTES + 1];
        for (text, words) in [
            (&b""[..], "EOF"),
            (b"[]", "expected an object"),
            (b"{\"a\":1,\"a\":1}", "\"a\" stands twice"),
            (b"{\"a\":1}x", "trailing"),
            (b"{\"a\":\xff}", "utf-8"),
            (&long, "over the limit of 4194304"),
        ] {
            let error = Members::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn long_values_are_cut_for_messages() {
        let text = serde_json::to_string(&"\u{e9}".repeat(100)).unwrap();
        let raw: Box<RawValue> = serde_json::from_str(&text).unwrap();
        assert_eq!(shown(&raw), format!("{}...", "\u{e9}".repeat(80)));
    }
}
