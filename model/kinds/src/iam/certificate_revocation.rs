//! `CertificateRevocation`: certificates that count no more.

use crate::typed::{ApiVersion, KindName, resource};
use crate::{Column, Define, Kind};
use lab_object::{FieldError, Json, ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// CertificateRevocation says which client certificates count no more: one by its serial number, or all that a user or a
/// machine was given before a moment. It takes effect at once, also on open connections and running watches, and holds as
/// long as this object is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateRevocation {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `CertificateRevocation`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// Which certificates.
    pub spec: CertificateRevocationSpec,
}

/// Which certificates count no more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CertificateRevocationSpec {
    /// Serial number of one certificate, in lower-case hexadecimal without separators, as `openssl x509 -serial` shows it in
    /// upper case.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9a-f]{1,40}$"))]
    pub serial_number: Option<String>,
    /// The user whose certificates are meant: a person, `bastion:` and a name, or `server:` and a UID. With a serial number,
    /// the certificate has to be this user's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub user: Option<String>,
    /// The user's certificates issued until then are meant. Without it, those issued until this object was created, so that
    /// whoever proves themselves anew gets in again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issued_until: Option<Time>,
    /// Why, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

resource!(CertificateRevocation, "iam.lab", "v1alpha1", "certificaterevocations", namespaced: false);

impl Define for CertificateRevocation {
    fn define() -> Kind {
        Kind::of::<Self>("certificaterevocation")
            .short_names(&["revocation"])
            .categories(&["iam"])
            .columns([
                Column::path("User", "spec.user", "The user whose certificates are meant."),
                Column::path("Serial Number", "spec.serialNumber", "The certificate that is meant."),
                Column::path("Issued Until", "spec.issuedUntil", "Certificates issued until then are meant."),
                Column::path("Reason", "spec.reason", "Why.").wide(),
            ])
            .selectable(&["spec.user", "spec.serialNumber"])
            .validated_by(validate)
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta { name: Some("home-1-stolen".into()), ..Default::default() },
            spec: CertificateRevocationSpec {
                user: Some("bastion:home-1".into()),
                reason: Some("The machine was taken away.".into()),
                ..Default::default()
            },
            ..Default::default()
        }
    }
}

fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let spec = &new["spec"];
    let mut errors = Vec::new();
    if spec.get("user").is_none() && spec.get("serialNumber").is_none() {
        errors.push(FieldError::required("spec.user", "name a user, a serial number, or both"));
    }
    if spec.get("issuedUntil").is_some() && spec.get("serialNumber").is_some() {
        let why = "one certificate is meant already, by its serial number";
        errors.push(FieldError::forbidden("spec.issuedUntil", why));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses() {
        let check = |spec: Json, fields: &[&str]| {
            let found: Vec<_> = validate(&json!({"spec": spec}), None).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields);
        };
        check(json!({"user": "u"}), &[]);
        check(json!({"serialNumber": "a1"}), &[]);
        check(json!({"user": "u", "issuedUntil": "2026-11-21T12:00:00Z"}), &[]);
        check(json!({}), &["spec.user"]);
        check(json!({"serialNumber": "a1", "issuedUntil": "2026-11-21T12:00:00Z"}), &["spec.issuedUntil"]);
    }
}
