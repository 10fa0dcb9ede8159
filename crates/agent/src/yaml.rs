//! YAML as JSON: the plain trees that job descriptions are.

use serde_json::{Map, Value};
use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};

use crate::{Error, Result};

/// Deepest nesting; a job has seven levels.
const DEEPEST: usize = 64;

/// The one document of a text.
///
/// Aliases are refused: nine lines of them can stand for a billion values. Plain scalars are what
/// JSON would make of them (`3`, `true`, `null`), and texts otherwise.
pub(crate) fn to_json(text: &str) -> Result<Value> {
    let mut tree = Tree::default();
    let parsed = Parser::new_from_str(text).load(&mut tree, false);
    if let Some(reason) = tree.fault {
        return Err(Error::job(reason));
    }
    parsed.map_err(|error| Error::job(format!("neither JSON nor YAML: {error}")))?;
    tree.root.ok_or_else(|| Error::job("is empty"))
}

/// What is built, event by event.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    root: Option<Value>,
    fault: Option<String>,
}

enum Open {
    List(Vec<Value>),
    /// Members so far, and the key whose value comes next.
    Object(Map<String, Value>, Option<String>),
}

impl MarkedEventReceiver for Tree {
    fn on_event(&mut self, event: Event, mark: Marker) {
        if self.fault.is_some() {
            return;
        }
        if let Err(reason) = self.take(event) {
            self.fault = Some(format!("line {}: {reason}", mark.line()));
        }
    }
}

impl Tree {
    fn take(&mut self, event: Event) -> std::result::Result<(), String> {
        let opened = match event {
            Event::Scalar(text, style, _, _) => {
                if let Some(Open::Object(_, key @ None)) = self.open.last_mut() {
                    *key = Some(text);
                    return Ok(());
                }
                return self.put(scalar(text, style));
            }
            Event::SequenceStart(..) => Open::List(Vec::new()),
            Event::MappingStart(..) => Open::Object(Map::new(), None),
            Event::SequenceEnd | Event::MappingEnd => {
                return match self.open.pop() {
                    Some(Open::List(values)) => self.put(values.into()),
                    Some(Open::Object(members, _)) => self.put(members.into()),
                    None => Ok(()),
                };
            }
            Event::Alias(_) => return Err("aliases are not taken; write the value out".into()),
            _ => return Ok(()),
        };
        if let Some(Open::Object(_, None)) = self.open.last() {
            return Err("a key must be a text".into());
        }
        if self.open.len() == DEEPEST {
            return Err(format!("nested more than {DEEPEST} levels deep"));
        }
        self.open.push(opened);
        Ok(())
    }

    fn put(&mut self, value: Value) -> std::result::Result<(), String> {
        match self.open.last_mut() {
            None => self.root = Some(value),
            Some(Open::List(values)) => values.push(value),
            Some(Open::Object(members, key)) => {
                let key = key.take().unwrap_or_default();
                if members.contains_key(&key) {
                    return Err(format!("{key:?} stands twice"));
                }
                members.insert(key, value);
            }
        }
        Ok(())
    }
}

fn scalar(text: String, style: TScalarStyle) -> Value {
    if style != TScalarStyle::Plain {
        return text.into();
    }
    match &*text {
        "" | "~" => Value::Null,
        _ => serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn trees_are_what_json_would_be() {
        let text = "a: 1\nb: [x, 'y', \"3\", null, ~, true]\nc:\n  - d: 0.5\n    e:\n'f g': 007\n";
        let wanted = json!({"a": 1, "b": ["x", "y", "3", null, null, true],
            "c": [{"d": 0.5, "e": null}], "f g": "007"});
        assert_eq!(to_json(text).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_plain_tree_is_refused_by_line() {
        for (text, why) in [
            ("a: &x 1\nb: *x\n", "line 2: aliases"),
            ("a: 1\na: 2\n", "line 2: \"a\" stands twice"),
            ("[1]: 2\n", "a key must be a text"),
            (&"[".repeat(100), "nested more than"),
            ("", "is empty"),
            ("a: [", "neither JSON nor YAML"),
        ] {
            let error = to_json(text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_never_panics(text in "[\\[\\]{}\":,&*?!|>%@ \n\t'~a-c0-9-]{0,80}") {
            let _ = to_json(&text);
        }
    }
}
