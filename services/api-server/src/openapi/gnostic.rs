//! OpenAPI v2 as protobuf: the only form in which kubectl asks for it (the messages of `openapi.v2`, as the gnostic
//! project defines them; the numbers below are its field numbers).

use lab_object::Json;

/// The document as bytes.
pub(super) fn encode(swagger: &Json) -> Vec<u8> {
    let mut document = Message::default();
    document.text(1, &swagger["swagger"]);
    let mut info = Message::default();
    info.text(1, &swagger["info"]["title"]);
    info.text(2, &swagger["info"]["version"]);
    document.message(2, info);
    let mut paths = Message::default();
    paths.named(2, &swagger["paths"], path_item);
    document.message(8, paths);
    let mut definitions = Message::default();
    definitions.named(1, &swagger["definitions"], schema);
    document.message(9, definitions);
    document.0
}

fn path_item(item: &Json) -> Message {
    let mut message = Message::default();
    for (number, method) in [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (8, "patch")] {
        if let Some(found) = item.get(method) {
            message.message(number, operation(found));
        }
    }
    message.each(9, &item["parameters"], parameter);
    message
}

fn operation(operation: &Json) -> Message {
    let mut message = Message::default();
    message.text(3, &operation["description"]);
    message.text(5, &operation["operationId"]);
    message.each_text(6, &operation["produces"]);
    message.each_text(7, &operation["consumes"]);
    message.each(8, &operation["parameters"], parameter);
    let mut responses = Message::default();
    responses.named(1, &operation["responses"], |response| {
        let mut inner = Message::default();
        inner.text(1, &response["description"]);
        inner.message(2, Message::of(1, schema(&response["schema"])));
        Message::of(1, inner)
    });
    message.message(9, responses);
    message.extensions(13, operation);
    message
}

/// A parameter of any place, within the messages that say which it is.
fn parameter(parameter: &Json) -> Message {
    let mut inner = Message::default();
    if parameter["in"] == "body" {
        inner.text(2, &parameter["name"]);
        inner.text(3, &parameter["in"]);
        inner.flag(4, &parameter["required"]);
        inner.message(5, schema(&parameter["schema"]));
        return Message::of(1, Message::of(1, inner));
    }
    // A path's parameter has one field fewer than a query's, so that what follows counts from another number.
    let (place, kind, unique) = if parameter["in"] == "path" { (4, 5, 19) } else { (3, 6, 20) };
    inner.flag(1, &parameter["required"]);
    inner.text(2, &parameter["in"]);
    inner.text(3, &parameter["description"]);
    inner.text(4, &parameter["name"]);
    inner.text(kind, &parameter["type"]);
    inner.flag(unique, &parameter["uniqueItems"]);
    Message::of(1, Message::of(2, Message::of(place, inner)))
}

fn schema(described: &Json) -> Message {
    let mut message = Message::default();
    for (number, field) in [(1, "$ref"), (2, "format"), (4, "description"), (13, "pattern")] {
        message.text(number, &described[field]);
    }
    if let Some(default) = described.get("default") {
        message.message(5, any(default));
    }
    for (number, field) in [(7, "maximum"), (9, "minimum")] {
        message.double(number, &described[field]);
    }
    for (number, field) in [(11, "maxLength"), (12, "minLength"), (14, "maxItems"), (15, "minItems")] {
        message.integer(number, &described[field]);
    }
    message.each_text(19, &described["required"]);
    message.each(20, &described["enum"], any);
    if let Some(values) = described.get("additionalProperties") {
        message.message(21, Message::of(1, schema(values)));
    }
    if described["type"].is_string() {
        let mut kind = Message::default();
        kind.text(1, &described["type"]);
        message.message(22, kind);
    }
    if let Some(items) = described.get("items") {
        message.message(23, Message::of(1, schema(items)));
    }
    if described["properties"].is_object() {
        let mut properties = Message::default();
        properties.named(1, &described["properties"], schema);
        message.message(25, properties);
    }
    message.extensions(31, described);
    message
}

/// Any value, as a text of YAML, which JSON is.
fn any(value: &Json) -> Message {
    let mut message = Message::default();
    message.bytes(2, value.to_string().as_bytes());
    message
}

/// A message as it is written.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    /// A message of one field, which is a message.
    fn of(number: u64, inner: Self) -> Self {
        let mut message = Self::default();
        message.message(number, inner);
        message
    }

    fn message(&mut self, number: u64, inner: Self) {
        self.bytes(number, &inner.0);
    }

    fn bytes(&mut self, number: u64, bytes: &[u8]) {
        self.varint(number << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, number: u64, value: &Json) {
        if let Some(text) = value.as_str() {
            self.bytes(number, text.as_bytes());
        }
    }

    fn flag(&mut self, number: u64, value: &Json) {
        if value == true {
            self.varint(number << 3);
            self.varint(1);
        }
    }

    fn integer(&mut self, number: u64, value: &Json) {
        if let Some(value) = value.as_u64() {
            self.varint(number << 3);
            self.varint(value);
        }
    }

    fn double(&mut self, number: u64, value: &Json) {
        if let Some(value) = value.as_f64() {
            self.varint(number << 3 | 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn each(&mut self, number: u64, list: &Json, encode: impl Fn(&Json) -> Self) {
        list.as_array().into_iter().flatten().for_each(|element| self.message(number, encode(element)));
    }

    fn each_text(&mut self, number: u64, list: &Json) {
        list.as_array().into_iter().flatten().for_each(|element| self.text(number, element));
    }

    /// A map: a list of names (1) and values (2).
    fn named(&mut self, number: u64, map: &Json, encode: impl Fn(&Json) -> Self) {
        for (name, value) in map.as_object().into_iter().flatten() {
            let mut pair = Self::default();
            pair.bytes(1, name.as_bytes());
            pair.message(2, encode(value));
            self.message(number, pair);
        }
    }

    /// The fields that OpenAPI does not know.
    fn extensions(&mut self, number: u64, object: &Json) {
        for (name, value) in
            object.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"))
        {
            let mut pair = Self::default();
            pair.bytes(1, name.as_bytes());
            pair.message(2, any(value));
            self.message(number, pair);
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
