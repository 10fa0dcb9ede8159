//! Objects in the making: ranges gather into parts, parts are sent while others fill.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::backlog::Buffer;
use super::connect::S3;
use super::copy::every_part;
use super::cuts::Cuts;
use super::multipart::{MOST_PARTS, Sent, Shared, whole};
use super::put::{Target, crc64nvme, put};
use crate::{Address, Error, PutMode, Result, Upload};

/// An object in the making.
#[derive(Debug)]
pub(super) struct S3Upload {
    s3: S3,
    shared: Arc<Shared>,
    len: Option<u64>,
    cuts: Cuts,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    filling: BTreeMap<u64, Part>,
    sending: Vec<JoinHandle<Option<Sent>>>,
    copied: Vec<Sent>,
    received: u64,
    sealed: bool,
}

#[derive(Debug)]
struct Part {
    bytes: Buffer,
    filled: u64,
}

impl S3Upload {
    pub(super) fn new(s3: &S3, target: Target, len: Option<u64>) -> Self {
        let cuts = Cuts::even(len, s3.calls().options.part);
        Self::cut(s3, target, len, cuts)
    }

    /// An object of which these ranges are to be copied.
    pub(super) fn around(s3: &S3, target: Target, len: u64, copies: &[Range<u64>]) -> Self {
        let cuts = Cuts::around(len, s3.calls().options.part, copies);
        Self::cut(s3, target, Some(len), cuts)
    }

    fn cut(s3: &S3, target: Target, len: Option<u64>, cuts: Cuts) -> Self {
        let shared = Arc::new(Shared::new(target));
        Self { s3: s3.clone(), shared, len, cuts, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invalid(&self, reason: String) -> Error {
        Error::invalid(self.shared.target.name(), reason)
    }

    /// Sends a part, behind the caller's back.
    fn send(&self, state: &mut State, index: u64, mut part: Part) {
        let (calls, shared) = (Arc::clone(self.s3.calls()), Arc::clone(&self.shared));
        part.bytes.leave();
        state.sending.push(self.s3.handle().spawn(async move {
            match shared.failed.load(Relaxed) {
                true => None,
                false => shared.send(&calls, index + 1, Bytes::from_owner(part.bytes)).await,
            }
        }));
    }

    /// Bytes of the object, which all fit into one part: one request then.
    async fn put_whole(&self, bytes: Bytes, crc64: Option<u64>) -> Result<()> {
        self.shared.check(crc64, Some(crc64nvme(&bytes)))?;
        put(self.s3.calls(), &self.shared.target, bytes, PutMode::Replace).await
    }

    /// Waits for all parts, and makes them one object.
    async fn complete(
        &self,
        parts: Vec<JoinHandle<Option<Sent>>>,
        mut sent: Vec<Sent>,
        crc64: Option<u64>,
    ) -> Result<()> {
        for part in parts {
            let joined = part.await;
            sent.extend(
                joined
                    .map_err(|e| Error::io(std::io::Error::other(e), self.shared.target.name()))?,
            );
        }
        if let Some(error) = self.shared.failure() {
            return Err(error);
        }
        sent.sort_unstable_by_key(|part| part.number);
        let (whole, len) = whole(&sent);
        self.shared.check(crc64, whole)?;
        self.shared.complete(self.s3.calls(), &sent, whole, len).await.map(|_| ())
    }
}

impl Upload for S3Upload {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let end = offset.checked_add(bytes.len() as u64);
        let Some(end) = end.filter(|end| self.len.is_none_or(|len| *end <= len)) else {
            return Err(
                self.invalid(format!("{} bytes at {offset} lie beyond its end", bytes.len()))
            );
        };
        if self.len.is_none() && self.cuts.at(end.saturating_sub(1)) >= MOST_PARTS {
            let part = self.cuts.range(0).end;
            return Err(self.invalid(format!("longer than {MOST_PARTS} parts of {part} bytes")));
        }
        let backlog = &self.s3.calls().backlog;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            if let Some(error) = self.shared.failure() {
                return Err(error);
            }
            backlog.wait();
            let index = self.cuts.at(at);
            let range = self.cuts.range(index);
            let (from, whole) = (at - range.start, range.end - range.start);
            let n = rest.len().min((whole - from) as usize);
            let mut state = self.state();
            let part = state
                .filling
                .entry(index)
                .or_insert_with(|| Part { bytes: backlog.buffer(whole), filled: 0 });
            let needed = match self.len {
                Some(_) => whole,
                None => from + n as u64,
            };
            part.bytes.reach(needed as usize);
            part.bytes.write(from as usize, &rest[..n]);
            part.filled += n as u64;
            let full = part.filled == whole;
            state.received += n as u64;
            if full
                && self.needs_parts(&state, index)
                && let Some(part) = state.filling.remove(&index)
            {
                self.send(&mut state, index, part);
            }
            drop(state);
            at += n as u64;
            rest = &rest[n..];
        }
        Ok(())
    }

    fn copy_at(
        &self,
        offset: u64,
        from: &Address,
        version: &str,
        range: Range<u64>,
    ) -> Result<Option<u64>> {
        let Some(from) = self.s3.beside(from) else { return Ok(None) };
        let to = offset..offset.saturating_add(range.end.saturating_sub(range.start));
        let Some(parts) = self.cuts.parts(&to) else { return Ok(None) };
        let pieces = parts.map(|index| {
            let part = self.cuts.range(index);
            (index + 1, part.start - offset + range.start..part.end - offset + range.start)
        });
        let from = from.pinned(range.end, version);
        let copied = every_part(self.s3.calls(), &self.shared, &from, pieces);
        let Some(copied) = self.s3.wait(copied)? else { return Ok(None) };
        // Without the checksum of every part nobody could tell that of the object.
        let (Some(crc64), len) = whole(&copied) else { return Ok(None) };
        let mut state = self.state();
        state.copied.extend(copied);
        state.received += len;
        Ok(Some(crc64))
    }

    fn seal(self: Box<Self>, len: u64, crc64nvme: Option<u64>) -> Result<()> {
        let mut state = self.state();
        if state.received != len || self.len.is_some_and(|declared| declared != len) {
            let reason = format!("sealed at {len} bytes, {} were written", state.received);
            return Err(self.invalid(reason));
        }
        let begun = self.shared.id.get().is_some() || !state.sending.is_empty();
        if !begun && state.filling.len() <= 1 {
            let only = state.filling.pop_first();
            let bytes = only.map_or_else(Bytes::new, |(_, part)| Bytes::from_owner(part.bytes));
            let done = self.s3.wait(self.put_whole(bytes, crc64nvme));
            state.sealed = done.is_ok();
            return done;
        }
        while let Some((index, part)) = state.filling.pop_first() {
            self.send(&mut state, index, part);
        }
        let (parts, copied) = (mem::take(&mut state.sending), mem::take(&mut state.copied));
        self.s3.wait(self.complete(parts, copied, crc64nvme))?;
        state.sealed = true;
        self.s3.wait(self.shared.abort_twins(self.s3.calls()))
    }
}

impl S3Upload {
    /// False for the only part of an object, which seals it in one request.
    fn needs_parts(&self, state: &State, index: u64) -> bool {
        let only = match self.len {
            Some(_) => self.cuts.one(),
            None => index == 0 && state.received <= self.cuts.range(0).end,
        };
        !only
    }
}

impl Drop for S3Upload {
    /// Leaves nothing behind: parts without an end would be kept, and paid for, out of sight.
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.sealed {
            return;
        }
        self.shared.failed.store(true, Relaxed);
        let sending = mem::take(&mut state.sending);
        self.s3.wait(async {
            for part in sending {
                let _ = part.await; // an abort does not stop parts that are under way
            }
            self.shared.give_up(self.s3.calls()).await;
        });
    }
}
