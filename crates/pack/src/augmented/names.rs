//! Keys and fields of the samples of an augmented manifest.

use std::fmt::Write;

use rayon::prelude::*;
use shardpack_manifest::sagemaker::{AugmentedManifest, Value};

use super::{AugmentedOptions, SampleKeys};
use crate::Result;
use crate::error::Offenders;

/// What the field of an attribute is called.
pub(super) enum FieldName {
    /// As the extension of its object; in this way if it has none.
    Extension(String),
    /// This, and the extension of its object.
    Object(String),
    /// This.
    Value(String),
}

/// Extensions behind which another one says what was compressed.
const COMPRESSED: &[&str] = &["bz2", "gz", "xz", "zst"];
/// Longest extension in bytes: a name with more behind its last dot has rather no extension.
const LONGEST: usize = 16;
/// What labels are called where they are fields, up to the first dot.
const LABEL: &str = "cls";

impl FieldName {
    /// The names of the attributes `fields`. `labels` says that there are labels too.
    pub(super) fn all(manifest: &AugmentedManifest, fields: &[usize], labels: bool) -> Vec<Self> {
        let refs = fields.iter().filter(|&&attribute| manifest.is_ref(attribute)).count();
        let names: Vec<&str> = manifest.attributes().collect();
        let mut taken: Vec<String> = labels.then(|| LABEL.to_owned()).into_iter().collect();
        let name = |&attribute: &usize| {
            let mut base = safe(names.get(attribute).copied().unwrap_or_default());
            while taken.contains(&base) {
                base = format!("{base}-{}", attribute + 1);
            }
            taken.push(base.clone());
            match (manifest.is_ref(attribute), refs) {
                (true, 1) => Self::Extension(base),
                (true, _) => Self::Object(base),
                (false, _) if has_text(manifest, attribute) => Self::Value(base + ".txt"),
                (false, _) => Self::Value(base + ".json"),
            }
        };
        fields.iter().map(name).collect()
    }

    /// Appends the name in a line where the attribute refers to `uri`.
    pub(super) fn append(&self, uri: &str, out: &mut String) {
        match (self, extension(uri)) {
            (Self::Value(name), _) | (Self::Object(name) | Self::Extension(name), None) => {
                out.push_str(name);
            }
            (Self::Extension(_), Some(extension)) => lower(extension, out),
            (Self::Object(name), Some(extension)) => {
                out.push_str(name);
                out.push('.');
                lower(extension, out);
            }
        }
    }
}

fn lower(text: &str, out: &mut String) {
    out.extend(text.chars().map(|c| c.to_ascii_lowercase()));
}

/// True when an attribute is text in some line: all its values are then read as text.
fn has_text(manifest: &AugmentedManifest, attribute: usize) -> bool {
    (0..manifest.len()).into_par_iter().any(|row| match manifest.value(row, attribute) {
        Some(Value::Inline(value)) => value.is_string(),
        _ => false,
    })
}

/// An attribute's name as every format and reader takes it.
fn safe(attribute: &str) -> String {
    let name = attribute.strip_suffix("-ref").unwrap_or(attribute);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c.to_ascii_lowercase() } else { '_' })
        .skip_while(|&c| c == '_') // `__key__` belongs to readers, `_x` is not written back by some
        .collect();
    if name.is_empty() { "attribute".to_owned() } else { name }
}

/// The name of an object without its folder.
pub(super) fn base(uri: &str) -> &str {
    uri.rsplit('/').next().unwrap_or_default()
}

/// The extension of an object's name; two where the last says how it was compressed.
fn extension(uri: &str) -> Option<&str> {
    let base = base(uri);
    let fine = |ext: &str| {
        (1..=LONGEST).contains(&ext.len()) && ext.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    let (stem, last) =
        base.rsplit_once('.').filter(|(stem, last)| !stem.is_empty() && fine(last))?;
    if COMPRESSED.iter().any(|compressed| last.eq_ignore_ascii_case(compressed))
        && let Some((stem, before)) = stem.rsplit_once('.')
        && fine(before)
        && !stem.is_empty()
    {
        return base.get(base.len() - before.len() - 1 - last.len()..);
    }
    Some(last)
}

/// What samples are called.
#[derive(Debug)]
pub(super) enum Keys {
    /// As the object of this attribute.
    Of(usize),
    /// As their lines.
    Line,
}

impl Keys {
    pub(super) fn new(
        manifest: &AugmentedManifest,
        fields: &[usize],
        options: &AugmentedOptions,
    ) -> Result<Self> {
        if options.keys == SampleKeys::Line {
            return Ok(Self::Line);
        }
        let first = fields.iter().copied().find(|&attribute| manifest.is_ref(attribute));
        let unfit = match first {
            Some(attribute) => unfit(manifest, attribute),
            None => {
                let mut none = Offenders::default();
                none.add(|| "no attribute ends in -ref".to_owned());
                none
            }
        };
        match (first, unfit.count()) {
            (Some(attribute), 0) => Ok(Self::Of(attribute)),
            _ if options.keys == SampleKeys::Auto => Ok(Self::Line),
            _ => {
                let rule = "the names of the objects cannot be the samples' keys; take line numbers as keys";
                unfit.refuse(format!("{}: {rule}", options.name))?;
                Ok(Self::Line)
            }
        }
    }

    /// Appends the key of a row.
    pub(super) fn append(&self, manifest: &AugmentedManifest, row: usize, out: &mut String) {
        match self {
            Self::Of(attribute) => out.push_str(stem(manifest, row, *attribute)),
            Self::Line => {
                // Writing to a String cannot fail.
                let _ = write!(out, "line-{:08}", manifest.line(row).unwrap_or_default());
            }
        }
    }
}

/// The name of the object that a row refers to, up to its first dot.
fn stem(manifest: &AugmentedManifest, row: usize, attribute: usize) -> &str {
    match manifest.value(row, attribute) {
        Some(Value::Ref { uri, .. }) => base(uri).split('.').next().unwrap_or_default(),
        _ => "",
    }
}

/// Rows whose stem is no key, or is that of another row.
fn unfit(manifest: &AugmentedManifest, attribute: usize) -> Offenders {
    let line = |row: u32| manifest.line(row as usize).unwrap_or_default();
    let stem = |row: u32| stem(manifest, row as usize, attribute);
    let mut order: Vec<u32> = (0..manifest.len() as u32).collect();
    order.par_sort_unstable_by(|&a, &b| stem(a).cmp(stem(b)).then(a.cmp(&b)));
    let mut unfit = Offenders::default();
    for &row in &order {
        if stem(row).is_empty() || stem(row).starts_with("__") {
            unfit.add(|| format!("line {}: {:?} is no key", line(row), stem(row)));
        }
    }
    for [a, b] in order.array_windows().filter(|[a, b]| stem(*a) == stem(*b)) {
        unfit.add(|| format!("lines {} and {}: {:?}", line(*a), line(*b), stem(*a)));
    }
    unfit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_of_objects() {
        for (uri, want) in [
            ("s3://b/d.v1/a.jpg", Some("jpg")),
            ("s3://b/a.2019.JPEG", Some("JPEG")),
            ("s3://b/a.nii.gz", Some("nii.gz")),
            ("s3://b/a.tar.Zst", Some("tar.Zst")),
            ("s3://b/a.gz", Some("gz")),
            ("s3://b/.b.gz", Some("gz")),
            ("s3://b/a.b c.gz", Some("gz")),
            ("s3://b/a", None),
            ("s3://b/d.x/a", None),
            ("s3://b/.hidden", None),
            ("s3://b/a.", None),
            ("s3://b/v1. final", None),
            ("s3://b/a.0123456789abcdefg", None),
        ] {
            assert_eq!(extension(uri), want, "{uri}");
        }
    }

    #[test]
    fn names_of_attributes() {
        for (attribute, want) in [
            ("image-ref", "image"),
            ("is-a-cat", "is-a-cat"),
            ("Bounding Box.1", "bounding_box_1"),
            ("__key__", "key__"),
            ("a/b\n\u{e9}", "a_b__"),
            ("-ref", "attribute"),
            ("___", "attribute"),
        ] {
            assert_eq!(safe(attribute), want, "{attribute}");
        }
    }
}
