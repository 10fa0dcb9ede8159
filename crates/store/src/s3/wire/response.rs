//! Heads of answers: as much of HTTP/1.1 as a good answer to GET needs.

use std::io;

use super::connection::Connection;

/// What the head of an answer tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    /// Length of the body; none for one that comes in chunks, or until the end.
    pub(super) len: Option<u64>,
    pub(super) range: Option<String>,
    pub(super) etag: Option<String>,
    pub(super) crc64nvme: Option<String>,
    /// The connection may be used again.
    pub(super) keeps: bool,
}

/// Longest head: what hyper and most servers take.
const LONGEST: usize = 64 << 10;
/// Most headers; S3 sends some fifteen, and as many as an object has metadata.
const HEADERS: usize = 128;

/// Reads the head of an answer.
pub(super) fn read_head(connection: &mut Connection) -> io::Result<Head> {
    loop {
        let bytes = connection.more()?;
        if let Some((head, len)) = parse(bytes)? {
            connection.pass(len);
            return Ok(head);
        }
        if bytes.len() > LONGEST {
            return Err(invalid("the head of the answer has no end"));
        }
    }
}

/// The head at the start of `bytes` and its length; none while it is not all there.
fn parse(bytes: &[u8]) -> io::Result<Option<(Head, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(bytes).map_err(|e| invalid(&e.to_string()))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(len) => len,
    };
    let status = response.code.unwrap_or_default();
    let mut head = Head { status, keeps: response.version == Some(1), ..Head::default() };
    for header in response.headers {
        let text = || str::from_utf8(header.value).ok().map(|text| text.trim().to_owned());
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let value = text().and_then(|text| text.parse().ok());
            if head.len.is_some() && head.len != value {
                return Err(invalid("two lengths"));
            }
            head.len = value;
        } else if is("content-range") {
            head.range = text();
        } else if is("etag") {
            head.etag = text();
        } else if is("x-amz-checksum-crc64nvme") {
            head.crc64nvme = text();
        } else if is("connection") {
            head.keeps &= !text().is_some_and(|text| text.eq_ignore_ascii_case("close"));
        } else if is("transfer-encoding") || is("content-encoding") {
            head.status = 0; // not the bytes as they lie there, one after another
        }
    }
    Ok(Some((head, len)))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: \"a\"\r\nContent-Range: bytes 0-4/9\r\n\r\nbytes";

    #[test]
    fn heads_are_read_when_they_are_whole() {
        for cut in 0..ANSWER.len() - 5 {
            assert_eq!(parse(&ANSWER[..cut]).unwrap(), None, "{cut}");
        }
        let (head, len) = parse(ANSWER).unwrap().unwrap();
        assert_eq!(&ANSWER[len..], b"bytes");
        assert_eq!((head.status, head.len, head.keeps), (206, Some(5), true));
        assert_eq!(
            (head.range.as_deref(), head.etag.as_deref()),
            (Some("bytes 0-4/9"), Some("\"a\""))
        );
    }

    #[test]
    fn what_is_no_plain_body_is_left_to_others() {
        for (text, expected) in [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Some((0, None, true))),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n\r\n",
                Some((0, Some(1), true)),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
                Some((200, Some(1), false)),
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", Some((200, Some(1), false))),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Some((200, None, true))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", None),
            ("SSH-2.0\r\n", None),
        ] {
            let head = parse(text.as_bytes()).ok().flatten();
            assert_eq!(head.map(|(h, _)| (h.status, h.len, h.keeps)), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0..ANSWER.len()) {
            let _ = parse(&bytes);
            let mut spliced = ANSWER[..cut].to_vec();
            spliced.extend(&bytes);
            let _ = parse(&spliced);
        }
    }
}
