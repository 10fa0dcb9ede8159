use std::env;
use std::fs::read;
use std::process::{Command, Output};

use aws_sdk_s3::Client;
use aws_smithy_http_client::tls::TrustStore;

use super::{client, get, https, put, run, settings};
use crate::s3::{Fault, FaultRule, S3Config, S3Server};

/// Tells a child process where its server is.
const CHILD: &str = "TEST_S3_ENDPOINT";

fn start() -> S3Server {
    S3Server::start_with(S3Config { tls: true, ..S3Config::default() })
}

#[test]
fn an_endpoint_says_how_it_is_spoken_to() {
    let plain = S3Server::start();
    assert!(plain.endpoint().starts_with("http://127.0.0.1:"));
    assert_eq!(plain.certificate(), None);
    assert!(plain.environment().iter().all(|(name, _)| *name != "SSL_CERT_FILE"));

    let server = start();
    assert!(server.endpoint().starts_with("https://127.0.0.1:"));
    let path = server.certificate().unwrap().to_owned();
    let variable = ("SSL_CERT_FILE", path.to_str().unwrap().to_owned());
    assert!(server.environment().contains(&variable));
    assert!(read(&path).unwrap().starts_with(b"-----BEGIN CERTIFICATE-----"));
    drop(server);
    assert!(!path.exists(), "it goes with its server");
}

#[test]
fn a_client_that_trusts_the_certificate_is_served() {
    let server = start();
    let body: &[u8] = Box::leak(vec![7; 3 << 20].into_boxed_slice());
    let port = server.endpoint().rsplit(':').next().unwrap().to_owned();
    let by_name = settings(&server).endpoint_url(format!("https://localhost:{port}"));
    run(async {
        for client in [client(&server), Client::from_conf(by_name.build())] {
            put(&client, "k", body).await;
            assert!(get(&client, "k").await.unwrap() == body);
            server.remove("k");
        }
        // The certificate outlives a restart.
        let client = client(&server);
        server.put("k", "bytes");
        server.stop();
        get(&client, "k").await.unwrap_err();
        server.restart();
        assert_eq!(get(&client, "k").await.unwrap(), b"bytes");
    });
}

#[test]
fn other_clients_are_not() {
    let (server, other) = (start(), start());
    server.put("k", "bytes");
    let pem = read(other.certificate().unwrap()).unwrap();
    let stranger = https(TrustStore::empty().with_pem_certificate(pem));
    let stranger = settings(&server).http_client(stranger);
    let plain = settings(&server).endpoint_url(server.endpoint().replace("https", "http"));
    run(async {
        let error = get(&Client::from_conf(stranger.build()), "k").await.unwrap_err();
        assert!(error.contains("InvalidCertificate"), "{error}");
        get(&Client::from_conf(plain.build()), "k").await.unwrap_err();
        assert!(server.calls().is_empty());
        assert_eq!(get(&client(&server), "k").await.unwrap(), b"bytes");
    });
}

/// An orderly end of TLS would hide a fault from clients that take any such end for the body's.
#[test]
fn a_cut_is_no_orderly_end() {
    let server = start();
    server.put("k", "bytes");
    let client = client(&server);
    for fault in [Fault::ResetWithin(2), Fault::ShortBody(1)] {
        server.inject(FaultRule::new(fault.clone()));
        let error = run(get(&client, "k")).unwrap_err();
        assert!(error.contains("UnexpectedEof"), "{fault:?}: {error}");
        assert!(error.contains("without sending TLS close_notify"), "{fault:?}: {error}");
    }
}

/// What the child does: as any program, it knows the certificate from its environment only.
#[test]
fn a_child() {
    let Ok(endpoint) = env::var(CHILD) else { return };
    let nowhere = S3Server::start(); // for the credentials
    let settings = settings(&nowhere).endpoint_url(endpoint);
    let client = Client::from_conf(settings.http_client(https(TrustStore::default())).build());
    assert_eq!(run(get(&client, "k")).unwrap(), b"bytes");
}

#[test]
fn a_child_process_trusts_what_its_environment_names() {
    let (server, other) = (start(), start());
    server.put("k", "bytes");
    let child = |environment: &S3Server| -> Output {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "s3::tests::tls::a_child"])
            .env_remove("SSL_CERT_DIR")
            .envs(environment.environment())
            .env(CHILD, server.endpoint())
            .output()
            .unwrap()
    };
    let output = child(&server);
    assert!(output.status.success(), "{output:?}");
    let statuses: Vec<_> = server.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(200)], "the child did ask");

    let output = child(&other);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.contains("InvalidCertificate"), "{output:?}");
    assert_eq!(server.calls().len(), 1);
}
