//! The server as the AWS SDK sees it.

mod copies;
mod faults;
mod life;
mod listing;
mod multipart;
mod objects;
mod tls;

use std::fs::read;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region, SharedHttpClient};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use super::{S3Config, S3Server};

const B: &str = S3Server::BUCKET;

/// How a client is configured: signed, and without retries of its own.
fn settings(server: &S3Server) -> Builder {
    aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(S3Server::REGION))
        .credentials_provider(Credentials::new(
            S3Server::ACCESS_KEY,
            S3Server::SECRET_KEY,
            None,
            None,
            "tests",
        ))
        .endpoint_url(server.endpoint())
        .force_path_style(true)
        .retry_config(RetryConfig::disabled())
        .http_client(match server.certificate() {
            None => HttpBuilder::new().build_http(),
            Some(pem) => https(TrustStore::empty().with_pem_certificate(read(pem).unwrap())),
        })
}

/// HTTP over TLS, with trust in these certificates.
fn https(trust: TrustStore) -> SharedHttpClient {
    let context = TlsContext::builder().with_trust_store(trust).build().expect("certificates");
    let builder = HttpBuilder::new().tls_provider(Provider::Rustls(CryptoMode::Ring));
    builder.tls_context(context).build_https()
}

/// A server of each kind: without TLS and with it.
fn both() -> [S3Server; 2] {
    [false, true].map(|tls| S3Server::start_with(S3Config { tls, ..S3Config::default() }))
}

fn client(server: &S3Server) -> Client {
    Client::from_conf(settings(server).build())
}

/// Runs a client on this thread.
fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// The status and code of a refusal, as `412 PreconditionFailed`; the code is empty where the
/// answer has no body, as for HEAD.
fn refusal<T, E: ProvideErrorMetadata + std::fmt::Debug>(answer: Result<T, SdkError<E>>) -> String {
    match answer {
        Ok(_) => "accepted".into(),
        Err(error) => match error.raw_response() {
            Some(response) => {
                let status = response.status().as_u16();
                format!("{status} {}", error.code().unwrap_or_default())
            }
            None => format!("no answer: {error:?}"),
        },
    }
}

async fn put(client: &Client, key: &str, bytes: &'static [u8]) -> String {
    let put = client.put_object().bucket(B).key(key).body(ByteStream::from_static(bytes));
    put.send().await.expect("a put").e_tag.expect("an ETag")
}

/// The bytes of a whole object.
async fn get(client: &Client, key: &str) -> Result<Vec<u8>, String> {
    let answer = client.get_object().bucket(B).key(key).send().await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    let body = answer.body.collect().await.map_err(|error| format!("{error:?}"))?;
    Ok(body.to_vec())
}
