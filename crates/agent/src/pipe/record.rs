//! Objects as RecordIO records.
//!
//! A record begins with its length, and where it is split only all of its bytes tell: so an object is
//! looked at from end to end before its first byte goes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use shardpack_formats::recordio::{WrappedPart, Wrapper};

use super::fifo::{Fifo, Sent};
use super::units::Piece;
use crate::objects::Pinned;
use crate::{Error, Result};

/// Bytes that are looked at at a time; they stay in a core's cache.
const LOOK: usize = 256 << 10;

/// A file of this machine, read once to look at it; the kernel takes it from there.
pub(super) fn file(from: &Pinned, fifo: &mut Fifo) -> Result<Sent> {
    let name = from.path.display().to_string();
    let parts = parts(look(&from.file, &from.path)?, &name)?;
    send(parts, fifo, |fifo, range| fifo.splice(&from.file, range))
}

fn look(file: &File, path: &std::path::Path) -> Result<Wrapper> {
    let (mut wrapper, mut at, mut buffer) = (Wrapper::default(), 0, vec![0; LOOK]);
    loop {
        let read = match file.read_at(&mut buffer, at) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            read => read.map_err(|error| Error::io(error, path))?,
        };
        if read == 0 {
            return Ok(wrapper);
        }
        wrapper.update(buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
}

/// What was fetched, and lies in memory piece by piece.
pub(super) fn pieces(pieces: &[Piece], name: &str, fifo: &mut Fifo) -> Result<Sent> {
    let mut wrapper = Wrapper::default();
    pieces.iter().for_each(|piece| wrapper.update(piece.bytes()));
    send(parts(wrapper, name)?, fifo, |fifo, range| {
        let mut at = 0;
        for bytes in pieces.iter().map(Piece::bytes) {
            let within = |place: u64| place.saturating_sub(at).min(bytes.len() as u64) as usize;
            let own = within(range.start)..within(range.end);
            if fifo.write(bytes.get(own).unwrap_or_default())? == Sent::ReaderGone {
                return Ok(Sent::ReaderGone);
            }
            at += bytes.len() as u64;
        }
        Ok(Sent::All)
    })
}

fn parts(wrapper: Wrapper, name: &str) -> Result<Vec<WrappedPart>> {
    wrapper.finish().ok_or_else(|| too_long(name))
}

pub(super) fn too_long(name: &str) -> Error {
    Error::job(format!("{name}: 2^29 bytes or more are no RecordIO record"))
}

fn send(
    parts: Vec<WrappedPart>,
    fifo: &mut Fifo,
    mut body: impl FnMut(&mut Fifo, Range<u64>) -> Result<Sent>,
) -> Result<Sent> {
    for part in parts {
        let sent = [fifo.write(&part.header)?, body(fifo, part.range)?, fifo.write(part.padding)?];
        if sent.contains(&Sent::ReaderGone) {
            return Ok(Sent::ReaderGone);
        }
    }
    Ok(Sent::All)
}
