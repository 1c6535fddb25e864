//! Paths: every operation on a kind, with the parameters it takes.

use super::schemas::{self, META};
use crate::{
    discovery::{group_version_path, subresource},
    negotiate,
};
use lab_kinds::{Kind, Subresource};
use lab_object::{GroupVersionKind, Json};
use serde_json::{Map, json};

/// A query parameter: name, JSON type, what it does.
type Parameter = (&'static str, &'static str, &'static str);

const DRY_RUN: Parameter = ("dryRun", "string", "All: everything is checked, nothing is stored.");
const FIELD_MANAGER: Parameter =
    ("fieldManager", "string", "Who makes the change; recorded with the fields that it sets.");
const FIELD_VALIDATION: Parameter = (
    "fieldValidation",
    "string",
    "What unknown and duplicate fields get: Ignore, Warn (a warning header; the default) or Strict (refused).",
);
const WRITE: [Parameter; 3] = [DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: [Parameter; 4] = [
    DRY_RUN,
    FIELD_MANAGER,
    FIELD_VALIDATION,
    (
        "force",
        "boolean",
        "Server-side apply takes fields over that other managers own, instead of a conflict.",
    ),
];
const DELETE: [Parameter; 4] = [
    DRY_RUN,
    ("gracePeriodSeconds", "integer", "Seconds that the object has to end gracefully."),
    ("orphanDependents", "boolean", "Deprecated: use propagationPolicy."),
    ("propagationPolicy", "string", "What becomes of dependents: Background, Foreground or Orphan."),
];
const RESOURCE_VERSION: Parameter =
    ("resourceVersion", "string", "The revision that the answer must at least have.");
const LIST: [Parameter; 10] = [
    ("allowWatchBookmarks", "boolean", "A watch also sends BOOKMARK events, which say how far it has come."),
    ("continue", "string", "Where the part before ended, as its list metadata said."),
    ("fieldSelector", "string", "Only objects with these values in these fields."),
    ("labelSelector", "string", "Only objects with these labels."),
    ("limit", "integer", "At most so many objects; the list's metadata says how to go on."),
    RESOURCE_VERSION,
    ("resourceVersionMatch", "string", "How resourceVersion is meant: NotOlderThan or Exact."),
    (
        "sendInitialEvents",
        "boolean",
        "A watch begins with the objects there are, and a BOOKMARK at their end.",
    ),
    ("timeoutSeconds", "integer", "Seconds after which a watch ends."),
    ("watch", "boolean", "Changes are sent as they happen, instead of a list."),
];

/// What one operation is made of.
struct Operation<'a> {
    action: &'a str,
    /// What is done, such as `replace` or `patch`; begins the operation's ID and description.
    verb: &'a str,
    gvk: GroupVersionKind,
    parameters: &'a [Parameter],
    body: Option<(&'a [&'static str], Json)>,
    answers: &'a [u16],
    answer: Json,
}

/// Adds the paths of a kind and its subresources.
pub(super) fn add(paths: &mut Map<String, Json>, kind: &Kind) {
    let base = group_version_path(&kind.group, &kind.version);
    let all = format!("{base}/{}", kind.plural);
    let collection = if kind.namespaced() {
        format!("{base}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        all.clone()
    };
    if kind.namespaced() {
        let item = path_item(kind, &[], [("get", list(kind), "ForAllNamespaces")]);
        paths.insert(all, item);
    }
    let part_of_path: &[&str] = if kind.namespaced() { &["namespace"] } else { &[] };
    // What can only be read has the first of each.
    let served = |all: usize| if kind.read_only { 1 } else { all };
    let of_all = [
        ("get", list(kind), ""),
        ("post", create(kind), ""),
        ("delete", delete(kind, "deletecollection"), ""),
    ];
    let count = served(of_all.len());
    paths.insert(collection.clone(), path_item(kind, part_of_path, of_all.into_iter().take(count)));
    let named: &[&str] = if kind.namespaced() { &["namespace", "name"] } else { &["name"] };
    let of_one = [
        ("get", read(kind.gvk(), schemas::of(kind)), ""),
        ("put", replace(kind.gvk(), schemas::of(kind)), ""),
        ("patch", patch(kind, kind.gvk(), schemas::of(kind)), ""),
        ("delete", delete(kind, "delete"), ""),
    ];
    let count = served(of_one.len());
    paths.insert(format!("{collection}/{{name}}"), path_item(kind, named, of_one.into_iter().take(count)));
    for part in &kind.subresources {
        paths.insert(format!("{collection}/{{name}}/{}", part.path()), subresource_item(kind, part, named));
    }
}

fn subresource_item(kind: &Kind, part: &Subresource, named: &[&str]) -> Json {
    let (verbs, gvk) = subresource(kind, part);
    let component = schemas::component(
        &gvk,
        kind.built_in || gvk.group.ends_with("k8s.io") || gvk.group == "autoscaling",
    );
    let operation = |verb: &&str| match *verb {
        "get" => ("get", read(gvk.clone(), component.clone()), suffix(part)),
        "update" => ("put", replace(gvk.clone(), component.clone()), suffix(part)),
        "patch" => ("patch", patch(kind, gvk.clone(), component.clone()), suffix(part)),
        _ => ("post", create_part(gvk.clone(), component.clone()), suffix(part)),
    };
    path_item(kind, named, verbs.iter().map(operation))
}

fn suffix(part: &Subresource) -> &'static str {
    match part {
        Subresource::Status => "Status",
        Subresource::Scale { .. } => "Scale",
        Subresource::Finalize => "Finalize",
        Subresource::Token => "Token",
        Subresource::Log => "Log",
        Subresource::Logs => "Logs",
        Subresource::Password => "Password",
        Subresource::Tunnel => "Tunnel",
        Subresource::Agent => "Agent",
        Subresource::Exec => "Exec",
        Subresource::PortForward => "PortForward",
        Subresource::SshCertificate => "SshCertificate",
        Subresource::Journal => "Journal",
    }
}

fn list(kind: &Kind) -> Operation<'static> {
    let answer = schemas::reference(&format!("{}List", schemas::of(kind)));
    Operation { action: "list", verb: "list", parameters: &LIST, answer, ..read(kind.gvk(), String::new()) }
}

fn read(gvk: GroupVersionKind, component: String) -> Operation<'static> {
    Operation {
        action: "get",
        verb: "read",
        gvk,
        parameters: &[RESOURCE_VERSION],
        body: None,
        answers: &[200],
        answer: schemas::reference(&component),
    }
}

fn create(kind: &Kind) -> Operation<'static> {
    create_part(kind.gvk(), schemas::of(kind))
}

fn create_part(gvk: GroupVersionKind, component: String) -> Operation<'static> {
    let body = Some((&[negotiate::JSON, negotiate::YAML][..], schemas::reference(&component)));
    let read = read(gvk, component);
    Operation { action: "post", verb: "create", parameters: &WRITE, body, answers: &[201], ..read }
}

fn replace(gvk: GroupVersionKind, component: String) -> Operation<'static> {
    Operation { action: "put", verb: "replace", answers: &[200, 201], ..create_part(gvk, component) }
}

fn patch(kind: &Kind, gvk: GroupVersionKind, component: String) -> Operation<'static> {
    let body = Some((negotiate::patch_types(kind.built_in), schemas::reference(&format!("{META}.Patch"))));
    Operation { action: "patch", verb: "patch", parameters: &PATCH, body, ..replace(gvk, component) }
}

fn delete(kind: &Kind, action: &'static str) -> Operation<'static> {
    let body =
        Some((&[negotiate::JSON, negotiate::YAML][..], schemas::reference(&format!("{META}.DeleteOptions"))));
    let answer = schemas::reference(&format!("{META}.Status"));
    Operation { action, verb: action, parameters: &DELETE, body, answer, ..read(kind.gvk(), String::new()) }
}

/// The operations at one path, with what its braces stand for.
fn path_item<'a>(
    kind: &Kind,
    in_path: &[&str],
    operations: impl IntoIterator<Item = (&'a str, Operation<'a>, &'a str)>,
) -> Json {
    let parameter = |name: &&str| {
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"},
            "description": format!("The {name} of the {}.", kind.kind)})
    };
    let mut item = Map::from_iter([("parameters".to_owned(), in_path.iter().map(parameter).collect())]);
    for (method, operation, suffix) in operations {
        item.insert(method.into(), operation.render(kind, suffix));
    }
    item.into()
}

impl Operation<'_> {
    fn render(&self, kind: &Kind, suffix: &str) -> Json {
        let parameter = |(name, kind, description): &Parameter| json!({"name": name, "in": "query", "description": description, "schema": {"type": kind, "uniqueItems": true}});
        let answer = |schema: &Json| content(&[negotiate::JSON, negotiate::YAML], schema);
        let answers: Map<_, _> = self
            .answers
            .iter()
            .map(|code| (code.to_string(), json!({"description": "OK", "content": answer(&self.answer)})))
            .collect();
        let group: String = kind.group.split('.').map(capitalised).collect();
        let id = format!("{}{}{}{}{suffix}", self.verb, group, capitalised(&kind.version), kind.kind);
        let mut operation = json!({
            "operationId": id,
            "description": format!("{} {}", self.verb, kind.kind),
            "parameters": self.parameters.iter().map(parameter).collect::<Vec<_>>(),
            "responses": answers,
            "x-kubernetes-action": self.action,
            "x-kubernetes-group-version-kind": schemas::type_mark(&self.gvk),
        });
        if let Some((types, schema)) = &self.body {
            operation["requestBody"] = json!({"content": content(types, schema), "required": self.action != "delete" && self.action != "deletecollection"});
        }
        operation
    }
}

fn content(types: &[&str], schema: &Json) -> Json {
    types.iter().map(|name| ((*name).to_owned(), json!({ "schema": schema }))).collect::<Map<_, _>>().into()
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
