//! `labctl describe`: an object laid out to be read, with what happened to it.

use super::selection::{self, Selectors, Words};
use crate::{
    failure::{Outcome, Several},
    kind::{self, Target},
    output::{self, Paint, columns::Columns},
    server,
    session::Session,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use lab_client::ListParams;
use lab_object::{GroupVersionResource, Json, Time, age::age};
use std::fmt::Write;

/// Show objects laid out to be read, with what happened to them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  labctl describe srv db-1
  labctl describe server 10.20.0.11
  labctl describe networks")]
pub struct Args {
    /// A kind and names, or kind/name …
    #[arg(required = true, value_name = "KIND [NAME…]", add = crate::complete::objects())]
    words: Vec<String>,
    #[command(flatten)]
    selectors: Selectors,
    /// Leave out the events
    #[arg(long)]
    no_events: bool,
}

/// Runs the command.
pub async fn run(args: Args, session: &Session) -> Outcome {
    let mut several = Several::default();
    let mut first = true;
    let mut show = async |target: &Target, object: &Json| -> Outcome {
        let events = if args.no_events { Vec::new() } else { events(session, object).await };
        let now = Time(jiff::Timestamp::now());
        let text = if target.is_server() { server::describe::render(object, now) } else { None };
        let text = text.unwrap_or_else(|| generic(object));
        let gap = if first { "" } else { "\n\n" };
        first = false;
        Ok(output::text(&format!("{gap}{text}{}", render_events(&events, now)))?)
    };
    match Words::read(&args.words)? {
        Words::Objects(pairs) => {
            for (kind, name) in pairs {
                let target = kind::resolve_one(session, &kind).await?;
                selection::check_name(&target, &name)?;
                let outcome = match target.api(session, &session.namespace).get(&name).await {
                    Ok(object) => show(&target, &object).await,
                    Err(e) => {
                        Err(selection::explain_missing(session, &target, &session.namespace, &name, e).await)
                    }
                };
                several.note(outcome);
            }
        }
        Words::Kinds(kinds) => {
            for kind in kinds {
                for target in kind::resolve(session, &kind).await? {
                    let params = args.selectors.params(&target)?;
                    for object in target.api(session, &session.namespace).list_all(&params).await?.items {
                        show(&target, &object).await?;
                    }
                }
            }
        }
    }
    several.finish()
}

/// What happened to an object, as the events about it say; none when they cannot be read.
async fn events(session: &Session, object: &Json) -> Vec<Json> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let uid = text("/metadata/uid");
    if uid.is_empty() {
        return Vec::new();
    }
    let resource =
        GroupVersionResource { group: String::new(), version: "v1".into(), resource: "events".into() };
    let namespace = Some(text("/metadata/namespace")).filter(|n| !n.is_empty());
    let params = ListParams::fields(format!("involvedObject.uid={uid}"));
    let mut events = match session.client.dynamic(&resource, namespace).list_all(&params).await {
        Ok(list) => list.items,
        Err(_) => return Vec::new(),
    };
    events.sort_by_key(|e| seen(e).to_owned());
    events
}

fn seen(event: &Json) -> &str {
    let at = |pointer: &str| event.pointer(pointer).and_then(Json::as_str);
    at("/series/lastObservedTime")
        .or(at("/lastTimestamp"))
        .or(at("/eventTime"))
        .or(at("/metadata/creationTimestamp"))
        .unwrap_or_default()
}

fn render_events(events: &[Json], now: Time) -> String {
    if events.is_empty() {
        return String::new();
    }
    let mut columns = Columns::headed(["Age", "Type", "Reason", "From", "Message"]).indented(2);
    for event in events {
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned();
        let when = seen(event).parse().map(|t| age(Time(t), now)).unwrap_or_default();
        let count = event.pointer("/count").and_then(Json::as_u64).filter(|&n| n > 1);
        let when = count.map_or_else(|| when.clone(), |n| format!("{when} (x{n})"));
        let from = match text("/source/component") {
            empty if empty.is_empty() => text("/reportingComponent"),
            component => component,
        };
        columns.row(vec![when, text("/type"), text("/reason"), from, text("/message")]);
    }
    format!("\n{}\n{}", Paint::Bold.out("Events"), columns.render(output::coloured()))
}

/// Any object: who it is, then its fields as they are.
fn generic(object: &Json) -> String {
    let mut text = String::new();
    let field = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let _ = writeln!(
        text,
        "{} {}  ({})",
        Paint::Bold.out(field("/kind")),
        Paint::Bold.out(field("/metadata/name")),
        field("/apiVersion")
    );
    let mut lines = Columns::plain().indented(2);
    for (name, pointer) in [
        ("Namespace:", "/metadata/namespace"),
        ("UID:", "/metadata/uid"),
        ("Created:", "/metadata/creationTimestamp"),
        ("Being deleted since:", "/metadata/deletionTimestamp"),
    ] {
        if !field(pointer).is_empty() {
            lines.row(vec![name.into(), field(pointer).into()]);
        }
    }
    text.push_str(&lines.render(false));
    for (name, pointer) in [
        ("Labels", "/metadata/labels"),
        ("Annotations", "/metadata/annotations"),
        ("Finalizers", "/metadata/finalizers"),
        ("Owners", "/metadata/ownerReferences"),
    ] {
        if let Some(value) = object.pointer(pointer) {
            push_field(&mut text, name, value, 0);
        }
    }
    let secret = field("/kind") == "Secret" && field("/apiVersion") == "v1";
    for (name, value) in object.as_object().into_iter().flatten() {
        if secret && name == "data" {
            let _ = writeln!(text, "Data:\n{}", sizes(value).trim_end());
        } else if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            push_field(&mut text, &spaced(name), value, 0);
        }
    }
    text
}

/// Of each value of a Secret only its size: whoever looks on must not read it. `get -o yaml` shows it.
fn sizes(data: &Json) -> String {
    let mut columns = Columns::plain().indented(2);
    for (key, value) in data.as_object().into_iter().flatten() {
        let decoded = BASE64_STANDARD.decode(value.as_str().unwrap_or_default()).map(|bytes| bytes.len());
        let size = decoded.map_or_else(|_| "not base64".into(), |size| format!("{size} bytes"));
        columns.row(vec![format!("{key}:"), size]);
    }
    columns.render(false)
}

/// `operatingSystem` as `Operating system`.
pub fn spaced(name: &str) -> String {
    let mut out = String::new();
    for (i, c) in name.chars().enumerate() {
        match c {
            c if i == 0 => out.extend(c.to_uppercase()),
            c if c.is_uppercase() => {
                out.push(' ');
                out.extend(c.to_lowercase());
            }
            c => out.push(c),
        }
    }
    out
}

fn push_field(text: &mut String, name: &str, value: &Json, indent: usize) {
    match value {
        Json::Object(fields) if fields.is_empty() => {}
        Json::Array(items) if items.is_empty() => {}
        Json::Object(fields) => {
            let _ = writeln!(text, "{:indent$}{name}:", "");
            for (key, value) in fields {
                // Keys of labels and the like are data; names of fields are put into words.
                let key = if key.contains(['/', '.', '-', '_']) { key.clone() } else { spaced(key) };
                push_field(text, &key, value, indent + 2);
            }
        }
        Json::Array(items) if items.iter().all(|i| !i.is_object() && !i.is_array()) => {
            let words: Vec<String> = items.iter().map(scalar).collect();
            let _ = writeln!(text, "{:indent$}{name}: {}", "", words.join(", "));
        }
        Json::Array(items) => {
            let _ = writeln!(text, "{:indent$}{name}:", "");
            for item in items {
                let mut inner = String::new();
                for (key, value) in item.as_object().into_iter().flatten() {
                    push_field(&mut inner, &spaced(key), value, indent + 4);
                }
                // The first line of each is marked.
                if inner.len() > indent + 2 {
                    inner.replace_range(indent + 2..indent + 3, "-");
                }
                text.push_str(&inner);
            }
        }
        scalar_value => {
            let _ = writeln!(text, "{:indent$}{name}: {}", "", scalar(scalar_value));
        }
    }
}

fn scalar(value: &Json) -> String {
    let text = match value {
        Json::String(text) => text.clone(),
        Json::Null => "<none>".into(),
        other => other.to_string(),
    };
    text.lines().collect::<Vec<_>>().join(" ⏎ ")
}
