//! One line of an augmented manifest: a JSON object, its values as they are spelled.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::{Error, Result};

/// The members of an object, in its order.
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Parses one line. `last` says that no newline ended it, so that it may be cut off.
    pub(super) fn parse(line: &'a [u8], last: bool) -> Result<Self> {
        let line = std::str::from_utf8(line).map_err(|e| {
            let at = e.valid_up_to() + 1;
            Error::corrupt(format!("byte {at} is no UTF-8; write the manifest as UTF-8"))
        })?;
        match line.as_bytes().first() {
            Some(b'{') => {}
            Some(b'[') if line.contains("\"prefix\"") => {
                return Err(Error::corrupt("this is a ManifestFile, not an AugmentedManifestFile"));
            }
            Some(b'[') => {
                let reason = "a JSON array; write one object a line, without brackets and commas";
                return Err(Error::corrupt(reason));
            }
            _ => return Err(Error::corrupt("no JSON object; write one object a line")),
        }
        serde_json::from_str(line).map_err(|error| explain(line, &error, last))
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| &**name)
    }

    /// Sorts the members for [`get`](Self::get); fails when two have the same name.
    pub(super) fn sort(&mut self) -> Result<()> {
        self.0.sort_by(|a, b| a.0.cmp(&b.0));
        let twice = self.0.array_windows().find(|[a, b]| a.0 == b.0);
        match twice {
            Some([(name, _), _]) => {
                let reason = "the line has this attribute twice; remove one";
                Err(Error::corrupt(reason).in_field(&**name))
            }
            None => Ok(()),
        }
    }

    /// The value of a member, as it is spelled.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let at = self.0.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value.get())
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Collect)
    }
}

struct Collect;

/// A name, copied only where it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Collect {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Members(members))
    }
}

fn explain(line: &str, error: &serde_json::Error, last: bool) -> Error {
    let at = error.column(); // from 1, in bytes
    let byte = at.checked_sub(1).and_then(|at| line.as_bytes().get(at));
    if byte == Some(&b'\'') {
        return Error::corrupt(format!(
            "single quotes at byte {at}; JSON has double quotes: write lines with a JSON library (json.dumps in Python, not str)"
        ));
    }
    match (error.is_eof(), last) {
        (true, true) => Error::truncated("the last line's JSON object"),
        (true, false) => Error::corrupt(
            "the JSON object does not end on its line; write one whole object a line",
        ),
        (false, _) => {
            let text = error.to_string();
            let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
            Error::corrupt(format!("no JSON at byte {at}: {what}"))
        }
    }
}

/// The value without the blanks between its parts; strings and numbers stay as they are spelled.
pub(super) fn compact(value: &str) -> Cow<'_, str> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    if !value.starts_with(['{', '[']) || !value.contains(blank) {
        return Cow::Borrowed(value);
    }
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        quoted || !blank(*c)
    };
    Cow::Owned(value.chars().filter(keep).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_go_and_spelling_stays() {
        for (value, want) in [
            ("1.50E+3", "1.50E+3"),
            ("\" a  b \"", "\" a  b \""),
            ("[ 1 ,\t2.0, \"a \\\" b\" ,{ \"k\" : [ ] } ]", "[1,2.0,\"a \\\" b\",{\"k\":[]}]"),
            ("{\"b\": 1e400, \"a\": \"\\\\\" }", "{\"b\":1e400,\"a\":\"\\\\\"}"),
            ("[1,2]", "[1,2]"),
        ] {
            assert_eq!(compact(value), want);
        }
    }
}
