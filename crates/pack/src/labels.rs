//! Labels for samples: from folders, a CSV table, JSON lines or MXNet's list.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use shardpack_formats::Label;

use crate::error::Offenders;
use crate::group::{SampleId, Samples};
use crate::options::{Labels, PackOptions, Policy};
use crate::{Error, Result};

/// One row of a label table.
struct Row {
    name: String,
    values: Vec<String>,
    id: Option<u64>,
    line: u64,
}

/// Gives every sample its label.
pub(crate) fn assign(samples: &mut Samples<'_>, options: &PackOptions) -> Result<()> {
    let (rows, table) = match &options.labels {
        None => return Ok(()),
        Some(Labels::Folder) => return from_folders(samples, options),
        Some(Labels::Csv { table, name }) => (read_csv(table, name, options)?, name),
        Some(Labels::JsonLines { table, name }) => (read_json_lines(table, name, options)?, name),
        Some(Labels::Lst { table, name }) => (read_lst(table, name)?, name),
    };
    let labels = number(&rows, samples, options);
    join(samples, options, &rows, &labels, table)
}

fn from_folders(samples: &mut Samples<'_>, options: &PackOptions) -> Result<()> {
    let mut names = BTreeMap::<String, u32>::new();
    let mut rootless = Offenders::default();
    let class = |folder: &str| folder.rsplit('/').next().unwrap_or_default().to_string();
    for sample in 0..samples.len() as SampleId {
        let class = class(&samples.folder(sample));
        if class.is_empty() {
            rootless.add(|| {
                let mut key = String::new();
                samples.key(sample, &mut key);
                key
            });
        } else {
            names.entry(class).or_insert(0);
        }
    }
    if options.unlabelled == Policy::Error {
        rootless.refuse("--labels folder: these samples lie in no class folder; move them, or choose --unlabelled skip or allow")?;
    }
    samples.classes = classes(names.keys(), options);
    for (name, slot) in &mut names {
        *slot = samples.labels.len() as u32;
        let id = samples.classes.get(name).copied().unwrap_or_default();
        samples.labels.push(Label { values: vec![id as f64], text: Some(name.clone()) });
    }
    for sample in 0..samples.len() as SampleId {
        let class = class(&samples.folder(sample));
        samples.set_label(sample, names.get(&class).copied().unwrap_or(0));
    }
    drop_unlabelled(samples, options);
    Ok(())
}

/// Ids of classes whose names come sorted: those that a dataset has keep theirs, new ones count on.
fn classes<'n>(
    names: impl IntoIterator<Item = &'n String>,
    options: &PackOptions,
) -> BTreeMap<String, u64> {
    let known = options.existing.as_ref().map(|existing| existing.classes.clone());
    let mut classes = known.unwrap_or_default();
    let mut next = classes.values().max().map_or(0, |last| last + 1);
    for name in names {
        if !classes.contains_key(name) {
            classes.insert(name.clone(), next);
            next += 1;
        }
    }
    classes
}

/// Turns the texts of a table into labels: numbers stay numbers; a column with any text in it
/// makes classes, numbered by their sorted names.
fn number(rows: &[Row], samples: &mut Samples<'_>, options: &PackOptions) -> Vec<Label> {
    let numeric = rows.iter().flat_map(|r| &r.values).all(|v| v.trim().parse::<f64>().is_ok());
    if numeric {
        let values = |r: &Row| r.values.iter().filter_map(|v| v.trim().parse().ok()).collect();
        return rows.iter().map(|r| Label { values: values(r), text: None }).collect();
    }
    let mut names: Vec<&String> = rows.iter().flat_map(|r| &r.values).collect();
    names.sort();
    names.dedup();
    samples.classes = classes(names, options);
    let id = |v: &String| samples.classes.get(v).map_or(-1.0, |id| *id as f64);
    let label = |r: &Row| Label {
        values: r.values.iter().map(id).collect(),
        text: Some(r.values.join(",")),
    };
    rows.iter().map(label).collect()
}

fn join(
    samples: &mut Samples<'_>,
    options: &PackOptions,
    rows: &[Row],
    labels: &[Label],
    table: &str,
) -> Result<()> {
    let mut by_name = HashMap::<&str, usize>::with_capacity(rows.len());
    let mut twice = Offenders::default();
    for (i, row) in rows.iter().enumerate() {
        let key = row.name.strip_prefix("./").unwrap_or(&row.name);
        if let Some(before) = by_name.insert(key, i) {
            twice.add(|| format!("{key}: lines {} and {}", rows[before].line, row.line));
        }
    }
    twice.refuse(format!("{table} labels these samples twice; remove one of each pair"))?;

    let (mut used, mut unlabelled) = (vec![false; rows.len()], Offenders::default());
    let with_ids = rows.iter().any(|row| row.id.is_some());
    let mut key = String::new();
    let mut slots = HashMap::<usize, u32>::new();
    let mut ids = Vec::new();
    for sample in 0..samples.len() as SampleId {
        samples.key(sample, &mut key);
        let found = find(&by_name, samples, sample, &key);
        match found {
            Some(row) => {
                used[row] = true;
                let slot = *slots.entry(row).or_insert_with(|| {
                    samples.labels.push(labels[row].clone());
                    (samples.labels.len() - 1) as u32
                });
                samples.set_label(sample, slot);
            }
            None => unlabelled.add(|| key.clone()),
        }
        if with_ids {
            ids.push(found.and_then(|row| rows[row].id).unwrap_or(0));
        }
    }
    samples.ids = ids;
    if options.unlabelled == Policy::Error {
        unlabelled.refuse(format!(
            "{table} has no label for these samples; add rows, or choose --unlabelled skip or allow"
        ))?;
        let mut unused = Offenders::default();
        for (row, _) in rows.iter().zip(&used).filter(|(_, used)| !**used) {
            unused.add(|| format!("line {}: {}", row.line, row.name));
        }
        unused.refuse(format!(
            "{table} labels samples that are not there; remove the rows, or choose --unlabelled skip or allow"
        ))?;
    } else {
        let unused = used.iter().filter(|used| !**used).count() as u64;
        if unused > 0 {
            samples.skipped.push(("label rows without a sample".into(), unused));
        }
    }
    drop_unlabelled(samples, options);
    Ok(())
}

/// A row names a sample by its key or by the path of one of its files.
fn find(
    by_name: &HashMap<&str, usize>,
    samples: &Samples<'_>,
    sample: SampleId,
    key: &str,
) -> Option<usize> {
    by_name.get(key).copied().or_else(|| {
        let path = |f: &u32| String::from_utf8(samples.listing().file(*f).path()).ok();
        samples.members(sample).iter().filter_map(path).find_map(|p| by_name.get(&*p).copied())
    })
}

fn drop_unlabelled(samples: &mut Samples<'_>, options: &PackOptions) {
    if options.unlabelled != Policy::Skip {
        return;
    }
    let labelled: Vec<bool> =
        (0..samples.len()).map(|i| !samples.label(i as SampleId).is_empty()).collect();
    let dropped = labelled.iter().filter(|l| !**l).count() as u64;
    if dropped > 0 {
        samples.skipped.push(("samples without a label (--unlabelled skip)".into(), dropped));
        samples.retain(|i| labelled[i]);
    }
}

fn bad_row(table: &str, line: u64, why: impl std::fmt::Display) -> Error {
    Error::Usage(format!("{table}, line {line}: {why}"))
}

fn read_csv(table: &[u8], name: &str, options: &PackOptions) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new().from_reader(table);
    let header = reader.headers().map_err(|e| bad_row(name, 1, e))?.clone();
    let column = |wanted: &str| {
        header.iter().position(|h| h.trim() == wanted).ok_or_else(|| {
            let have = header.iter().collect::<Vec<_>>().join(", ");
            bad_row(name, 1, format!("no column {wanted:?}; the header has {have}"))
        })
    };
    let key = options.label_key.as_deref().map_or(Ok(0), column)?;
    let columns = match options.label_columns.is_empty() {
        true => (0..header.len()).filter(|i| *i != key).collect(),
        false => options.label_columns.iter().map(|c| column(c)).collect::<Result<Vec<_>>>()?,
    };
    if columns.is_empty() {
        return Err(bad_row(name, 1, "no column is left for the label"));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let line = rows.len() as u64 + 2;
        let record = record.map_err(|e| bad_row(name, line, e))?;
        let line = record.position().map_or(line, csv::Position::line);
        let cell = |i: &usize| record.get(*i).unwrap_or_default().trim().to_string();
        let values: Vec<String> = columns.iter().map(cell).collect();
        if let Some(i) = values.iter().position(String::is_empty) {
            let column = header.get(columns[i]).unwrap_or_default();
            return Err(bad_row(name, line, format!("column {column:?} is empty")));
        }
        rows.push(Row { name: cell(&key), values, id: None, line });
    }
    Ok(rows)
}

/// Where a JSON row may name its sample, in this order, unless `--label-key` says.
const JSON_KEYS: &[&str] = &["key", "path", "file_name", "file", "image"];
/// Where it may hold its label, unless `--label-column` says.
const JSON_LABELS: &[&str] = &["label", "labels", "class"];

fn read_json_lines(table: &[u8], name: &str, options: &PackOptions) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (i, text) in table.split(|b| *b == b'\n').enumerate() {
        let line = i as u64 + 1;
        if text.trim_ascii().is_empty() {
            continue;
        }
        let object: serde_json::Map<String, Value> =
            serde_json::from_slice(text).map_err(|e| bad_row(name, line, e))?;
        let key = match &options.label_key {
            Some(key) => object.get(key),
            None => JSON_KEYS.iter().find_map(|k| object.get(*k)),
        };
        let Some(Value::String(key)) = key else {
            let wanted = options.label_key.clone().unwrap_or_else(|| JSON_KEYS.join(", "));
            return Err(bad_row(name, line, format!("no text under {wanted}")));
        };
        let labels: Vec<&Value> = match options.label_columns.is_empty() {
            true => JSON_LABELS.iter().filter_map(|k| object.get(*k)).take(1).collect(),
            false => options.label_columns.iter().filter_map(|k| object.get(k)).collect(),
        };
        let values = labels
            .into_iter()
            .flat_map(|v| match v {
                Value::Array(values) => values.iter().collect(),
                value => vec![value],
            })
            .map(|v| match v {
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                _ => None,
            })
            .collect::<Option<Vec<String>>>()
            .filter(|values| !values.is_empty());
        let Some(values) = values else {
            return Err(bad_row(name, line, "no label that is a number, a text or a list of them"));
        };
        rows.push(Row { name: key.clone(), values, id: None, line });
    }
    Ok(rows)
}

fn read_lst(table: &[u8], name: &str) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (i, text) in table.split(|b| *b == b'\n').enumerate() {
        let line = i as u64 + 1;
        let text = std::str::from_utf8(text).map_err(|e| bad_row(name, line, e))?.trim();
        if text.is_empty() {
            continue;
        }
        let columns: Vec<&str> = text.split('\t').collect();
        let [id, labels @ .., path] = &columns[..] else {
            return Err(bad_row(name, line, "fewer than three columns between TABs"));
        };
        if labels.is_empty() {
            return Err(bad_row(name, line, "fewer than three columns between TABs"));
        }
        let id = id
            .trim()
            .parse()
            .map_err(|_| bad_row(name, line, format!("id {id:?} is no whole number")))?;
        if let Some(bad) = labels.iter().find(|l| l.trim().parse::<f32>().is_err()) {
            return Err(bad_row(name, line, format!("label {bad:?} is no number")));
        }
        rows.push(Row {
            name: (*path).to_string(),
            values: labels.iter().map(|l| (*l).to_string()).collect(),
            id: Some(id),
            line,
        });
    }
    Ok(rows)
}

/// Field names of labels that become fields, because the format has no place of its own for them.
///
/// A single whole number is what decoders take for a class id (`cls`); the class's name and
/// anything else are spelled so that the last part of the name still picks the decoder.
pub(crate) fn as_fields(label: &Label) -> Vec<(&'static str, Vec<u8>)> {
    let mut fields = Vec::new();
    match &label.values[..] {
        [] => {}
        [id] if id.fract() == 0.0 && id.abs() < 9e15 => {
            fields.push(("cls", format!("{}", *id as i64).into_bytes()));
        }
        values => {
            let whole = values.iter().all(|v| v.fract() == 0.0 && v.abs() < 9e15);
            let text: Vec<String> = match whole {
                true => values.iter().map(|v| (*v as i64).to_string()).collect(),
                false => values.iter().map(f64::to_string).collect(),
            };
            fields.push(("cls.json", format!("[{}]", text.join(",")).into_bytes()));
        }
    }
    if let Some(text) = &label.text {
        fields.push(("cls.txt", text.clone().into_bytes()));
    }
    fields
}

#[cfg(test)]
mod tests;
