//! Where the bytes of an archive come from.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::{Error, Object};

/// A file, or an object of a store.
#[derive(Clone, Debug)]
pub(super) enum Medium {
    File(Arc<File>),
    Object {
        object: Arc<dyn Object>,
        /// Why it could not be read. Parsers make errors of their own of what they are told.
        failure: Arc<Mutex<Option<Error>>>,
    },
}

impl Medium {
    pub(super) fn object(object: Box<dyn Object>) -> Self {
        Self::Object { object: object.into(), failure: Arc::default() }
    }

    pub(super) fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read_at(buf, at),
            Self::Object { object, failure } => object.read_at(at, buf).map_err(|error| {
                let message = error.to_string();
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                io::Error::other(message)
            }),
        }
    }

    /// Takes the reason of the last read that failed.
    pub(super) fn failure(&self) -> Option<Error> {
        match self {
            Self::File(_) => None,
            Self::Object { failure, .. } => {
                failure.lock().unwrap_or_else(PoisonError::into_inner).take()
            }
        }
    }
}

/// A place in an archive, for parsers. Clones share the medium and not the place.
///
/// Files are read as asked. Of an object, each read is a request: it brings a stretch, twice as long
/// as the last one where the parser goes on near its end, so that headers between small members
/// come many at a time, and those between large ones do not bring the members.
#[derive(Debug)]
pub(super) struct Cursor {
    medium: Medium,
    at: u64,
    len: u64,
    /// Of an object: bytes that were read, and where they start.
    stretch: Vec<u8>,
    start: u64,
    size: usize,
}

/// The first stretch, and the next one after a long way.
const SHORT: usize = 64 << 10;
/// The longest: one request.
const LONG: usize = 8 << 20;

impl Cursor {
    pub(super) fn new(medium: Medium, len: u64) -> Self {
        Self { medium, at: 0, len, stretch: Vec::new(), start: 0, size: SHORT / 2 }
    }

    /// Reads the stretch that begins at the cursor.
    fn stretch(&mut self) -> io::Result<()> {
        let end = self.start + self.stretch.len() as u64;
        let near = self.at >= end && self.at - end <= self.size as u64;
        self.size = if near { (2 * self.size).min(LONG) } else { SHORT };
        let len = (self.len - self.at).min(self.size as u64) as usize;
        self.start = self.at;
        self.stretch.resize(len, 0);
        let read = self.medium.read_at(&mut self.stretch, self.at);
        self.stretch.truncate(*read.as_ref().unwrap_or(&0));
        read.map(drop)
    }
}

impl Clone for Cursor {
    fn clone(&self) -> Self {
        Self { at: self.at, ..Self::new(self.medium.clone(), self.len) }
    }
}

impl Read for Cursor {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.len {
            return Ok(0); // the system call takes no offset of 2^63 and more
        }
        let n = if matches!(self.medium, Medium::File(_)) {
            self.medium.read_at(buf, self.at)?
        } else {
            if !(self.start..self.start + self.stretch.len() as u64).contains(&self.at) {
                self.stretch()?;
            }
            let held = self.stretch.get((self.at - self.start) as usize..).unwrap_or_default();
            let n = held.len().min(buf.len());
            buf[..n].copy_from_slice(&held[..n]);
            n
        };
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Cursor {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
