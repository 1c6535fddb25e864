//! kubectl's JSONPath templates: text, `{paths}`, `{"strings"}`, `{range path}…{end}`.
//!
//! Paths are handed to an RFC 9535 library after their names are put into its notation: kubectl's may have dashes, and
//! dots behind a backslash.

use lab_object::Json;
use serde_json_path::JsonPath;
use std::str::FromStr;

/// A template, ready to be filled in.
#[derive(Debug, Clone)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Path(JsonPath),
    Range(JsonPath, Vec<Part>),
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut text = text.trim();
        // kubectl takes a bare path as well.
        let braced;
        if !text.contains('{') {
            braced = format!("{{{text}}}");
            text = &braced;
        }
        let mut open: Vec<(JsonPath, Vec<Part>)> = Vec::new();
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            if at > 0 {
                parts.push(Part::Text(rest[..at].into()));
            }
            let end = closing_brace(&rest[at..])
                .ok_or_else(|| format!("{:?} has no closing brace", &rest[at..]))?;
            let inside = rest[at + 1..at + end].trim();
            rest = &rest[at + end + 1..];
            if let Some(quoted) = quoted(inside) {
                parts.push(Part::Text(unescape(quoted)));
            } else if inside == "end" {
                let (path, before) = open.pop().ok_or("{end} without {range}")?;
                let inner = std::mem::replace(&mut parts, before);
                parts.push(Part::Range(path, inner));
            } else if let Some(path) = inside.strip_prefix("range ") {
                open.push((parse_path(path)?, std::mem::take(&mut parts)));
            } else {
                parts.push(Part::Path(parse_path(inside)?));
            }
        }
        if !open.is_empty() {
            return Err("{range} without {end}".into());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self(parts))
    }
}

impl Template {
    /// Fills the template in. A path that finds nothing leaves nothing.
    pub fn render(&self, object: &Json) -> Result<String, String> {
        let mut text = String::new();
        fill(&self.0, object, &mut text);
        Ok(text)
    }

    /// The values that the template's first path finds.
    pub fn find<'a>(&self, object: &'a Json) -> Vec<&'a Json> {
        let path = self.0.iter().find_map(|part| match part {
            Part::Path(path) | Part::Range(path, _) => Some(path),
            Part::Text(_) => None,
        });
        path.map(|path| path.query(object).all()).unwrap_or_default()
    }
}

fn fill(parts: &[Part], object: &Json, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Path(path) => {
                let found = path.query(object).all();
                let shown: Vec<String> = found.into_iter().map(show).collect();
                text.push_str(&shown.join(" "));
            }
            Part::Range(path, inner) => {
                for item in path.query(object).all() {
                    fill(inner, item, text);
                }
            }
        }
    }
}

fn show(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}

/// The index of the brace that closes the one at 0; braces in quotes do not count.
fn closing_brace(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match (quote, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '}') => return Some(i),
            (None, _) => {}
        }
    }
    None
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].strip_suffix(quote)
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => out.push('\n'),
            ('\\', Some('t')) => out.push('\t'),
            ('\\', Some('r')) => out.push('\r'),
            ('\\', Some(other)) => out.push(other),
            (c, _) => out.push(c),
        }
    }
    out
}

fn parse_path(text: &str) -> Result<JsonPath, String> {
    let rfc = to_rfc9535(text.trim());
    JsonPath::parse(&rfc).map_err(|e| format!("{text:?} is not a path: {}", e.message()))
}

/// `.a.b-c.d\.e[0]` as `$['a']['b-c']['d.e'][0]`; what stands in brackets is left as it is.
fn to_rfc9535(text: &str) -> String {
    let text = text.strip_prefix(['$', '@']).unwrap_or(text);
    let mut out = String::from("$");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '[' => {
                out.push('[');
                let mut depth = 1;
                let mut quote: Option<char> = None;
                for c in chars.by_ref() {
                    out.push(c);
                    match (quote, c) {
                        (Some(q), c) if q == c => quote = None,
                        (Some(_), _) => {}
                        (None, '"' | '\'') => quote = Some(c),
                        (None, '[') => depth += 1,
                        (None, ']') => depth -= 1,
                        (None, _) => {}
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
            '.' if chars.peek() == Some(&'.') => {
                chars.next();
                out.push_str("..");
                if let Some(name) = take_name(&mut chars) {
                    push_name(&mut out, &name);
                }
            }
            '.' => {
                if let Some(name) = take_name(&mut chars) {
                    push_name(&mut out, &name);
                }
            }
            // A path may begin without its dot.
            first => {
                let rest = take_name(&mut chars).unwrap_or_default();
                push_name(&mut out, &format!("{first}{rest}"));
            }
        }
    }
    out
}

fn take_name(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut name = String::new();
    while let Some(&c) = chars.peek() {
        match c {
            '.' | '[' => break,
            '\\' => {
                chars.next();
                name.extend(chars.next());
            }
            c => {
                name.push(c);
                chars.next();
            }
        }
    }
    (!name.is_empty()).then_some(name)
}

fn push_name(out: &mut String, name: &str) {
    if name == "*" {
        out.push_str("[*]");
    } else {
        out.push_str(&format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(template: &str, expected: &str) {
        let object = json!({
            "metadata": {"name": "a", "labels": {"lab.io/rack-row": "r1"}},
            "spec": {"disk-selector": {"min": 5}, "on": true},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Joined", "status": "False"}]},
            "items": [{"metadata": {"name": "x"}}, {"metadata": {"name": "y"}}],
        });
        let parsed: Result<Template, _> = template.parse();
        let shown = parsed.and_then(|t| t.render(&object)).unwrap_or_else(|e| format!("! {e}"));
        assert_eq!(shown, expected, "{template}");
    }

    #[test]
    fn templates() {
        check("{.metadata.name}", "a");
        check(".metadata.name", "a");
        check("metadata.name", "a");
        check("{$.metadata.name}", "a");
        check("name={.metadata.name}, on={.spec.on}!", "name=a, on=true!");
        check(r"{.metadata.labels.lab\.io/rack-row}", "r1");
        check("{.metadata.labels['lab.io/rack-row']}", "r1");
        check("{.spec.disk-selector}", r#"{"min":5}"#);
        check("{.items[*].metadata.name}", "x y");
        check("{.items[-1].metadata.name}", "y");
        check("{..name}", "x y a");
        check(r#"{.status.conditions[?(@.type=="Ready")].status}"#, "True");
        check(r#"{range .items[*]}{.metadata.name}{"\t"}{"\n"}{end}"#, "x\t\ny\t\n");
        check("{.nothing.here}", "");
        check("{.a", r#"! "{.a" has no closing brace"#);
        check("{end}", "! {end} without {range}");
        check("{range .items[*]}", "! {range} without {end}");
        assert!("{.items[}".parse::<Template>().unwrap_err().starts_with("\".items[\" is not a path"));
    }
}
