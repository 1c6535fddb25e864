//! Tables: lists as the server prepares them for a terminal (Kubernetes' `meta.k8s.io/v1.Table`).

use crate::{Json, ListMeta, meta::null_is_default, path::Path};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A table. `O` is the form of the rows' objects: `Box<RawValue>` leaves them unparsed, `&RawValue` splices stored
/// bytes in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Table<O = Box<RawValue>> {
    /// `Table`.
    #[serde(default = "kind")]
    pub kind: String,
    /// `meta.k8s.io/v1`.
    #[serde(default = "api_version")]
    pub api_version: String,
    /// Revision and continue token of the list.
    #[serde(default)]
    pub metadata: ListMeta,
    /// The columns. Events of a watch after the first may leave them out.
    #[serde(default, deserialize_with = "null_is_default")]
    pub column_definitions: Vec<ColumnDefinition>,
    /// The rows.
    #[serde(
        default = "Vec::new",
        deserialize_with = "null_is_default",
        bound(deserialize = "O: Deserialize<'de>")
    )]
    pub rows: Vec<Row<O>>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// The heading, such as `Phase`.
    pub name: String,
    /// The OpenAPI type of the cells: `string`, `integer`, `number`, `boolean`, `date`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What the string means: `name` marks the column that names the object; else empty.
    #[serde(default)]
    pub format: String,
    /// One sentence on the column.
    #[serde(default)]
    pub description: String,
    /// 0 is always shown; higher only where there is room (`-o wide`).
    #[serde(default)]
    pub priority: i32,
}

/// A row: one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row<O = Box<RawValue>> {
    /// One value per column.
    pub cells: Vec<Json>,
    /// What is to be known of the row, such as that its object has come to its end.
    #[serde(
        default = "Vec::new",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub conditions: Vec<RowCondition>,
    /// The object: its metadata, all of it, or nothing, as the request's `includeObject` said.
    #[serde(default = "nothing")]
    pub object: Option<O>,
}

/// Something to be known of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCondition {
    /// `Completed`: the object has run to its end and tools may hide it.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// A word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl<O> Table<O> {
    /// A table of these columns and rows.
    pub fn new(metadata: ListMeta, column_definitions: Vec<ColumnDefinition>, rows: Vec<Row<O>>) -> Self {
        Self { kind: kind(), api_version: api_version(), metadata, column_definitions, rows }
    }
}

impl<O> Row<O> {
    /// A row without conditions.
    pub fn new(cells: Vec<Json>, object: Option<O>) -> Self {
        Self { cells, conditions: Vec::new(), object }
    }
}

/// The cell at a path: nothing is `null`, one scalar is itself, several are joined by commas.
pub fn cell(path: &Path, object: &Json) -> Json {
    if let Some(one @ (Json::String(_) | Json::Bool(_) | Json::Number(_))) = path.only(object) {
        return one.clone();
    }
    let mut joined: Option<String> = None;
    path.texts(object, |text| match &mut joined {
        None => joined = Some(text.into()),
        Some(all) => {
            all.push(',');
            all.push_str(text);
        }
    });
    joined.map_or(Json::Null, Json::String)
}

fn kind() -> String {
    "Table".into()
}

fn api_version() -> String {
    "meta.k8s.io/v1".into()
}

fn nothing<O>() -> Option<O> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells() {
        let object = json!({"a": {"s": "x", "n": 3, "b": true, "empty": []},
            "nics": [{"ip": ["10.0.0.1", "fe80::1"]}, {"ip": ["10.0.0.2"]}, {}], "one": [{"v": 7}]});
        for (path, expected) in [
            ("a.s", json!("x")),
            ("a.n", json!(3)),
            ("a.b", json!(true)),
            ("a.empty", json!(null)),
            ("a", json!(null)),
            ("missing.x", json!(null)),
            ("nics.ip", json!("10.0.0.1,fe80::1,10.0.0.2")),
            ("one.v", json!(7)),
        ] {
            assert_eq!(cell(&Path::parse(path).unwrap(), &object), expected, "{path}");
        }
    }

    #[test]
    fn the_wire_form() {
        let columns = vec![ColumnDefinition {
            name: "Name".into(),
            kind: "string".into(),
            format: "name".into(),
            description: "Name of the server".into(),
            priority: 0,
        }];
        let object = RawValue::from_string(r#"{"kind":"PartialObjectMetadata"}"#.into()).unwrap();
        let meta = ListMeta { resource_version: Some("12".into()), ..Default::default() };
        let table = Table::new(
            meta,
            columns,
            vec![Row::new(vec![json!("s1")], Some(&*object)), Row::new(vec![], None)],
        );
        let wire = serde_json::to_string(&table).unwrap();
        assert_eq!(
            wire,
            r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":{"resourceVersion":"12"},"#
                .to_owned()
                + r#""columnDefinitions":[{"name":"Name","type":"string","format":"name","#
                + r#""description":"Name of the server","priority":0}],"#
                + r#""rows":[{"cells":["s1"],"object":{"kind":"PartialObjectMetadata"}},{"cells":[],"object":null}]}"#
        );
        let read: Table = serde_json::from_str(&wire).unwrap();
        assert_eq!(read.rows[0].object.as_ref().unwrap().get(), object.get());
        let bare: Table<Json> = serde_json::from_str(r#"{"columnDefinitions":null,"rows":null}"#).unwrap();
        assert!(bare.rows.is_empty() && bare.column_definitions.is_empty());
    }
}
