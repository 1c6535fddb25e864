//! A server that is recognised by the hash of its authority's key, by who does not have the authority's certificate yet.

use rustls::{
    CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use sha2::{Digest, Sha256};
use std::{fmt::Write, sync::Arc};

/// Takes a server's certificate when an authority signed it that the server shows as well and whose key has the expected
/// hash. Name and time are checked as always.
#[derive(Debug)]
pub(crate) struct Pinned {
    pin: String,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    /// Expects the hash `sha256:` and 64 hexadecimal digits of a SubjectPublicKeyInfo, as labd prints it; `None` when the
    /// text is none.
    pub(crate) fn new(pin: &str, provider: Arc<CryptoProvider>) -> Option<Self> {
        let digits = pin.strip_prefix("sha256:")?;
        let whole = digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        whole.then(|| Self { pin: pin.to_ascii_lowercase(), provider })
    }

    fn verifier(&self, shown: &[CertificateDer<'_>]) -> Result<Arc<WebPkiServerVerifier>, Error> {
        let unknown = || Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = shown.iter().find(|certificate| hash(certificate).as_ref() == Some(&self.pin));
        let mut roots = RootCertStore::empty();
        roots.add(authority.ok_or_else(unknown)?.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))
    }
}

/// The hash of the key of the first certificate in a PEM text; `None` where there is none.
pub(crate) fn hash_of_pem(text: &[u8]) -> Option<String> {
    hash(&CertificateDer::pem_slice_iter(text).next()?.ok()?)
}

/// The hash of a certificate's key; `None` when it is no certificate.
fn hash(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let mut text = "sha256:".to_owned();
    for byte in Sha256::digest(&*parsed.subject_public_key_info()) {
        write!(text, "{byte:02x}").expect("a String takes any text");
    }
    Some(text)
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verifier(others)?.verify_server_cert(own, others, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
