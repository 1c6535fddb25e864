//! Bodies and what is read from them.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn lease() -> GroupVersionKind {
    GroupVersionKind { group: "coordination.k8s.io".into(), version: "v1".into(), kind: "Lease".into() }
}

/// The value that a YAML text means; an error as its message.
#[track_caller]
fn check_yaml(text: &str, expected: Json) {
    match yaml::read(text) {
        Ok(decoded) => assert_eq!(decoded.object, expected, "{text}"),
        Err(error) => assert_eq!(Json::from(error.to_string()), expected, "{text}"),
    }
}

#[test]
fn plain_scalars_mean_what_kubernetes_takes_them_for() {
    let cases = [
        ("yes", json!(true)),
        ("Yes", json!(true)),
        ("y", json!(true)),
        ("on", json!(true)),
        ("NO", json!(false)),
        ("off", json!(false)),
        ("n", json!(false)),
        ("yEs", json!("yEs")),
        ("'yes'", json!("yes")),
        ("\"no\"", json!("no")),
        ("~", json!(null)),
        ("null", json!(null)),
        ("Null", json!(null)),
        ("nULL", json!("nULL")),
        ("12", json!(12)),
        ("+12", json!(12)),
        ("-12", json!(-12)),
        ("012", json!(10)),
        ("0o12", json!(10)),
        ("08", json!(8)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("-0b11", json!(-3)),
        ("1_000", json!(1000)),
        ("0", json!(0)),
        ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("1.", json!(1)),
        ("1e3", json!(1000)),
        ("1.5e-3", json!(0.0015)),
        ("1e400", json!("1e400")),
        ("1.2.3", json!("1.2.3")),
        ("1:30", json!("1:30")),
        ("0x", json!("0x")),
        ("--1", json!("--1")),
        ("2026-11-21", json!("2026-11-21")),
        ("2026-11-21T12:00:00Z", json!("2026-11-21T12:00:00Z")),
        ("52:54:00:12:34:56", json!("52:54:00:12:34:56")),
        ("!!str 12", json!("12")),
        ("!!int \"12\"", json!(12)),
        ("!!binary aGFsbG8=", json!("hallo")),
        ("!own 12", json!("12")),
        ("!!int x", json!("line 1 column 7: \"x\" is no int")),
        ("|\n  a\n  b\n", json!("a\nb\n")),
        (">-\n  a\n  b\n", json!("a b")),
    ];
    for (text, expected) in cases {
        check_yaml(text, expected);
    }
}

#[test]
fn yaml_collections() {
    let cases = [
        ("a: 1\nb: [x, {c: d}]\n", json!({"a": 1, "b": ["x", {"c": "d"}]})),
        ("1: a\non: b\n", json!({"1": "a", "true": "b"})),
        (
            "base: &b {v: 1, w: 2}\nmore:\n  <<: *b\n  w: 3\n",
            json!({"base": {"v": 1, "w": 2}, "more": {"v": 1, "w": 3}}),
        ),
        ("a: &x [1]\nb: *x\n", json!({"a": [1], "b": [1]})),
        ("# only a comment\n", json!(null)),
        ("---\na: 1\n...\n", json!({"a": 1})),
        ("{\"a\": 1}", json!({"a": 1})),
        (
            "a: .inf",
            json!("line 1 column 4: .inf cannot be written in JSON; quote it if it is meant as text"),
        ),
        ("? [a]\n: b\n", json!("line 1 column 3: a key is a list or a map")),
        ("a: 1\n---\nb: 2\n", json!("line 2 column 1: a second document begins, but a body holds one")),
    ];
    for (text, expected) in cases {
        check_yaml(text, expected);
    }
}

#[test]
fn hostile_yaml_is_refused() {
    let deep = "[".repeat(2000) + &"]".repeat(2000);
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let last = level - 1;
        bomb += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{last}"); 10].join(", "));
    }
    for (text, fault) in [
        (deep.as_str(), "recursion limit"),
        (&bomb, "aliases stand for more than"),
        ("a: &a [*a]", "alias"),
        ("a: *b", ""),
    ] {
        let error = yaml::read(text).unwrap_err().to_string();
        assert!(error.contains(fault) && error.starts_with("line "), "{error}");
    }
}

#[test]
fn fields_that_stand_twice_are_named() {
    let body =
        r#"{"spec": {"x": 1, "x": 2, "list": [{}, {"a.b": 1, "a.b": 1}]}, "kind": "Lease", "spec": {}}"#;
    let read = typed(BodyFormat::Json, body.as_bytes(), &lease()).unwrap();
    assert_eq!(read.duplicates, ["spec.x", "spec.list[1].a.b", "spec"]);
    assert_eq!(read.object, json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {}}));
    let read = typed(BodyFormat::Yaml, b"spec:\n  x: 1\n  x: 2\n", &lease()).unwrap();
    assert_eq!(read.duplicates, ["spec.x"]);
    assert_eq!(read.object["spec"], json!({"x": 2}));
}

#[test]
fn faults_say_where() {
    let cases: [(BodyFormat, &[u8], &str); 12] = [
        (BodyFormat::Json, b"", "the body is empty"),
        (BodyFormat::Yaml, b" \n", "the body is empty"),
        (BodyFormat::Json, b"{\"a\": 1,\n \"b\" 2}", "at line 2 column 6"),
        (BodyFormat::Json, b"{} {}", "trailing characters at line 1 column 4"),
        (BodyFormat::Json, b"\xff", "line 1 column 1"),
        (BodyFormat::Json, b"[1]", "must be an object, but is a list"),
        (BodyFormat::Yaml, b"hallo", "must be an object, but is a string"),
        (BodyFormat::Yaml, b"a: b: c\n", "as YAML: line 1 column"),
        (BodyFormat::Yaml, b"a: \xff", "it is not UTF-8"),
        (BodyFormat::Json, br#"{"kind": "Secret"}"#, "kind is \"Secret\", but this path takes \"Lease\""),
        (BodyFormat::Json, br#"{"apiVersion": 7}"#, "apiVersion is 7"),
        (BodyFormat::Protobuf, b"k8s\0\x0a\xff", "as protobuf: at byte 6"),
    ];
    for (format, body, expected) in cases {
        let status = typed(format, body, &lease()).unwrap_err();
        assert_eq!(status.code, 400);
        assert!(status.message.contains(expected), "{:?}: {}", String::from_utf8_lossy(body), status.message);
    }
    let ours =
        GroupVersionKind { group: "metal.lab".into(), version: "v1alpha1".into(), kind: "Server".into() };
    assert_eq!(typed(BodyFormat::Protobuf, b"k8s\0", &ours).unwrap_err().code, 415);
}

#[test]
fn deep_json_is_refused_and_not_followed() {
    let body = "{\"a\":".repeat(100_000);
    assert_eq!(typed(BodyFormat::Json, body.as_bytes(), &lease()).unwrap_err().code, 400);
}

#[test]
fn patches() {
    let yes: [(BodyFormat, &[u8]); 5] = [
        (BodyFormat::JsonPatch, br#"[{"op": "remove", "path": "/spec"}]"#),
        (BodyFormat::MergePatch, br#"{"spec": null}"#),
        (BodyFormat::StrategicMergePatch, br#"{"$patch": "delete"}"#),
        (BodyFormat::ApplyPatch, b"spec:\n  on: yes\n"),
        (BodyFormat::ApplyPatch, br#"{"spec": {}}"#),
    ];
    for (format, body) in yes {
        assert!(patch(format, body).is_ok(), "{format:?}");
    }
    for (format, body) in
        [(BodyFormat::JsonPatch, "{}"), (BodyFormat::MergePatch, "[]"), (BodyFormat::ApplyPatch, "a: [")]
    {
        assert_eq!(patch(format, body.as_bytes()).unwrap_err().code, 400, "{format:?}");
    }
}

#[test]
fn what_a_delete_asks_for() {
    let background = DeleteOptions { propagation_policy: Some("Background".into()), ..Default::default() };
    let kubectl = br#"{"propagationPolicy":"Background"}"#;
    assert_eq!(delete_options(BodyFormat::Json, kubectl).unwrap(), background);
    assert_eq!(delete_options(BodyFormat::Json, b"").unwrap(), DeleteOptions::default());
    let of_another_group =
        b"kind: DeleteOptions\napiVersion: apps/v1\ndryRun: null\npropagationPolicy: Background\n";
    assert_eq!(delete_options(BodyFormat::Yaml, of_another_group).unwrap(), background);
    // {"gracePeriodSeconds": 0, "preconditions": {"uid": "u"}}, as client-go writes it.
    let wire =
        b"k8s\0\x0a\x13\x0a\x02v1\x12\x0dDeleteOptions\x12\x07\x08\x00\x12\x03\x0a\x01u\x1a\x00\x22\x00";
    let read = delete_options(BodyFormat::Protobuf, wire).unwrap();
    let preconditions = Some(Preconditions { uid: Some("u".into()), resource_version: None });
    assert_eq!(read, DeleteOptions { grace_period_seconds: Some(0), preconditions, ..Default::default() });
    for bad in ["{\"kind\": \"Pod\"}", "{\"gracePeriodSeconds\": \"x\"}", "7"] {
        assert_eq!(delete_options(BodyFormat::Json, bad.as_bytes()).unwrap_err().code, 400, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[-a-z0-9:{}\\[\\],&*! \n|>'\"#?<~]{0,60}") {
        for format in [BodyFormat::Json, BodyFormat::Yaml, BodyFormat::Protobuf] {
            let _ = typed(format, &bytes, &lease());
            let _ = typed(format, text.as_bytes(), &lease());
            let _ = typed(format, &[b"k8s\0", &bytes[..]].concat(), &lease());
        }
    }

    #[test]
    fn json_is_read_like_serde_reads_it(value in value()) {
        let text = serde_json::to_vec(&value).unwrap();
        prop_assert_eq!(json::read(&text).unwrap(), Decoded { object: value.clone(), duplicates: Vec::new() });
    }

    #[test]
    fn yaml_that_is_written_is_read_back(value in value()) {
        let text = serde_saphyr::to_string(&value).unwrap();
        prop_assert_eq!(yaml::read(&text).unwrap().object, value, "{}", text);
    }
}

/// Any JSON value, with many of the texts that YAML takes for something else.
fn value() -> impl Strategy<Value = Json> {
    let trap = prop::sample::select(vec![
        "yes",
        "n",
        "012",
        "0x1f",
        "1e3",
        "~",
        "",
        "2026-11-21",
        "a: b",
        "- x",
        "#",
        "1_0",
        ".5",
        "<<",
        "null",
        " x",
        "x\ny\n",
    ]);
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        "[ -~]{0,12}".prop_map(Json::from),
        trap.prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z0-9./]{1,6}", inner, 0..4)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}
