//! Objects as RecordIO records, each whole: see [`Wrapping`].

use shardpack_formats::recordio::Wrapping;

use super::fifo::{Fifo, Sent};
use super::plain;
use super::units::Ahead;
use crate::objects::Pinned;
use crate::{Error, Result};

/// A file of this machine, which the kernel takes from where it lies.
pub(super) fn file(from: &Pinned, fifo: &mut Fifo) -> Result<Sent> {
    let (len, name) = (from.len(), from.path.display().to_string());
    record(len, &name, fifo, |fifo| fifo.splice(&from.file, 0..len))
}

/// What is fetched, piece by piece as it comes.
pub(super) fn fetched(len: u64, name: &str, ahead: &mut Ahead, fifo: &mut Fifo) -> Result<Sent> {
    record(len, name, fifo, |fifo| plain(ahead, fifo))
}

/// What lies in memory.
pub(super) fn bytes(payload: &[u8], name: &str, fifo: &mut Fifo) -> Result<Sent> {
    record(payload.len() as u64, name, fifo, |fifo| fifo.write(payload))
}

fn record(
    len: u64,
    name: &str,
    fifo: &mut Fifo,
    body: impl FnOnce(&mut Fifo) -> Result<Sent>,
) -> Result<Sent> {
    let Some(Wrapping { header, padding }) = Wrapping::of(len) else {
        return Err(Error::job(format!("{name}: 2^29 bytes or more are no RecordIO record")));
    };
    // What was cut off in the middle of a record must not be padded to a whole one.
    if fifo.write(&header)? == Sent::ReaderGone || body(fifo)? == Sent::ReaderGone {
        return Ok(Sent::ReaderGone);
    }
    fifo.write(padding)
}
