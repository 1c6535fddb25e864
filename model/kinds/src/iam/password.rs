//! `PasswordRequest`: sets a user's password. It is carried out and never stored.

use crate::typed::{ApiVersion, KindName, resource};
use lab_object::ObjectMeta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Sets the password of the user to whose `password` it is sent. Only its hash is stored, in the Secret that the User names.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordRequest {
    /// Group and version of the object's form: `iam.lab/v1alpha1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `PasswordRequest`.
    pub kind: KindName<Self>,
    /// Standard object metadata, all of which is ignored.
    pub metadata: ObjectMeta,
    /// The password.
    pub spec: PasswordRequestSpec,
}

/// A password that is to be set.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PasswordRequestSpec {
    /// The new password: 8 to 1024 bytes.
    pub password: String,
    /// The present one, by which users may change their own. Who administers users leaves it out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_password: Option<String>,
}

impl fmt::Debug for PasswordRequestSpec {
    /// Shows neither.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordRequestSpec").finish_non_exhaustive()
    }
}

resource!(PasswordRequest, "iam.lab", "v1alpha1", "passwordrequests", namespaced: false);
