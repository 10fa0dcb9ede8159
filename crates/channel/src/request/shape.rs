//! Objects of a request: which keys there are, and of which type.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use shardpack_manifest::sagemaker::Word;

use super::{Report, field};
use crate::json::{Members, shown};

/// An object whose keys are known. Whatever is wrong is reported, and then counts as absent.
pub(super) struct Shape<'j> {
    at: String,
    members: Members<'j>,
}

impl<'j> Shape<'j> {
    /// The object at `at`. None if it is no object, and that is reported.
    pub(super) fn open(
        at: &str,
        raw: &'j RawValue,
        known: &[&str],
        required: &[&str],
        report: &mut Report,
    ) -> Option<Self> {
        let members = members(at, raw, report)?;
        Some(Self::new(at, members, known, required, report))
    }

    /// The object at `at`, whatever its keys are.
    pub(super) fn map(at: &str, raw: &'j RawValue, report: &mut Report) -> Option<Self> {
        let members = members(at, raw, report)?;
        Some(Self { at: at.to_owned(), members })
    }

    pub(super) fn new(
        at: &str,
        members: Members<'j>,
        known: &[&str],
        required: &[&str],
        report: &mut Report,
    ) -> Self {
        for (key, raw) in members.iter().filter(|(key, _)| !known.contains(key)) {
            let advice = format!("known are {}", known.join(", "));
            report.add(field(at, key), shown(raw), "no such key here", advice);
        }
        for (key, _) in members.iter().filter(|(_, raw)| raw.get() == "null") {
            report.add(field(at, key), "null", "must have a value", "leave the key out");
        }
        for key in required.iter().filter(|key| members.iter().all(|(name, _)| name != **key)) {
            report.add(field(at, key), "", "must be there", format!("set {key}"));
        }
        Self { at: at.to_owned(), members }
    }

    /// The path of a member.
    pub(super) fn field(&self, key: &str) -> String {
        field(&self.at, key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(key, _)| key)
    }

    pub(super) fn get(&self, key: &str) -> Option<&'j RawValue> {
        self.members.get(key)
    }

    pub(super) fn text(&self, key: &str, report: &mut Report) -> Option<String> {
        self.typed(key, "must be a text", "write \"...\"", report)
    }

    pub(super) fn texts(&self, key: &str, report: &mut Report) -> Vec<String> {
        let rule = "must be a list of texts";
        self.typed(key, rule, "write [\"...\"]", report).unwrap_or_default()
    }

    pub(super) fn whole(&self, key: &str, report: &mut Report) -> Option<i64> {
        let rule = "must be a whole number of 64 bits";
        self.typed(key, rule, "write it without quotes and point", report)
    }

    pub(super) fn flag(&self, key: &str, report: &mut Report) -> Option<bool> {
        self.typed(key, "must be true or false", "write it without quotes", report)
    }

    pub(super) fn word<W: Word>(&self, key: &str, report: &mut Report) -> Option<W> {
        let text = self.text(key, report)?;
        let word = W::exact(&text);
        if word.is_none() {
            let advice = match text.parse::<W>() {
                Ok(meant) => format!("write {meant}"),
                Err(_) => "write one of them".to_owned(),
            };
            report.add(self.field(key), text, format!("must be of {}", W::known()), advice);
        }
        word
    }

    /// The entries of a list, with their paths.
    pub(super) fn list(&self, key: &str, report: &mut Report) -> Vec<(String, &'j RawValue)> {
        let Some(raw) = self.get(key) else { return Vec::new() };
        list(&self.field(key), raw, report)
    }

    /// All members, which must be texts.
    pub(super) fn all_texts(&self, report: &mut Report) -> Vec<(String, String)> {
        let pair = |(key, raw): (&str, &RawValue)| {
            let text = typed(&self.field(key), raw, "must be a text", "write \"...\"", report)?;
            Some((key.to_owned(), text))
        };
        self.members.iter().filter_map(pair).collect()
    }

    fn typed<T: DeserializeOwned>(
        &self,
        key: &str,
        rule: &str,
        advice: &str,
        report: &mut Report,
    ) -> Option<T> {
        typed(&self.field(key), self.get(key)?, rule, advice, report)
    }
}

fn typed<T: DeserializeOwned>(
    at: &str,
    raw: &RawValue,
    rule: &str,
    advice: &str,
    report: &mut Report,
) -> Option<T> {
    let value = serde_json::from_str(raw.get()).ok();
    if value.is_none() {
        report.add(at, shown(raw), rule, advice);
    }
    value
}

fn members<'j>(at: &str, raw: &'j RawValue, report: &mut Report) -> Option<Members<'j>> {
    match Members::of(raw) {
        Ok(members) => return Some(members),
        Err(error) if raw.get().starts_with('{') => {
            let text = error.to_string();
            let rule = text.rsplit_once(" at line ").map_or(&*text, |(rule, _)| rule);
            report.add(at, shown(raw), rule, "write every key once");
        }
        Err(_) => report.add(at, shown(raw), "must be an object", "write {...}"),
    }
    None
}

/// The entries of a list, with their paths.
pub(super) fn list<'j>(
    at: &str,
    raw: &'j RawValue,
    report: &mut Report,
) -> Vec<(String, &'j RawValue)> {
    let Ok(entries) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        report.add(at, shown(raw), "must be a list", "write [...]");
        return Vec::new();
    };
    let numbered = |(i, raw)| (format!("{at}[{i}]"), raw);
    entries.into_iter().enumerate().map(numbered).collect()
}

/// Reports a text that is not of `least` to `most` characters, or that has a line break: the API's
/// patterns have none.
pub(super) fn length(
    at: impl Into<String>,
    text: &str,
    least: usize,
    most: usize,
    report: &mut Report,
) {
    let count = text.chars().count();
    let advice = match () {
        () if count < least => "write more",
        () if count > most => "shorten it",
        () if text.contains('\n') => "write it on one line",
        () => return,
    };
    let rule = format!("must be one line of {least} to {most} characters, and has {count}");
    report.add(at, text, rule, advice);
}

/// Reports a list of more than `most` entries, or fewer than `least`.
pub(super) fn count(
    at: impl Into<String>,
    found: usize,
    least: usize,
    most: usize,
    report: &mut Report,
) {
    if !(least..=most).contains(&found) {
        let rule = format!("must have {least} to {most} entries");
        let advice = if found < least { "add some" } else { "leave some out" };
        report.add(at, format!("{found} entries"), rule, advice);
    }
}
