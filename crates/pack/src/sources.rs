//! The names of files that a key and a field do not tell: `a.JPEG` is field `jpeg` of sample `a`.
//!
//! One JSON array a line beside the shard's index, `[record, field, path]`, only for fields whose
//! file is not called `key.field`; `null` stands for a field that was no file (a label). With it,
//! unpacking gives back the tree as it was. The manifest has its length and crc32c.

use std::collections::HashMap;

use shardpack_formats::SampleShape;

use crate::context::Context;
use crate::plan::Body;

/// Where the names of a shard lie in the dataset.
pub(crate) fn sources_path(shard: &str) -> String {
    format!("index/{}.sources", shard.strip_prefix("shards/").unwrap_or(shard))
}

/// Appends the lines of one record; none when every file is called as its key and field say.
pub(crate) fn note(
    context: &Context<'_>,
    record: usize,
    shape: &SampleShape<'_>,
    bodies: &[Body],
    lines: &mut Vec<u8>,
) {
    for (field, body) in shape.fields.iter().zip(bodies) {
        let path = match body {
            Body::Inline(_) => None,
            Body::File(id) => {
                if let Some(named) = context.samples.catalog.and_then(|c| c.original(*id)) {
                    line(record, field.name, named, lines);
                    continue;
                }
                let file = context.samples.listing().file(*id);
                if file.is_called(shape.key, field.name) {
                    continue;
                }
                Some(String::from_utf8_lossy(&file.path()).into_owned())
            }
        };
        line(record, field.name, path.as_deref(), lines);
    }
}

fn line(record: usize, field: &str, path: Option<&str>, lines: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let line = serde_json::to_vec(&(record, field, path)).unwrap_or_default();
    lines.extend_from_slice(&line);
    lines.push(b'\n');
}

/// What a file of names says: by record and field, the file's path, or none for a label.
pub(crate) type Names = HashMap<(u64, String), Option<String>>;

/// Reads a file of names; fails with the reason.
pub(crate) fn parse(bytes: &[u8]) -> Result<Names, String> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(i, line)| {
            let (record, field, source): (u64, String, Option<String>) =
                serde_json::from_slice(line).map_err(|e| format!("line {}: {e}", i + 1))?;
            Ok(((record, field), source))
        })
        .collect()
}
