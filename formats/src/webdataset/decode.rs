//! Members to samples: neighbours with the same key are one.

use std::collections::HashSet;
use std::io::Read;

use super::archive::Archive;
use super::header::{Kind, padded};
use super::name::{is_metadata, lower, split_name};
use crate::{
    Crc32c, DecodeOptions, Decoder, Error, ErrorKind, Field, Position, Record, Result, Skipped,
};

/// Fields up to which a repeated name is searched for one by one. Beyond, a set keeps a hostile
/// sample of a million fields from costing a million times a million comparisons.
const FEW_FIELDS: usize = 32;

/// Reads samples from a tar stream.
#[derive(Debug)]
pub(super) struct TarDecoder<'r> {
    archive: Archive<'r>,
    max_record: u64,
    state: State,
    /// Key and field of the member that comes next.
    key: String,
    field: String,
    /// An archive ended since the last field.
    boundary: bool,
    /// Checksum since the current sample's first header.
    crc: Crc32c,
    names: HashSet<String>,
    skipped: Skipped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// The archive's current member is the first of the next sample.
    Member,
    End,
    Failed,
}

impl<'r> TarDecoder<'r> {
    pub(super) fn new(source: Box<dyn Read + 'r>, options: &DecodeOptions) -> Self {
        Self {
            archive: Archive::new(source, options),
            max_record: options.max_record,
            state: State::Start,
            key: String::new(),
            field: String::new(),
            boundary: false,
            crc: Crc32c::default(),
            names: HashSet::new(),
            skipped: Skipped::default(),
        }
    }

    /// Reads one sample: its fields, and the headers of the member after it, which alone tells
    /// that it is complete.
    fn sample(&mut self, record: &mut Record) -> Result<bool> {
        record.sample.clear();
        if self.state == State::Start {
            self.advance()?;
        }
        if self.state == State::End {
            return Ok(false);
        }
        record.offset = self.archive.member.offset;
        record.sample.key.push_str(&self.key);
        self.crc = Crc32c::default();
        self.names.clear();
        loop {
            self.field(record)?;
            self.advance()?;
            if self.state == State::End || self.boundary || self.key != record.sample.key {
                break;
            }
        }
        self.archive.record += 1;
        Ok(true)
    }

    /// Reads the body of the current member as a field of `record`.
    fn field(&mut self, record: &mut Record) -> Result<()> {
        let name = lower(&self.field);
        if self.is_repeated(&name, &record.sample.fields) {
            let reason = format!("the sample {:?} has two fields {name:?}", record.sample.key);
            return Err(Error::corrupt(reason, self.archive.position()));
        }
        let offset = self.archive.offset();
        let size = self.archive.member.size;
        let len = (offset - record.offset).saturating_add(padded(size));
        if len > self.max_record {
            let kind = ErrorKind::TooLarge { what: "record", len, limit: self.max_record };
            return Err(Error::at(kind, self.archive.position()));
        }
        let sample = &mut record.sample;
        let start = sample.bytes.len();
        self.archive.body(&mut sample.bytes, &mut self.crc)?;
        let range = start..sample.bytes.len();
        sample.fields.push(Field { name, range, offset: Some(offset) });
        record.len = self.archive.offset() - record.offset;
        record.crc32c = self.crc.value();
        Ok(())
    }

    fn is_repeated(&mut self, name: &str, fields: &[Field]) -> bool {
        if fields.len() < FEW_FIELDS {
            return fields.iter().any(|f| f.name == name);
        }
        if self.names.is_empty() {
            self.names.extend(fields.iter().map(|f| f.name.clone()));
        }
        !self.names.insert(name.to_owned())
    }

    /// Moves on to the next member that is a field, over those that are none.
    fn advance(&mut self) -> Result<()> {
        self.boundary = false;
        while self.archive.next()? {
            self.boundary |= self.archive.member.first;
            let kind = self.archive.member.kind;
            if kind == Kind::File && self.split()? {
                self.state = State::Member;
                return Ok(());
            }
            self.archive.skip(&mut self.crc)?;
            self.count(kind);
        }
        self.state = State::End;
        Ok(())
    }

    /// Splits the current member's path; false when it belongs to no sample.
    fn split(&mut self) -> Result<bool> {
        let Ok(path) = std::str::from_utf8(&self.archive.member.path) else {
            let name = String::from_utf8_lossy(&self.archive.member.path).into_owned();
            let reason = "the name is not UTF-8; write the archive again with UTF-8 names".into();
            return Err(Error::at(ErrorKind::Name { name, reason }, self.archive.position()));
        };
        let Some((key, field)) = split_name(path).filter(|_| !is_metadata(path)) else {
            return Ok(false);
        };
        self.key.clear();
        self.key.push_str(key);
        self.field.clear();
        self.field.push_str(field);
        Ok(true)
    }

    fn count(&mut self, kind: Kind) {
        let skipped = &mut self.skipped;
        let count = match kind {
            Kind::Directory => &mut skipped.directories,
            Kind::HardLink => &mut skipped.hard_links,
            Kind::File => &mut skipped.unnamed,
            _ => &mut skipped.specials,
        };
        *count += 1;
        if kind != Kind::Directory && skipped.first.is_none() {
            let name = String::from_utf8_lossy(&self.archive.member.path);
            skipped.first = Some(name.into_owned());
        }
    }
}

impl Decoder for TarDecoder<'_> {
    fn read(&mut self, record: &mut Record) -> Result<bool> {
        if self.state == State::Failed {
            return Err(Error::corrupt("reading stopped at an earlier error", self.position()));
        }
        let outcome = self.sample(record);
        if outcome.is_err() {
            self.state = State::Failed;
        }
        outcome
    }

    fn position(&self) -> Position {
        self.archive.position()
    }

    fn skipped(&self) -> Skipped {
        self.skipped.clone()
    }
}
