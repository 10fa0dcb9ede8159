//! The short way to an object's bytes: a request over a connection of one's own, from the thread
//! that wants them, read from the socket straight to their place.
//!
//! The SDK takes a third of a millisecond of processor time for a request, which is more than a
//! small object takes otherwise. This way takes a tenth of that, and knows the answer it hopes for
//! and no other: whatever is not the bytes asked for goes to the SDK's way, which knows the rest.

mod connection;
mod response;
mod sign;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use shardpack_formats::Crc64Nvme;

use self::connection::{Connection, Connector};
use self::response::{Head, read_head};
pub(super) use self::sign::Signer;
use super::fault::{Class, Fault};
use super::put::decoded;
use super::range::{Pinned, header, parse};
use crate::{Error, ErrorKind, Result, Sink};

/// The way to one bucket.
#[derive(Debug)]
pub(super) struct Wire {
    signer: Signer,
    connector: Connector,
    idle: Mutex<Vec<Connection>>,
    payer: bool,
}

/// How far a try came.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All bytes are in the sink.
    Done,
    /// Bytes up to here are; the rest is for the SDK, at once or after the fault's wait.
    Rest(u64, Option<Fault>),
}

impl Wire {
    pub(super) fn new(signer: Signer, stall: Duration, payer: bool) -> Result<Option<Self>> {
        let Some(connector) = Connector::new(signer.endpoint(), stall)? else { return Ok(None) };
        Ok(Some(Self { signer, connector, idle: Mutex::default(), payer }))
    }

    /// Reads a range of an object into `sink`. `credentials` are those of this moment.
    pub(super) fn get(
        &self,
        credentials: &aws_credential_types::Credentials,
        object: &mut Pinned,
        range: Range<u64>,
        sink: &mut dyn Sink,
    ) -> Result<Outcome> {
        let asked = header(&range, object.len);
        let request = self.signer.get(credentials, object, asked.as_deref(), self.payer);
        let Ok(request) = request else { return Ok(Outcome::Rest(range.start, None)) };
        let (mut connection, head) = match self.send(&request) {
            Ok(answered) => answered,
            Err(error) => {
                let fault = Fault::passing("connection", error.to_string());
                return Ok(Outcome::Rest(range.start, Some(fault)));
            }
        };
        match self.check(object, &range, &head)? {
            Verdict::Body => {}
            Verdict::Fault(fault) => return Ok(Outcome::Rest(range.start, Some(fault))),
            Verdict::Unknown => return Ok(Outcome::Rest(range.start, None)),
        }
        object.etag = head.etag.clone();
        let whole =
            asked.is_none().then_some(head.crc64nvme.as_deref()).flatten().and_then(decoded);
        let mut crc = whole.map(|_| Crc64Nvme::default());
        let mut at = range.start;
        while at < range.end {
            let space = sink.space()?;
            let most = space.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
            match connection.read(&mut space[..most]) {
                Ok(n) if n > 0 => {
                    if let Some(crc) = &mut crc {
                        crc.update(&space[..n]);
                    }
                    sink.advance(n)?;
                    at += n as u64;
                }
                broken => {
                    let why = broken.map_or_else(|e| e.to_string(), |_| "it was closed".into());
                    let text = format!("after byte {at} of {}: {why}", range.end);
                    return Ok(Outcome::Rest(at, Some(Fault::passing("connection", text))));
                }
            }
        }
        if let (Some(expected), Some(crc)) = (whole, crc)
            && crc.value() != expected
        {
            let what = format!("CRC-64/NVME {:016x}, not {expected:016x}", crc.value());
            return Err(Error::new(ErrorKind::Damaged { what }, object.name()));
        }
        if head.keeps {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        Ok(Outcome::Done)
    }

    /// Sends a request over a connection that is idle, or over a new one: a server may have closed
    /// an idle one meanwhile, which shows only now.
    fn send(&self, request: &[u8]) -> std::io::Result<(Connection, Head)> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(mut connection) = idle.filter(Connection::is_fresh)
            && connection.write(request).is_ok()
            && let Ok(head) = read_head(&mut connection)
        {
            return Ok((connection, head));
        }
        let mut connection = self.connector.connect()?;
        connection.write(request)?;
        let head = read_head(&mut connection)?;
        Ok((connection, head))
    }

    fn check(&self, object: &Pinned, range: &Range<u64>, head: &Head) -> Result<Verdict> {
        match head.status {
            200 | 206 => {}
            503 => {
                let fault = Fault::passing("SlowDown", "SlowDown (503)");
                return Ok(Verdict::Fault(Fault { class: Class::Slow, ..fault }));
            }
            status @ 500.. => {
                let text = format!("InternalError ({status})");
                return Ok(Verdict::Fault(Fault::passing("InternalError", text)));
            }
            _ => return Ok(Verdict::Unknown),
        }
        let Some(len) = head.len else { return Ok(Verdict::Unknown) };
        if !object.is_same(head.etag.as_deref()) {
            return Err(super::get::changed(object, "its ETag differs"));
        }
        let (brought, whole) = match head.range.as_deref().map(parse) {
            Some(Some(brought)) => brought,
            Some(None) => return Ok(Verdict::Unknown),
            None => (0..len, len),
        };
        if whole != object.len {
            let what = format!("listed with {} bytes, now {whole}", object.len);
            return Err(super::get::changed(object, what));
        }
        match brought == *range && len == range.end - range.start {
            true => Ok(Verdict::Body),
            false => Ok(Verdict::Unknown),
        }
    }
}

/// What an answer's head promises.
enum Verdict {
    /// The bytes asked for.
    Body,
    /// The server is in trouble, or has too much to do.
    Fault(Fault),
    /// Something that the SDK may make sense of.
    Unknown,
}
