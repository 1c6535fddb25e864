//! YAML read into a tree as Kubernetes reads it: by the rules of YAML 1.1 (`yes` is true, `012` is ten), one
//! document, keys turned into strings.

use super::{Decoded, Step};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};
use lab_object::Json;
use serde_json::{Map, Number};
use std::collections::HashMap;

/// Lists and maps within one another that are followed; JSON has the same bound.
const DEPTH: usize = 128;
/// Values that aliases may stand for in all; keeps a small document from becoming a huge one.
const ALIASED: usize = 100_000;

/// What is wrong, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line} column {column}: {fault}")]
pub(super) struct YamlError {
    line: usize,
    column: usize,
    fault: String,
}

fn fault(span: &Span, fault: impl Into<String>) -> YamlError {
    YamlError { line: span.start.line(), column: span.start.col() + 1, fault: fault.into() }
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        let at = *error.marker();
        Self { line: at.line(), column: at.col() + 1, fault: error.info() }
    }
}

/// Reads the one document of a text.
pub(super) fn read(text: &str) -> Result<Decoded, YamlError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let events = Parser::new_from_str_with_options(text, options);
    let mut composer = Composer { events, anchors: HashMap::new(), aliased: 0, duplicates: Vec::new() };
    let mut object = None;
    loop {
        let (event, span) = composer.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd => {}
            Event::DocumentStart(..) if object.is_some() => {
                return Err(fault(&span, "a second document begins, but a body holds one"));
            }
            Event::DocumentStart(..) => {
                let (event, span) = composer.next()?;
                object = Some(composer.node(event, &span, Step::Root, 0)?.0);
            }
            Event::StreamEnd => break,
            other => return Err(fault(&span, format!("{other:?} stands outside of a document"))),
        }
    }
    Ok(Decoded { object: object.unwrap_or(Json::Null), duplicates: composer.duplicates })
}

struct Composer<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> {
    events: I,
    /// By the parser's number: the value, and how many values it holds.
    anchors: HashMap<usize, (Json, usize)>,
    aliased: usize,
    duplicates: Vec<String>,
}

impl<'a, I: Iterator<Item = Result<(Event<'a>, Span), ScanError>>> Composer<'a, I> {
    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.events.next() {
            Some(event) => Ok(event?),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with an event, and how many values it holds.
    fn node(
        &mut self,
        event: Event<'a>,
        span: &Span,
        at: Step<'_>,
        depth: usize,
    ) -> Result<(Json, usize), YamlError> {
        if depth > DEPTH {
            return Err(fault(span, format!("values are nested deeper than {DEPTH} levels")));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref()).map_err(|e| fault(span, e))?;
                (anchor, (value, 1))
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.sequence(at, depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(at, depth)?),
            Event::Alias(anchor) => {
                let Some((value, size)) = self.anchors.get(&anchor) else {
                    return Err(fault(span, "an alias stands within the value it names"));
                };
                self.aliased += size;
                if self.aliased > ALIASED {
                    return Err(fault(span, format!("aliases stand for more than {ALIASED} values")));
                }
                return Ok((value.clone(), *size));
            }
            other => return Err(fault(span, format!("a value is missing before {other:?}"))),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn sequence(&mut self, at: Step<'_>, depth: usize) -> Result<(Json, usize), YamlError> {
        let (mut list, mut size) = (Vec::new(), 1);
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok((list.into(), size));
            }
            let (value, count) = self.node(event, &span, Step::Element(&at, list.len()), depth + 1)?;
            list.push(value);
            size += count;
        }
    }

    fn mapping(&mut self, at: Step<'_>, depth: usize) -> Result<(Json, usize), YamlError> {
        let (mut map, mut merged, mut size) = (Map::new(), Map::new(), 1);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let key = key(self.node(event, &span, Step::Root, depth + 1)?.0).map_err(|e| fault(&span, e))?;
            let (event, value_span) = self.next()?;
            let step = Step::Field(&at, &key);
            let (value, count) = self.node(event, &value_span, step, depth + 1)?;
            size += count;
            if is_merge {
                merge(value, &mut merged).map_err(|e| fault(&value_span, e))?;
            } else {
                if map.contains_key(&key) {
                    self.duplicates.push(step.to_string());
                }
                map.insert(key, value);
            }
        }
        for (key, value) in merged {
            map.entry(key).or_insert(value);
        }
        Ok((map.into(), size))
    }
}

/// Adds a merge key's maps; of several, the first one's fields win.
fn merge(value: Json, merged: &mut Map<String, Json>) -> Result<(), String> {
    match value {
        Json::Object(fields) => {
            for (key, value) in fields {
                merged.entry(key).or_insert(value);
            }
            Ok(())
        }
        Json::Array(maps) if maps.iter().all(Json::is_object) => {
            maps.into_iter().try_for_each(|map| merge(map, merged))
        }
        _ => Err("\"<<\" takes a map or a list of maps".into()),
    }
}

/// A key as JSON has it: a string.
fn key(value: Json) -> Result<String, String> {
    match value {
        Json::String(text) => Ok(text),
        Json::Bool(_) | Json::Number(_) => Ok(value.to_string()),
        Json::Null => Err("a key is empty".into()),
        Json::Array(_) | Json::Object(_) => Err("a key is a list or a map".into()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Json, String> {
    const CORE: &str = "tag:yaml.org,2002:";
    // Types beyond the core schema (binary, timestamp) keep their name in the suffix; private ones are text.
    let of_tag = |t: &'_ Tag| match t.core_suffix() {
        Some(name) => name.to_owned(),
        None if t.handle() == CORE => t.suffix().to_owned(),
        None => String::new(),
    };
    let core = tag.map(of_tag);
    let core = core.as_deref();
    match core {
        None | Some("null" | "bool" | "int" | "float" | "timestamp") => {
            let value =
                if style == ScalarStyle::Plain || core.is_some() { resolve(text)? } else { text.into() };
            match (core, &value) {
                (None | Some("timestamp"), _)
                | (Some("null"), Json::Null)
                | (Some("bool"), Json::Bool(_))
                | (Some("int" | "float"), Json::Number(_)) => Ok(value),
                (Some(tag), _) => Err(format!("{text:?} is no {tag}")),
            }
        }
        Some("binary") => {
            let compact: String = text.split_whitespace().collect();
            let bytes = STANDARD.decode(compact).map_err(|e| format!("!!binary is not base64: {e}"))?;
            String::from_utf8(bytes)
                .map(Into::into)
                .map_err(|_| "!!binary is not UTF-8, which JSON needs".into())
        }
        Some(_) => Ok(text.into()),
    }
}

/// What a plain scalar means (YAML 1.1's types, without dates and base 60, as Go's reader has them).
fn resolve(text: &str) -> Result<Json, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf"
        | "-.Inf" | "-.INF" => {
            return Err(format!("{text} cannot be written in JSON; quote it if it is meant as text"));
        }
        _ if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) => text.into(),
        _ => {
            let digits = text.replace('_', "");
            integer(&digits).or_else(|| float(&digits)).map_or_else(|| text.into(), Json::Number)
        }
    })
}

/// An integer of 64 bits, by its prefix to base 16, 8 (`0o` or a bare `0`), 2 or 10.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let size = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -size } else { size };
    i64::try_from(value).map(Number::from).ok().or_else(|| u64::try_from(value).map(Number::from).ok())
}

/// A decimal fraction, with an exponent or without. A whole one is an integer, as it is when Go writes it as JSON.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    if !(digits(whole) && digits(part) && digits(exponent))
        || exponent.is_empty()
        || (whole.is_empty() && part.is_empty())
    {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|v: &f64| v.is_finite())?;
    // Beyond this, not every integer has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        Some((value as i64).into())
    } else {
        Number::from_f64(value)
    }
}
