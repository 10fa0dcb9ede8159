//! TLS below HTTP, with a certificate of the server's own.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::NamedTempFile;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::server::TlsStream;

/// A certificate for 127.0.0.1 and localhost, its key, and the file by which clients trust it.
#[derive(Debug)]
pub(super) struct Tls {
    config: Arc<ServerConfig>,
    certificate: NamedTempFile,
}

impl Tls {
    /// Makes a key and a certificate. Every server has its own: a client that trusts one does not
    /// trust the next on the same port.
    ///
    /// # Panics
    ///
    /// When the certificate cannot be written to the folder for temporary files.
    pub(super) fn new() -> Self {
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(names).expect("a certificate");
        let mut certificate = tempfile::Builder::new()
            .prefix("s3-server-")
            .suffix(".pem")
            .tempfile()
            .expect("a file for the certificate");
        certificate.write_all(cert.pem().as_bytes()).expect("a certificate in its file");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        // The provider is named: what a process has for a default is not the server's to choose.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring's protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![cert.into()], key.into())
            .expect("a key that fits its certificate");
        config.alpn_protocols = vec![b"http/1.1".to_vec()]; // clients offer HTTP/2 too
        Self { config: Arc::new(config), certificate }
    }

    /// The certificate, as PEM.
    pub(super) fn certificate(&self) -> &Path {
        self.certificate.path()
    }

    /// Shakes hands. An error is a client that does not trust the certificate, or speaks no TLS.
    pub(super) async fn accept<S>(&self, socket: S) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.config.clone()).accept(socket).await
    }
}
