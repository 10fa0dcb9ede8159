//! JSON for people and diffs: a field a line, and in lists and maps an entry a line.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::Result;

/// An object that is being written, field by field.
pub(crate) struct Lines(String);

impl Lines {
    pub(crate) fn new() -> Self {
        Self("{\n".into())
    }

    pub(crate) fn field<T: Serialize>(&mut self, name: &str, value: &T) -> Result<()> {
        let value = serde_json::to_string(value)?;
        self.put(format_args!("  \"{name}\": {value},\n"));
        Ok(())
    }

    pub(crate) fn list<T: Serialize>(&mut self, name: &str, values: &[T]) -> Result<()> {
        self.block(name, "[]", values.iter().map(serde_json::to_string))
    }

    pub(crate) fn map<T: Serialize>(
        &mut self,
        name: &str,
        values: &BTreeMap<String, T>,
    ) -> Result<()> {
        let entries = values.iter().map(|(key, value)| {
            Ok(format!("{}: {}", serde_json::to_string(key)?, serde_json::to_string(value)?))
        });
        self.block(name, "{}", entries)
    }

    fn block(
        &mut self,
        name: &str,
        brackets: &str,
        entries: impl Iterator<Item = serde_json::Result<String>>,
    ) -> Result<()> {
        let (open, close) = brackets.split_at(1);
        self.put(format_args!("  \"{name}\": {open}"));
        let mut separator = "";
        for entry in entries {
            self.put(format_args!("{separator}\n    {}", entry?));
            separator = ",";
        }
        let indent = if separator.is_empty() { "" } else { "\n  " };
        self.put(format_args!("{indent}{close},\n"));
        Ok(())
    }

    /// The text so far: it wants one more field.
    pub(crate) fn open(self) -> String {
        self.0
    }

    /// The whole object.
    pub(crate) fn finish(mut self) -> String {
        if self.0.ends_with(",\n") {
            self.0.truncate(self.0.len() - 2);
        }
        self.0 + "\n}\n"
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }
}
