//! Field selectors: `metadata.name=web,status.phase!=Failed`; in values `\,`, `\=` and `\\` stand for the characters.

use super::SelectorError;
use crate::{Json, path::Path};
use std::{borrow::Cow, fmt, str::FromStr};

/// How a field relates to the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldOperator {
    /// `=` or `==`: one of the field's values is this.
    Equals,
    /// `!=`: none is.
    NotEquals,
}

/// A field and the value it must or must not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// The field's path, such as `status.phase`.
    pub field: String,
    /// Which of the two.
    pub operator: FieldOperator,
    /// The value. Empty also stands for an absent field.
    pub value: String,
}

/// Requirements on fields, all of which must be met. The empty one, which is the default, selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// Reads the text form. Whether there is such a field is for the kind to say.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for term in terms(text) {
            if term.is_empty() {
                continue;
            }
            let unclear = || SelectorError::Term { selector: text.into(), term: term.into() };
            let (field, operator, value) = split(term).ok_or_else(unclear)?;
            let value = unescape(value).ok_or_else(|| SelectorError::Escape { value: value.into() })?;
            requirements.push(FieldRequirement { field: field.trim().into(), operator, value });
        }
        Ok(Self { requirements })
    }

    /// A selector of these requirements.
    pub fn new(requirements: Vec<FieldRequirement>) -> Self {
        Self { requirements }
    }

    /// The selector of objects whose field has the value.
    pub fn of_field(field: impl Into<String>, value: impl Into<String>) -> Self {
        let (field, value) = (field.into(), value.into());
        Self::new(vec![FieldRequirement { field, operator: FieldOperator::Equals, value }])
    }

    /// Whether every requirement is met. `values` gives the values of a field: several, where its path leads through
    /// lists; none, where it is absent, which is the same as one empty value.
    pub fn matches<V: IntoIterator<Item: AsRef<str>>>(&self, mut values: impl FnMut(&str) -> V) -> bool {
        self.requirements.iter().all(|r| r.matches(values(&r.field)))
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, as they were given.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The value that a field must have, where there is such: what an index, or a read by name, can be asked for.
    pub fn required(&self, field: &str) -> Option<&str> {
        let equals = |r: &&FieldRequirement| r.field == field && r.operator == FieldOperator::Equals;
        self.requirements.iter().find(equals).map(|r| r.value.as_str())
    }
}

impl FieldRequirement {
    /// Whether a field of these values meets it.
    pub fn matches<V: IntoIterator<Item: AsRef<str>>>(&self, values: V) -> bool {
        let mut absent = true;
        let found = values.into_iter().any(|value| {
            absent = false;
            value.as_ref() == self.value
        });
        self.decide(found, absent)
    }

    /// Whether the values at the path meet it. Nothing is copied but numbers.
    pub fn matches_at(&self, path: &Path, object: &Json) -> bool {
        let (mut found, mut absent) = (false, true);
        path.texts(object, |text| {
            absent = false;
            found |= text == self.value;
        });
        self.decide(found, absent)
    }

    fn decide(&self, found: bool, absent: bool) -> bool {
        let found = found || (absent && self.value.is_empty());
        found == (self.operator == FieldOperator::Equals)
    }
}

/// The parts between commas that no backslash precedes.
fn terms(text: &str) -> impl Iterator<Item = &str> {
    let mut escaped = false;
    text.split(move |c| {
        let ends = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

/// Field, operator and value, at the first operator that no backslash precedes.
fn split(term: &str) -> Option<(&str, FieldOperator, &str)> {
    let mut escaped = false;
    for (at, byte) in term.bytes().enumerate() {
        if !escaped && matches!(byte, b'!' | b'=') {
            for (sign, operator) in [
                ("!=", FieldOperator::NotEquals),
                ("==", FieldOperator::Equals),
                ("=", FieldOperator::Equals),
            ] {
                if let Some(value) = term[at..].strip_prefix(sign) {
                    return Some((&term[..at], operator, value));
                }
            }
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

fn unescape(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => chars.next().filter(|c| matches!(c, '\\' | ',' | '='))?,
            ',' | '=' => return None,
            other => other,
        });
    }
    Some(text)
}

fn escape(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', ',', '=']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\="))
}

impl FromStr for FieldSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, requirement) in self.requirements.iter().enumerate() {
            let FieldRequirement { field, operator, value } = requirement;
            let sign = if *operator == FieldOperator::Equals { "=" } else { "!=" };
            write!(f, "{}{field}{sign}{}", if place == 0 { "" } else { "," }, escape(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The selector is written as `shown` and is met, or not, by the fields (`a` is 1, `many` is x and y).
    fn check(selector: &str, shown: &str, met: bool) {
        let parsed = FieldSelector::parse(selector).unwrap();
        assert_eq!(parsed.to_string(), shown, "{selector:?}");
        let found = parsed.matches(|field| match field {
            "a" => vec!["1".to_owned()],
            "many" => vec!["x".into(), "y".into()],
            "odd" => vec!["p=q,r\\".into()],
            _ => vec![],
        });
        assert_eq!(found, met, "{selector:?}");
        let object = serde_json::json!({"a": 1, "many": ["x", "y"], "odd": "p=q,r\\"});
        let at = |r: &FieldRequirement| r.matches_at(&Path::parse(&r.field).unwrap(), &object);
        assert_eq!(parsed.requirements().iter().all(at), met, "{selector:?}");
    }

    #[test]
    fn grammar_and_meaning() {
        check("", "", true);
        check("a=1", "a=1", true);
        check("a==1", "a=1", true);
        check("a!=1", "a!=1", false);
        check("a=2", "a=2", false);
        check("a=1,many=y", "a=1,many=y", true);
        check("a=1, many=x,", "a=1,many=x", true);
        check("a=1,many=z", "a=1,many=z", false);
        check("many!=x", "many!=x", false);
        check("many!=z", "many!=z", true);
        check("none=", "none=", true);
        check("none!=", "none!=", false);
        check("none!=x", "none!=x", true);
        check("a=", "a=", false);
        check(r"odd=p\=q\,r\\", r"odd=p\=q\,r\\", true);
        check(r"odd!=p\=q\,r\\,a=1", r"odd!=p\=q\,r\\,a=1", false);
    }

    #[test]
    fn what_is_refused() {
        for (selector, expected) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=1,b", "invalid selector: 'a=1,b'; can't understand 'b'"),
            ("a=1=2", "invalid field selector: the value '1=2' has"),
            (r"a=\x", r"invalid field selector: the value '\x' has"),
            (r"a=x\", r"invalid field selector: the value 'x\' has"),
        ] {
            let error = FieldSelector::parse(selector).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{selector:?}: {error}");
        }
    }

    #[test]
    fn what_an_index_may_be_asked_for() {
        let selector = FieldSelector::parse("metadata.name=s1,a!=b").unwrap();
        assert_eq!(selector.required("metadata.name"), Some("s1"));
        assert_eq!(selector.required("a"), None);
        assert_eq!(FieldSelector::of_field("metadata.name", "a,b").to_string(), r"metadata.name=a\,b");
    }

    proptest! {
        #[test]
        fn written_and_read_again(
            requirements in proptest::collection::vec(("[a-z][a-zA-Z.]{0,8}", any::<bool>(), ".{0,10}"), 0..4)
        ) {
            let requirements = requirements.into_iter().map(|(field, equals, value)| FieldRequirement {
                field,
                operator: if equals { FieldOperator::Equals } else { FieldOperator::NotEquals },
                value,
            });
            let selector = FieldSelector::new(requirements.collect());
            prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn no_text_makes_it_panic(text in "([a-z!=,. ]|\\\\|.){0,24}") {
            let _ = FieldSelector::parse(&text);
        }
    }
}
