//! Lists, objects and events as tables, partial metadata and YAML.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use jiff::Timestamp;
use lab_api_server::{
    negotiate::View,
    table::{Include, Render},
};
use lab_kinds::{Cell, Column, ColumnType, Kind, LazySchema, registry};
use lab_object::{Json, ListMeta, Schema};
use serde_json::json;

const NOW: &str = "2026-11-21T12:00:00Z";

/// A kind with a column of every sort.
fn kind() -> Kind {
    let lease = registry().by_resource("coordination.k8s.io", "v1", "leases").unwrap().as_ref().clone();
    let count = |object: &Json| object["spec"]["nics"].as_array().map_or(0, Vec::len).into();
    Kind {
        kind: "Rack".into(),
        group: "test.lab".into(),
        schema: LazySchema::from(Schema::default()),
        columns: vec![
            Column::path("Phase", "status.phase", "Where it stands."),
            Column::path("IPs", "spec.nics.ip", "Its addresses.").wide(),
            Column::path("Seen", "status.seen", "When it was seen.").of_type(ColumnType::Date),
            Column {
                cell: Cell::With(count),
                ..Column::path("NICs", "", "How many.").of_type(ColumnType::Integer)
            },
        ],
        ..lease
    }
}

fn objects() -> Vec<Vec<u8>> {
    [
        json!({"apiVersion": "test.lab/v1", "kind": "Rack",
            "metadata": {"name": "a", "resourceVersion": "7", "creationTimestamp": "2026-11-21T11:57:30Z",
                "managedFields": [{"manager": "m"}]},
            "spec": {"nics": [{"ip": ["10.0.0.1", "fe80::1"]}, {"ip": ["10.0.0.2"]}, {}]},
            "status": {"phase": "Ready", "seen": "2026-11-21T11:59:59Z"}}),
        json!({"apiVersion": "test.lab/v1", "kind": "Rack", "metadata": {"name": "b\"\u{fc}"}}),
    ]
    .map(|object| object.to_string().into_bytes())
    .to_vec()
}

fn render(view: View, include: Include, show: impl Fn(&Render<'_>) -> Vec<u8>) -> Json {
    let kind = kind();
    let render = Render { kind: &kind, view, include, now: NOW.parse::<Timestamp>().unwrap() };
    serde_json::from_slice(&show(&render)).unwrap()
}

fn list(view: View, include: Include) -> Json {
    let meta = ListMeta {
        resource_version: Some("9".into()),
        continue_token: Some("c".into()),
        ..Default::default()
    };
    render(view, include, |r| r.list(objects().iter().map(Vec::as_slice), &meta).unwrap().to_vec())
}

#[test]
fn a_table_of_a_list() {
    let table = list(View::Table, Include::Metadata);
    assert_eq!((&table["kind"], &table["apiVersion"]), (&json!("Table"), &json!("meta.k8s.io/v1")));
    assert_eq!(table["metadata"], json!({"resourceVersion": "9", "continue": "c"}));
    let columns: Vec<_> = table["columnDefinitions"].as_array().unwrap().iter().collect();
    let shown: Vec<_> =
        columns.iter().map(|c| (c["name"].as_str().unwrap(), c["type"].as_str().unwrap())).collect();
    let expected = [
        ("Name", "string"),
        ("Phase", "string"),
        ("Seen", "date"),
        ("NICs", "integer"),
        ("Age", "date"),
        ("IPs", "string"),
    ];
    assert_eq!(shown, expected);
    assert_eq!((&columns[0]["format"], &columns[5]["priority"]), (&json!("name"), &json!(1)));
    let rows = table["rows"].as_array().unwrap();
    assert_eq!(rows[0]["cells"], json!(["a", "Ready", "1s", 3, "2m30s", "10.0.0.1,fe80::1,10.0.0.2"]));
    assert_eq!(rows[1]["cells"], json!(["b\"\u{fc}", null, "<unknown>", 0, "<unknown>", null]));
    let object = &rows[0]["object"];
    assert_eq!((&object["kind"], object.get("spec")), (&json!("PartialObjectMetadata"), None));
    assert_eq!(object["metadata"]["managedFields"], json!([{"manager": "m"}]));
}

#[test]
fn what_rows_carry() {
    assert_eq!(list(View::Table, Include::None)["rows"][0]["object"], Json::Null);
    let whole = &list(View::Table, Include::Object)["rows"][0]["object"];
    assert_eq!((&whole["kind"], &whole["status"]["phase"]), (&json!("Rack"), &json!("Ready")));
    for (word, expected) in [
        (None, Some(Include::Metadata)),
        (Some(""), Some(Include::Metadata)),
        (Some("Metadata"), Some(Include::Metadata)),
        (Some("None"), Some(Include::None)),
        (Some("Object"), Some(Include::Object)),
        (Some("object"), None),
    ] {
        assert_eq!(Include::parse(word).ok(), expected, "{word:?}");
    }
}

#[test]
fn other_views_of_a_list() {
    let partial = list(View::PartialObjectMetadata, Include::Metadata);
    assert_eq!(partial["kind"], "PartialObjectMetadataList");
    assert_eq!(partial["items"][0]["metadata"]["name"], "a");
    assert_eq!(partial["items"][0].get("spec"), None);
    let plain = list(View::Json, Include::Metadata);
    assert_eq!((&plain["kind"], &plain["apiVersion"]), (&json!("RackList"), &json!("test.lab/v1")));
    assert_eq!(plain["items"][1]["metadata"]["name"], "b\"\u{fc}");
}

#[test]
fn one_object_and_its_events() {
    let object = &objects()[0];
    let table = |first| render(View::Table, Include::Metadata, |r| r.event(object, first).unwrap().to_vec());
    assert_eq!(table(true)["columnDefinitions"].as_array().unwrap().len(), 6);
    assert_eq!(table(false)["columnDefinitions"], json!([]));
    assert_eq!(table(false)["metadata"]["resourceVersion"], "7");
    assert_eq!(table(false)["rows"][0]["cells"][0], "a");
    let partial =
        render(View::PartialObjectMetadata, Include::Metadata, |r| r.object(object).unwrap().to_vec());
    assert_eq!((&partial["kind"], partial.get("status")), (&json!("PartialObjectMetadata"), None));
    let meta = json!({"resourceVersion": "12"});
    for (view, name) in
        [(View::Table, "Table"), (View::PartialObjectMetadata, "PartialObjectMetadata"), (View::Json, "Rack")]
    {
        let bookmark = render(view, Include::Metadata, |r| r.bookmark(&meta).to_vec());
        assert_eq!((&bookmark["kind"], &bookmark["metadata"]), (&json!(name), &meta));
    }
}

#[test]
fn yaml_for_people() {
    let kind = kind();
    let render = Render { kind: &kind, view: View::Yaml, include: Include::None, now: NOW.parse().unwrap() };
    let object = br#"{"kind":"Rack","spec":{"on":"yes","n":1}}"#;
    assert_eq!(&render.object(object).unwrap()[..], b"kind: Rack\nspec:\n  \"n\": 1\n  \"on\": \"yes\"\n");
}

#[test]
fn bytes_that_are_no_object_are_an_error_and_no_panic() {
    let kind = kind();
    for view in [View::Table, View::PartialObjectMetadata, View::Yaml] {
        let render = Render { kind: &kind, view, include: Include::Metadata, now: NOW.parse().unwrap() };
        for broken in [&b""[..], b"{", b"{\"metadata\":{\"name\":", b"\xff"] {
            assert_eq!(render.object(broken).unwrap_err().code, 500, "{view:?}");
        }
    }
}

#[test]
fn every_registered_kind_has_a_table_of_its_example() {
    for kind in registry().kinds() {
        let Some(example) = kind.example else { continue };
        let object = example().to_string();
        let render = Render { kind, view: View::Table, include: Include::Object, now: NOW.parse().unwrap() };
        let table: Json = serde_json::from_slice(&render.object(object.as_bytes()).unwrap()).unwrap();
        let columns = table["columnDefinitions"].as_array().unwrap().len();
        assert_eq!(table["rows"][0]["cells"].as_array().unwrap().len(), columns, "{kind:?}");
        assert_eq!(table["rows"][0]["object"], example(), "{kind:?}");
    }
}
