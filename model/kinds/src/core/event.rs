//! `Event`: something that happened to an object.

use super::service_account::ObjectReference;
use crate::typed::{ApiVersion, KindName, resource, unset};
use crate::{Column, ColumnType, Define, Kind};
use lab_object::{FieldError, Json, MicroTime, ObjectMeta, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Event reports something that happened to an object. Events are kept for a limited time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// Group and version of the object's form: `v1`.
    pub api_version: ApiVersion<Self>,
    /// The object's kind: `Event`.
    pub kind: KindName<Self>,
    /// Standard object metadata.
    pub metadata: ObjectMeta,
    /// The object that it happened to.
    #[serde(default)]
    pub involved_object: ObjectReference,
    /// Why it happened, as one word in CamelCase for programs, such as `PlanApproved`.
    #[serde(skip_serializing_if = "unset")]
    pub reason: String,
    /// What happened, as a sentence for people.
    #[serde(skip_serializing_if = "unset")]
    pub message: String,
    /// Who noticed it; the older form of `reportingComponent`.
    #[serde(skip_serializing_if = "unset")]
    pub source: EventSource,
    /// When it was noticed first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_timestamp: Option<Time>,
    /// When it was noticed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_timestamp: Option<Time>,
    /// How often it was noticed.
    #[serde(skip_serializing_if = "unset")]
    pub count: i32,
    /// `Normal` or `Warning`.
    #[serde(rename = "type", skip_serializing_if = "unset")]
    pub type_: String,
    /// When it was noticed first, to the microsecond; the newer form of `firstTimestamp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<MicroTime>,
    /// That it goes on happening; absent for what happened once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// What was done to the object, or failed, as one word.
    #[serde(skip_serializing_if = "unset")]
    pub action: String,
    /// A second object, where the action has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// Who reports it, such as `bastion`.
    pub reporting_component: String,
    /// Which one of them, such as the bastion's name.
    pub reporting_instance: String,
}

/// Who noticed an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSource {
    /// The component.
    #[serde(skip_serializing_if = "unset")]
    pub component: String,
    /// The machine it runs on.
    #[serde(skip_serializing_if = "unset")]
    pub host: String,
}

/// That an event goes on happening.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EventSeries {
    /// How often it happened up to the last time.
    #[serde(skip_serializing_if = "unset")]
    pub count: i32,
    /// When it happened last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_observed_time: Option<MicroTime>,
}

resource!(Event, "", "v1", "events", namespaced: true);

impl Define for Event {
    fn define() -> Kind {
        let mut kind = Kind::of::<Self>("event")
            .short_names(&["ev"])
            .columns([
                Column::with("Last Seen", last_seen, "Time since it was noticed last.")
                    .of_type(ColumnType::Date),
                Column::path("Type", "type", "Whether it is normal or a warning."),
                Column::path("Reason", "reason", "Why it happened."),
                Column::with("Object", involved, "The object that it happened to."),
                Column::path(
                    "Subobject",
                    "involvedObject.fieldPath",
                    "The part of the object that is meant.",
                )
                .wide(),
                Column::with("Source", source, "Who noticed it.").wide(),
                Column::with("Message", message, "What happened."),
                Column::with("First Seen", first_seen, "Time since it was noticed first.")
                    .of_type(ColumnType::Date)
                    .wide(),
                Column::with("Count", count, "How often it was noticed.").of_type(ColumnType::Integer).wide(),
                Column::name().wide(),
            ])
            .selectable(&[
                "involvedObject.kind",
                "involvedObject.namespace",
                "involvedObject.name",
                "involvedObject.uid",
                "involvedObject.apiVersion",
                "involvedObject.resourceVersion",
                "involvedObject.fieldPath",
                "reason",
                "reportingComponent",
                "source.component",
                "type",
            ])
            .validated_by(validate)
            .built_in();
        kind.bare_table = true;
        kind
    }

    fn example() -> Self {
        let at = || "2026-11-21T12:00:00Z".parse().map(Time).ok();
        Self {
            metadata: ObjectMeta {
                name: Some("rack1-node3.17a2b3c4d5e6f708".into()),
                namespace: Some("default".into()),
                ..Default::default()
            },
            involved_object: ObjectReference {
                api_version: "metal.lab/v1alpha1".into(),
                kind: "Server".into(),
                name: "rack1-node3".into(),
                ..Default::default()
            },
            reason: "PlanApproved".into(),
            message: "The plan for 2 disks was approved.".into(),
            source: EventSource { component: "install-controller".into(), ..Default::default() },
            first_timestamp: at(),
            last_timestamp: at(),
            count: 1,
            type_: "Normal".into(),
            reporting_component: "install-controller".into(),
            ..Default::default()
        }
    }
}

/// The first of these that is set, or null.
fn first_of(event: &Json, pointers: &[&str]) -> Json {
    let set = |value: &&Json| !value.is_null() && *value != "" && *value != 0;
    pointers.iter().filter_map(|p| event.pointer(p)).find(set).cloned().unwrap_or_default()
}

fn last_seen(event: &Json) -> Json {
    let newest = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime", "/firstTimestamp"];
    first_of(event, &newest)
}

fn first_seen(event: &Json) -> Json {
    first_of(event, &["/firstTimestamp", "/eventTime"])
}

fn count(event: &Json) -> Json {
    match first_of(event, &["/series/count", "/count"]) {
        Json::Null => 1.into(),
        count => count,
    }
}

fn message(event: &Json) -> Json {
    event["message"].as_str().unwrap_or_default().trim().into()
}

fn involved(event: &Json) -> Json {
    let part = |field| event["involvedObject"][field].as_str().unwrap_or_default();
    let kind = part("kind").to_lowercase();
    if part("name").is_empty() { kind.into() } else { format!("{kind}/{}", part("name")).into() }
}

fn source(event: &Json) -> Json {
    let part = |pointer| first_of(event, pointer).as_str().unwrap_or_default().to_owned();
    let component = part(&["/source/component", "/reportingComponent"]);
    let host = part(&["/source/host", "/reportingInstance"]);
    if host.is_empty() { component.into() } else { format!("{component}, {host}").into() }
}

/// An event stands in the namespace of its object, or in `default` when that has none.
fn validate(new: &Json, _: Option<&Json>) -> Vec<FieldError> {
    let of_object = &new["involvedObject"]["namespace"];
    let expected = of_object.as_str().filter(|n| !n.is_empty()).unwrap_or("default");
    let found = new["metadata"]["namespace"].as_str().unwrap_or_default();
    let fits = found == expected || (expected == "default" && found == "kube-system");
    if fits || found.is_empty() {
        Vec::new()
    } else {
        vec![FieldError::invalid("involvedObject.namespace", of_object, "does not match event.namespace")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells() {
        let old = json!({"involvedObject": {"kind": "Server", "name": "a"}, "count": 3, "message": " up\n",
            "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-02T00:00:00Z",
            "source": {"component": "bastion", "host": "b1"}});
        let new = json!({"involvedObject": {"kind": "Node"}, "eventTime": "2026-01-01T00:00:00.000001Z",
            "series": {"count": 7, "lastObservedTime": "2026-01-03T00:00:00.000000Z"}, "firstTimestamp": null,
            "source": {}, "reportingComponent": "c", "reportingInstance": ""});
        for (event, expected) in [
            (
                &old,
                json!(["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "server/a", "bastion, b1", 3, "up"]),
            ),
            (&new, json!(["2026-01-03T00:00:00.000000Z", "2026-01-01T00:00:00.000001Z", "node", "c", 7, ""])),
        ] {
            let cells = [last_seen, first_seen, involved, source, count, message].map(|cell| cell(event));
            assert_eq!(Json::from(cells.to_vec()), expected);
        }
    }

    #[test]
    fn stands_in_its_objects_namespace() {
        for (object, event, valid) in
            [("", "default", true), ("a", "a", true), ("a", "default", false), ("", "a", false)]
        {
            let event = json!({"metadata": {"namespace": event}, "involvedObject": {"namespace": object}});
            assert_eq!(validate(&event, None).is_empty(), valid, "{event}");
        }
    }
}
