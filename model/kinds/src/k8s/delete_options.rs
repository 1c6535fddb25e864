//! `DeleteOptions` (`meta/v1`): what a deletion may say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a deletion may say. The body of DELETE; clients also send its fields as query parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DeleteOptions {
    /// `v1`, `meta.k8s.io/v1`, or the version of the deleted kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// `DeleteOptions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Seconds that the object is given to end gracefully; 0 deletes at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub grace_period_seconds: Option<i64>,
    /// What must hold for the deletion to be carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preconditions: Option<Preconditions>,
    /// Older form of `propagationPolicy`: true is `Orphan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan_dependents: Option<bool>,
    /// What becomes of the objects that this one owns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation_policy: Option<PropagationPolicy>,
    /// `All` to go through everything without storing the result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub dry_run: Vec<String>,
    /// Deletes an object that can no longer be read. Not supported: nothing that cannot be read is ever stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_store_read_error_with_cluster_breaking_potential: Option<bool>,
}

/// What must hold for a deletion to be carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Preconditions {
    /// The object has this UID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The object is at this revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_version: Option<String>,
}

/// What becomes of the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PropagationPolicy {
    /// They stay, and lose the reference.
    Orphan,
    /// They are deleted after it.
    #[default]
    Background,
    /// They are deleted before it.
    Foreground,
}

impl DeleteOptions {
    /// The policy asked for, in either form; `None` when the kind's own default counts.
    pub fn policy(&self) -> Option<PropagationPolicy> {
        let older = |orphan| if orphan { PropagationPolicy::Orphan } else { PropagationPolicy::Background };
        self.propagation_policy.or_else(|| self.orphan_dependents.map(older))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn the_policy_in_either_form() {
        let check = |body: Value, expected| {
            let options: DeleteOptions = serde_json::from_value(body).expect("it is valid");
            assert_eq!(options.policy(), expected);
        };
        check(json!({}), None);
        check(json!({"propagationPolicy": "Foreground"}), Some(PropagationPolicy::Foreground));
        check(json!({"orphanDependents": true}), Some(PropagationPolicy::Orphan));
        check(json!({"orphanDependents": false}), Some(PropagationPolicy::Background));
    }
}
