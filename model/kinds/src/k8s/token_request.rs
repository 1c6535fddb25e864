//! `TokenRequest` (`authentication.k8s.io/v1`): asks for a token of a service account.

use crate::core::service_account::ObjectReference;
use crate::typed::unset;
use lab_object::{ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Asks for a token of a service account, and carries it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequest {
    /// `authentication.k8s.io/v1`.
    pub api_version: String,
    /// `TokenRequest`.
    pub kind: String,
    /// Name and namespace of the service account.
    pub metadata: ObjectMeta,
    /// What the token is to be good for.
    pub spec: TokenRequestSpec,
    /// The token.
    #[serde(skip_serializing_if = "unset")]
    pub status: TokenRequestStatus,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self {
            api_version: "authentication.k8s.io/v1".into(),
            kind: "TokenRequest".into(),
            metadata: ObjectMeta::default(),
            spec: TokenRequestSpec::default(),
            status: TokenRequestStatus::default(),
        }
    }
}

/// What a token is to be good for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequestSpec {
    /// Who the token is shown to; who receives it must find themselves here. Empty means the API server itself.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub audiences: Vec<String>,
    /// For how many seconds it is good; at least 600. The server may give it a shorter life.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 600, max = 4_294_967_296_i64))]
    pub expiration_seconds: Option<i64>,
    /// The object, such as a pod, with which the token ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound_object_ref: Option<ObjectReference>,
}

/// A token.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenRequestStatus {
    /// The token.
    pub token: String,
    /// When it ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<Time>,
}

impl fmt::Debug for TokenRequestStatus {
    /// Does not show the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequestStatus")
            .field("expirationTimestamp", &self.expiration_timestamp)
            .finish_non_exhaustive()
    }
}
