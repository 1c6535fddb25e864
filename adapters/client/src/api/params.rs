//! What a call may be told beside its object.

use super::path::encode;
use bytes::Bytes;
use jiff::Timestamp;
use lab_object::Json;
use serde_json::json;

/// Builds a query string.
#[derive(Default)]
struct Query(String);

impl Query {
    fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.push_str(&encode(value));
    }

    fn push_some(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }
}

/// Which objects to list, and how.
#[derive(Debug, Clone, Default)]
pub struct ListParams {
    /// A label selector, such as `rack=a,tier in (x, y)`.
    pub labels: Option<String>,
    /// A field selector, such as `status.phase=Installed`.
    pub fields: Option<String>,
    /// At most so many.
    pub limit: Option<u32>,
    /// Where the part before ended.
    pub continue_token: Option<String>,
    /// The revision to read at, in the sense of `resource_version_match`.
    pub resource_version: Option<String>,
    /// `Exact` or `NotOlderThan`.
    pub resource_version_match: Option<&'static str>,
    /// Of the audit trail: entries from this time on.
    pub since: Option<Timestamp>,
    /// Of the audit trail: entries up to this time.
    pub until: Option<Timestamp>,
}

impl ListParams {
    /// Objects with these labels.
    pub fn labelled(selector: impl Into<String>) -> Self {
        Self { labels: Some(selector.into()), ..Self::default() }
    }

    /// Objects with these fields.
    pub fn fields(selector: impl Into<String>) -> Self {
        Self { fields: Some(selector.into()), ..Self::default() }
    }

    /// The query string.
    pub fn query(&self) -> String {
        let mut query = Query::default();
        query.push_some("labelSelector", self.labels.as_deref());
        query.push_some("fieldSelector", self.fields.as_deref());
        query.push_some("limit", self.limit.map(|l| l.to_string()).as_deref());
        query.push_some("continue", self.continue_token.as_deref());
        query.push_some("resourceVersion", self.resource_version.as_deref());
        query.push_some("resourceVersionMatch", self.resource_version_match);
        query.push_some("since", self.since.map(|time| time.to_string()).as_deref());
        query.push_some("until", self.until.map(|time| time.to_string()).as_deref());
        query.0
    }
}

/// What to watch, and from where.
#[derive(Debug, Clone, Default)]
pub struct WatchParams {
    /// A label selector.
    pub labels: Option<String>,
    /// A field selector.
    pub fields: Option<String>,
    /// From the first change after this revision. `None`: everything there is, as added, then changes.
    pub resource_version: Option<String>,
    /// Begin with everything there is, and mark the end of that (a "streaming list").
    pub initial_events: bool,
    /// Ask for bookmarks, so that a quiet watch can be resumed.
    pub bookmarks: bool,
    /// The server ends the watch after so many seconds.
    pub timeout_seconds: Option<u32>,
}

impl WatchParams {
    /// The query string.
    pub fn query(&self) -> String {
        let mut query = Query::default();
        query.push("watch", "true");
        query.push_some("labelSelector", self.labels.as_deref());
        query.push_some("fieldSelector", self.fields.as_deref());
        query.push_some("resourceVersion", self.resource_version.as_deref());
        if self.initial_events {
            query.push("sendInitialEvents", "true");
            query.push("resourceVersionMatch", "NotOlderThan");
        }
        if self.bookmarks || self.initial_events {
            query.push("allowWatchBookmarks", "true");
        }
        query.push_some("timeoutSeconds", self.timeout_seconds.map(|s| s.to_string()).as_deref());
        query.0
    }
}

/// What the server does about fields it does not know.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Refuses the object.
    #[default]
    Strict,
    /// Drops them and warns.
    Warn,
    /// Drops them.
    Ignore,
}

impl FieldValidation {
    fn word(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Warn => "Warn",
            Self::Ignore => "Ignore",
        }
    }
}

/// How to create or replace.
#[derive(Debug, Clone, Default)]
pub struct WriteParams {
    /// Whose fields these become; the client's own name when `None`.
    pub field_manager: Option<String>,
    /// Go through everything but keep nothing.
    pub dry_run: bool,
    /// About unknown fields.
    pub field_validation: FieldValidation,
}

impl WriteParams {
    /// The query string; `manager` stands in where none is set.
    pub fn query(&self, manager: &str) -> String {
        let mut query = Query::default();
        query.push("fieldManager", self.field_manager.as_deref().unwrap_or(manager));
        query.push("fieldValidation", self.field_validation.word());
        if self.dry_run {
            query.push("dryRun", "All");
        }
        query.0
    }
}

/// How to patch.
#[derive(Debug, Clone, Default)]
pub struct PatchParams {
    /// As for other writes.
    pub write: WriteParams,
    /// Server-side apply only: take fields over from other managers.
    pub force: bool,
}

impl PatchParams {
    /// The query string; `manager` stands in where none is set.
    pub fn query(&self, patch: &Patch, manager: &str) -> String {
        let mut query = Query(self.write.query(manager));
        if matches!(patch, Patch::Apply(_)) {
            query.push("force", if self.force { "true" } else { "false" });
        }
        query.0
    }
}

/// A change to an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// Operations (RFC 6902).
    Json(Json),
    /// Fields to set, and `null` for those to remove (RFC 7396).
    Merge(Json),
    /// Kubernetes' strategic merge; only for its own kinds.
    Strategic(Json),
    /// Server-side apply: the fields that one manager wants, all of them.
    Apply(Json),
}

impl Patch {
    /// The patch itself.
    pub fn document(&self) -> &Json {
        match self {
            Self::Json(document)
            | Self::Merge(document)
            | Self::Strategic(document)
            | Self::Apply(document) => document,
        }
    }

    /// The media type that names the kind of patch.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json-patch+json",
            Self::Merge(_) => "application/merge-patch+json",
            Self::Strategic(_) => "application/strategic-merge-patch+json",
            // JSON is YAML.
            Self::Apply(_) => "application/apply-patch+yaml",
        }
    }
}

/// What happens to the objects that the deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
    /// They stay.
    Orphan,
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteParams {
    /// What happens to owned objects; the kind's default when `None`.
    pub propagation: Option<Propagation>,
    /// Seconds the object is given to end.
    pub grace_period_seconds: Option<i64>,
    /// Only if it still has this UID.
    pub uid: Option<String>,
    /// Only if it was not changed since this revision.
    pub resource_version: Option<String>,
    /// Go through everything but delete nothing.
    pub dry_run: bool,
}

impl DeleteParams {
    /// The query string.
    pub fn query(&self) -> String {
        if self.dry_run { "dryRun=All".into() } else { String::new() }
    }

    /// The body, `DeleteOptions`.
    pub fn body(&self) -> Bytes {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        if let Some(propagation) = self.propagation {
            options["propagationPolicy"] = match propagation {
                Propagation::Background => "Background",
                Propagation::Foreground => "Foreground",
                Propagation::Orphan => "Orphan",
            }
            .into();
        }
        if let Some(seconds) = self.grace_period_seconds {
            options["gracePeriodSeconds"] = seconds.into();
        }
        if let Some(uid) = &self.uid {
            options["preconditions"]["uid"] = uid.as_str().into();
        }
        if let Some(revision) = &self.resource_version {
            options["preconditions"]["resourceVersion"] = revision.as_str().into();
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        options.to_string().into()
    }
}

/// What became of a deleted object.
#[derive(Debug, Clone, PartialEq)]
pub enum Deleted<T> {
    /// It is gone.
    Gone,
    /// It is marked for deletion, and goes when its finalizers are done; or the server answered with its last state.
    Going(Box<T>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let list = ListParams {
            labels: Some("a in (b, c)".into()),
            limit: Some(5),
            continue_token: Some("x=&y".into()),
            ..ListParams::default()
        };
        let watch = WatchParams {
            resource_version: Some("7".into()),
            initial_events: true,
            timeout_seconds: Some(9),
            ..WatchParams::default()
        };
        let write = WriteParams { dry_run: true, ..WriteParams::default() };
        let apply = PatchParams { force: true, ..PatchParams::default() };
        for (query, expected) in [
            (list.query(), "labelSelector=a%20in%20%28b%2C%20c%29&limit=5&continue=x%3D%26y"),
            (
                watch.query(),
                "watch=true&resourceVersion=7&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
                 &allowWatchBookmarks=true&timeoutSeconds=9",
            ),
            (write.query("me"), "fieldManager=me&fieldValidation=Strict&dryRun=All"),
            (
                apply.query(&Patch::Apply(Json::Null), "me"),
                "fieldManager=me&fieldValidation=Strict&force=true",
            ),
            (apply.query(&Patch::Merge(Json::Null), "me"), "fieldManager=me&fieldValidation=Strict"),
        ] {
            assert_eq!(query, expected);
        }
    }

    #[test]
    fn delete_options() {
        let params = DeleteParams {
            propagation: Some(Propagation::Foreground),
            uid: Some("u".into()),
            dry_run: true,
            ..DeleteParams::default()
        };
        let body: Json = serde_json::from_slice(&params.body()).unwrap();
        let expected = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
            "preconditions": {"uid": "u"}, "dryRun": ["All"]});
        assert_eq!(body, expected);
    }
}
