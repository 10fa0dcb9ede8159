//! Rows of CSV and JSON lines.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use crate::{Error, Result};

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cell<'r> {
    Text(&'r str),
    /// JSON as it is spelled.
    Json(&'r str),
    /// Spelled as a number, of a table that does not tell numbers from texts.
    Numeric(&'r str),
    /// What is neither text nor JSON, in words.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code, reason = "only Parquet has such values"))]
    Unfit(&'static str),
}

/// Takes rows: the line, and column and value of each cell that has one. Columns stand in the same
/// order in each row, as far as they are there.
pub(super) type TakeRow<'t> = dyn FnMut(u64, &[(&str, Option<Cell<'_>>)]) -> Result<()> + 't;

/// Longest line of JSON in bytes.
const LONGEST: u64 = 64 << 20;

/// Most columns of a table: far more than anybody adds as fields.
pub(super) const MOST_COLUMNS: usize = 4096;

/// What is wrong with a line of a table.
pub(super) fn bad(table: &str, line: u64, why: impl fmt::Display) -> Error {
    Error::Usage(format!("{table}, line {line}: {why}"))
}

/// Rows of a table with a header; an empty cell has no value.
pub(super) fn csv(input: impl Read, name: &str, take: &mut TakeRow<'_>) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new().from_reader(input);
    let header = reader.headers().map_err(|e| bad(name, 1, e))?.clone();
    // A mark of the byte order is what spreadsheets put in front of UTF-8.
    let names: Vec<&str> = header.iter().map(|h| h.trim_start_matches('\u{feff}').trim()).collect();
    if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
        return Err(bad(name, 1, format!("column {:?} is there twice", twice.1)));
    }
    let mut record = csv::StringRecord::new();
    let mut line = 1;
    while reader.read_record(&mut record).map_err(|e| bad(name, line + 1, e))? {
        line = record.position().map_or(line + 1, csv::Position::line);
        let cells: Vec<_> = names.iter().copied().zip(record.iter().map(cell)).collect();
        take(line, &cells)?;
    }
    Ok(())
}

fn cell(text: &str) -> Option<Cell<'_>> {
    match text {
        "" => None,
        // JSON has no spaces in a number, but its parser passes over those before it.
        text if !text.starts_with(char::is_whitespace) && Number::from_str(text).is_ok() => {
            Some(Cell::Numeric(text))
        }
        text => Some(Cell::Text(text)),
    }
}

/// Objects, one a line; `null` is no value.
pub(super) fn json_lines(input: impl Read, name: &str, take: &mut TakeRow<'_>) -> Result<()> {
    let mut input = BufReader::with_capacity(256 << 10, input);
    let (mut text, mut line) = (Vec::new(), 0);
    loop {
        line += 1;
        text.clear();
        let read = (&mut input).take(LONGEST).read_until(b'\n', &mut text);
        let failed = |e: io::Error| Error::Store(shardpack_store::Error::io(e, name));
        match read.map_err(failed)? as u64 {
            0 => return Ok(()),
            LONGEST => return Err(bad(name, line, format!("is longer than {LONGEST} bytes"))),
            _ if text.trim_ascii().is_empty() => {}
            _ => json_line(&text, name, line, take)?,
        }
    }
}

fn json_line(text: &[u8], name: &str, line: u64, take: &mut TakeRow<'_>) -> Result<()> {
    let mut parser = serde_json::Deserializer::from_slice(text);
    let Members(members) = Members::deserialize(&mut parser).map_err(|e| bad(name, line, e))?;
    parser.end().map_err(|e| bad(name, line, e))?;
    if let Some((_, (twice, _))) =
        members.iter().enumerate().find(|(i, (n, _))| members[..*i].iter().any(|(m, _)| m == n))
    {
        return Err(bad(name, line, format!("{twice:?} is there twice")));
    }
    let texts: Vec<Option<String>> = (members.iter())
        .map(|(_, value)| value.get().starts_with('"').then(|| serde_json::from_str(value.get())))
        .map(Option::transpose)
        .collect::<serde_json::Result<_>>()
        .map_err(|e| bad(name, line, e))?;
    let cells: Vec<(&str, Option<Cell<'_>>)> = (members.iter().zip(&texts))
        .map(|((name, value), text)| {
            let cell = match (text, value.get()) {
                (Some(text), _) => Some(Cell::Text(text)),
                (None, "null") => None,
                (None, json) => Some(Cell::Json(json)),
            };
            (name.as_str(), cell)
        })
        .collect();
    take(line, &cells)
}

/// An object's members in their order.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(Object)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> std::result::Result<Members, M::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
            if members.len() > MOST_COLUMNS {
                return Err(serde::de::Error::custom(format!("more than {MOST_COLUMNS} members")));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read<'f> = &'f dyn Fn(&[u8], &mut TakeRow<'_>) -> Result<()>;

    /// Rows as text, one a line.
    fn rows(read: Read<'_>, table: &str) -> String {
        let mut rows = String::new();
        let outcome = read(table.as_bytes(), &mut |line, cells| {
            rows.push_str(&format!("{line}:"));
            for (name, cell) in cells {
                rows.push_str(&match cell {
                    None => format!(" {name}=-"),
                    Some(Cell::Text(text)) => format!(" {name}={text:?}"),
                    Some(Cell::Json(json)) => format!(" {name}={json}"),
                    Some(Cell::Numeric(text)) => format!(" {name}=#{text}"),
                    Some(Cell::Unfit(what)) => format!(" {name}: {what}"),
                });
            }
            rows.push('\n');
            Ok(())
        });
        if let Err(error) = outcome {
            rows.push_str(&format!("{error}\n"));
        }
        rows
    }

    #[test]
    fn csv_tells_values_apart_and_lines_of_what_is_wrong() {
        let read: Read<'_> = &|table, take| csv(table, "t", take);
        for (table, want) in [
            ("key,n\na,1\nb,\n", "2: key=\"a\" n=#1\n3: key=\"b\" n=-\n"),
            ("\u{feff}key, n \na,007\n", "2: key=\"a\" n=\"007\"\n"),
            ("k\n\"two\nlines\"\nx\n", "2: k=\"two\\nlines\"\n4: k=\"x\"\n"),
            ("k,n\na, 1\nb,1 \n", "2: k=\"a\" n=\" 1\"\n3: k=\"b\" n=\"1 \"\n"),
            ("k,k\na,1\n", "t, line 1: column \"k\" is there twice\n"),
        ] {
            assert_eq!(rows(read, table), want, "{table:?}");
        }
        let short = rows(read, "k,n\na,1\nb\n");
        assert!(short.contains("2: k=\"a\"") && short.contains("t, line 3"), "{short}");
    }

    #[test]
    fn json_keeps_its_spelling_and_order() {
        let read: Read<'_> = &|table, take| json_lines(table, "t", take);
        for (table, want) in [
            ("{\"b\": 1.50, \"a\": \"x\\u0041\"}", "1: b=1.50 a=\"xA\"\n"),
            ("\n{\"a\": null, \"l\": [1,  2]}\n\n", "2: a=- l=[1,  2]\n"),
            ("{\"a\": 1, \"a\": 2}", "t, line 1: \"a\" is there twice\n"),
        ] {
            assert_eq!(rows(read, table), want, "{table:?}");
        }
        for table in ["[1]", "{\"a\": 1} {}", "{\"a\": ", "{\"a\": \"\\ud800\"}", "\u{1}"] {
            let told = rows(read, &format!("{{}}\n{table}\n"));
            assert!(told.contains("t, line 2"), "{table}: {told}");
        }
    }
}
