//! Requests as S3 wants them: where to, and signed (AWS Signature Version 4).

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
    UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;

use super::super::range::Pinned;

/// Where a bucket's objects are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// As the `Host` header says it.
    authority: String,
    /// What comes before the key: `/`, or `/bucket/`.
    base: String,
}

/// Makes signed requests for one bucket.
#[derive(Debug)]
pub(in super::super) struct Signer {
    endpoint: Endpoint,
    region: String,
}

/// No object is called so: it marks where keys go in an address that the SDK made.
const KEY: &str = "0";

impl Signer {
    /// Asks the SDK where the bucket is: endpoints, regions and styles of names are its business.
    /// None where it signs in another way.
    pub(in super::super) async fn new(client: &Client, bucket: &str) -> Option<Self> {
        // Directory buckets have sessions, access points other regions.
        if bucket.ends_with("--x-s3") || bucket.contains(':') {
            return None;
        }
        let region = client.config().region()?.to_string();
        let expiry = PresigningConfig::expires_in(Duration::from_secs(60)).ok()?;
        let request = client.get_object().bucket(bucket).key(KEY).presigned(expiry).await.ok()?;
        Some(Self { endpoint: Endpoint::parse(request.uri())?, region })
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A request for an object, or for a range of it.
    pub(super) fn get(
        &self,
        credentials: &Credentials,
        object: &Pinned,
        range: Option<&str>,
        payer: bool,
    ) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let Endpoint { tls, authority, base, .. } = &self.endpoint;
        let path = format!("{base}{}", encoded(&object.key));
        let url = format!("{}://{authority}{path}", if *tls { "https" } else { "http" });
        let mut signed = vec![("host", &**authority)];
        if range.is_none() {
            signed.push(("x-amz-checksum-mode", "ENABLED"));
        }
        if payer {
            signed.push(("x-amz-request-payer", "requester"));
        }
        let mut settings = SigningSettings::default();
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = credentials.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()?
            .into();
        let request =
            SignableRequest::new("GET", &*url, signed.iter().copied(), SignableBody::Bytes(b""))?;
        let (instructions, _) = sign(request, &parameters)?.into_parts();
        let mut text = format!("GET {path} HTTP/1.1\r\n");
        let unsigned = [("range", range), ("if-match", object.etag.as_deref())];
        let unsigned = unsigned.into_iter().filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in signed.iter().copied().chain(instructions.headers()).chain(unsigned) {
            if value.contains(['\r', '\n']) {
                return Err("a header with a line break".into());
            }
            write!(text, "{name}: {value}\r\n")?;
        }
        write!(text, "user-agent: shardpack/{}\r\n\r\n", env!("CARGO_PKG_VERSION"))?;
        Ok(text.into_bytes())
    }
}

impl Endpoint {
    /// Of the address of the object [`KEY`].
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.split_once('/')?;
        let base = path.split('?').next()?.strip_suffix(KEY)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
            _ => (authority, if tls { 443 } else { 80 }),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Some(Self { tls, host, port, authority: authority.into(), base: format!("/{base}") })
    }
}

/// A key in an address: every byte but letters, digits, `-._~` and the slash, as S3 signs it.
fn encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len() + 8);
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                text.push(byte as char);
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts =
            |url: &str| Endpoint::parse(url).map(|e| (e.tls, e.host, e.port, e.authority, e.base));
        let is = |tls, host: &str, port, authority: &str, base: &str| {
            Some((tls, host.to_owned(), port, authority.to_owned(), base.to_owned()))
        };
        for (url, expected) in [
            (
                "https://pictures.s3.eu-west-1.amazonaws.com/0?x=1/0",
                is(
                    true,
                    "pictures.s3.eu-west-1.amazonaws.com",
                    443,
                    "pictures.s3.eu-west-1.amazonaws.com",
                    "/",
                ),
            ),
            (
                "http://127.0.0.1:9000/pictures/0?x",
                is(false, "127.0.0.1", 9000, "127.0.0.1:9000", "/pictures/"),
            ),
            ("http://[::1]:80/b/0", is(false, "::1", 80, "[::1]:80", "/b/")),
            ("http://[::1]/b/0", is(false, "::1", 80, "[::1]", "/b/")),
            ("ftp://a/0", None),
            ("http://a:port/0", None),
            ("http://a/1", None),
        ] {
            assert_eq!(parts(url), expected, "{url}");
        }
    }

    #[test]
    fn keys_are_encoded_as_they_are_signed() {
        assert_eq!(encoded("a/b-._~ü %+?#\u{1}"), "a/b-._~%C3%BC%20%25%2B%3F%23%01");
    }
}
