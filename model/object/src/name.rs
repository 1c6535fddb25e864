//! How names, labels and annotations must look, with the sentences Kubernetes refuses them with.
//!
//! Each `check_…` returns what is wrong, in words; an empty list means that the value is good. Nothing is allocated
//! for a good value.

use crate::FieldError;
use serde_json::Value;
use std::collections::BTreeMap;

/// Greatest length of a DNS label, a label's value and the name part of a label's key, in bytes.
pub const MAX_LABEL: usize = 63;
/// Greatest length of a DNS subdomain, in bytes.
pub const MAX_SUBDOMAIN: usize = 253;
/// Greatest size of an object's annotations, keys and values together, in bytes.
pub const MAX_ANNOTATIONS: usize = 256 * 1024;

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const KEY_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const KEY_NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

fn is_lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether the text begins and ends with `edge` and is made of `edge` and `inner` bytes only.
fn is_made_of(text: &str, edge: fn(u8) -> bool, inner: &[u8]) -> bool {
    let bytes = text.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if edge(first) && edge(last))
        && bytes.iter().all(|&b| edge(b) || inner.contains(&b))
}

fn is_label(text: &str) -> bool {
    is_made_of(text, is_lower, b"-")
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_key_name(text: &str) -> bool {
    is_made_of(text, |b| b.is_ascii_alphanumeric(), b"-_.")
}

fn too_long(limit: usize) -> String {
    format!("must be no more than {limit} bytes")
}

/// The rule, examples, and the expression of the rule.
fn rule(rule: &str, expression: &str, examples: &[&str]) -> String {
    let examples = examples.iter().map(|e| format!("'{e}'")).collect::<Vec<_>>().join(", or ");
    format!("{rule} (e.g. {examples}, regex used for validation is '{expression}')")
}

/// An RFC 1123 subdomain: what most objects' names are.
pub fn check_subdomain(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > MAX_SUBDOMAIN {
        wrong.push(too_long(MAX_SUBDOMAIN));
    }
    if !is_subdomain(value) {
        let text = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                    and must start and end with an alphanumeric character";
        wrong.push(rule(text, SUBDOMAIN, &["example.com"]));
    }
    wrong
}

/// An RFC 1123 label: what names of namespaces and of parts of objects are.
pub fn check_label(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > MAX_LABEL {
        wrong.push(too_long(MAX_LABEL));
    }
    if is_label(value) {
        return wrong;
    }
    wrong.push(if is_subdomain(value) {
        "must not contain dots".into()
    } else {
        let text = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                    start and end with an alphanumeric character";
        rule(text, LABEL, &["my-name", "123-abc"])
    });
    wrong
}

/// An RFC 1035 label: what names of services are.
pub fn check_label_1035(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > MAX_LABEL {
        wrong.push(too_long(MAX_LABEL));
    }
    if !is_label(value) || value.as_bytes()[0].is_ascii_digit() {
        let text = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an \
                    alphabetic character, and end with an alphanumeric character";
        wrong.push(rule(text, LABEL_1035, &["my-name", "abc-123"]));
    }
    wrong
}

/// The key of a label, of an annotation or of a finalizer: a name, with an optional DNS prefix before a slash.
pub fn check_label_key(key: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let examples = ["MyName", "my.name", "123-abc"];
    let (prefix, name) = match key.split_once('/') {
        None => (None, key),
        Some((_, name)) if name.contains('/') => {
            let text = rule(KEY_NAME_RULE, KEY_NAME, &examples);
            let prefix = "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            return vec![format!("a valid label key {text} {prefix}")];
        }
        Some((prefix, name)) => (Some(prefix), name),
    };
    match prefix {
        Some("") => wrong.push("prefix part must be non-empty".into()),
        Some(prefix) => wrong.extend(check_subdomain(prefix).iter().map(|w| format!("prefix part {w}"))),
        None => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".into());
    } else if name.len() > MAX_LABEL {
        wrong.push(format!("name part {}", too_long(MAX_LABEL)));
    }
    if !is_key_name(name) {
        wrong.push(format!("name part {}", rule(KEY_NAME_RULE, KEY_NAME, &examples)));
    }
    wrong
}

/// The value of a label.
pub fn check_label_value(value: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if value.len() > MAX_LABEL {
        wrong.push(too_long(MAX_LABEL));
    }
    if !value.is_empty() && !is_key_name(value) {
        let text = format!("a valid label must be an empty string or {}", &KEY_NAME_RULE["must ".len()..]);
        wrong.push(rule(&text, VALUE, &["MyValue", "my_value", "12345"]));
    }
    wrong
}

/// All that is wrong with an object's labels; `field` is their path, such as `metadata.labels`.
pub fn check_labels(field: &str, labels: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in labels {
        errors.extend(refuse(field, key, check_label_key(key)));
        errors.extend(refuse(field, value, check_label_value(value)));
    }
    errors
}

/// All that is wrong with an object's annotations; `field` is their path, such as `metadata.annotations`.
pub fn check_annotations(field: &str, annotations: &BTreeMap<String, String>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for (key, value) in annotations {
        // The name part may be in capitals, the prefix as well: annotations are older than the rule.
        errors.extend(refuse(field, key, check_label_key(&key.to_ascii_lowercase())));
        size += key.len() + value.len();
    }
    if size > MAX_ANNOTATIONS {
        errors.push(FieldError::too_long(field, MAX_ANNOTATIONS));
    }
    errors
}

fn refuse<'a>(field: &'a str, value: &str, wrong: Vec<String>) -> impl Iterator<Item = FieldError> + use<'a> {
    let value = if wrong.is_empty() { Value::Null } else { Value::from(value) };
    wrong.into_iter().map(move |why| FieldError::invalid(field, &value, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `expected` is how the first complaint begins; empty means that there is none.
    fn check(checker: fn(&str) -> Vec<String>, value: &str, expected: &str) {
        let wrong = checker(value);
        match wrong.first() {
            None => assert_eq!("", expected, "{value:?} was accepted"),
            Some(first) => {
                assert!(!expected.is_empty() && first.starts_with(expected), "{value:?}: {first}");
            }
        }
    }

    #[test]
    fn subdomains() {
        let rule = "a lowercase RFC 1123 subdomain must";
        for (value, expected) in [
            ("a", ""),
            ("example.com", ""),
            ("52-54-00-12-34-56", ""),
            (&"a".repeat(253), ""),
            (&"a".repeat(254), "must be no more than 253 bytes"),
            ("", rule),
            ("A", rule),
            ("a..b", rule),
            (".a", rule),
            ("a.", rule),
            ("-a", rule),
            ("a-.b", rule),
            ("a_b", rule),
            ("ä", rule),
        ] {
            check(check_subdomain, value, expected);
        }
        assert_eq!(
            check_subdomain("A B"),
            [
                "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
              must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
            ]
        );
    }

    #[test]
    fn labels_of_dns() {
        check(check_label, "kube-system", "");
        check(check_label, "1a", "");
        check(check_label, "a.b", "must not contain dots");
        check(check_label, &"a".repeat(64), "must be no more than 63 bytes");
        check(check_label, "A", "a lowercase RFC 1123 label must");
        check(check_label_1035, "web", "");
        check(check_label_1035, "1web", "a DNS-1035 label must");
        check(check_label_1035, "", "a DNS-1035 label must");
        assert_eq!(
            check_label("a_"),
            [
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start \
              and end with an alphanumeric character (e.g. 'my-name', or '123-abc', regex used for validation is \
              '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
            ]
        );
    }

    #[test]
    fn keys_and_values_of_labels() {
        for (key, expected) in [
            ("app", ""),
            ("App_v1.x", ""),
            ("app.kubernetes.io/name", ""),
            ("", "name part must be non-empty"),
            ("/a", "prefix part must be non-empty"),
            ("a/", "name part must be non-empty"),
            ("A/b", "prefix part a lowercase RFC 1123 subdomain"),
            ("a/b/c", "a valid label key must consist of"),
            ("-a", "name part must consist of"),
            (&"a".repeat(64), "name part must be no more than 63 bytes"),
        ] {
            check(check_label_key, key, expected);
        }
        for (value, expected) in [
            ("", ""),
            ("v1.2_3", ""),
            ("a b", "a valid label must be an empty string or consist of alphanumeric characters"),
            ("-1", "a valid label must"),
            (&"a".repeat(64), "must be no more than 63 bytes"),
        ] {
            check(check_label_value, value, expected);
        }
    }

    #[test]
    fn a_whole_map() {
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert!(check_labels("metadata.labels", &map("a", "b")).is_empty());
        let errors = check_labels("metadata.labels", &map("a b", "c d"));
        let shown = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(
            shown[0].starts_with(r#"metadata.labels: Invalid value: "a b": name part must consist"#),
            "{shown:?}"
        );
        assert!(
            shown[1].starts_with(r#"metadata.labels: Invalid value: "c d": a valid label must"#),
            "{shown:?}"
        );
        assert!(check_annotations("metadata.annotations", &map("Example.com/A", "any thing")).is_empty());
        let large = check_annotations("metadata.annotations", &map("a", &"x".repeat(MAX_ANNOTATIONS)));
        assert_eq!(large[0].reason, "FieldValueTooLong");
    }

    proptest! {
        #[test]
        fn what_the_rules_make_is_accepted(
            sub in "[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]{0,9}[a-z0-9])?){0,4}",
            name in "([A-Za-z0-9][-A-Za-z0-9_.]{0,9})?[A-Za-z0-9]",
        ) {
            prop_assert!(check_subdomain(&sub).is_empty());
            let key = format!("{sub}/{name}");
            prop_assert!(check_label_key(&key).is_empty());
            prop_assert!(check_label_value(&name).is_empty());
        }

        #[test]
        fn any_text_is_judged(text in ".{0,80}") {
            for checker in [check_subdomain, check_label, check_label_1035, check_label_key, check_label_value] {
                checker(&text);
            }
        }
    }
}
