//! From lines to a table.

use super::line::{Members, compact};
use super::texts::Interner;
use super::{AugmentedManifest, Column};
use crate::sagemaker::uri::check_ref;
use crate::{Error, ErrorKind, Result};

/// Longest line in bytes. Ground Truth, which writes most of these manifests, allows 100,000
/// characters a line; this is 160 times that, and bounds what one line can take of memory.
const MAX_LINE: usize = 16 << 20;
/// Most attributes (`AttributeNames` of the API).
const MAX_ATTRIBUTES: usize = 16;
/// Longest name of an attribute in characters, as there.
const MAX_NAME: usize = 256;

/// Builds an [`AugmentedManifest`] from its bytes as they arrive, so that a manifest of any length
/// is never held as text.
///
/// ```
/// use shardpack_manifest::sagemaker::AugmentedBuilder;
///
/// let mut builder = AugmentedBuilder::new(["class"])?;
/// builder.push(b"{\"class\": 1}\n{\"cla")?;
/// builder.push(b"ss\": 2}")?;
/// assert_eq!(builder.finish()?.len(), 2);
/// # Ok::<(), shardpack_manifest::Error>(())
/// ```
#[derive(Debug)]
pub struct AugmentedBuilder {
    /// None until the first line says.
    columns: Option<Vec<Column>>,
    refs: Interner,
    inline: Interner,
    cells: Vec<u32>,
    lines: Vec<u32>,
    line: u64,
    /// The start of a line whose end has not arrived.
    carry: Vec<u8>,
}

impl AugmentedBuilder {
    /// Takes the attributes `names`, in that order; without any, those of the first line except
    /// `*-metadata`, which Ground Truth adds about the others.
    ///
    /// Fails with [`ErrorKind::Unsupported`] for more than 16 names and for a name that is empty,
    /// longer than 256 characters or there twice.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Result<Self> {
        let columns: Vec<_> = names.into_iter().map(|name| Column::new(name.into())).collect();
        check(&columns)?;
        Ok(Self {
            columns: (!columns.is_empty()).then_some(columns),
            refs: Interner::default(),
            inline: Interner::default(),
            cells: Vec::new(),
            lines: Vec::new(),
            line: 0,
            carry: Vec::new(),
        })
    }

    /// Takes the next bytes, any number of them. After an error there is nothing more to be had
    /// from this builder.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<()> {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (head, tail) = bytes.split_at(end);
            bytes = tail.get(1..).unwrap_or_default();
            self.check_len(head)?;
            if self.carry.is_empty() {
                self.line(head, false)?;
            } else {
                let mut line = std::mem::take(&mut self.carry);
                line.extend_from_slice(head);
                self.line(&line, false)?;
                line.clear();
                self.carry = line; // for its memory
            }
        }
        self.check_len(bytes)?;
        self.carry.extend_from_slice(bytes);
        Ok(())
    }

    /// The manifest, when all bytes were pushed. Fails when no line held anything.
    pub fn finish(mut self) -> Result<AugmentedManifest> {
        if !self.carry.is_empty() {
            let line = std::mem::take(&mut self.carry);
            self.line(&line, true)?;
        }
        let Some(columns) = self.columns.filter(|_| !self.lines.is_empty()) else {
            let reason = "an augmented manifest without lines".to_owned();
            return Err(Error::new(ErrorKind::NotThis { reason }));
        };
        self.cells.shrink_to_fit();
        self.lines.shrink_to_fit();
        Ok(AugmentedManifest {
            columns,
            refs: self.refs.finish(),
            inline: self.inline.finish(),
            cells: self.cells,
            lines: self.lines,
        })
    }

    fn check_len(&self, more: &[u8]) -> Result<()> {
        let len = self.carry.len() + more.len();
        match len <= MAX_LINE {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::TooLarge {
                what: "line of an augmented manifest",
                len: len as u64,
                limit: MAX_LINE as u64,
            })
            .in_line(self.line + 1)),
        }
    }

    fn line(&mut self, mut line: &[u8], last: bool) -> Result<()> {
        self.line += 1;
        if self.line == 1 {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        let line = line.trim_ascii();
        match line.is_empty() {
            true => Ok(()),
            false => self.row(line, last).map_err(|e| e.in_line(self.line)),
        }
    }

    fn row(&mut self, line: &[u8], last: bool) -> Result<()> {
        let number = u32::try_from(self.line).map_err(|_| {
            let (len, limit) = (self.line, u32::MAX.into());
            Error::new(ErrorKind::TooLarge { what: "lines of an augmented manifest", len, limit })
        })?;
        let mut members = Members::parse(line, last)?;
        let found = self.columns.is_none().then(|| columns_of(&members)).transpose()?;
        members.sort()?;
        check(found.as_deref().unwrap_or_default())?;
        for column in self.columns.get_or_insert(found.unwrap_or_default()) {
            let cell = match members.get(&column.name) {
                None => Err(lacking(&members)),
                Some(value) if column.is_ref => reference(value, &mut self.refs),
                Some(value) => inline(value, &mut self.inline),
            };
            self.cells.push(cell.map_err(|e| e.in_field(&column.name))?);
        }
        self.lines.push(number);
        Ok(())
    }
}

/// Fails for what the API refuses as `AttributeNames`.
fn check(columns: &[Column]) -> Result<()> {
    if columns.len() > MAX_ATTRIBUTES {
        let count = columns.len();
        return Err(Error::unsupported(format!(
            "{count} attributes; name those that are wanted, at most {MAX_ATTRIBUTES}"
        )));
    }
    for (i, Column { name, .. }) in columns.iter().enumerate() {
        if name.is_empty() || name.chars().count() > MAX_NAME {
            let what = format!("an attribute's name has 1 to {MAX_NAME} characters");
            return Err(Error::unsupported(what).in_field(name));
        }
        if columns.iter().take(i).any(|other| other.name == *name) {
            return Err(Error::unsupported("the attribute is named twice").in_field(name));
        }
    }
    Ok(())
}

fn columns_of(first: &Members<'_>) -> Result<Vec<Column>> {
    let names = first.names().filter(|name| !name.ends_with("-metadata"));
    let columns: Vec<_> = names.map(|name| Column::new(name.to_owned())).collect();
    match columns.is_empty() {
        true => Err(Error::unsupported("a line without attributes; name those that are wanted")),
        false => Ok(columns),
    }
}

fn lacking(members: &Members<'_>) -> Error {
    let mut names: Vec<_> = members.names().take(MAX_ATTRIBUTES).collect();
    if members.names().nth(MAX_ATTRIBUTES).is_some() {
        names.push("...");
    }
    Error::corrupt(format!(
        "the line lacks this attribute; it has {:?}. Complete it, or name attributes that every line has (case counts)",
        names.join(", ")
    ))
}

fn reference(value: &str, refs: &mut Interner) -> Result<u32> {
    if !value.starts_with('"') {
        let reason = "no text; an attribute that ends in -ref holds the URI of an object";
        return Err(Error::corrupt(reason));
    }
    let uri = text(value)?;
    check_ref(&uri)?;
    refs.number(&uri)
}

fn inline(value: &str, inline: &mut Interner) -> Result<u32> {
    if value.starts_with('"') {
        text(value)?; // so that it can be delivered
    }
    inline.number(&compact(value))
}

fn text(value: &str) -> Result<String> {
    serde_json::from_str(value)
        .map_err(|_| Error::corrupt("the text has an escape that is no character; write it anew"))
}
