//! Attributes as labels.

use shardpack_manifest::sagemaker::{AugmentedManifest, Inline, Value};

use super::AugmentedSource;
use crate::{Error, Result};

/// The attributes called `names`, by number.
pub(super) fn attributes(manifest: &AugmentedManifest, names: &[String]) -> Result<Vec<usize>> {
    let usage = |name: &str, why: String| Error::Usage(format!("--label-attribute {name}: {why}"));
    let number = |name: &String| {
        let found = manifest.attributes().position(|attribute| attribute == name);
        let number = found.ok_or_else(|| {
            let all: Vec<_> = manifest.attributes().collect();
            usage(name, format!("no such attribute; there are {} (case counts)", all.join(", ")))
        })?;
        match manifest.is_ref(number) {
            true => Err(usage(name, "refers to objects; a label is a value of the line".into())),
            false => Ok(number),
        }
    };
    let numbers: Vec<usize> = names.iter().map(number).collect::<Result<_>>()?;
    for (i, number) in numbers.iter().enumerate() {
        if numbers.iter().take(i).any(|other| other == number) {
            return Err(usage(names.get(i).map_or("", |name| name), "named twice".into()));
        }
    }
    Ok(numbers)
}

/// A JSON object `{"key": ..., "label": [...]}` for each line of the manifest, in that line.
pub(super) fn table(source: &AugmentedSource) -> Vec<u8> {
    let AugmentedSource { manifest, labels, keys, .. } = source;
    let (mut table, mut key) = (Vec::new(), String::new());
    let mut line = 1;
    for row in 0..manifest.len() {
        let number = manifest.line(row).unwrap_or_default();
        table.extend((line..number).map(|_| b'\n'));
        line = number.max(line);
        let values = labels.iter().filter_map(|&attribute| match manifest.value(row, attribute) {
            Some(Value::Inline(value)) => Some(value),
            _ => None,
        });
        if values.clone().any(|value| value.json() == "null") {
            continue;
        }
        key.clear();
        keys.append(manifest, row, &mut key);
        let values: Vec<_> = values.map(spell).filter(|value| !value.is_empty()).collect();
        // Any text becomes JSON.
        let quoted = serde_json::to_string(&key).unwrap_or_default();
        let row = format!("{{\"key\":{quoted},\"label\":[{}]}}", values.join(","));
        table.extend_from_slice(row.as_bytes());
    }
    table
}

/// A value as part of a list of labels: lists join it, booleans are names of classes.
fn spell(value: Inline<'_>) -> String {
    let json = value.json();
    let inside = json.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
    match (json, inside) {
        ("true" | "false", _) => format!("\"{json}\""),
        (_, Some(list)) => list.to_owned(),
        _ => json.to_owned(),
    }
}
