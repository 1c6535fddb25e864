//! Objects handed in, and what becomes of them.

use super::*;
use lab_kinds::{Define, NameRule, Subresource};
use lab_object::{ObjectMeta, Reason, Resource, Status, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A thing.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Thing {
    api_version: String,
    kind: String,
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<State>,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Spec {
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u16>,
    mode: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    finalizers: Vec<String>,
}

impl Default for Spec {
    fn default() -> Self {
        Self { size: None, mode: "auto".into(), parts: Vec::new(), finalizers: Vec::new() }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
struct Part {
    name: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct State {
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<String>,
}

impl Resource for Thing {
    const GROUP: &'static str = "test.lab";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Thing";
    const PLURAL: &'static str = "things";
    const NAMESPACED: bool = true;

    fn metadata(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl Define for Thing {
    fn define() -> Kind {
        Kind::of::<Self>("thing").named_by(NameRule::Label).validated_by(|new, old| {
            let (size, before) = (&new["spec"]["size"], old.map(|old| &old["spec"]["size"]));
            match size.as_i64() {
                Some(13) => vec![FieldError::invalid("spec.size", size, "brings bad luck")],
                now if now.is_some() && now < before.and_then(Json::as_i64) => {
                    vec![FieldError::forbidden("spec.size", "may not shrink")]
                }
                _ => Vec::new(),
            }
        })
    }
    fn example() -> Self {
        Self::default()
    }
}

/// The kind with both subresources that matter here.
fn kind() -> Kind {
    Thing::define().subresource(Subresource::Status).subresource(Subresource::Finalize)
}

fn creation(validation: FieldValidation) -> Creation<'static> {
    Creation {
        input: Input { validation, duplicates: &[] },
        namespace: Some("default"),
        name: None,
        suffix: "abcde",
        uid: "u-1",
        now: Time("2026-11-21T12:00:00Z".parse().unwrap()),
    }
}

/// `{"metadata": {"name": "x"}}` with this besides.
fn body(rest: Json) -> Json {
    let mut object = json!({"metadata": {"name": "x"}});
    json_patch(&mut object, &rest);
    object
}

/// Puts fields in, objects into objects; null takes out.
fn json_patch(object: &mut Json, patch: &Json) {
    let Some(fields) = patch.as_object() else { return *object = patch.clone() };
    for (name, value) in fields {
        match value {
            Json::Null => drop(object.as_object_mut().unwrap().remove(name)),
            Json::Object(_) if object[name].is_object() => json_patch(&mut object[name], value),
            _ => object[name] = value.clone(),
        }
    }
}

/// What the object of `body({})` is when stored, with this besides.
fn stored(rest: Json) -> Json {
    let mut object = json!({"apiVersion": "test.lab/v1", "kind": "Thing",
        "metadata": {"name": "x", "namespace": "default", "uid": "u-1", "generation": 1,
            "creationTimestamp": "2026-11-21T12:00:00Z"},
        "spec": {"mode": "auto"}});
    json_patch(&mut object, &rest);
    object
}

#[track_caller]
fn creates(given: Json, rest: Json) {
    let mut object = given;
    assert_eq!(
        create(&kind(), &mut object, &creation(FieldValidation::Strict)).unwrap(),
        Vec::<String>::new()
    );
    assert_eq!(object, stored(rest));
}

/// `<code> <reason>: <message>` of a refusal.
fn told(status: &Status) -> String {
    format!("{} {:?}: {}", status.code, status.reason.unwrap_or(Reason::Unknown), status.message)
}

#[track_caller]
fn refuses(given: Json, expected: &str) {
    let mut object = given;
    let status = create(&kind(), &mut object, &creation(FieldValidation::Strict)).unwrap_err();
    assert_eq!(told(&status), expected);
}

#[test]
fn a_new_object_gets_what_is_the_servers() {
    creates(body(json!({})), json!({}));
    creates(
        body(json!({"apiVersion": "test.lab/v1", "kind": "Thing", "metadata": {"namespace": "default"}})),
        json!({}),
    );
    creates(
        body(
            json!({"metadata": {"uid": "mine", "generation": 7, "creationTimestamp": "2000-01-01T00:00:00Z",
            "deletionTimestamp": "2000-01-01T00:00:00Z", "selfLink": "/x"}}),
        ),
        json!({}),
    );
    creates(body(json!({"status": {"phase": "P"}, "spec": {"size": 3}})), json!({"spec": {"size": 3}}));
    creates(
        json!({"metadata": {"generateName": "web-"}}),
        json!({"metadata": {"name": "web-abcde", "generateName": "web-"}}),
    );
    let long = "a".repeat(62);
    let name = format!("{}abcde", "a".repeat(58));
    creates(
        json!({"metadata": {"generateName": long}}),
        json!({"metadata": {"name": name, "generateName": long}}),
    );
}

#[test]
fn bodies_that_are_not_of_the_path() {
    refuses(json!([]), "400 BadRequest: the body must be a JSON or YAML object");
    refuses(
        body(json!({"apiVersion": "v2"})),
        "400 BadRequest: the API version in the data (v2) does not match the expected API version (test.lab/v1)",
    );
    refuses(
        body(json!({"kind": "Other"})),
        "400 BadRequest: the kind in the data (Other) does not match the expected kind (Thing)",
    );
    refuses(
        body(json!({"metadata": {"namespace": "other"}})),
        "400 BadRequest: the namespace of the provided object does not match the namespace sent on the request",
    );
    refuses(
        body(json!({"metadata": {"resourceVersion": "1"}})),
        "400 BadRequest: resourceVersion should not be set on objects to be created",
    );
    refuses(
        json!({"metadata": "x"}),
        "422 Invalid: Thing.test.lab \"\" is invalid: metadata: Invalid value: \"string\": must be of type object: \
         \"string\"",
    );
    let deep = (0..200).fold(json!({}), |inner, _| json!({"a": inner}));
    refuses(body(json!({"spec": deep})), "400 BadRequest: the object is nested deeper than 128 levels");
}

#[test]
fn unknown_and_double_fields() {
    let duplicates = ["spec.mode".to_owned()];
    let admit = |validation| {
        let mut object = body(json!({"spec": {"foo": 1, "parts": [{"name": "p", "bar": {}}]}}));
        let input = Input { validation, duplicates: &duplicates };
        let result = create(&kind(), &mut object, &Creation { input, ..creation(validation) });
        result.inspect(|_| assert_eq!(object, stored(json!({"spec": {"parts": [{"name": "p"}]}}))))
    };
    assert_eq!(admit(FieldValidation::Ignore).unwrap(), Vec::<String>::new());
    let warnings = [
        "duplicate field \"spec.mode\"",
        "unknown field \"spec.foo\"",
        "unknown field \"spec.parts[0].bar\"",
    ];
    assert_eq!(admit(FieldValidation::Warn).unwrap(), warnings);
    assert_eq!(
        told(&admit(FieldValidation::Strict).unwrap_err()),
        format!(
            "400 BadRequest: Thing in version \"v1\" cannot be handled as a Thing: strict decoding error: {}",
            warnings.join(", ")
        )
    );
}

#[test]
fn the_parameter_field_validation() {
    assert_eq!("".parse(), Ok(FieldValidation::Warn));
    assert_eq!("Strict".parse(), Ok(FieldValidation::Strict));
    assert_eq!("strict".parse::<FieldValidation>().unwrap_err().code, 400);
}

#[test]
fn invalid_objects() {
    let invalid = |given: Json, name: &str, errors: &str| {
        refuses(given, &format!("422 Invalid: Thing.test.lab {name:?} is invalid: {errors}"));
    };
    invalid(json!({}), "", "metadata.name: Required value: name or generateName is required");
    invalid(
        body(json!({"spec": {"size": "big"}})),
        "x",
        "spec.size: Invalid value: \"string\": must be of type integer: \"string\"",
    );
    invalid(body(json!({"spec": {"parts": [{}]}})), "x", "spec.parts[0].name: Required value");
    invalid(body(json!({"spec": {"size": 13}})), "x", "spec.size: Invalid value: 13: brings bad luck");
    invalid(
        body(
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "", "name": "o", "uid": "1"}]}}),
        ),
        "x",
        "metadata.ownerReferences[0].kind: Required value: must not be empty",
    );
    let owner =
        |uid: &str| json!({"apiVersion": "v1", "kind": "K", "name": uid, "uid": uid, "controller": true});
    invalid(
        body(json!({"metadata": {"ownerReferences": [owner("a"), owner("b")]}})),
        "x",
        "metadata.ownerReferences[1].controller: Invalid value: \"K/b\": only one owner can be the controller; K/a is \
         one already",
    );
    invalid(
        body(json!({"metadata": {"annotations": {"a": "v".repeat(256 * 1024)}}})),
        "x",
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    );
}

#[test]
fn names_that_are_refused() {
    let field_of = |metadata: Json| {
        let mut object = json!({"metadata": metadata});
        let status = create(&kind(), &mut object, &creation(FieldValidation::Strict)).unwrap_err();
        assert_eq!(status.code, 422, "{object}");
        status.details.unwrap().causes[0].field.clone()
    };
    assert_eq!(field_of(json!({"name": "X"})), "metadata.name");
    assert_eq!(field_of(json!({"name": "a.b"})), "metadata.name");
    assert_eq!(field_of(json!({"name": "a".repeat(64)})), "metadata.name");
    assert_eq!(field_of(json!({"name": "../x"})), "metadata.name");
    assert_eq!(field_of(json!({"generateName": "X-"})), "metadata.name");
    assert_eq!(field_of(json!({"name": "x", "labels": {"a b": ""}})), "metadata.labels");
    assert_eq!(field_of(json!({"name": "x", "labels": {"a": "-"}})), "metadata.labels");
    assert_eq!(field_of(json!({"name": "x", "labels": {"a": 1}})), "metadata.labels.a");
    assert_eq!(field_of(json!({"name": "x", "annotations": {"a/b/c": ""}})), "metadata.annotations");
    assert_eq!(field_of(json!({"name": "x", "finalizers": ["a b"]})), "metadata.finalizers");
}

#[test]
fn a_path_with_a_name() {
    let named = |given: Json| {
        let mut object = given;
        let creation = Creation { name: Some("x"), ..creation(FieldValidation::Strict) };
        create(&kind(), &mut object, &creation).map(|_| object)
    };
    assert_eq!(named(json!({})).unwrap(), stored(json!({})));
    assert_eq!(
        told(&named(json!({"metadata": {"name": "y"}})).unwrap_err()),
        "400 BadRequest: the name of the object (y) does not match the name on the URL (x)"
    );
}

/// The object that is updated here, as it is served.
fn live() -> Json {
    stored(json!({"metadata": {"resourceVersion": "5", "labels": {"l": "1"}},
        "spec": {"size": 3, "finalizers": ["f"]}, "status": {"phase": "P"}}))
}

fn updated(target: Target, change: Json) -> Result<Json, Rejection> {
    updated_from(live(), target, change)
}

fn updated_from(old: Json, target: Target, change: Json) -> Result<Json, Rejection> {
    let mut new = old.clone();
    json_patch(&mut new, &change);
    let input = Input { validation: FieldValidation::Strict, duplicates: &[] };
    update(&kind(), &mut new, &old, target, input).map(|warnings| {
        assert!(warnings.is_empty());
        new
    })
}

#[test]
fn an_update_changes_what_its_path_writes() {
    let check = |target, change: Json, expected: Json| {
        let mut object = live();
        json_patch(&mut object, &expected);
        assert_eq!(updated(target, change).unwrap(), object);
    };
    use Target::{Finalize, Status, Whole};
    check(Whole, json!({}), json!({}));
    check(Whole, json!({"spec": {"size": 4}}), json!({"spec": {"size": 4}, "metadata": {"generation": 2}}));
    check(Whole, json!({"metadata": {"labels": {"l": "2"}}}), json!({"metadata": {"labels": {"l": "2"}}}));
    check(Whole, json!({"status": {"phase": "Q"}, "spec": {"finalizers": null}}), json!({}));
    check(Whole, json!({"status": null}), json!({}));
    check(Whole, json!({"spec": null}), json!({"spec": {"size": null}, "metadata": {"generation": 2}}));
    check(
        Whole,
        json!({"metadata": {"uid": null, "resourceVersion": null, "creationTimestamp": null, "generation": 9,
            "name": null, "namespace": null, "selfLink": "/x"}}),
        json!({}),
    );
    check(
        Status,
        json!({"status": {"phase": "Q"}, "spec": {"size": 4}, "metadata": {"labels": {"l": "2"}}}),
        json!({"status": {"phase": "Q"}}),
    );
    check(Status, json!({"status": null}), json!({"status": null}));
    check(
        Finalize,
        json!({"spec": {"finalizers": null, "size": 4}, "status": null}),
        json!({"spec": {"finalizers": null}, "metadata": {"generation": 2}}),
    );
}

#[test]
fn updates_that_are_refused() {
    let refused = |change: Json, expected: &str| {
        assert_eq!(told(&updated(Target::Whole, change).unwrap_err()), expected);
    };
    let conflict = "409 Conflict: Operation cannot be fulfilled on things.test.lab \"x\":";
    let invalid = "422 Invalid: Thing.test.lab \"x\" is invalid:";
    refused(
        json!({"metadata": {"resourceVersion": "4"}}),
        &format!(
            "{conflict} the object has been modified; please apply your changes to the latest version and try again"
        ),
    );
    refused(
        json!({"metadata": {"uid": "u-2"}}),
        &format!("{conflict} Precondition failed: UID in precondition: u-2, UID in object meta: u-1"),
    );
    refused(
        json!({"metadata": {"name": "y"}}),
        "400 BadRequest: the name of the object (y) does not match the name on the URL (x)",
    );
    refused(
        json!({"metadata": {"creationTimestamp": "2000-01-01T00:00:00Z"}}),
        &format!(
            "{invalid} metadata.creationTimestamp: Invalid value: \"2000-01-01T00:00:00Z\": field is immutable"
        ),
    );
    refused(json!({"spec": {"size": 2}}), &format!("{invalid} spec.size: Forbidden: may not shrink"));
    refused(
        json!({"spec": {"foo": 2}}),
        "400 BadRequest: Thing in version \"v1\" cannot be handled as a Thing: strict decoding error: unknown field \
         \"spec.foo\"",
    );
}

#[test]
fn finalizers_while_deleting() {
    let old = || {
        let mut old = live();
        json_patch(
            &mut old,
            &json!({"metadata": {"deletionTimestamp": "2026-11-21T13:00:00Z", "finalizers": ["a", "b"]}}),
        );
        old
    };
    let finalizers =
        |list: Json| updated_from(old(), Target::Whole, json!({"metadata": {"finalizers": list}}));
    assert_eq!(finalizers(json!(["b"])).unwrap()["metadata"]["finalizers"], json!(["b"]));
    assert_eq!(
        told(&finalizers(json!(["a", "c"])).unwrap_err()),
        "422 Invalid: Thing.test.lab \"x\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if \
         the object is being deleted, found new finalizers [\"c\"]"
    );
    let restored =
        updated_from(old(), Target::Whole, json!({"metadata": {"deletionTimestamp": null}})).unwrap();
    assert_eq!(restored["metadata"]["deletionTimestamp"], "2026-11-21T13:00:00Z");
}

#[test]
fn old_faults_are_let_be() {
    let old = || {
        let mut old = live();
        json_patch(&mut old, &json!({"spec": {"size": 70_000}}));
        old
    };
    assert!(updated_from(old(), Target::Whole, json!({"metadata": {"labels": {"l": "2"}}})).is_ok());
    assert!(updated_from(old(), Target::Whole, json!({"spec": {"size": 70_001}})).is_err());
}

#[test]
fn what_counts_as_unchanged() {
    let with = |time: &str, phase: &str| {
        let mut object = live();
        let entry = json!({"manager": "m", "operation": "Update", "time": time, "fieldsV1": {}});
        json_patch(&mut object, &json!({"metadata": {"managedFields": [entry]}, "status": {"phase": phase}}));
        object
    };
    assert!(unchanged(&with("1", "P"), &with("1", "P")));
    assert!(unchanged(&with("1", "P"), &with("2", "P")));
    assert!(!unchanged(&with("1", "P"), &with("1", "Q")));
    assert!(!unchanged(&with("1", "P"), &live()));
    assert!(!unchanged(&live(), &with("1", "P")));
}

/// Every kind there is: its example is stored as it stands, and storing it again changes nothing.
#[test]
fn examples_of_every_kind_are_admitted() {
    for kind in lab_kinds::registry().kinds() {
        let Some(example) = kind.example else { continue };
        let mut object = example();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.remove("resourceVersion");
        let namespace = metadata.remove("namespace");
        let namespace =
            kind.namespaced().then(|| namespace.as_ref().and_then(Json::as_str).unwrap_or("default"));
        let creation = Creation { namespace, ..creation(FieldValidation::Strict) };
        create(kind, &mut object, &creation).unwrap_or_else(|refusal| panic!("{kind:?}: {refusal}"));

        let context = lab_object::apply::ApplyContext {
            schema: &kind.schema,
            manager: "test",
            api_version: &kind.api_version(),
            subresource: "",
            status_apart: kind.has_status(),
            now: creation.now,
            force: false,
        };
        lab_object::apply::track_update(&context, None, &mut object);
        let old = object.clone();
        update(kind, &mut object, &old, Target::Whole, creation.input).unwrap();
        lab_object::apply::track_update(&context, Some(&old), &mut object);
        assert!(unchanged(&old, &object), "{kind:?}");
        assert_eq!(old, object);
    }
}
