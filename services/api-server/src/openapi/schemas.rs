//! Components: a schema per kind and list, and those that all kinds share.

use lab_kinds::Kind;
use lab_object::{GroupVersionKind, Json};
use serde_json::{Map, json};

/// Prefix of the types that all kinds share, as Kubernetes names them.
pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Types that are no kind's own: what DELETE takes and answers, and what subresources carry.
const SHARED: &str = include_str!("shared.json");

/// The components that every document has.
pub(super) fn shared() -> Map<String, Json> {
    serde_json::from_str(SHARED).expect("shared.json is an object; a test reads it")
}

/// A reference to a component.
pub(super) fn reference(component: &str) -> Json {
    json!({"$ref": format!("#/components/schemas/{component}")})
}

/// The component's name: Kubernetes' own for its kinds, else the group's labels reversed, as custom kinds have it.
pub(super) fn component(gvk: &GroupVersionKind, built_in: bool) -> String {
    let (group, version, kind) = (&gvk.group, &gvk.version, &gvk.kind);
    if built_in {
        let group = if group.is_empty() { "core" } else { group.split('.').next().unwrap_or(group) };
        return format!("io.k8s.api.{group}.{version}.{kind}");
    }
    let reversed: Vec<_> = group.rsplit('.').collect();
    format!("{}.{version}.{kind}", reversed.join("."))
}

/// The name of a kind's component; `List` is appended for lists.
pub(super) fn of(kind: &Kind) -> String {
    component(&kind.gvk(), kind.built_in)
}

/// `x-kubernetes-group-version-kind` of a type, by which kubectl finds it.
pub(super) fn type_mark(gvk: &GroupVersionKind) -> Json {
    json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind})
}

/// Adds a kind and its list.
pub(super) fn add(components: &mut Map<String, Json>, kind: &Kind) {
    let mut schema = serde_json::to_value(&*kind.schema).expect("a schema has string keys");
    let object_meta = format!("{META}.ObjectMeta");
    if let Some(metadata) = schema.pointer_mut("/properties/metadata") {
        let mut inline = metadata.take();
        inline["description"] =
            "ObjectMeta is what every object carries: its names, its labels, and what the server keeps about it.".into();
        *metadata = json!({"description": "Standard object metadata.", "default": {}, "allOf": [reference(&object_meta)]});
        components.entry(object_meta).or_insert(inline);
    }
    schema["x-kubernetes-group-version-kind"] = json!([type_mark(&kind.gvk())]);
    let name = of(kind);
    let list_kind = format!("{}List", kind.kind);
    let list = json!({
        "type": "object",
        "description": format!("{list_kind} is a list of {}.", kind.plural),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Group and version of the list's form."},
            "kind": {"type": "string", "description": format!("{list_kind}.")},
            "metadata": {"description": "Standard list metadata.", "default": {},
                "allOf": [reference(&format!("{META}.ListMeta"))]},
            "items": {"type": "array", "description": format!("The {}.", kind.plural),
                "items": {"default": {}, "allOf": [reference(&name)]}},
        },
        "x-kubernetes-group-version-kind": [type_mark(&GroupVersionKind { kind: list_kind, ..kind.gvk() })],
    });
    components.insert(format!("{name}List"), list);
    components.insert(name, schema);
}
