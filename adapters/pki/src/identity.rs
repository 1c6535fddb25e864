//! Who a client certificate says its bearer is.

use crate::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

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
