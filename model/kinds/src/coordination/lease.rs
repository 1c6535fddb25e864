//! `Lease`: who holds something, for how long.

use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, Define, Kind};
use lab_object::{FieldError, Json, MicroTime, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lease says who holds something, such as the leadership of a group of equal programs, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Lease {
    /// Group and version of the object's form: `coordination.k8s.io/v1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Lease`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// Who holds it, since when and for how long.
    #[serde(skip_serializing_if = "unset")]
    pub spec: LeaseSpec,
}

/// Who holds a lease, since when and for how long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// Who holds it; absent when nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder_identity: Option<String>,
    /// How many seconds after `renewTime` others may take it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i32>,
    /// When its holder took it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquire_time: Option<MicroTime>,
    /// When its holder last renewed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<MicroTime>,
    /// How often it went from one holder to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_transitions: Option<i32>,
    /// How the holder is chosen among candidates, such as `OldestEmulationVersion`; absent without such a choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Who is to take it next; only with `strategy`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preferred_holder: Option<String>,
}

resource!(Lease, "coordination.k8s.io", "v1", "leases", namespaced: true);

impl Define for Lease {
    fn define() -> Kind {
        Kind::of::<Self>("lease")
            .columns([Column::path("Holder", "spec.holderIdentity", "Who holds it.")])
            .validated_by(validate)
            .built_in()
    }

    fn example() -> Self {
        Self {
            metadata: ObjectMeta {
                name: Some("controllers".into()),
                namespace: Some("kube-system".into()),
                ..Default::default()
            },
            spec: LeaseSpec {
                holder_identity: Some("labd-1".into()),
                lease_duration_seconds: Some(15),
                acquire_time: "2026-11-21T12:00:00.000000Z".parse().map(MicroTime).ok(),
                renew_time: "2026-11-21T12:00:10.250000Z".parse().map(MicroTime).ok(),
                lease_transitions: Some(0),
                ..Default::default()
            },
            ..Default::default()
        }
    }
}

fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = &new["spec"];
    if spec["leaseDurationSeconds"].as_i64().is_some_and(|seconds| seconds <= 0) {
        errors.push(FieldError::invalid(
            "spec.leaseDurationSeconds",
            &spec["leaseDurationSeconds"],
            "must be greater than 0",
        ));
    }
    if spec["leaseTransitions"].as_i64().is_some_and(|count| count < 0) {
        errors.push(FieldError::invalid(
            "spec.leaseTransitions",
            &spec["leaseTransitions"],
            "must be greater than or equal to 0",
        ));
    }
    if spec.get("preferredHolder").is_some() && spec.get("strategy").is_none() {
        errors
            .push(FieldError::forbidden("spec.preferredHolder", "may only be set together with `strategy`"));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refuses() {
        for (spec, fields) in [
            (json!({"leaseDurationSeconds": 1, "leaseTransitions": 0}), vec![]),
            (json!({"leaseDurationSeconds": 0}), vec!["spec.leaseDurationSeconds"]),
            (json!({"leaseTransitions": -1}), vec!["spec.leaseTransitions"]),
            (json!({"preferredHolder": "a"}), vec!["spec.preferredHolder"]),
        ] {
            let found: Vec<_> = validate(&json!({"spec": spec}), None).into_iter().map(|e| e.field).collect();
            assert_eq!(found, fields);
        }
    }
}
