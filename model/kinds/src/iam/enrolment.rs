//! `Enrolment`: how a machine asks for its certificate, and for the next one. It is answered and never stored.

use crate::typed::{ApiVersion, KindName, resource, unset};
use lab_object::{ObjectMeta, Time, mac::MacAddress};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A request for a certificate by which a bastion or an agent is known. With a token it is the first one; without, whoever
/// sends it shows their present certificate, and gets the next one for the same identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Enrolment {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Enrolment`.
    pub kind: KindName<Self>,
    /// Standard object metadata, all of which is ignored.
    pub metadata: ObjectMeta,
    /// Who asks, and with what key.
    pub spec: EnrolmentSpec,
    /// The certificate.
    #[serde(skip_serializing_if = "unset")]
    pub status: CertificateStatus,
}

/// Who asks for a certificate, and with what key.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EnrolmentSpec {
    /// The token of a JoinToken. Without it, the certificate of the connection is to be followed by another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Certificate signing request in PEM (PKCS #10, RFC 2986), signed with the key it names: ECDSA with P-256 or P-384, or
    /// Ed25519. Its subject is empty, and it asks for no extension: who the joiner is follows from the token.
    pub request: String,
    /// Name of the Bastion or the Server that joins. An agent with a token for one server need not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The machine's MAC addresses, by which its Server is found where no name is given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<MacAddress>,
}

impl fmt::Debug for EnrolmentSpec {
    /// Does not show the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentSpec")
            .field("name", &self.name)
            .field("macs", &self.macs)
            .finish_non_exhaustive()
    }
}

/// A certificate that was issued.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateStatus {
    /// Whom the certificate names: `bastion:` and a name, `server:` and a UID, or a user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub identity: String,
    /// The certificate, in PEM.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// The certificate of the authority, in PEM, by which the server is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate_authority: String,
    /// Until when the certificate holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

resource!(Enrolment, "iam.lab", "v1alpha1", "enrolments", namespaced: false);
