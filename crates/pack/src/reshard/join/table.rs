//! A table as fields of samples.
//!
//! It is read twice: first for its columns and whether they hold text, then for its values, which go
//! to a scratch file one after another.

use std::sync::Arc;

use shardpack_dataset::{PIECE, ShardReader};
use shardpack_formats::{Label, crc32c};
use shardpack_store::{Object, Upload};

use super::super::catalog::{CatalogBuilder, NewField, NewSample, Record};
use super::super::scratch::Scratch;
use super::columns::Columns;
use super::rows::{self, Cell, TakeRow, bad};
use crate::{Error, Result};

/// A table with a row for each sample.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its bytes, which are read twice.
    pub object: Arc<dyn Object>,
    /// How it is written.
    pub kind: TableKind,
    /// The column that holds keys. Default: `key`; where there is none, the first one of a table
    /// that has a header.
    pub on: Option<String>,
    /// Makes one field of this name of all columns: a JSON object. Default: a field a column.
    pub as_json: Option<String>,
}

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// Comma-separated, with a header row. An empty cell has no value.
    Csv,
    /// A JSON object a line. `null` is no value.
    JsonLines,
    /// Apache Parquet.
    #[cfg(feature = "parquet")]
    Parquet,
}

/// A column that is taken, and the field that it becomes.
///
/// By default that is the column's name in lower case, with `_` for what is no ASCII letter, digit,
/// `-` or `_`, and `.txt` where any row holds text there, else `.json`. Text becomes a body as it is,
/// everything else as JSON. A row without a value gets no such field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name in the table; of a dataset, the field's name there.
    pub name: String,
    /// Name of the field.
    pub field: Option<String>,
}

/// What is taken of a table.
struct Plan {
    columns: Columns,
    key: usize,
    /// Columns that are taken, and their fields, sorted by these.
    taken: Vec<(usize, String)>,
}

impl Table {
    /// Lists the rows as samples of shard `shard`, whose bytes are written to `scratch`. Returns the
    /// length of that shard, and how many rows had no value. `name` is what messages call the table.
    pub(in super::super) fn list(
        &self,
        (columns, name): (&[Column], &str),
        (shard, scratch): (u32, &Scratch),
        builder: &mut CatalogBuilder,
    ) -> Result<(u64, u64)> {
        let plan = self.survey(columns, name)?;
        let mut bodies =
            Bodies { upload: scratch.create(shard)?, scratch, buffer: Vec::new(), at: 0 };
        let mut without = 0;
        self.rows(name, &mut |line, cells| {
            let row = plan.align(cells);
            let key = key(row[plan.key]).ok_or_else(|| {
                bad(name, line, format!("no key in {:?}", plan.columns.name(plan.key)))
            })?;
            let mut fields = Vec::with_capacity(plan.taken.len());
            match &self.as_json {
                Some(field) => fields.push((field.as_str(), bodies.push(&plan.object(&row))?)),
                None => {
                    for (column, field) in &plan.taken {
                        if let Some(Cell::Text(body) | Cell::Json(body) | Cell::Numeric(body)) =
                            row[*column]
                        {
                            fields.push((field.as_str(), bodies.push(body.as_bytes())?));
                        }
                    }
                }
            }
            if fields.is_empty() {
                without += 1;
                return Ok(());
            }
            let number = u32::try_from(line).map_err(|_| bad(name, line, "over 2^32 lines"))?;
            push(builder, key, Record { shard, number, place: (0, 0) }, &fields)
        })?;
        Ok((bodies.finish()?, without))
    }

    fn rows(&self, name: &str, take: &mut TakeRow<'_>) -> Result<()> {
        let input = || ShardReader::new(&*self.object, PIECE);
        match self.kind {
            TableKind::Csv => rows::csv(input(), name, take),
            TableKind::JsonLines => rows::json_lines(input(), name, take),
            #[cfg(feature = "parquet")]
            TableKind::Parquet => super::parquet::rows(&self.object, name, take),
        }
    }

    /// Finds the columns, and which are taken.
    fn survey(&self, wanted: &[Column], name: &str) -> Result<Plan> {
        let mut columns = Columns::new(name);
        self.rows(name, &mut |line, cells| columns.see(line, cells))?;
        if columns.found().is_empty() {
            return Err(Error::Usage(format!("--with {name}: the table has no rows")));
        }
        let key = match (&self.on, self.kind) {
            (Some(on), _) => columns.find("--on", on)?,
            (None, TableKind::JsonLines) => columns.find("--on", "key")?,
            (None, _) => columns.number("key").unwrap_or(0),
        };
        let mut taken = columns.taken(wanted, key)?;
        columns.refuse_unfit(key, &taken)?;
        if self.as_json.is_none() {
            taken.sort_by(|a, b| a.1.cmp(&b.1));
            columns.refuse_names(&taken)?;
        } else if let Some(column) = wanted.iter().find(|column| column.field.is_some()) {
            return Err(Error::Usage(format!(
                "--column {}: with --as all columns are members of one field, called as they are",
                column.name
            )));
        }
        Ok(Plan { columns, key, taken })
    }
}

impl Plan {
    /// The cells of a row by the numbers of their columns.
    fn align<'r>(&self, cells: &[(&str, Option<Cell<'r>>)]) -> Vec<Option<Cell<'r>>> {
        let found = self.columns.found();
        let mut row = vec![None; found.len()];
        for (place, (name, cell)) in cells.iter().enumerate() {
            // Mostly a row has all columns in their order.
            let number = match found.get(place) {
                Some(column) if column.name == *name => Some(place),
                _ => self.columns.number(name),
            };
            if let Some(slot) = number.and_then(|number| row.get_mut(number)) {
                *slot = *cell;
            }
        }
        row
    }

    /// The taken cells of a row as a JSON object; those without a value are left out.
    fn object(&self, row: &[Option<Cell<'_>>]) -> Vec<u8> {
        let mut object = b"{".to_vec();
        for (number, _) in &self.taken {
            let (column, Some(cell)) = (&self.columns.found()[*number], row[*number]) else {
                continue;
            };
            if object.len() > 1 {
                object.push(b',');
            }
            object.extend(text(&column.name));
            object.push(b':');
            match cell {
                Cell::Json(json) => object.extend(json.as_bytes()),
                Cell::Numeric(number) if !column.text => object.extend(number.as_bytes()),
                Cell::Numeric(value) | Cell::Text(value) => object.extend(text(value)),
                Cell::Unfit(_) => {} // refused before
            }
        }
        object.push(b'}');
        object
    }
}

/// A text as JSON spells it.
fn text(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).unwrap_or_default() // writing a text to memory does not fail
}

/// The key that a cell holds: a text, or a number as it is spelled.
fn key(cell: Option<Cell<'_>>) -> Option<&str> {
    match cell? {
        Cell::Text(key) | Cell::Numeric(key) => Some(key).filter(|key| !key.is_empty()),
        Cell::Json(json) => {
            Some(json).filter(|json| json.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        }
        Cell::Unfit(_) => None,
    }
}

/// Where a body lies in the scratch file: offset, length, crc32c.
type Lies = (u64, u64, u32);

fn push(
    builder: &mut CatalogBuilder,
    key: &str,
    from: Record,
    fields: &[(&str, Lies)],
) -> Result<()> {
    let fields: Vec<NewField<'_>> = (0..)
        .zip(fields)
        .map(|(number, &(name, (offset, len, crc32c)))| NewField {
            name,
            hidden: false,
            from,
            offset: Some(offset),
            len,
            crc32c,
            number,
            stored: name,
            original: None,
        })
        .collect();
    builder.push(&NewSample { key, label: Label::default(), id: None, fields: &fields })
}

/// The scratch file, written in large pieces.
struct Bodies<'s> {
    upload: Box<dyn Upload>,
    scratch: &'s Scratch,
    buffer: Vec<u8>,
    /// Offset of the buffer.
    at: u64,
}

impl Bodies<'_> {
    fn push(&mut self, body: &[u8]) -> Result<Lies> {
        let lies = (self.at + self.buffer.len() as u64, body.len() as u64, crc32c(body));
        self.buffer.extend_from_slice(body);
        if self.buffer.len() >= PIECE {
            self.flush()?;
        }
        Ok(lies)
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.upload.write_at(self.at, &self.buffer);
        written.map_err(|e| self.scratch.named(e))?;
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.upload.seal(self.at, None).map_err(|e| self.scratch.named(e))?;
        Ok(self.at)
    }
}
