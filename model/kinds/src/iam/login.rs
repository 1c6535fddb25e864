//! `Login`: how a user gets a certificate for a while. It is answered and never stored.

use super::enrolment::CertificateStatus;
use crate::typed::{ApiVersion, KindName, resource, unset};
use lab_object::ObjectMeta;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A request for a short-lived certificate by which a user is known.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Login {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Login`.
    pub kind: KindName<Self>,
    /// Standard object metadata, all of which is ignored.
    pub metadata: ObjectMeta,
    /// Who asks, and how they prove it.
    pub spec: LoginSpec,
    /// The certificate, or the challenge to be signed.
    #[serde(skip_serializing_if = "unset")]
    pub status: LoginStatus,
}

/// Who logs in, and how they prove who they are: with a password, or by signing a challenge. Without either, a challenge is
/// answered.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginSpec {
    /// The user's name.
    pub user: String,
    /// Certificate signing request in PEM (PKCS #10, RFC 2986), signed with the key it names: ECDSA with P-256 or P-384, or
    /// Ed25519. Its subject is empty or names the user, and it asks for no extension.
    pub request: String,
    /// For how many seconds the certificate is to hold: at most 12 hours, which is also what is given without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
    /// The user's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The challenge that was answered before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// Signature of [`LoginSpec::signed_text`] with one of the user's keys, as `ssh-keygen -Y sign -n login@lab` makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}

/// The namespace of signatures (`ssh-keygen -n`), so that what was signed for another purpose is no login.
pub const NAMESPACE: &str = "login@lab";

impl LoginSpec {
    /// What is signed: the challenge, the user and the request, so that a signature is good for nothing else.
    pub fn signed_text(&self) -> String {
        let challenge = self.challenge.as_deref().unwrap_or_default();
        format!("{NAMESPACE}\n{challenge}\n{}\n{}", self.user, self.request)
    }
}

impl fmt::Debug for LoginSpec {
    /// Shows neither password nor signature.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginSpec").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a login came to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoginStatus {
    /// What is to be signed together with the rest, within two minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<String>,
    /// The certificate.
    #[serde(flatten)]
    pub issued: CertificateStatus,
}

resource!(Login, "iam.lab", "v1alpha1", "logins", namespaced: false);
