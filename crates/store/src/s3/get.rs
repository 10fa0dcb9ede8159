//! Objects by the SDK: a body that breaks off is resumed where it broke.

use std::ops::Range;

use tokio::time::timeout;

use super::calls::Calls;
use super::fault::{Class, Fault, chain};
use super::range::{Pinned, header, parse};
use super::retry::Retry;
use crate::{Error, ErrorKind, Result, Sink};

/// Why a try ended before its last byte.
enum Halt {
    /// The server's doing.
    Fault(Fault),
    /// The caller's: the object changed, or the sink failed.
    Error(Error),
}

/// Goes on with a read that ended in a fault.
pub(super) async fn resume<S: Sink + ?Sized>(
    calls: &Calls,
    object: &mut Pinned,
    range: Range<u64>,
    fault: Option<Fault>,
    sink: &mut S,
) -> Result<()> {
    if let Some(fault) = fault {
        Retry::new(calls, "GetObject", &object.name()).after(fault).await?;
    }
    stream(calls, object, range, sink).await
}

/// Reads a range into memory.
pub(super) async fn collect(
    calls: &Calls,
    object: &mut Pinned,
    range: Range<u64>,
) -> Result<Vec<u8>> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    let mut sink = Filled { bytes: &mut bytes, at: 0 };
    stream(calls, object, range, &mut sink).await?;
    Ok(bytes)
}

/// Reads a range by one request after another until all of it is there.
pub(super) async fn stream<S: Sink + ?Sized>(
    calls: &Calls,
    object: &mut Pinned,
    range: Range<u64>,
    sink: &mut S,
) -> Result<()> {
    let name = object.name();
    let mut retry = Retry::new(calls, "GetObject", &name);
    let mut at = range.start;
    while at < range.end {
        let before = at;
        let turn = calls.reads.enter().await;
        calls.pass().await;
        match attempt(calls, object, &mut at, range.end, sink).await {
            Ok(()) => turn.answered(),
            Err(Halt::Error(error)) => return Err(error),
            Err(Halt::Fault(fault)) => {
                match fault.class {
                    Class::Slow => turn.throttled(),
                    _ => drop(turn),
                }
                if at > before {
                    retry.progressed();
                }
                match fault.class {
                    Class::Condition => return Err(changed(object, "its ETag differs")),
                    _ => retry.after(fault).await?,
                }
            }
        }
    }
    Ok(())
}

/// One request; `at` goes along with the bytes that reached the sink.
async fn attempt<S: Sink + ?Sized>(
    calls: &Calls,
    object: &mut Pinned,
    at: &mut u64,
    end: u64,
    sink: &mut S,
) -> std::result::Result<(), Halt> {
    let stall = calls.options.stall;
    let request = calls
        .client
        .get_object()
        .bucket(&object.bucket)
        .key(&object.key)
        .set_range(header(&(*at..end), object.len))
        .set_if_match(object.etag.clone())
        .set_request_payer(calls.payer());
    let fault = |fault| Err(Halt::Fault(fault));
    let answer = match timeout(stall, request.send()).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return fault(error.into()),
        Err(_) => return fault(Fault::stalled()),
    };
    check(object, *at..end, &answer).map_err(Halt::Error)?;
    object.etag = answer.e_tag;
    let mut body = answer.body;
    loop {
        let chunk = match timeout(stall, body.next()).await {
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(error))) => return broken(object, *at, end, &error),
            Ok(None) if *at == end => return Ok(()),
            Ok(None) => {
                return fault(Fault::passing(
                    "short",
                    format!("the body ended at byte {at} of {end}"),
                ));
            }
            Err(_) => return fault(Fault::stalled()),
        };
        if chunk.len() as u64 > end - *at {
            let what = format!("more bytes than asked for after byte {at}");
            return Err(Halt::Error(changed(object, what)));
        }
        calls.receive(chunk.len() as u64).await;
        pour(&chunk, sink).map_err(Halt::Error)?;
        *at += chunk.len() as u64;
    }
}

/// A body that broke off goes on where it did. One that arrived whole and does not have the
/// checksum that S3 keeps for it cannot be taken back from the sink.
fn broken(
    object: &Pinned,
    at: u64,
    end: u64,
    error: &aws_sdk_s3::primitives::ByteStreamError,
) -> std::result::Result<(), Halt> {
    let text = chain(error);
    if at == end {
        return Err(Halt::Error(Error::new(ErrorKind::Damaged { what: text }, object.name())));
    }
    Err(Halt::Fault(Fault::passing("connection", format!("after byte {at} of {end}: {text}"))))
}

/// An answer must bring the bytes asked for, of the object that was listed.
fn check(
    object: &Pinned,
    range: Range<u64>,
    answer: &aws_sdk_s3::operation::get_object::GetObjectOutput,
) -> Result<()> {
    if !object.is_same(answer.e_tag()) {
        return Err(changed(object, "its ETag differs"));
    }
    let brought = match answer.content_range() {
        Some(text) => parse(text),
        None => {
            let len = answer.content_length().and_then(|len| u64::try_from(len).ok());
            len.map(|len| (0..len, len))
        }
    };
    match brought {
        Some((_, len)) if len != object.len => {
            Err(changed(object, format!("listed with {} bytes, now {len}", object.len)))
        }
        Some((found, _)) if found == range => Ok(()),
        _ => Err(changed(object, format!("asked for bytes {range:?}, the server sends others"))),
    }
}

pub(super) fn changed(object: &Pinned, what: impl Into<String>) -> Error {
    Error::changed(object.name(), what)
}

/// Moves bytes into a sink.
pub(super) fn pour<S: Sink + ?Sized>(mut bytes: &[u8], sink: &mut S) -> Result<()> {
    while !bytes.is_empty() {
        let space = sink.space()?;
        let n = space.len().min(bytes.len());
        space[..n].copy_from_slice(&bytes[..n]);
        sink.advance(n)?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// Room for exactly what was asked for.
pub(super) struct Filled<'a> {
    pub(super) bytes: &'a mut [u8],
    pub(super) at: usize,
}

impl Sink for Filled<'_> {
    fn space(&mut self) -> Result<&mut [u8]> {
        Ok(self.bytes.get_mut(self.at..).unwrap_or_default())
    }

    fn advance(&mut self, n: usize) -> Result<()> {
        self.at += n;
        Ok(())
    }
}
