//! The names of files that a key and a field do not tell: `a.JPEG` is field `jpeg` of sample `a`.
//!
//! One JSON array a line beside the shard's index, `[record, field, path]`, only for fields whose
//! file is not called `key.field`; `null` stands for a field that was no file (a label). With it,
//! unpacking gives back the tree as it was.

use std::collections::HashMap;

use crate::plan::{Body, ShardPlan};
use crate::shard::Context;
use crate::{Error, Result};

/// Where the names of a shard lie in the dataset.
pub(crate) fn sources_path(shard: &str) -> String {
    format!("index/{}.sources", shard.strip_prefix("shards/").unwrap_or(shard))
}

/// The lines for one shard; empty when every file is called as its key and field say.
pub(crate) fn of_shard(context: &Context<'_>, shard: &ShardPlan) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut shaper = crate::plan::Shaper::default();
    let mut expected = Vec::new();
    for place in shard.start..shard.end {
        context.shape(&mut shaper, place, |shape, bodies, _| {
            for (field, body) in shape.fields.iter().zip(bodies) {
                let path = match body {
                    Body::Inline(_) => None,
                    Body::File(id) => {
                        expected.clear();
                        expected.extend_from_slice(shape.key.as_bytes());
                        expected.push(b'.');
                        expected.extend_from_slice(field.name.as_bytes());
                        let file = context.samples.listing().file(*id);
                        if file.is_at(&expected) {
                            continue;
                        }
                        Some(String::from_utf8_lossy(&file.path()).into_owned())
                    }
                };
                let line = (place - shard.start, field.name, path);
                if serde_json::to_writer(&mut lines, &line).is_ok() {
                    lines.push(b'\n');
                }
            }
        });
    }
    lines
}

/// What a file of names says: by record and field, the file's path, or none for a label.
pub(crate) fn parse(bytes: &[u8], path: &str) -> Result<HashMap<(u64, String), Option<String>>> {
    let lines = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    lines
        .enumerate()
        .map(|(i, line)| {
            let (record, field, source): (u64, String, Option<String>) =
                serde_json::from_slice(line).map_err(|e| Error::Shard {
                    shard: path.into(),
                    reason: format!("line {}: {e}", i + 1),
                })?;
            Ok(((record, field), source))
        })
        .collect()
}
