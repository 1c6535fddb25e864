//! Who a client certificate says its bearer is.

use crate::{
    Error, Lifetime,
    authority::{hex, lifetime_of},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use x509_parser::prelude::{FromDer, X509Certificate};

/// By which number a certificate is named, and how long it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its serial number, in lower-case hexadecimal without leading zeros.
    pub serial_number: String,
    /// From when until when it holds.
    pub lifetime: Lifetime,
}

impl CertificateFacts {
    /// Reads them from a certificate in DER.
    ///
    /// # Errors
    /// It is no certificate.
    pub fn read(der: &[u8]) -> Result<Self, Error> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|e| Error::NotACertificate { why: e.to_string() })?;
        let serial_number = hex(certificate.raw_serial()).trim_start_matches('0').to_owned();
        Ok(Self { serial_number, lifetime: lifetime_of(&certificate) })
    }

    /// Reads them from the first certificate in a PEM text.
    ///
    /// # Errors
    /// There is none.
    pub fn of_pem(pem: &str) -> Result<Self, Error> {
        let der = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|e| Error::NotACertificate { why: e.to_string() })?;
        Self::read(&der)
    }
}

/// A user and their groups, as Kubernetes keeps them in a certificate's subject: common name and organisations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user: the subject's common name.
    pub user: String,
    /// The user's groups: the subject's organisations, in order.
    pub groups: Vec<String>,
}

impl Identity {
    /// Names a user in some groups.
    pub fn new<G: Into<String>>(user: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        Self { user: user.into(), groups: groups.into_iter().map(Into::into).collect() }
    }

    /// Reads the subject of a certificate in DER. Whether the certificate is to be believed has been decided by TLS.
    pub fn of_certificate(der: &[u8]) -> Result<Self, Error> {
        let (_, certificate) =
            X509Certificate::from_der(der).map_err(|e| Error::NotACertificate { why: e.to_string() })?;
        let text = |value: &x509_parser::x509::AttributeTypeAndValue<'_>| {
            value.as_str().map(str::to_owned).map_err(|e| Error::NotACertificate { why: e.to_string() })
        };
        let subject = certificate.subject();
        let user = subject.iter_common_name().last().map(text).transpose()?.unwrap_or_default();
        let groups = subject.iter_organization().map(text).collect::<Result<_, _>>()?;
        if user.is_empty() {
            return Err(Error::NotACertificate { why: "its subject has no common name".into() });
        }
        Ok(Self { user, groups })
    }
}
