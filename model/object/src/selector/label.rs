//! Label selectors in their text form: `app=web,tier!=db,env in (a,b),gpu,!old,slots>2`.

use super::{
    SelectorError,
    lexer::{Lexer, Token},
};
use crate::{Json, name, partial};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Something that has labels.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for partial::Labels<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

/// The `labels` of an object that is only known by data; anything but an object of strings has none.
impl Labels for Json {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Json::as_str)
    }
}

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Present with one of these values (sorted, each once).
    In(Vec<String>),
    /// Absent, or present with none of these values (sorted, each once).
    NotIn(Vec<String>),
    /// Present.
    Exists,
    /// Absent.
    Absent,
    /// Present with a whole number above this.
    Greater(i64),
    /// Present with a whole number below this.
    Less(i64),
}

/// A label and what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// What it must be.
    pub condition: Condition,
}

impl Requirement {
    /// Whether the labels are so.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        let value = labels.label(&self.key);
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.condition {
            Condition::In(values) => value.is_some_and(|v| has(values, v)),
            Condition::NotIn(values) => value.is_none_or(|v| !has(values, v)),
            Condition::Exists => value.is_some(),
            Condition::Absent => value.is_none(),
            Condition::Greater(than) => number().is_some_and(|n| n > *than),
            Condition::Less(than) => number().is_some_and(|n| n < *than),
        }
    }

    /// Checks key and values against the rules for labels.
    pub(super) fn checked(key: String, condition: Condition) -> Result<Self, SelectorError> {
        let wrong = name::check_label_key(&key);
        if !wrong.is_empty() {
            return Err(SelectorError::Key { key, why: wrong.join("; ") });
        }
        if let Condition::In(values) | Condition::NotIn(values) = &condition {
            for value in values {
                let wrong = name::check_label_value(value);
                if !wrong.is_empty() {
                    return Err(SelectorError::Value { value: value.clone(), why: wrong.join("; ") });
                }
            }
        }
        Ok(Self { key, condition })
    }
}

/// Most requirements have one value.
fn has(values: &[String], value: &str) -> bool {
    match values {
        [one] => one == value,
        many => many.binary_search_by(|v| v.as_str().cmp(value)).is_ok(),
    }
}

/// Requirements on labels, all of which must be met; sorted by key. The empty one, which is the default, selects
/// everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Reads the text form.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut tokens = Lexer::new(text);
        let mut requirements = Vec::new();
        if tokens.peek() == Token::End {
            return Ok(Self::default());
        }
        loop {
            requirements.push(requirement(&mut tokens)?);
            match tokens.next() {
                Token::End => return Ok(Self::new(requirements)),
                Token::Comma => {}
                other => return unexpected(other, "',' or 'end of string'"),
            }
        }
    }

    /// A selector of these requirements.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements }
    }

    /// The selector of objects that have all these labels, which must be valid ones.
    pub fn of_labels(labels: &BTreeMap<String, String>) -> Self {
        let one = |(key, value): (&String, &String)| Requirement {
            key: key.clone(),
            condition: Condition::In(vec![value.clone()]),
        };
        Self { requirements: labels.iter().map(one).collect() }
    }

    /// Whether labels meet every requirement.
    pub fn matches(&self, labels: &(impl Labels + ?Sized)) -> bool {
        self.requirements.iter().all(|r| r.matches(labels))
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements, sorted by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that a label must have, where there is such: what an index can be asked for.
    pub fn required(&self, key: &str) -> Option<&str> {
        self.requirements.iter().find_map(|r| match &r.condition {
            Condition::In(values) if r.key == key && values.len() == 1 => Some(values[0].as_str()),
            _ => None,
        })
    }
}

fn unexpected<T>(found: Token<'_>, expected: &'static str) -> Result<T, SelectorError> {
    Err(SelectorError::Unexpected { found: found.text().into(), expected })
}

fn requirement(tokens: &mut Lexer<'_>) -> Result<Requirement, SelectorError> {
    let (key, negated) = match tokens.next() {
        Token::Word(key) => (key, false),
        Token::Not => match tokens.next() {
            Token::Word(key) => (key, true),
            other => return unexpected(other, "identifier"),
        },
        other => return unexpected(other, "!, identifier, or 'end of string'"),
    };
    let condition = if negated {
        Condition::Absent
    } else if matches!(tokens.peek(), Token::End | Token::Comma) {
        Condition::Exists
    } else {
        match tokens.next() {
            Token::Equals | Token::DoubleEquals => Condition::In(vec![value(tokens)?.into()]),
            Token::NotEquals => Condition::NotIn(vec![value(tokens)?.into()]),
            Token::Word("in") => Condition::In(values(tokens)?),
            Token::Word("notin") => Condition::NotIn(values(tokens)?),
            Token::Greater => Condition::Greater(number(value(tokens)?)?),
            Token::Less => Condition::Less(number(value(tokens)?)?),
            other => return unexpected(other, "in, notin, =, ==, !=, gt, lt"),
        }
    };
    Requirement::checked(key.into(), condition)
}

/// One value, which may be empty.
fn value<'a>(tokens: &mut Lexer<'a>) -> Result<&'a str, SelectorError> {
    match tokens.peek() {
        Token::End | Token::Comma => Ok(""),
        Token::Word(value) => {
            tokens.next();
            Ok(value)
        }
        other => unexpected(other, "identifier"),
    }
}

/// `(a,b,)`: values between commas, any of which may be empty.
fn values(tokens: &mut Lexer<'_>) -> Result<Vec<String>, SelectorError> {
    match tokens.next() {
        Token::Open => {}
        other => return unexpected(other, "'('"),
    }
    let mut values = Vec::new();
    loop {
        values.push(match tokens.peek() {
            Token::Word(value) => {
                tokens.next();
                value.into()
            }
            _ => String::new(),
        });
        match tokens.next() {
            Token::Comma => {}
            Token::Close => break,
            other => return unexpected(other, "',' or ')'"),
        }
    }
    Ok(sorted(values))
}

pub(super) fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort_unstable();
    values.dedup();
    values
}

fn number(text: &str) -> Result<i64, SelectorError> {
    let why = "for 'Gt', 'Lt' operators, the value must be an integer";
    text.parse().map_err(|_| SelectorError::Value { value: text.into(), why: why.into() })
}

impl FromStr for LabelSelector {
    type Err = SelectorError;
    fn from_str(text: &str) -> Result<Self, SelectorError> {
        Self::parse(text)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.condition {
            Condition::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Condition::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Condition::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Condition::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
            Condition::Exists => f.write_str(key),
            Condition::Absent => write!(f, "!{key}"),
            Condition::Greater(than) => write!(f, "{key}>{than}"),
            Condition::Less(than) => write!(f, "{key}<{than}"),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, requirement) in self.requirements.iter().enumerate() {
            write!(f, "{}{requirement}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(text: &str) -> BTreeMap<String, String> {
        let pairs = text.split(' ').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap());
        pairs.map(|(k, v)| (k.into(), v.into())).collect()
    }

    /// The selector is read and written as `shown`, selects `yes` and does not select `no`.
    fn check(selector: &str, shown: &str, yes: &[&str], no: &[&str]) {
        let parsed = LabelSelector::parse(selector).unwrap();
        assert_eq!(parsed.to_string(), shown, "{selector:?}");
        assert_eq!(LabelSelector::parse(shown).unwrap(), parsed, "{selector:?}");
        for (texts, expected) in [(yes, true), (no, false)] {
            for text in texts {
                assert_eq!(parsed.matches(&labels(text)), expected, "{selector:?} of {text:?}");
                let bytes = format!(
                    r#"{{"metadata":{{"labels":{}}}}}"#,
                    serde_json::to_string(&labels(text)).unwrap()
                );
                let partial = partial::Partial::read(bytes.as_bytes()).unwrap();
                assert_eq!(parsed.matches(&partial.labels), expected);
                assert_eq!(parsed.matches(&serde_json::to_value(labels(text)).unwrap()), expected);
            }
        }
    }

    #[test]
    fn the_whole_grammar() {
        check("", "", &["", "a=b"], &[]);
        check("a=b", "a=b", &["a=b", "a=b c=d"], &["", "a=c"]);
        check(" a == b ", "a=b", &["a=b"], &["a=c"]);
        check("a!=b", "a!=b", &["", "a=c"], &["a=b"]);
        check("a in (x,y)", "a in (x,y)", &["a=x", "a=y"], &["", "a=z"]);
        check("a in(y, x ,y)", "a in (x,y)", &["a=x"], &["a=z"]);
        check("a notin (x,y)", "a notin (x,y)", &["", "a=z"], &["a=x", "a=y"]);
        check("a", "a", &["a=", "a=b"], &["", "b=a"]);
        check("!a", "!a", &["", "b=a"], &["a="]);
        check("a>1,a<10", "a>1,a<10", &["a=2", "a=9"], &["", "a=1", "a=10", "a=x"]);
        check("b=1,a=2", "a=2,b=1", &["a=2 b=1"], &["a=2", "b=1"]);
        check("a=", "a=", &["a="], &["", "a=b"]);
        check("a=,b", "a=,b", &["a= b=x"], &["a="]);
        check("a in ()", "a=", &["a="], &["a=b", ""]);
        check("a in (x,)", "a in (,x)", &["a=", "a=x"], &["a=y"]);
        check("a in (,,x,)", "a in (,x)", &["a="], &["a=y"]);
        check(
            "x in (foo,,baz),y,z notin ()",
            "x in (,baz,foo),y,z!=",
            &["x= y=1 z=1"],
            &["x=a y=1", "x= y=1 z="],
        );
        check("in in (in,notin)", "in in (in,notin)", &["in=in", "in=notin"], &["in=x"]);
        check("notin=in", "notin=in", &["notin=in"], &[]);
        check(
            "app.kubernetes.io/name=web",
            "app.kubernetes.io/name=web",
            &["app.kubernetes.io/name=web"],
            &[],
        );
    }

    #[test]
    fn what_is_refused() {
        for (selector, expected) in [
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: !, identifier, or 'end of string'"),
            ("a=b,,c", "found ',', expected: !, identifier, or 'end of string'"),
            ("a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            ("!", "found '', expected: identifier"),
            ("a in b", "found 'b', expected: '('"),
            ("a in (b c)", "found 'c', expected: ',' or ')'"),
            ("a in (b", "found '', expected: ',' or ')'"),
            ("a==(b)", "found '(', expected: identifier"),
            ("a===b", "found '=', expected: identifier"),
            ("a>x", "values: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
            ("a>", "values: Invalid value: \"\": for 'Gt', 'Lt' operators, the value must be an integer"),
            ("a=b@c", "values: Invalid value: \"b@c\": a valid label must be an empty string or consist"),
            ("-a", "key: Invalid value: \"-a\": name part must consist"),
            ("a/b/c=d", "key: Invalid value: \"a/b/c\": a valid label key must consist"),
        ] {
            let error = LabelSelector::parse(selector).unwrap_err().to_string();
            let expected = format!("unable to parse requirement: {expected}");
            assert!(error.starts_with(&expected), "{selector:?}: {error}");
        }
    }

    #[test]
    fn what_an_index_may_be_asked_for() {
        let selector = LabelSelector::parse("a=b,c in (d),e in (f,g),h!=i").unwrap();
        for (key, expected) in [("a", Some("b")), ("c", Some("d")), ("e", None), ("h", None), ("z", None)] {
            assert_eq!(selector.required(key), expected, "{key}");
        }
        let all = LabelSelector::of_labels(&labels("b=2 a=1"));
        assert_eq!(all.to_string(), "a=1,b=2");
    }

    fn condition() -> impl Strategy<Value = Condition> {
        let values =
            || proptest::collection::vec("([a-z0-9][-a-z0-9_.]{0,5})?[a-z0-9]|", 1..4).prop_map(sorted);
        prop_oneof![
            values().prop_map(Condition::In),
            values().prop_map(Condition::NotIn),
            Just(Condition::Exists),
            Just(Condition::Absent),
            (0..i64::MAX).prop_map(Condition::Greater),
            (0..i64::MAX).prop_map(Condition::Less),
        ]
    }

    proptest! {
        #[test]
        fn written_and_read_again(
            requirements in proptest::collection::vec(("([a-z]{1,4}/)?[a-z]{1,5}|in|notin", condition()), 0..5)
        ) {
            let requirements =
                requirements.into_iter().map(|(key, condition)| Requirement { key, condition }).collect();
            let selector = LabelSelector::new(requirements);
            prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
        }

        #[test]
        fn no_text_makes_it_panic(text in "([a-z!=<>(), ]|in|notin|.){0,24}") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
