//! Kubernetes' protobuf bodies, read by tables made from its own Go types: a further kind needs no decoder.

mod fields;
mod wire;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fields::{Field, Shape, Type};
use jiff::Timestamp;
use lab_object::{GroupVersionKind, Json, MicroTime, Time};
use serde_json::{Map, json};
use wire::{Reader, Value};

pub use wire::Malformed;

/// What a body begins with, before the envelope (`runtime.Unknown`).
const MAGIC: &[u8] = b"k8s\0";
/// Messages within messages that are followed; Kubernetes' own types nest a few dozen deep at most.
const DEPTH: u32 = 100;

/// The group whose types, such as DeleteOptions, stand in for every group.
const META: &str = "meta.k8s.io/v1";

/// Whether bodies of a type can be read.
pub fn knows(gvk: &GroupVersionKind) -> bool {
    message_of(&api_version(gvk), &gvk.kind).is_some()
}

/// Reads a body: the magic bytes, the envelope, and the object in it. The envelope's type is taken where it names
/// one, else the `expected` one.
///
/// # Errors
/// What is wrong with the bytes, and where.
pub fn decode(bytes: &[u8], expected: &GroupVersionKind) -> Result<Json, Malformed> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return Err(Reader::new(bytes, 0).malformed("the body does not begin with the bytes \"k8s\\0\""));
    };
    envelope(Reader::new(rest, MAGIC.len()), expected, DEPTH)
}

fn envelope(mut reader: Reader<'_>, expected: &GroupVersionKind, depth: u32) -> Result<Json, Malformed> {
    let start = reader;
    let (mut api_version, mut kind, mut raw) = (api_version(expected), expected.kind.clone(), None);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Bytes(mut meta)) => {
                while let Some((number, value)) = meta.field()? {
                    match (number, value) {
                        (1, Value::Bytes(text)) if !text.is_empty() => api_version = utf8(text)?,
                        (2, Value::Bytes(text)) if !text.is_empty() => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Value::Bytes(object)) => raw = Some(object),
            (3, Value::Bytes(encoding)) if !encoding.is_empty() => {
                return Err(
                    encoding.malformed("the object in the envelope is encoded, which is not supported")
                );
            }
            _ => {}
        }
    }
    let fields = message_of(&api_version, &kind)
        .ok_or_else(|| start.malformed(format!("no protobuf form of {api_version}.{kind} is known")))?;
    let object = message(fields, raw.unwrap_or(Reader::new(&[], start.offset())), depth)?;
    let Json::Object(fields) = object else {
        return Err(start.malformed(format!("{api_version}.{kind} is no object")));
    };
    let mut object =
        Map::from_iter([("apiVersion".into(), api_version.into()), ("kind".into(), kind.into())]);
    object.extend(fields);
    Ok(object.into())
}

fn api_version(gvk: &GroupVersionKind) -> String {
    if gvk.group.is_empty() { gvk.version.clone() } else { format!("{}/{}", gvk.group, gvk.version) }
}

fn message_of(api_version: &str, kind: &str) -> Option<&'static [Field]> {
    fields::of(&format!("{api_version}.{kind}")).or_else(|| fields::of(&format!("{META}.{kind}")))
}

/// Reads a message's fields; a message that only wraps a list is that list.
fn message(fields: &[Field], mut reader: Reader<'_>, depth: u32) -> Result<Json, Malformed> {
    if depth == 0 {
        return Err(reader.malformed("messages are nested too deep"));
    }
    let mut object = Map::new();
    while let Some((number, value)) = reader.field()? {
        let Some(field) = fields.iter().find(|f| f.number == number) else { continue };
        match field.shape {
            Shape::One => set(&mut object, field, one(field.kind, value, &reader, depth)?),
            Shape::List => {
                let list = object.entry(field.json).or_insert_with(|| json!([]));
                let list = list.as_array_mut().expect("a field has one shape");
                elements(field.kind, value, &reader, depth, list)?;
            }
            Shape::Map => {
                let (key, value) = entry(field.kind, value, &reader, depth)?;
                let map = object.entry(field.json).or_insert_with(|| json!({}));
                map.as_object_mut().expect("a field has one shape").insert(key, value);
            }
        }
    }
    match fields {
        [Field { inline: true, shape: Shape::List, json, .. }] => {
            Ok(object.remove(*json).unwrap_or(json!([])))
        }
        _ => Ok(object.into()),
    }
}

/// Sets a field as Go's encoder would: zeros of optional fields are left out, embedded structs are merged.
fn set(object: &mut Map<String, Json>, field: &Field, value: Json) {
    match value {
        Json::Object(inner) if field.inline => object.extend(inner),
        Json::Null => {}
        value if !field.keep_zero && is_zero(&value) => {}
        value => {
            object.insert(field.json.into(), value);
        }
    }
}

fn is_zero(value: &Json) -> bool {
    match value {
        Json::Null => true,
        Json::Bool(b) => !b,
        Json::Number(n) => n.as_f64() == Some(0.0),
        Json::String(s) => s.is_empty(),
        Json::Array(a) => a.is_empty(),
        Json::Object(o) => o.is_empty(),
    }
}

/// A list's element, or several where numbers are packed.
fn elements(
    kind: Type,
    value: Value<'_>,
    at: &Reader<'_>,
    depth: u32,
    list: &mut Vec<Json>,
) -> Result<(), Malformed> {
    match (kind, value) {
        (Type::Int | Type::Bool, Value::Bytes(mut packed)) => {
            while !packed.is_empty() {
                let number = packed.varint()?;
                list.push(one(kind, Value::Varint(number), &packed, depth)?);
            }
        }
        _ => list.push(one(kind, value, at, depth)?),
    }
    Ok(())
}

/// A map's entry: a message of key (1) and value (2), either of which may be absent.
fn entry(kind: Type, value: Value<'_>, at: &Reader<'_>, depth: u32) -> Result<(String, Json), Malformed> {
    let Value::Bytes(mut reader) = value else { return Err(at.malformed("a map entry is no message")) };
    let (mut key, mut inner) = (String::new(), None);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Bytes(text)) => key = utf8(text)?,
            (2, value) => inner = Some(one(kind, value, &reader, depth)?),
            _ => {}
        }
    }
    let absent = || match kind {
        Type::Bool => json!(false),
        Type::Int | Type::Double => json!(0),
        Type::Message(_) => json!({}),
        _ => json!(""),
    };
    Ok((key, inner.unwrap_or_else(absent)))
}

fn one(kind: Type, value: Value<'_>, at: &Reader<'_>, depth: u32) -> Result<Json, Malformed> {
    Ok(match (kind, value) {
        (Type::Bool, Value::Varint(number)) => json!(number != 0),
        (Type::Int, Value::Varint(number)) => json!(number.cast_signed()),
        (Type::Double, Value::Fixed64(bits)) => json!(f64::from_bits(bits)),
        (Type::String, Value::Bytes(text)) => utf8(text)?.into(),
        (Type::Bytes, Value::Bytes(bytes)) => STANDARD.encode(bytes.bytes()).into(),
        (Type::Time, Value::Bytes(reader)) => {
            moment(reader)?.map_or(Json::Null, |t| Time(t).to_string().into())
        }
        (Type::MicroTime, Value::Bytes(reader)) => {
            moment(reader)?.map_or(Json::Null, |t| MicroTime(t).to_string().into())
        }
        (Type::Quantity, Value::Bytes(reader)) => text_of(reader, 1)?.into(),
        (Type::IntOrString, Value::Bytes(reader)) => int_or_string(reader)?,
        (Type::Raw, Value::Bytes(reader)) => raw(reader, depth)?,
        (Type::Message(name), Value::Bytes(reader)) => {
            message(fields::of(name).unwrap_or_default(), reader, depth - 1)?
        }
        (kind, _) => return Err(at.malformed(format!("a field of type {kind:?} has another wire type"))),
    })
}

fn utf8(reader: Reader<'_>) -> Result<String, Malformed> {
    std::str::from_utf8(reader.bytes())
        .map(Into::into)
        .map_err(|e| reader.malformed(format!("a text is not UTF-8: {e}")))
}

/// The text at a number of a message of one text.
fn text_of(mut reader: Reader<'_>, wanted: u32) -> Result<String, Malformed> {
    let mut text = String::new();
    while let Some((number, value)) = reader.field()? {
        if let (true, Value::Bytes(inner)) = (number == wanted, value) {
            text = utf8(inner)?;
        }
    }
    Ok(text)
}

/// Seconds (1) and nanoseconds (2); an empty message is no time at all.
fn moment(mut reader: Reader<'_>) -> Result<Option<Timestamp>, Malformed> {
    let (start, mut seconds, mut nanos) = (reader, 0, 0);
    while let Some((number, value)) = reader.field()? {
        match (number, value) {
            (1, Value::Varint(n)) => seconds = n.cast_signed(),
            (2, Value::Varint(n)) => nanos = n.cast_signed(),
            _ => {}
        }
    }
    if start.is_empty() {
        return Ok(None);
    }
    let nanos = i32::try_from(nanos).map_err(|_| start.malformed("nanoseconds are out of range"))?;
    Timestamp::new(seconds, nanos).map(Some).map_err(|e| start.malformed(format!("no time: {e}")))
}

/// Type (1: 0 integer, 1 text), integer (2), text (3).
fn int_or_string(mut reader: Reader<'_>) -> Result<Json, Malformed> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    while let Some((field, value)) = reader.field()? {
        match (field, value) {
            (1, Value::Varint(n)) => is_text = n == 1,
            (2, Value::Varint(n)) => number = n.cast_signed(),
            (3, Value::Bytes(inner)) => text = utf8(inner)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

/// JSON within a message of one field, or an object in an envelope of its own.
fn raw(mut reader: Reader<'_>, depth: u32) -> Result<Json, Malformed> {
    let mut found = Json::Null;
    while let Some((number, value)) = reader.field()? {
        let (1, Value::Bytes(inner)) = (number, value) else { continue };
        found = if inner.is_empty() {
            Json::Null
        } else if let Some(rest) = inner.bytes().strip_prefix(MAGIC) {
            let none = GroupVersionKind { group: String::new(), version: String::new(), kind: String::new() };
            let depth = depth.checked_sub(1).filter(|d| *d > 0);
            let depth = depth.ok_or_else(|| inner.malformed("messages are nested too deep"))?;
            envelope(Reader::new(rest, inner.offset() + MAGIC.len()), &none, depth)?
        } else {
            serde_json::from_slice(inner.bytes()).map_err(|e| inner.malformed(format!("no JSON: {e}")))?
        };
    }
    Ok(found)
}
