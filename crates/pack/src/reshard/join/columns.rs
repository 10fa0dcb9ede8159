//! The columns of a table, and which of them are taken.

use std::collections::HashMap;

use super::rows::{Cell, MOST_COLUMNS, bad};
use super::table::Column;
use crate::{Error, Result};

/// A column as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    /// Whether a row holds text there.
    pub(super) text: bool,
    /// What it holds that is neither text nor JSON.
    unfit: Option<&'static str>,
}

/// The columns of a table, in the order in which they were met.
pub(super) struct Columns {
    found: Vec<Found>,
    numbers: HashMap<String, usize>,
    /// Name of the table, for messages.
    table: String,
}

impl Columns {
    pub(super) fn new(table: &str) -> Self {
        Self { found: Vec::new(), numbers: HashMap::new(), table: table.to_owned() }
    }

    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }

    /// The number of a column.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// The name of a column.
    pub(super) fn name(&self, number: usize) -> &str {
        self.found.get(number).map_or("", |column| column.name.as_str())
    }

    /// Notes what a row has.
    pub(super) fn see(&mut self, line: u64, cells: &[(&str, Option<Cell<'_>>)]) -> Result<()> {
        for (name, cell) in cells {
            let number = self.number(name).unwrap_or(self.found.len());
            if number == self.found.len() {
                self.found.push(Found::new(name));
                self.numbers.insert((*name).to_owned(), number);
            }
            let Some(column) = self.found.get_mut(number) else { continue };
            column.text |= matches!(cell, Some(Cell::Text(_)));
            if let Some(Cell::Unfit(what)) = cell {
                column.unfit = Some(what);
            }
        }
        match self.found.len() > MOST_COLUMNS {
            true => Err(bad(&self.table, line, format!("more than {MOST_COLUMNS} columns"))),
            false => Ok(()),
        }
    }

    /// The number of the column that an option names.
    pub(super) fn find(&self, flag: &str, wanted: &str) -> Result<usize> {
        self.number(wanted).ok_or_else(|| {
            let have: Vec<_> = self.found.iter().map(|c| c.name.as_str()).collect();
            let (table, have) = (&self.table, have.join(", "));
            Error::Usage(format!("{flag} {wanted}: {table} has the columns {have}"))
        })
    }

    /// The columns that are taken, all but the key's where none is named, and their fields.
    pub(super) fn taken(&self, wanted: &[Column], key: usize) -> Result<Vec<(usize, String)>> {
        let all = || {
            let numbered = self.found.iter().enumerate().filter(|(number, _)| *number != key);
            numbered.map(|(number, column)| (number, column.field())).collect::<Vec<_>>()
        };
        let named = |column: &Column| {
            let number = self.find("--column", &column.name)?;
            let field = || self.found.get(number).map(Found::field).unwrap_or_default();
            Ok((number, column.field.clone().unwrap_or_else(field)))
        };
        let taken = match wanted.is_empty() {
            true => all(),
            false => wanted.iter().map(named).collect::<Result<_>>()?,
        };
        match taken.is_empty() {
            true => {
                let table = &self.table;
                Err(Error::Usage(format!("--with {table}: no column is left beside the key")))
            }
            false => Ok(taken),
        }
    }

    /// Refuses columns of what is neither text nor JSON.
    pub(super) fn refuse_unfit(&self, key: usize, taken: &[(usize, String)]) -> Result<()> {
        let numbers = std::iter::once(key).chain(taken.iter().map(|(number, _)| *number));
        let columns = numbers.filter_map(|number| self.found.get(number));
        for Found { name, unfit, .. } in columns {
            if let Some(what) = unfit {
                return Err(Error::Usage(format!(
                    "{}: column {name:?} holds {what}, which no field is made of; name the columns to take with --column",
                    self.table
                )));
            }
        }
        Ok(())
    }

    /// Refuses columns whose fields, by which `taken` is sorted, have no name, or the same.
    pub(super) fn refuse_names(&self, taken: &[(usize, String)]) -> Result<()> {
        let table = &self.table;
        if let Some((number, _)) =
            taken.iter().find(|(_, field)| field.is_empty() || field.starts_with('.'))
        {
            let column = self.name(*number);
            return Err(Error::Usage(format!(
                "{table}: column {column:?} gives no field's name; give one with --column {column}=FIELD"
            )));
        }
        match taken.windows(2).find(|pair| pair[0].1 == pair[1].1) {
            Some(pair) => {
                let (a, b) = (self.name(pair[0].0), self.name(pair[1].0));
                Err(Error::Usage(format!(
                    "{table}: columns {a:?} and {b:?} would both be field {}; give one another name with --column {b}=FIELD",
                    pair[0].1
                )))
            }
            None => Ok(()),
        }
    }
}

impl Found {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), text: false, unfit: None }
    }

    /// The field that it becomes unless told otherwise.
    fn field(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let lower = |c: char| if plain(c) { c.to_ascii_lowercase() } else { '_' };
        // `__key__` belongs to readers.
        let name: String = self.name.chars().map(lower).skip_while(|c| *c == '_').collect();
        format!("{name}.{}", if self.text { "txt" } else { "json" })
    }
}
