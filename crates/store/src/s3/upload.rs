//! Objects in the making: ranges gather into parts, parts are sent while others fill.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::backlog::Buffer;
use super::connect::S3;
use super::multipart::{MOST_PARTS, Sent, Shared, part_len, whole};
use super::put::{Target, crc64nvme, put};
use crate::{Error, PutMode, Result, Upload};

/// Parts of an object whose length nobody knows yet are so many times as long: 160 GB then fit into
/// the parts there may be.
const UNKNOWN: u64 = 2;

/// An object in the making.
#[derive(Debug)]
pub(super) struct S3Upload {
    s3: S3,
    shared: Arc<Shared>,
    len: Option<u64>,
    part: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    filling: BTreeMap<u64, Part>,
    sending: Vec<JoinHandle<Option<Sent>>>,
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
        let least = s3.calls().options.part;
        let part = match len {
            Some(len) => part_len(len, least),
            None => UNKNOWN * least,
        };
        let shared = Shared::new(target);
        Self { s3: s3.clone(), shared: Arc::new(shared), len, part, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invalid(&self, reason: String) -> Error {
        Error::invalid(self.shared.target.name(), reason)
    }

    /// Length of a part that is not the last one of an object of unknown length.
    fn part_len(&self, index: u64) -> u64 {
        match self.len {
            Some(len) => self.part.min(len - index * self.part),
            None => self.part,
        }
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
        crc64: Option<u64>,
    ) -> Result<()> {
        let mut sent = Vec::with_capacity(parts.len());
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
        if self.len.is_none() && end.div_ceil(self.part) > MOST_PARTS {
            return Err(
                self.invalid(format!("longer than {MOST_PARTS} parts of {} bytes", self.part))
            );
        }
        let backlog = &self.s3.calls().backlog;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            if let Some(error) = self.shared.failure() {
                return Err(error);
            }
            backlog.wait();
            let index = at / self.part;
            let (from, whole) = (at % self.part, self.part_len(index));
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

    fn seal(self: Box<Self>, len: u64, crc64nvme: Option<u64>) -> Result<()> {
        let mut state = self.state();
        if state.received != len || self.len.is_some_and(|declared| declared != len) {
            let reason = format!("sealed at {len} bytes, {} were written", state.received);
            return Err(self.invalid(reason));
        }
        if state.sending.is_empty() && state.filling.len() <= 1 {
            let only = state.filling.pop_first();
            let bytes = only.map_or_else(Bytes::new, |(_, part)| Bytes::from_owner(part.bytes));
            let done = self.s3.wait(self.put_whole(bytes, crc64nvme));
            state.sealed = done.is_ok();
            return done;
        }
        while let Some((index, part)) = state.filling.pop_first() {
            self.send(&mut state, index, part);
        }
        let parts = std::mem::take(&mut state.sending);
        self.s3.wait(self.complete(parts, crc64nvme))?;
        state.sealed = true;
        self.s3.wait(self.shared.abort_twins(self.s3.calls()))
    }
}

impl S3Upload {
    /// False for the only part of an object, which seals it in one request.
    fn needs_parts(&self, state: &State, index: u64) -> bool {
        let only = match self.len {
            Some(len) => len <= self.part,
            None => index == 0 && state.received <= self.part,
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
        let sending = std::mem::take(&mut state.sending);
        self.s3.wait(async {
            for part in sending {
                let _ = part.await; // an abort does not stop parts that are under way
            }
            self.shared.give_up(self.s3.calls()).await;
        });
    }
}
