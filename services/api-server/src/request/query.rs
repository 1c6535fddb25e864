//! The options of a request, as its query or its `DeleteOptions` say them.

use crate::fault::bad_request;
use jiff::Timestamp;
use lab_admission::FieldValidation;
use lab_object::{Cause, FieldError, Json, Status, StatusDetails};
use percent_encoding::percent_decode_str;
use std::{borrow::Cow, time::Duration};

/// How `resourceVersion` is meant in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionMatch {
    /// At exactly that revision.
    Exact,
    /// At that revision or any later one.
    NotOlderThan,
}

/// What becomes of an object's dependents when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They stay, without this owner.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// The options of a request, from its query.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// `labelSelector`.
    pub label_selector: String,
    /// `fieldSelector`.
    pub field_selector: String,
    /// `limit`; `None` for no limit.
    pub limit: Option<usize>,
    /// `continue`.
    pub continue_token: Option<String>,
    /// `resourceVersion`.
    pub resource_version: Option<u64>,
    /// `resourceVersionMatch`.
    pub version_match: Option<VersionMatch>,
    /// `watch`.
    pub watch: bool,
    /// `allowWatchBookmarks`.
    pub allow_bookmarks: bool,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `timeoutSeconds`.
    pub timeout: Option<Duration>,
    /// `dryRun=All`.
    pub dry_run: bool,
    /// `fieldManager`.
    pub field_manager: Option<String>,
    /// `fieldValidation`.
    pub field_validation: FieldValidation,
    /// `force`.
    pub force: Option<bool>,
    /// `includeObject`.
    pub include_object: Option<String>,
    /// `gracePeriodSeconds`.
    pub grace_period: Option<i64>,
    /// `orphanDependents`.
    pub orphan_dependents: Option<bool>,
    /// `propagationPolicy`.
    pub propagation: Option<Propagation>,
    /// `since`, of the audit trail: entries from this time on.
    pub since: Option<Timestamp>,
    /// `until`, of the audit trail: entries up to this time.
    pub until: Option<Timestamp>,
    /// `last`, of the audit trail: only so many, the newest.
    pub last: Option<usize>,
    /// `follow`, of a log.
    pub follow: bool,
    /// `tailLines`, of a log.
    pub tail_lines: Option<usize>,
    /// `stage`, of a log.
    pub stage: Option<String>,
}

impl Query {
    /// Reads the options of a query. Unknown ones are left alone; one that cannot be read is named in a 400 or 422.
    pub fn parse(query: &str) -> Result<Self, Status> {
        let mut options = Self::default();
        for (name, value) in pairs(query) {
            options.set(&name?, &value?)?;
        }
        options.check()?;
        Ok(options)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Status> {
        match name {
            "labelSelector" => self.label_selector = value.into(),
            "fieldSelector" => self.field_selector = value.into(),
            "limit" => self.limit = number(name, value)?.filter(|&n| n > 0).map(|n| n as usize),
            "continue" => self.continue_token = Some(value.to_owned()).filter(|v| !v.is_empty()),
            "resourceVersion" => self.resource_version = version(value)?,
            "resourceVersionMatch" => self.version_match = version_match(value)?,
            "watch" => self.watch = boolean(name, value)?,
            "allowWatchBookmarks" => self.allow_bookmarks = boolean(name, value)?,
            "sendInitialEvents" => self.send_initial_events = Some(boolean(name, value)?),
            "timeoutSeconds" => {
                self.timeout = number(name, value)?.filter(|&n| n > 0).map(|n| Duration::from_secs(n as u64));
            }
            "dryRun" => self.dry_run = dry_run(value)?,
            "fieldManager" => self.field_manager = field_manager(value)?,
            "fieldValidation" => self.field_validation = field_validation(value)?,
            "force" => self.force = Some(boolean(name, value)?),
            "includeObject" => self.include_object = Some(value.to_owned()).filter(|v| !v.is_empty()),
            "gracePeriodSeconds" => self.grace_period = grace_period(number(name, value)?)?,
            "orphanDependents" => self.orphan_dependents = Some(boolean(name, value)?),
            "propagationPolicy" => self.propagation = propagation(value)?,
            "since" => self.since = time(name, value)?,
            "until" => self.until = time(name, value)?,
            "last" => self.last = number(name, value)?.filter(|&n| n > 0).map(|n| n as usize),
            "follow" => self.follow = boolean(name, value)?,
            "tailLines" => self.tail_lines = number(name, value)?.and_then(|n| usize::try_from(n).ok()),
            "stage" => self.stage = Some(value.to_owned()).filter(|v| !v.is_empty()),
            _ => {}
        }
        Ok(())
    }

    /// Options that exclude one another, in Kubernetes' words.
    pub(super) fn check(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        let field = "resourceVersionMatch";
        if self.watch {
            if self.version_match.is_some() && self.send_initial_events.is_none() {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            }
            if self.send_initial_events.is_some() && self.version_match != Some(VersionMatch::NotOlderThan) {
                errors.push(FieldError::forbidden(
                    field,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
        } else {
            if self.send_initial_events.is_some() {
                errors.push(FieldError::forbidden(
                    "sendInitialEvents",
                    "sendInitialEvents is forbidden for list",
                ));
            }
            if self.version_match.is_some() && self.resource_version.is_none() {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            }
            if self.version_match.is_some() && self.continue_token.is_some() {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch is forbidden when continue is provided",
                ));
            }
            if self.version_match == Some(VersionMatch::Exact) && self.resource_version == Some(0) {
                errors.push(FieldError::forbidden(
                    field,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Status::invalid("ListOptions", "meta.k8s.io", "", &errors))
        }
    }
}

/// A decoded text, or the refusal of one that is not UTF-8.
type Decoded<'a> = Result<Cow<'a, str>, Status>;

/// The pairs of a query, decoded: `+` is a space, as forms and Go's clients write it.
fn pairs(query: &str) -> impl Iterator<Item = (Decoded<'_>, Decoded<'_>)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

fn decode(raw: &str) -> Decoded<'_> {
    let not_utf8 = |_| bad_request(format!("the query holds {raw:?}, which is not UTF-8"));
    if !raw.contains('+') {
        return percent_decode_str(raw).decode_utf8().map_err(not_utf8);
    }
    let spaced = raw.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().map(|text| Cow::Owned(text.into_owned())).map_err(not_utf8)
}

fn number(name: &str, value: &str) -> Result<Option<i64>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    value.parse().map(Some).map_err(|_| bad_parameter(name, value, "a whole number"))
}

/// A moment (RFC 3339); nothing for an empty value.
fn time(name: &str, value: &str) -> Result<Option<Timestamp>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    let read = value.parse();
    read.map(Some).map_err(|_| {
        bad_request(format!("{name}={value:?} is no time; write it like 2026-11-21T12:00:00Z (RFC 3339)"))
    })
}

fn boolean(name: &str, value: &str) -> Result<bool, Status> {
    match value.to_ascii_lowercase().as_str() {
        // `?watch` alone means yes.
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(bad_parameter(name, value, "true or false")),
    }
}

fn version(value: &str) -> Result<Option<u64>, Status> {
    if value.is_empty() {
        return Ok(None);
    }
    value
        .parse()
        .map(Some)
        .map_err(|_| bad_parameter("resourceVersion", value, "a version the server gave out"))
}

fn version_match(value: &str) -> Result<Option<VersionMatch>, Status> {
    match value {
        "" => Ok(None),
        "Exact" => Ok(Some(VersionMatch::Exact)),
        "NotOlderThan" => Ok(Some(VersionMatch::NotOlderThan)),
        _ => Err(unsupported("ListOptions", "resourceVersionMatch", value, &["Exact", "NotOlderThan"])),
    }
}

pub(crate) fn dry_run(value: &str) -> Result<bool, Status> {
    match value {
        "All" => Ok(true),
        "" => Ok(false),
        _ => Err(unsupported("Options", "dryRun", value, &["All"])),
    }
}

fn field_manager(value: &str) -> Result<Option<String>, Status> {
    let why = if value.chars().count() > 128 {
        "may not be more than 128 characters"
    } else if value.chars().any(char::is_control) {
        "should only contain printable characters"
    } else {
        return Ok(Some(value.to_owned()).filter(|v| !v.is_empty()));
    };
    let error = FieldError::invalid("fieldManager", &Json::from(value), why);
    Err(Status::invalid("Options", "meta.k8s.io", "", &[error]))
}

fn field_validation(value: &str) -> Result<FieldValidation, Status> {
    match value {
        "" | "Warn" => Ok(FieldValidation::Warn),
        "Ignore" => Ok(FieldValidation::Ignore),
        "Strict" => Ok(FieldValidation::Strict),
        _ => Err(unsupported("Options", "fieldValidation", value, &["Ignore", "Strict", "Warn"])),
    }
}

pub(crate) fn propagation(value: &str) -> Result<Option<Propagation>, Status> {
    match value {
        "" => Ok(None),
        "Orphan" => Ok(Some(Propagation::Orphan)),
        "Background" => Ok(Some(Propagation::Background)),
        "Foreground" => Ok(Some(Propagation::Foreground)),
        _ => {
            let allowed = ["Foreground", "Background", "Orphan"];
            Err(unsupported("DeleteOptions", "propagationPolicy", value, &allowed))
        }
    }
}

pub(crate) fn grace_period(seconds: Option<i64>) -> Result<Option<i64>, Status> {
    match seconds {
        Some(negative) if negative < 0 => {
            let error = FieldError::invalid(
                "gracePeriodSeconds",
                &Json::from(negative),
                "must be greater than or equal to 0",
            );
            Err(Status::invalid("DeleteOptions", "meta.k8s.io", "", &[error]))
        }
        other => Ok(other),
    }
}

fn unsupported(options: &str, field: &str, value: &str, allowed: &[&str]) -> Status {
    let error = FieldError::not_supported(field, &Json::from(value), allowed);
    Status::invalid(options, "meta.k8s.io", "", &[error])
}

fn bad_parameter(name: &str, value: &str, expected: &str) -> Status {
    let message = format!("the query parameter {name} must be {expected}, not {value:?}");
    let cause = Cause { reason: "FieldValueInvalid".into(), message: message.clone(), field: name.into() };
    bad_request(message).with_details(StatusDetails { causes: vec![cause], ..Default::default() })
}
