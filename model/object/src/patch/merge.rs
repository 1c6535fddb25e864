//! Merge patches (RFC 7396).

use crate::Json;
use serde_json::Map;

/// Applies a merge patch: objects are merged, `null` removes, anything else replaces.
pub fn merge(target: &mut Json, patch: &Json) {
    json_patch::merge(target, patch);
}

/// The merge patch that turns `from` into `to`; `None` when they are equal.
///
/// A `null` in `to` cannot be said by a merge patch: it becomes an absent field.
pub fn diff(from: &Json, to: &Json) -> Option<Json> {
    if from == to {
        return None;
    }
    let (Json::Object(from), Json::Object(to)) = (from, to) else { return Some(to.clone()) };
    let removed = from.keys().filter(|key| !to.contains_key(*key)).map(|key| (key.clone(), Json::Null));
    let mut patch: Map<String, Json> = removed.collect();
    for (key, value) in to {
        let change = match from.get(key) {
            Some(old) => diff(old, value),
            None => Some(value.clone()),
        };
        if let Some(change) = change {
            patch.insert(key.clone(), change);
        }
    }
    Some(Json::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patch::tests::{any_json, object};
    use proptest::prelude::*;
    use serde_json::json;

    /// The examples of RFC 7396, appendix A.
    #[test]
    fn the_examples_of_the_rfc() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), json!(null), json!(null)),
            (json!({"a": "foo"}), json!("bar"), json!("bar")),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut found = target.clone();
            merge(&mut found, &patch);
            assert_eq!(found, expected, "{target} with {patch}");
        }
    }

    #[test]
    fn a_diff_says_no_more_than_what_changed() {
        let (from, to) =
            (json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]}), json!({"a": 1, "b": {"c": 4}, "e": [2]}));
        assert_eq!(diff(&from, &to), Some(json!({"b": {"c": 4, "d": null}, "e": [2]})));
        assert_eq!(diff(&from, &from), None);
    }

    proptest! {
        #[test]
        fn a_diff_leads_from_one_to_the_other(from in object(false), to in object(false)) {
            let mut found = from.clone();
            if let Some(patch) = diff(&from, &to) {
                merge(&mut found, &patch);
            }
            prop_assert_eq!(found, to);
        }

        #[test]
        fn twice_is_once(target in any_json(true), patch in any_json(true)) {
            let mut once = target;
            merge(&mut once, &patch);
            let mut twice = once.clone();
            merge(&mut twice, &patch);
            prop_assert_eq!(once, twice);
        }
    }
}
