//! Maps from names to messages.

use super::{MAX_VALUES, Malformed, Parsed, Span, Value, wrong_type};

/// The entries of a `map<string, Message>`: name and value, in stored order. Of entries with the
/// same name the last one counts, as in every protobuf reader.
pub(crate) fn map_entries<'a>(
    message: Span<'a>,
    tag: u32,
    entries: &mut Vec<(&'a str, Span<'a>)>,
) -> Parsed<()> {
    for entry in message.spans(tag) {
        let (mut name, mut value) = ("", None);
        for field in entry?.fields() {
            match field? {
                (1, Value::Span(span)) => name = span.text()?,
                (2, Value::Span(_)) if value.is_some() => {
                    return Err(Malformed(format!("map entry {name:?} has two values")));
                }
                (2, Value::Span(span)) => value = Some(span),
                (tag @ (1 | 2), _) => return Err(wrong_type(tag)),
                _ => {}
            }
        }
        if entries.len() == MAX_VALUES {
            return Err(Malformed(format!("more than {MAX_VALUES} values in one record")));
        }
        entries.push((name, value.unwrap_or(Span { bytes: &[], at: 0 })));
    }
    Ok(())
}

/// Drops every entry that a later one of the same name replaces.
pub(crate) fn keep_last(entries: &mut Vec<(&str, Span<'_>)>) {
    if entries.is_sorted_by(|a, b| a.0 < b.0) {
        return; // What deterministic writers store: nothing to do, nothing to allocate.
    }
    let mut last: Vec<usize> = (0..entries.len()).collect();
    last.sort_by_key(|&i| (entries[i].0, i));
    let mut keep = vec![true; entries.len()];
    for pair in last.windows(2) {
        keep[pair[0]] = entries[pair[0]].0 != entries[pair[1]].0;
    }
    let mut keep = keep.into_iter();
    entries.retain(|_| keep.next().unwrap_or(true));
}
