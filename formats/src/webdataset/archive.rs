//! A tar stream as members: headers checked, extensions applied, end blocks required.

use std::io::{self, Read};
use std::ops::Range;

use super::header::{self, BLOCK, Header, Kind, padded};
use super::input::Input;
use super::pax::Records;
use crate::compress::read_error;
use crate::{Crc32c, DecodeOptions, Error, ErrorKind, Position, Result};

/// Longest run of extended headers before a member, in bytes. A path has a few thousand at most;
/// the rest is attributes that are not asked for.
const MAX_EXTENSION: u64 = 1 << 20;

/// A member whose headers are read and whose body comes next.
#[derive(Debug)]
pub(super) struct Member {
    /// Offset of its first header, extended ones included.
    pub(super) offset: u64,
    pub(super) kind: Kind,
    /// Path as stored; whether it is UTF-8 is the caller's question.
    pub(super) path: Vec<u8>,
    /// Length of the body in bytes.
    pub(super) size: u64,
    /// It is the first of its archive; a stream may hold several.
    pub(super) first: bool,
}

#[derive(Debug)]
pub(super) struct Archive<'r> {
    input: Input<'r>,
    concatenated: bool,
    missing_end: bool,
    /// Number of the record being read, for errors.
    pub(super) record: u64,
    pub(super) member: Member,
    /// The member's header blocks as they stand in the stream.
    head: Vec<u8>,
    /// No member of this archive was met yet.
    fresh: bool,
    global: Records,
}

impl<'r> Archive<'r> {
    pub(super) fn new(source: Box<dyn Read + 'r>, options: &DecodeOptions) -> Self {
        let (kind, path) = (Kind::Unknown, Vec::new());
        Self {
            input: Input::new(source),
            concatenated: options.concatenated,
            missing_end: options.missing_end,
            record: 0,
            member: Member { offset: 0, kind, path, size: 0, first: true },
            head: Vec::new(),
            fresh: true,
            global: Records::default(),
        }
    }

    /// Where the current member starts; after the last one, the end blocks.
    pub(super) fn position(&self) -> Position {
        Position { record: self.record, offset: self.member.offset }
    }

    /// Offset of the next byte of the stream.
    pub(super) fn offset(&self) -> u64 {
        self.input.offset()
    }

    /// Reads the headers of the next member; [`Archive::body`] or [`Archive::skip`] must have
    /// taken the body of the one before. False at a proper end of the stream.
    pub(super) fn next(&mut self) -> Result<bool> {
        self.head.clear();
        self.member.offset = self.offset();
        let mut local = Records::default();
        let mut long_name = None;
        loop {
            let Some(block) = self.block()? else { return Ok(false) };
            let header = Header::parse(&block).map_err(|reason| self.corrupt(reason))?;
            self.head.extend_from_slice(&block);
            match header.kind {
                Kind::LongName => {
                    let body = self.extension(header.size)?;
                    long_name = Some(header::text(&self.head[body]).to_vec());
                }
                Kind::LongTarget => {
                    self.extension(header.size)?;
                }
                Kind::Extended => self.records(header.size, &mut local)?,
                Kind::Global => {
                    let mut global = std::mem::take(&mut self.global);
                    self.records(header.size, &mut global)?;
                    self.global = global;
                }
                _ => {
                    self.start(header, &block, local, long_name)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Appends the member's body to `bytes`; `crc` takes headers, body and padding.
    pub(super) fn body(&mut self, bytes: &mut Vec<u8>, crc: &mut Crc32c) -> Result<()> {
        crc.update(&self.head);
        let whole = self.input.append(self.member.size, bytes, |piece| crc.update(piece));
        self.whole(whole)?;
        let padding = padded(self.member.size) - self.member.size;
        let whole = self.input.pass(padding, |piece| crc.update(piece));
        self.whole(whole)
    }

    /// Passes over the member's body; `crc` takes headers, body and padding.
    pub(super) fn skip(&mut self, crc: &mut Crc32c) -> Result<()> {
        crc.update(&self.head);
        let whole = self.input.pass(padded(self.member.size), |piece| crc.update(piece));
        self.whole(whole)
    }

    /// The next header block; none at a proper end. Steps over end blocks into a further archive
    /// where that is allowed.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut zeroes = 0u64;
        loop {
            match self.input.fill(&mut block).map_err(|e| read_error(e, self.position()))? {
                BLOCK if block != [0; BLOCK] => break,
                BLOCK if self.head.is_empty() => zeroes += 1,
                BLOCK => return Err(self.corrupt("extended headers without a member")),
                // Two zero blocks end an archive; more are padding to the size of a tape record.
                0 if self.head.is_empty() && (zeroes >= 2 || self.missing_end) => return Ok(None),
                0 if zeroes == 0 && self.head.is_empty() => {
                    return Err(self.truncated("the archive, before its end blocks"));
                }
                _ if zeroes > 0 => return Err(self.truncated("the end blocks")),
                _ => return Err(self.truncated("a header")),
            }
        }
        if zeroes > 0 {
            if !self.concatenated {
                return Err(self.corrupt("the archive ends and more bytes follow"));
            }
            if zeroes == 1 && !self.missing_end {
                return Err(self.corrupt("a single zero block where an archive ends with two"));
            }
            self.member.offset = self.offset() - BLOCK as u64;
            self.fresh = true;
            self.global = Records::default();
        }
        Ok(Some(block))
    }

    /// Appends the padded body of an extended header to the head; returns where the body lies.
    fn extension(&mut self, size: u64) -> Result<Range<usize>> {
        let from = self.head.len();
        let len = padded(size).saturating_add(from as u64);
        if len > MAX_EXTENSION {
            let what = "extended header";
            let kind = ErrorKind::TooLarge { what, len, limit: MAX_EXTENSION };
            return Err(Error::at(kind, self.position()));
        }
        match self.input.append(padded(size), &mut self.head, |_| ()) {
            Ok(true) => Ok(from..from + size as usize),
            Ok(false) => Err(self.truncated("an extended header")),
            Err(e) => Err(read_error(e, self.position())),
        }
    }

    fn records(&mut self, size: u64, records: &mut Records) -> Result<()> {
        let body = self.extension(size)?;
        records.read(&self.head[body]).map_err(|reason| self.corrupt(reason))
    }

    /// Makes the header the current member, extensions applied.
    fn start(
        &mut self,
        header: Header,
        block: &[u8; BLOCK],
        local: Records,
        long_name: Option<Vec<u8>>,
    ) -> Result<()> {
        let member = &mut self.member;
        member.first = std::mem::take(&mut self.fresh);
        member.kind = header.kind;
        member.size = match local.size.or(self.global.size) {
            Some(size) if header.kind.has_body() => size,
            _ => header.size,
        };
        member.path.clear();
        match local.path.or(long_name).or_else(|| self.global.path.clone()) {
            Some(path) => member.path = path,
            None => header::read_name(block, &mut member.path),
        }
        if header.kind == Kind::Sparse || local.sparse {
            let name = String::from_utf8_lossy(&member.path);
            let what = format!("the sparse file {name:?}; write the archive without --sparse");
            return Err(Error::at(ErrorKind::Unsupported { what }, self.position()));
        }
        Ok(())
    }

    fn whole(&self, read: io::Result<bool>) -> Result<()> {
        match read {
            Ok(true) => Ok(()),
            Ok(false) => {
                let name = String::from_utf8_lossy(&self.member.path);
                Err(self.truncated(format!("the body of {name:?}")))
            }
            Err(e) => Err(read_error(e, self.position())),
        }
    }

    fn corrupt(&self, reason: impl Into<String>) -> Error {
        Error::corrupt(reason, self.position())
    }

    fn truncated(&self, what: impl Into<String>) -> Error {
        Error::truncated(what, self.position())
    }
}
