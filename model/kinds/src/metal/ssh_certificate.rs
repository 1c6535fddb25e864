//! `SSHCertificateRequest`: how somebody comes by a certificate to log in to a machine with. It is answered and never stored.

use crate::typed::{ApiVersion, KindName, resource, unset};
use lab_object::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};

/// A request for a certificate by which who has a key may log in to the server to whose `sshcertificate` it is sent, for some
/// minutes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SSHCertificateRequest {
    /// Group and version of the object's form: `metal.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `SSHCertificateRequest`.
    pub kind: KindName<Self>,
    /// Standard object metadata, all of which is ignored.
    pub metadata: ObjectMeta,
    /// Who wants to log in, and with what key.
    pub spec: SSHCertificateRequestSpec,
    /// The certificate.
    #[serde(skip_serializing_if = "unset")]
    pub status: SSHCertificateRequestStatus,
}

/// Who wants to log in to a machine, and with what key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SSHCertificateRequestSpec {
    /// The public key, of the kind Ed25519, as a line such as `ssh-ed25519 AAAA…`.
    pub public_key: String,
    /// The account on the machine: the one that `spec.admin.user` of the server names (`lab` where it names none), which is also
    /// taken where nothing is said here, or `root`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For how many seconds the certificate is to hold: 60 to 3600, by default 300. Who has logged in stays in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

/// A certificate to log in to a machine with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SSHCertificateRequestStatus {
    /// The account on the machine.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// The certificate, as `ssh` reads it from a file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub certificate: String,
    /// The public key that signs the certificates of machines, by which this one is known as its UID.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host_authority: String,
    /// Until when the certificate holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

resource!(SSHCertificateRequest, "metal.lab", "v1alpha1", "sshcertificaterequests", namespaced: false);
