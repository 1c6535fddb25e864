//! Label selectors as objects carry them: `matchLabels` and `matchExpressions` (Kubernetes' `meta/v1.LabelSelector`).

use super::{Condition, LabelSelector, Requirement, SelectorError, label::sorted};
use crate::meta::null_is_default;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Requirements on labels, all of which must be met. An empty one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct SelectorSpec {
    /// Labels that must be present with these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Further requirements.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub match_expressions: Vec<SelectorRequirement>,
}

/// A label and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SelectorRequirement {
    /// The label's key.
    pub key: String,
    /// How the label relates to the values.
    pub operator: SelectorOperator,
    /// The values: one or more for `In` and `NotIn`, none for `Exists` and `DoesNotExist`.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub values: Vec<String>,
}

/// How a label relates to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SelectorOperator {
    /// Present with one of the values.
    In,
    /// Absent, or present with none of the values.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

impl TryFrom<&SelectorSpec> for LabelSelector {
    type Error = SelectorError;

    fn try_from(spec: &SelectorSpec) -> Result<Self, SelectorError> {
        let mut requirements = Vec::with_capacity(spec.match_labels.len() + spec.match_expressions.len());
        for (key, value) in &spec.match_labels {
            requirements.push(Requirement::checked(key.clone(), Condition::In(vec![value.clone()]))?);
        }
        for (index, expression) in spec.match_expressions.iter().enumerate() {
            let condition = condition(expression).map_err(|why| SelectorError::Values { index, why })?;
            requirements.push(Requirement::checked(expression.key.clone(), condition)?);
        }
        Ok(Self::new(requirements))
    }
}

fn condition(expression: &SelectorRequirement) -> Result<Condition, &'static str> {
    let values = || match expression.values.as_slice() {
        [] => Err("for 'in', 'notin' operators, values set can't be empty"),
        values => Ok(sorted(values.to_vec())),
    };
    let none = |condition| match expression.values.as_slice() {
        [] => Ok(condition),
        _ => Err("values set must be empty for exists and does not exist"),
    };
    match expression.operator {
        SelectorOperator::In => values().map(Condition::In),
        SelectorOperator::NotIn => values().map(Condition::NotIn),
        SelectorOperator::Exists => none(Condition::Exists),
        SelectorOperator::DoesNotExist => none(Condition::Absent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use serde_json::json;

    fn check(object: Json, expected: &str) {
        let spec: SelectorSpec = serde_json::from_value(object.clone()).unwrap();
        let found = match LabelSelector::try_from(&spec) {
            Ok(selector) => selector.to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{object}");
    }

    #[test]
    fn the_object_form() {
        let expression = |operator, values: &[&str]| json!({"matchExpressions": [{"key": "k", "operator": operator, "values": values}]});
        check(json!({}), "");
        check(json!({"matchLabels": null, "matchExpressions": null}), "");
        check(json!({"matchLabels": {"b": "2", "a": "1"}}), "a=1,b=2");
        check(expression("In", &["y", "x"]), "k in (x,y)");
        check(expression("NotIn", &["x"]), "k!=x");
        check(expression("Exists", &[]), "k");
        check(expression("DoesNotExist", &[]), "!k");
        check(
            expression("In", &[]),
            "matchExpressions[0].values: Invalid value: for 'in', 'notin' operators, values set can't be empty",
        );
        check(
            expression("Exists", &["x"]),
            "matchExpressions[0].values: Invalid value: values set must be empty for exists and does not exist",
        );
    }

    #[test]
    fn it_is_written_without_what_is_empty() {
        assert_eq!(serde_json::to_value(SelectorSpec::default()).unwrap(), json!({}));
        assert!(
            serde_json::from_value::<SelectorSpec>(
                json!({"matchExpressions": [{"key": "a", "operator": "Gt"}]})
            )
            .is_err()
        );
    }
}
