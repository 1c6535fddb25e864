//! Paths of fields over objects: what columns, field selectors and `-o jsonpath` name values by.
//!
//! `spec.nics[0].mac`, `.status.phase`, `metadata.labels['example.com/role']`, `{.spec.volumes[*].name}`,
//! `status.conditions[?(@.type=="Ready")].status`. A name applied to a list is applied to each of its elements.

use crate::Json;
use std::{borrow::Cow, fmt, ops::ControlFlow, str::FromStr};

/// A parsed path; parse once, use often.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Step {
    /// The field of this name; of every element, where the value is a list.
    Field(Box<str>),
    /// The element at this place; from the end, where negative.
    Index(i64),
    /// Every element of a list, or every value of an object.
    Each,
    /// The elements of which the field at the path shows as this text.
    Where(Path, Box<str>),
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a path of fields: {why} at character {at}")]
pub struct PathError {
    /// The whole text.
    pub text: String,
    /// Where it goes wrong, counted in characters from 1.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl Path {
    /// Reads a path; a leading `.` or `$`, and braces around it, may be given or left out.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        let offset = usize::from(inner.is_some());
        Parser { rest: inner.unwrap_or(text) }.path().map_err(|(rest, why)| {
            let end = text.len() - offset - rest;
            PathError { text: text.into(), at: text[..end].chars().count() + 1, why }
        })
    }

    /// Every value at the path, in order.
    pub fn get_all<'a>(&self, object: &'a Json) -> Vec<&'a Json> {
        let mut found = Vec::new();
        let _ = walk(&self.steps, object, &mut |value| {
            found.push(value);
            ControlFlow::Continue(())
        });
        found
    }

    /// The first value at the path.
    pub fn first<'a>(&self, object: &'a Json) -> Option<&'a Json> {
        let mut found = None;
        let _ = walk(&self.steps, object, &mut |value| {
            found = Some(value);
            ControlFlow::Break(())
        });
        found
    }

    /// The value at the path if there is exactly one.
    pub fn only<'a>(&self, object: &'a Json) -> Option<&'a Json> {
        let (mut found, mut more) = (None, false);
        let _ = walk(&self.steps, object, &mut |value| {
            more = found.replace(value).is_some();
            if more { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        found.filter(|_| !more)
    }

    /// Every scalar at the path as text, in order; those in a list at its end, too. Strings are not copied.
    pub fn texts(&self, object: &Json, mut take: impl FnMut(&str)) {
        let _ = walk(&self.steps, object, &mut |value| {
            each_text(value, &mut take);
            ControlFlow::Continue(())
        });
    }
}

fn each_text(value: &Json, take: &mut dyn FnMut(&str)) {
    match value {
        Json::Array(list) => list.iter().for_each(|element| each_text(element, take)),
        scalar => {
            if let Some(text) = text_of(scalar) {
                take(&text);
            }
        }
    }
}

/// How a scalar shows as text; `None` for null, lists and objects.
pub fn text_of(value: &Json) -> Option<Cow<'_, str>> {
    match value {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Bool(true) => Some(Cow::Borrowed("true")),
        Json::Bool(false) => Some(Cow::Borrowed("false")),
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

type Take<'t, 'a> = dyn FnMut(&'a Json) -> ControlFlow<()> + 't;

fn walk<'a>(steps: &[Step], value: &'a Json, take: &mut Take<'_, 'a>) -> ControlFlow<()> {
    let Some((step, rest)) = steps.split_first() else { return take(value) };
    match (step, value) {
        (Step::Field(name), Json::Object(fields)) => match fields.get(&**name) {
            Some(value) => walk(rest, value, take),
            None => ControlFlow::Continue(()),
        },
        (Step::Field(_), Json::Array(list)) => list.iter().try_for_each(|element| walk(steps, element, take)),
        (Step::Index(index), Json::Array(list)) => {
            let index = if *index < 0 { index.checked_add_unsigned(list.len() as u64) } else { Some(*index) };
            match index.and_then(|i| usize::try_from(i).ok()).and_then(|i| list.get(i)) {
                Some(element) => walk(rest, element, take),
                None => ControlFlow::Continue(()),
            }
        }
        (Step::Each, Json::Array(list)) => list.iter().try_for_each(|element| walk(rest, element, take)),
        (Step::Each, Json::Object(fields)) => fields.values().try_for_each(|value| walk(rest, value, take)),
        (Step::Where(path, wanted), Json::Array(list)) => list
            .iter()
            .filter(|element| path.first(element).and_then(text_of).is_some_and(|text| text == **wanted))
            .try_for_each(|element| walk(rest, element, take)),
        _ => ControlFlow::Continue(()),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

/// What is left where it went wrong, in bytes, and why it did.
type Fault = (usize, &'static str);

impl<'a> Parser<'a> {
    fn path(mut self) -> Result<Path, Fault> {
        self.eat("$");
        let mut steps = Vec::new();
        if self.rest == "." {
            self.rest = "";
        }
        while !self.rest.is_empty() {
            let dotted = self.eat(".");
            if self.rest.starts_with('[') && (!dotted || steps.is_empty()) {
                steps.push(self.bracket()?);
            } else if dotted || steps.is_empty() {
                steps.push(self.name()?);
            } else {
                return self.fault("a '.' or '[' is expected");
            }
        }
        Ok(Path { steps })
    }

    fn fault<T>(&self, why: &'static str) -> Result<T, Fault> {
        Err((self.rest.len(), why))
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str, why: &'static str) -> Result<(), Fault> {
        if self.eat(token) { Ok(()) } else { self.fault(why) }
    }

    /// A bare name, up to a dot or bracket that no backslash precedes.
    fn name(&mut self) -> Result<Step, Fault> {
        if self.rest.starts_with('*') {
            self.rest = &self.rest[1..];
            return Ok(Step::Each);
        }
        let name = self.escaped(|c| matches!(c, '.' | '[' | ']' | '{' | '}' | '(' | ')' | '\'' | '"'));
        if name.is_empty() { self.fault("a name is expected") } else { Ok(Step::Field(name.into())) }
    }

    /// Text up to a character that ends it; a backslash takes the next character as it is.
    fn escaped(&mut self, ends: fn(char) -> bool) -> String {
        let mut text = String::new();
        let mut chars = self.rest.chars();
        loop {
            let before = chars.as_str();
            match chars.next() {
                Some('\\') => text.extend(chars.next()),
                Some(c) if !ends(c) => text.push(c),
                _ => {
                    self.rest = before;
                    return text;
                }
            }
        }
    }

    fn quoted(&mut self) -> Result<String, Fault> {
        let ends: (fn(char) -> bool, &str) = match self.rest.as_bytes().first() {
            Some(b'\'') => (|c| c == '\'', "'"),
            Some(b'"') => (|c| c == '"', "\""),
            _ => return self.fault("a quoted text is expected"),
        };
        self.rest = &self.rest[1..];
        let text = self.escaped(ends.0);
        self.expect(ends.1, "the closing quote is missing")?;
        Ok(text)
    }

    fn bracket(&mut self) -> Result<Step, Fault> {
        self.expect("[", "a '[' is expected")?;
        let step = if self.eat("*") {
            Step::Each
        } else if self.eat("?(@") {
            let path = &self.rest[..self.rest.find("==").unwrap_or(0)];
            let whole = self.rest.len();
            let inner = Parser { rest: path.trim_end() }.path();
            let inner = inner.map_err(|(rest, why)| (whole - (path.trim_end().len() - rest), why))?;
            self.rest = &self.rest[path.len()..];
            self.expect("==", "a comparison by '==' is expected")?;
            self.rest = self.rest.trim_start();
            let wanted = match self.rest.as_bytes().first() {
                Some(b'\'' | b'"') => self.quoted()?,
                _ => self.escaped(|c| c == ')' || c == ' '),
            };
            self.rest = self.rest.trim_start();
            self.expect(")", "a ')' is expected")?;
            Step::Where(inner, wanted.into())
        } else if self.rest.starts_with(['\'', '"']) {
            Step::Field(self.quoted()?.into())
        } else {
            let end = self.rest.find(']').unwrap_or(self.rest.len());
            match self.rest[..end].parse() {
                Ok(index) => {
                    self.rest = &self.rest[end..];
                    Step::Index(index)
                }
                Err(_) => return self.fault("a number, '*', a quoted name or '?(@…==…)' is expected"),
            }
        };
        self.expect("]", "a ']' is expected")?;
        Ok(step)
    }
}

impl FromStr for Path {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::parse(text)
    }
}

/// Quotes what a bare name cannot hold.
fn write_name(f: &mut fmt::Formatter<'_>, name: &str, first: bool) -> fmt::Result {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '/');
    if !name.is_empty() && name.chars().all(plain) {
        return write!(f, "{}{name}", if first { "" } else { "." });
    }
    write!(f, "['{}']", name.replace('\\', "\\\\").replace('\'', "\\'"))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps.iter().enumerate() {
            match step {
                Step::Field(name) => write_name(f, name, place == 0)?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Each => f.write_str("[*]")?,
                Step::Where(path, wanted) => {
                    let dot = if matches!(path.steps.first(), Some(Step::Field(_))) { "." } else { "" };
                    let path = path.to_string();
                    let dot = if path.starts_with('[') { "" } else { dot };
                    let wanted = wanted.replace('\\', "\\\\").replace('\'', "\\'");
                    write!(f, "[?(@{dot}{path}=='{wanted}')]")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn object() -> Json {
        json!({
            "metadata": {"name": "s1", "labels": {"example.com/role": "db", "a.b": "dotted"}},
            "spec": {"nics": [{"mac": "m0", "ips": ["10.0.0.1", "10.0.0.2"]}, {"mac": "m1"}, {"ips": []}],
                "count": 3, "on": true, "none": null},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Seen", "status": "False"}]},
        })
    }

    #[test]
    fn values_at_paths() {
        for (path, expected) in [
            ("metadata.name", json!(["s1"])),
            (".metadata.name", json!(["s1"])),
            ("{.metadata.name}", json!(["s1"])),
            ("$.metadata.name", json!(["s1"])),
            ("metadata.labels['example.com/role']", json!(["db"])),
            ("metadata.labels.example\\.com/role", json!(["db"])),
            ("metadata.labels[\"a.b\"]", json!(["dotted"])),
            ("spec.nics[0].mac", json!(["m0"])),
            ("spec.nics[-2].mac", json!(["m1"])),
            ("spec.nics[9].mac", json!([])),
            ("spec.nics.mac", json!(["m0", "m1"])),
            ("spec.nics[*].ips[*]", json!(["10.0.0.1", "10.0.0.2"])),
            ("spec.nics.ips", json!([["10.0.0.1", "10.0.0.2"], []])),
            ("status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            ("status.conditions[?(@.status == 'False')].type", json!(["Seen"])),
            ("metadata.labels.*", json!(["dotted", "db"])),
            ("spec.count.x", json!([])),
            ("nothing", json!([])),
            ("['metadata']['name']", json!(["s1"])),
        ] {
            let parsed = Path::parse(path).unwrap();
            assert_eq!(json!(parsed.get_all(&object())), expected, "{path}");
            assert_eq!(Path::parse(&parsed.to_string()), Ok(parsed), "{path}");
        }
        assert_eq!(Path::parse(".").unwrap().get_all(&object()), [&object()]);
    }

    #[test]
    fn texts_are_those_of_scalars() {
        for (path, expected) in [
            ("spec.nics.ips", vec!["10.0.0.1", "10.0.0.2"]),
            ("spec.count", vec!["3"]),
            ("spec.on", vec!["true"]),
            ("spec.none", vec![]),
            ("spec", vec![]),
        ] {
            let mut found = Vec::new();
            Path::parse(path).unwrap().texts(&object(), |text| found.push(text.to_owned()));
            assert_eq!(found, expected, "{path}");
        }
    }

    #[test]
    fn first_and_only() {
        let path = Path::parse("spec.nics.mac").unwrap();
        assert_eq!(path.first(&object()), Some(&json!("m0")));
        assert_eq!(path.only(&object()), None);
        assert_eq!(Path::parse("spec.count").unwrap().only(&object()), Some(&json!(3)));
    }

    #[test]
    fn what_is_no_path() {
        for (text, at, why) in [
            ("a..b", 3, "a name is expected"),
            ("a[", 3, "a number, '*', a quoted name or '?(@…==…)' is expected"),
            ("a[1", 4, "a ']' is expected"),
            ("a['b]", 6, "the closing quote is missing"),
            ("a[1]b", 5, "a '.' or '[' is expected"),
            ("{.a[x]}", 5, "a number, '*', a quoted name or '?(@…==…)' is expected"),
            ("a[?(@.t!='x')]", 6, "a comparison by '==' is expected"),
            ("a.", 3, "a name is expected"),
        ] {
            let found = Path::parse(text);
            assert_eq!(found, Err(PathError { text: text.into(), at, why }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[.\\[\\]a-z0-9'\"?(@=)*\\\\{}$ ä-]{0,24}") {
            if let Ok(path) = Path::parse(&text) {
                prop_assert_eq!(Path::parse(&path.to_string()), Ok(path.clone()), "{}", path);
                path.get_all(&object());
            }
        }
    }
}
