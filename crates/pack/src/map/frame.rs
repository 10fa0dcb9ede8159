//! What is said between a map command and us. [SPEC.md](SPEC.md) has the bytes. Pure.

use std::collections::HashSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shardpack_formats::Label;

use super::{Answer, Sample, Verdict};

/// How requests and answers are framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Frame {
    /// Heads are lines of JSON.
    #[default]
    Json,
    /// Heads are texts that end with NUL.
    Nul,
}

/// Longest head of an answer, in bytes.
const HEAD: usize = 1 << 20;
/// Most fields of an answer.
const FIELDS: usize = 1_000;

/// The head of an answer that has arrived.
#[derive(Debug)]
pub(super) struct Head {
    verdict: Verdict,
    /// Where the bodies start in what arrived, and where they end.
    pub(super) bodies: Range<usize>,
}

impl Head {
    /// The answer, once all of it has arrived in `bytes`.
    pub(super) fn answer(self, bytes: Vec<u8>) -> Answer {
        Answer { verdict: self.verdict, bytes }
    }
}

/// Name of a field, and its length unless it is as it was.
type Named = (String, Option<u64>);

/// What is wrong with an answer, or with a sample that cannot be asked for.
pub(super) type Parsed<T> = Result<T, String>;

impl Frame {
    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Nul => "nul",
        }
    }

    /// The head of a request.
    pub(super) fn request(self, sample: &Sample) -> Parsed<Vec<u8>> {
        match self {
            Self::Json => json_request(sample),
            Self::Nul => nul_request(sample),
        }
    }

    /// Reads the head of the answer to `sample`: none when more of it is to come. `most` bounds its
    /// bodies, in bytes.
    pub(super) fn head(self, bytes: &[u8], sample: &Sample, most: usize) -> Parsed<Option<Head>> {
        let known = bytes.get(..HEAD).unwrap_or(bytes);
        let found = match self {
            Self::Json => json_head(known, sample, most)?,
            Self::Nul => nul_head(known, sample, most)?,
        };
        match found {
            None if bytes.len() >= HEAD => Err(format!("its head has no end within {HEAD} bytes")),
            found => Ok(found),
        }
    }
}

#[derive(Serialize)]
struct JsonRequest<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<JsonLabel<'a>>,
    fields: Vec<JsonField<'a>>,
}

#[derive(Serialize)]
struct JsonField<'a> {
    name: &'a str,
    len: usize,
}

#[derive(Serialize)]
struct JsonLabel<'a> {
    values: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonAnswer {
    key: String,
    #[serde(default)]
    drop: bool,
    error: Option<String>,
    fields: Option<Vec<JsonAnswerField>>,
    label: Option<JsonAnswerLabel>,
}

/// Numbers as they are spelled: serde_json may be off by their last bit, and a label that is sent
/// back must be the one that was sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonAnswerLabel {
    values: Vec<Box<RawValue>>,
    text: Option<String>,
}

impl JsonAnswerLabel {
    fn label(self) -> Parsed<Label> {
        let number = |value: &RawValue| match value.get().parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("label {} is no number", shown(value.get().as_bytes()))),
        };
        let values = self.values.iter().map(|value| number(value)).collect::<Parsed<_>>()?;
        Ok(Label { values, text: self.text })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonAnswerField {
    name: String,
    len: Option<u64>,
}

fn json_request(sample: &Sample) -> Parsed<Vec<u8>> {
    let label = (!sample.label.is_empty())
        .then(|| JsonLabel { values: &sample.label.values, text: sample.label.text.as_deref() });
    let fields = sample.fields.iter().map(|(name, body)| JsonField { name, len: body.len() });
    let request = JsonRequest { key: &sample.key, label, fields: fields.collect() };
    let mut line = serde_json::to_vec(&request).map_err(|e| e.to_string())?;
    line.push(b'\n');
    Ok(line)
}

fn json_head(bytes: &[u8], sample: &Sample, most: usize) -> Parsed<Option<Head>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let line = bytes.get(..end).unwrap_or_default();
    let answer: JsonAnswer = serde_json::from_slice(line)
        .map_err(|e| format!("no answer in JSON ({e}): {}", shown(line)))?;
    same_key(&answer.key, sample)?;
    let said = [answer.drop, answer.error.is_some(), answer.fields.is_some()];
    let labelled_nothing = answer.label.is_some() && (answer.drop || answer.error.is_some());
    if labelled_nothing || said.iter().filter(|said| **said).count() > 1 {
        return Err(format!("it says several things at once: {}", shown(line)));
    }
    let label = answer.label.map(JsonAnswerLabel::label).transpose()?;
    let mut bodies = Bodies::after(end + 1, most);
    let verdict = match (answer.drop, answer.error, answer.fields) {
        (true, ..) => Verdict::Drop,
        (_, Some(reason), _) => Verdict::Error(reason),
        (_, _, Some(fields)) => {
            let named = fields.into_iter().map(|field| (field.name, field.len)).collect();
            Verdict::Fields { fields: bodies.fields(named, sample)?, label }
        }
        _ => match label {
            None => Verdict::Keep,
            Some(label) => Verdict::Fields {
                fields: sample.fields.iter().map(|(name, _)| (name.clone(), None)).collect(),
                label: Some(label),
            },
        },
    };
    Ok(Some(Head { verdict, bodies: bodies.range() }))
}

fn nul_request(sample: &Sample) -> Parsed<Vec<u8>> {
    let values: Vec<String> = sample.label.values.iter().map(f64::to_string).collect();
    let mut texts = vec![
        sample.key.clone(),
        values.join(" "),
        sample.label.text.clone().unwrap_or_default(),
        sample.fields.len().to_string(),
    ];
    for (name, body) in &sample.fields {
        texts.extend([name.clone(), body.len().to_string()]);
    }
    if let Some(text) = texts.iter().find(|text| text.contains('\0')) {
        return Err(format!("{text:?} has a NUL in it: --map-frame json can ask for it"));
    }
    Ok(texts.into_iter().flat_map(|text| [text.into_bytes(), vec![0]]).flatten().collect())
}

fn nul_head(bytes: &[u8], sample: &Sample, most: usize) -> Parsed<Option<Head>> {
    let mut texts = Texts { rest: bytes, read: 0 };
    let Some(verdict) = texts.next()? else { return Ok(None) };
    if !matches!(verdict, "keep" | "drop" | "error" | "fields") {
        return Err(format!("{verdict:?} is none of keep, drop, error and fields"));
    }
    let Some(key) = texts.next()? else { return Ok(None) };
    same_key(key, sample)?;
    let verdict = match verdict {
        "keep" => Verdict::Keep,
        "drop" => Verdict::Drop,
        "error" => match texts.next()? {
            Some(reason) => Verdict::Error(reason.to_owned()),
            None => return Ok(None),
        },
        _ => {
            let Some(pairs) = nul_fields(&mut texts)? else { return Ok(None) };
            let mut bodies = Bodies::after(texts.read, most);
            let fields = bodies.fields(pairs, sample)?;
            let verdict = Verdict::Fields { fields, label: None };
            return Ok(Some(Head { verdict, bodies: bodies.range() }));
        }
    };
    Ok(Some(Head { verdict, bodies: texts.read..texts.read }))
}

/// Names and lengths of the fields of an answer.
fn nul_fields(texts: &mut Texts<'_>) -> Parsed<Option<Vec<Named>>> {
    let Some(count) = texts.next()? else { return Ok(None) };
    let count = number(count)?;
    if count > FIELDS as u64 {
        return Err(format!("{count} fields, at most {FIELDS}"));
    }
    let mut fields = Vec::new();
    for _ in 0..count {
        let (Some(name), Some(len)) = (texts.next()?, texts.next()?) else { return Ok(None) };
        let len = (!len.is_empty()).then(|| number(len)).transpose()?;
        fields.push((name.to_owned(), len));
    }
    Ok(Some(fields))
}

/// Texts that end with NUL.
struct Texts<'b> {
    rest: &'b [u8],
    read: usize,
}

impl<'b> Texts<'b> {
    /// The next one; none when its end has not arrived.
    fn next(&mut self) -> Parsed<Option<&'b str>> {
        let Some(end) = self.rest.iter().position(|byte| *byte == 0) else { return Ok(None) };
        let text = self.rest.get(..end).unwrap_or_default();
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        self.read += end + 1;
        match std::str::from_utf8(text) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(format!("a text that is not UTF-8: {}", shown(text))),
        }
    }
}

/// Where bodies lie behind a head.
struct Bodies {
    start: usize,
    end: usize,
    most: usize,
}

impl Bodies {
    fn after(start: usize, most: usize) -> Self {
        Self { start, end: start, most }
    }

    fn range(&self) -> Range<usize> {
        self.start..self.end
    }

    /// Places of the fields, sorted by name as samples have them.
    fn fields(
        &mut self,
        named: Vec<Named>,
        sample: &Sample,
    ) -> Parsed<Vec<(String, Option<Range<usize>>)>> {
        if named.is_empty() || named.len() > FIELDS {
            let count = named.len();
            return Err(format!("{count} fields; a sample has 1 to {FIELDS}, or is dropped"));
        }
        let mut fields = Vec::new();
        let mut names = HashSet::new();
        for (name, len) in named {
            if name.is_empty() || !names.insert(name.clone()) {
                return Err(format!("field {name:?}: each needs a name of its own"));
            }
            let place = match len {
                None if sample.fields.iter().any(|(known, _)| *known == name) => None,
                None => {
                    return Err(format!(
                        "field {name:?} has no length, and the sample has none of that name"
                    ));
                }
                Some(len) => Some(self.place(&name, len)?),
            };
            fields.push((name, place));
        }
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(fields)
    }

    fn place(&mut self, name: &str, len: u64) -> Parsed<Range<usize>> {
        let room = (self.start + self.most).saturating_sub(self.end);
        match usize::try_from(len) {
            Ok(len) if len <= room => {
                let start = self.end;
                self.end += len;
                Ok(start..self.end)
            }
            _ => Err(format!(
                "field {name:?} has {len} bytes: an answer may have {} in all; see --memory and --jobs",
                self.most
            )),
        }
    }
}

fn same_key(key: &str, sample: &Sample) -> Parsed<()> {
    match key == sample.key {
        true => Ok(()),
        false => Err(format!("an answer for {key:?}: they come in the order of the requests")),
    }
}

fn number(text: &str) -> Parsed<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| text.parse().ok()).flatten();
    number.ok_or_else(|| format!("{text:?} is no number"))
}

/// The start of what came instead of an answer.
fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    let start = bytes.get(..SHOWN).unwrap_or(bytes);
    format!("{}{}", start.escape_ascii(), if bytes.len() > SHOWN { "..." } else { "" })
}

#[cfg(test)]
mod tests;
