//! Names of shards.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// A template for shard names, checked when parsed.
///
/// `{split}`, `{shard}` and `{shards}` (both may be padded: `{shard:05}`), `{ext}` (extension of
/// the format and the compression: `tar.gz`).
///
/// ```
/// use shardpack_pack::Template;
/// let t: Template = "{split}-{shard:05}-of-{shards:05}.{ext}".parse().unwrap();
/// assert_eq!(t.render("train", 3, 12, "tar"), "train-00003-of-00012.tar");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Split,
    Shard(usize),
    Shards(usize),
    Ext,
}

/// `train-00000-of-00010.tar`: the name that most tools glob and that tells when a shard is missing.
const DEFAULT: &str = "{split}-{shard:05}-of-{shards:05}.{ext}";
/// TensorFlow slim's names have no extension.
const SLIM: &str = "{split}-{shard:05}-of-{shards:05}";
/// TensorFlow Datasets puts the extension before the number.
const TFDS: &str = "{split}.{ext}-{shard:05}-of-{shards:05}";

impl Default for Template {
    fn default() -> Self {
        Self { text: DEFAULT.into(), parts: parse(DEFAULT).unwrap_or_default() }
    }
}

impl Template {
    /// The name of shard `shard` of `shards`.
    pub fn render(&self, split: &str, shard: usize, shards: usize, ext: &str) -> String {
        let mut name = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => name.push_str(text),
                Part::Split => name.push_str(split),
                Part::Shard(width) => name.push_str(&format!("{shard:0width$}")),
                Part::Shards(width) => name.push_str(&format!("{shards:0width$}")),
                Part::Ext => name.push_str(ext),
            }
        }
        name
    }

    /// True when names differ between splits of the same run.
    pub fn names_split(&self) -> bool {
        self.parts.contains(&Part::Split)
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Template {
    type Err = Error;

    /// `default`, `slim`, `tfds`, `NAME-tfds` style prefixes, or a template.
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = match text {
            "default" => DEFAULT,
            "slim" => SLIM,
            "tfds" => TFDS,
            other => other,
        };
        let parts = parse(text).map_err(|why| Error::Usage(format!("--name {text:?}: {why}")))?;
        Ok(Self { text: text.into(), parts })
    }
}

fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(Part::Text(rest[..open].into()));
        }
        let close = rest[open..].find('}').ok_or("a { without }")? + open;
        let (name, width) = match rest[open + 1..close].split_once(':') {
            Some((name, width)) => {
                let digits = width.strip_prefix('0').unwrap_or(width);
                (name, digits.parse().ok().filter(|w| *w <= 20).ok_or("a width is 1 to 20")?)
            }
            None => (&rest[open + 1..close], 0),
        };
        parts.push(match name {
            "split" => Part::Split,
            "shard" => Part::Shard(width),
            "shards" => Part::Shards(width),
            "ext" => Part::Ext,
            _ => {
                return Err(format!(
                    "{{{name}}} is none of {{split}} {{shard}} {{shards}} {{ext}}"
                ));
            }
        });
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.into()));
    }
    let fine = |c: char| c.is_ascii_alphanumeric() || "-_.+=@".contains(c);
    for part in &parts {
        if let Part::Text(text) = part
            && !text.chars().all(fine)
        {
            return Err(format!("{text:?}: letters, digits and - _ . + = @ only"));
        }
    }
    if !parts.iter().any(|p| matches!(p, Part::Shard(_))) {
        return Err("{shard} is missing, so all shards would have one name".into());
    }
    if matches!(parts.first(), Some(Part::Text(t)) if t.starts_with(['.', '_'])) {
        return Err("a name that starts with . or _ is hidden from many readers".into());
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_render() {
        for (template, want) in [
            ("default", "val-00003-of-00012.tar"),
            ("slim", "val-00003-of-00012"),
            ("tfds", "val.tar-00003-of-00012"),
            ("mnist-{split}.{ext}-{shard:05}-of-{shards:05}", "mnist-val.tar-00003-of-00012"),
            ("x-{shard}", "x-3"),
            ("{shard:6}.tar", "000003.tar"),
        ] {
            let t: Template = template.parse().unwrap();
            assert_eq!(t.render("val", 3, 12, "tar"), want, "{template}");
        }
    }

    #[test]
    fn bad_templates_say_why() {
        for (template, why) in [
            ("plain", "{shard} is missing"),
            ("{shard", "without }"),
            ("{rank}-{shard}", "{rank} is none of"),
            ("{shard:99}", "width"),
            ("a/{shard}", "letters, digits"),
            (".{shard}", "hidden"),
        ] {
            let error = template.parse::<Template>().unwrap_err().to_string();
            assert!(error.contains(why), "{template}: {error}");
        }
    }
}
