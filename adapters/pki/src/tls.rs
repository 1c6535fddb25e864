//! What rustls is given: the server's side of TLS, with a certificate that can be replaced while it serves.

use crate::{Authority, Error, Issued, Lifetime};
use parking_lot::RwLock;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
};
use std::sync::Arc;

/// The certificate a server shows. Replacing it takes effect with the next connection; open ones go on.
#[derive(Debug)]
pub struct ServingCertificate {
    current: RwLock<(Arc<CertifiedKey>, Lifetime)>,
}

impl ServingCertificate {
    /// Begins with this certificate.
    pub fn new(issued: &Issued) -> Result<Self, Error> {
        Ok(Self { current: RwLock::new((certified(issued)?, issued.lifetime)) })
    }

    /// Shows this certificate from now on.
    pub fn replace(&self, issued: &Issued) -> Result<(), Error> {
        let next = certified(issued)?;
        *self.current.write() = (next, issued.lifetime);
        Ok(())
    }

    /// From when until when the certificate shown holds.
    pub fn lifetime(&self) -> Lifetime {
        self.current.read().1
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().0.clone())
    }
}

/// The server's side of TLS: `certificate` is shown; clients may show one of the authority's, and are anonymous when they
/// show none. A certificate of anybody else, or one that does not hold, ends the handshake. HTTP/2 and HTTP/1.1.
pub fn server_config(
    authority: &Authority,
    certificate: Arc<ServingCertificate>,
) -> Result<ServerConfig, Error> {
    let tls = |source| Error::Tls { source };
    let provider = provider();
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate().clone()).map_err(tls)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .allow_unauthenticated()
        .build()
        .map_err(|e| tls(rustls::Error::General(e.to_string())))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certified(issued: &Issued) -> Result<Arc<CertifiedKey>, Error> {
    CertifiedKey::from_der(issued.chain(), issued.key(), &provider())
        .map(Arc::new)
        .map_err(|source| Error::Tls { source })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
