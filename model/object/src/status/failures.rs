//! The answers of the API, in the words of Kubernetes, so that tools print what people know.

use super::{Cause, FieldError, Reason, Status, StatusDetails};
use crate::ListMeta;
use std::{collections::HashSet, fmt};

/// Why an update with an old `resourceVersion` is refused.
pub const STALE: &str =
    "the object has been modified; please apply your changes to the latest version and try again";

impl Status {
    /// A failure with the reason's own code.
    pub fn failure(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            kind: Self::kind(),
            api_version: Self::api_version(),
            metadata: ListMeta::default(),
            status: "Failure".into(),
            message: message.into(),
            reason: Some(reason),
            details: None,
            code: reason.code(),
        }
    }

    /// A success, as DELETE answers it.
    pub fn success(details: StatusDetails) -> Self {
        Self {
            status: "Success".into(),
            reason: None,
            code: 200,
            details: Some(details),
            ..Self::failure(Reason::Unknown, "")
        }
    }

    fn about(resource: &str, group: &str, name: &str) -> StatusDetails {
        StatusDetails { name: name.into(), group: group.into(), kind: resource.into(), ..Default::default() }
    }

    /// 400: the request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(Reason::BadRequest, message)
    }

    /// 400: the body is not an object of this kind.
    pub fn undecodable(kind: &str, version: &str, why: impl fmt::Display) -> Self {
        Self::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    }

    /// 400: the body has fields that the kind does not have, or has some twice; `faults` are such as
    /// `unknown field "spec.nic"`.
    pub fn strict_decoding(kind: &str, version: &str, faults: &[String]) -> Self {
        Self::undecodable(kind, version, format_args!("strict decoding error: {}", faults.join(", ")))
    }

    /// 401: it is not known who asks.
    pub fn unauthorized() -> Self {
        Self::failure(Reason::Unauthorized, "Unauthorized")
    }

    /// 403: whoever asks may not. `name` is empty for a request that names no object.
    pub fn forbidden(resource: &str, group: &str, name: &str, why: impl fmt::Display) -> Self {
        let what = Self::qualified(resource, group);
        let message = match (resource, name) {
            ("", _) => format!("forbidden: {why}"),
            (_, "") => format!("{what} is forbidden: {why}"),
            _ => format!("{what} {name:?} is forbidden: {why}"),
        };
        Self::failure(Reason::Forbidden, message).with_details(Self::about(resource, group, name))
    }

    /// 404: there is no such object.
    pub fn not_found(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{} {name:?} not found", Self::qualified(resource, group));
        Self::failure(Reason::NotFound, message).with_details(Self::about(resource, group, name))
    }

    /// 404: there is no such path.
    pub fn no_such_path() -> Self {
        let message = "the server could not find the requested resource";
        Self::failure(Reason::NotFound, message).with_details(StatusDetails::default())
    }

    /// 405: this is not done with this kind; `action` is a verb, such as `create`.
    pub fn method_not_allowed(resource: &str, group: &str, action: &str) -> Self {
        let what = Self::qualified(resource, group);
        let message = format!("{action} is not supported on resources of kind {what:?}");
        Self::failure(Reason::MethodNotAllowed, message).with_details(Self::about(resource, group, ""))
    }

    /// 406: none of the media types that the client accepts can be served.
    pub fn not_acceptable(served: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", served.join(", "));
        Self::failure(Reason::NotAcceptable, message)
    }

    /// 409: there is one already.
    pub fn already_exists(resource: &str, group: &str, name: &str) -> Self {
        let message = format!("{} {name:?} already exists", Self::qualified(resource, group));
        Self::failure(Reason::AlreadyExists, message).with_details(Self::about(resource, group, name))
    }

    /// 409: no free name was found for a `generateName`.
    pub fn no_name_found(resource: &str, group: &str, name: &str) -> Self {
        let mut status = Self::already_exists(resource, group, name).with_retry_after(1);
        status.message += ", the server was not able to generate a unique name for the object";
        status
    }

    /// 409: it cannot be done with the object as it is.
    pub fn conflict(resource: &str, group: &str, name: &str, why: impl fmt::Display) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} {name:?}: {why}", Self::qualified(resource, group));
        Self::failure(Reason::Conflict, message).with_details(Self::about(resource, group, name))
    }

    /// 409: it was changed since it was read.
    pub fn stale(resource: &str, group: &str, name: &str) -> Self {
        Self::conflict(resource, group, name, STALE)
    }

    /// 409: another object bears the name than the UID of the request's preconditions says.
    pub fn uid_differs(resource: &str, group: &str, name: &str, wanted: &str, found: &str) -> Self {
        let why = format!("Precondition failed: UID in precondition: {wanted}, UID in object meta: {found}");
        Self::conflict(resource, group, name, why)
    }

    /// 410: a watch asks for revisions that are compacted; `oldest` is the oldest that is kept.
    pub fn too_old(asked: u64, oldest: u64) -> Self {
        Self::expired(format!("too old resource version: {asked} ({oldest})"))
    }

    /// 410: a list asks to continue where revisions are compacted.
    pub fn continue_expired() -> Self {
        Self::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new \
             list without the continue parameter.",
        )
    }

    /// 410: the asked revision is compacted.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(Reason::Expired, message)
    }

    /// 410: what was asked for is gone for good.
    pub fn gone(message: impl Into<String>) -> Self {
        Self::failure(Reason::Gone, message)
    }

    /// 413: the body has more than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        Self::failure(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {limit}"))
    }

    /// 415: the body is of a type that is not read here.
    pub fn unsupported_media_type(read: &[&str]) -> Self {
        let read = read.join(", ");
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {read}"
        );
        Self::failure(Reason::UnsupportedMediaType, message)
    }

    /// 422: fields were refused.
    pub fn invalid(kind: &str, group: &str, name: &str, errors: &[FieldError]) -> Self {
        let mut seen = HashSet::new();
        let mut texts = errors.iter().map(ToString::to_string).collect::<Vec<_>>();
        texts.retain(|text| seen.insert(text.clone()));
        let list = match texts.as_slice() {
            [] => String::new(),
            [one] => format!(": {one}"),
            many => format!(": [{}]", many.join(", ")),
        };
        let causes = errors
            .iter()
            .map(|e| Cause { reason: e.reason.into(), message: e.message.clone(), field: e.field.clone() })
            .collect();
        let message = format!("{} {name:?} is invalid{list}", Self::qualified(kind, group));
        let details = StatusDetails { causes, ..Self::about(kind, group, name) };
        Self::failure(Reason::Invalid, message).with_details(details)
    }

    /// 429: there is too much to do; to be tried again after some seconds.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(Reason::TooManyRequests, message).with_retry_after(retry_after_seconds)
    }

    /// 500: the server is at fault.
    pub fn internal(why: impl fmt::Display) -> Self {
        let why = why.to_string();
        let message = format!("Internal error occurred: {why}");
        let causes = vec![Cause { message: why, ..Default::default() }];
        Self::failure(Reason::InternalError, message)
            .with_details(StatusDetails { causes, ..Default::default() })
    }

    /// 500: it could not be done now, nothing was changed, and trying again makes sense.
    pub fn server_timeout(resource: &str, group: &str, operation: &str, retry_after_seconds: u32) -> Self {
        let what = Self::qualified(resource, group);
        let message = format!(
            "The {operation} operation against {what} could not be completed at this time, please try again."
        );
        Self::failure(Reason::ServerTimeout, message)
            .with_details(Self::about(resource, group, operation))
            .with_retry_after(retry_after_seconds)
    }

    /// 503: the server, or what it needs, does not serve now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(Reason::ServiceUnavailable, message)
    }

    /// 504: the request took too long; it may still be carried out.
    pub fn timeout(why: impl fmt::Display, retry_after_seconds: u32) -> Self {
        Self::failure(Reason::Timeout, format!("Timeout: {why}")).with_retry_after(retry_after_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(status: Status, code: u16, reason: &str, message: &str) {
        let wire = serde_json::to_value(&status).unwrap();
        assert_eq!(wire["status"], "Failure");
        assert_eq!((&wire["code"], &wire["reason"]), (&json!(code), &json!(reason)), "{wire}");
        assert_eq!(wire["message"], message);
        assert_eq!(serde_json::from_value::<Status>(wire).unwrap(), status);
    }

    #[test]
    fn the_words_of_kubernetes() {
        check(Status::not_found("pods", "", "p1"), 404, "NotFound", r#"pods "p1" not found"#);
        check(
            Status::already_exists("servers", "metal.lab", "s1"),
            409,
            "AlreadyExists",
            r#"servers.metal.lab "s1" already exists"#,
        );
        check(
            Status::stale("servers", "metal.lab", "s1"),
            409,
            "Conflict",
            "Operation cannot be fulfilled on servers.metal.lab \"s1\": the object has been modified; please apply \
             your changes to the latest version and try again",
        );
        check(
            Status::no_name_found("pods", "", "p-x7"),
            409,
            "AlreadyExists",
            "pods \"p-x7\" already exists, the server was not able to generate a unique name for the object",
        );
        let why = "User \"eve\" cannot list resource \"pods\"";
        check(Status::forbidden("pods", "", "", why), 403, "Forbidden", &format!("pods is forbidden: {why}"));
        check(
            Status::forbidden("pods", "", "p", why),
            403,
            "Forbidden",
            &format!("pods \"p\" is forbidden: {why}"),
        );
        check(Status::forbidden("", "", "", "no"), 403, "Forbidden", "forbidden: no");
        check(Status::too_old(5, 10), 410, "Expired", "too old resource version: 5 (10)");
        check(Status::gone("gone"), 410, "Gone", "gone");
        check(Status::too_large(7), 413, "RequestEntityTooLarge", "Request entity too large: limit is 7");
        check(
            Status::unsupported_media_type(&["application/json", "application/yaml"]),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml",
        );
        check(
            Status::not_acceptable(&["application/json"]),
            406,
            "NotAcceptable",
            "only the following media types are accepted: application/json",
        );
        check(
            Status::method_not_allowed("pods", "", "create"),
            405,
            "MethodNotAllowed",
            r#"create is not supported on resources of kind "pods""#,
        );
        check(Status::internal("disk"), 500, "InternalError", "Internal error occurred: disk");
        check(Status::timeout("too slow", 1), 504, "Timeout", "Timeout: too slow");
        check(
            Status::server_timeout("pods", "", "list", 2),
            500,
            "ServerTimeout",
            "The list operation against pods could not be completed at this time, please try again.",
        );
        check(
            Status::strict_decoding("Server", "v1alpha1", &[r#"unknown field "spec.nic""#.into()]),
            400,
            "BadRequest",
            "Server in version \"v1alpha1\" cannot be handled as a Server: strict decoding error: unknown field \
             \"spec.nic\"",
        );
    }

    #[test]
    fn refused_fields() {
        let name = FieldError::required("metadata.name", "name or generateName is required");
        let one = Status::invalid("Server", "metal.lab", "s", std::slice::from_ref(&name));
        let text = "metadata.name: Required value: name or generateName is required";
        check(one, 422, "Invalid", &format!("Server.metal.lab \"s\" is invalid: {text}"));
        let replicas = FieldError::invalid("spec.replicas", &json!(-1), "must be greater than or equal to 0");
        let two = Status::invalid("Deployment", "apps", "d", &[name.clone(), name, replicas]);
        let causes = two.details.as_ref().map(|d| d.causes.len());
        assert_eq!(causes, Some(3));
        let other = "spec.replicas: Invalid value: -1: must be greater than or equal to 0";
        check(two, 422, "Invalid", &format!("Deployment.apps \"d\" is invalid: [{text}, {other}]"));
    }

    #[test]
    fn a_success_says_neither_code_nor_reason() {
        let details = StatusDetails {
            name: "c3".into(),
            kind: "configmaps".into(),
            uid: "0c1d".into(),
            ..Default::default()
        };
        let status = Status::success(details);
        assert_eq!((status.code, status.is_success()), (200, true));
        let wire = serde_json::to_string(&status).unwrap();
        let expected = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","#.to_owned()
            + r#""details":{"name":"c3","kind":"configmaps","uid":"0c1d"}}"#;
        assert_eq!(wire, expected);
        assert_eq!(serde_json::from_str::<Status>(&wire).unwrap(), status);
    }

    #[test]
    fn when_to_try_again() {
        let wire = serde_json::to_value(Status::too_many_requests("later", 3)).unwrap();
        assert_eq!(wire["details"], json!({"retryAfterSeconds": 3}));
        assert_eq!(wire["code"], 429);
    }

    #[test]
    fn reasons_of_other_servers_are_read() {
        let status: Status =
            serde_json::from_value(json!({"status": "Failure", "reason": "Novel", "code": 418})).unwrap();
        assert!(status.is(Reason::Unknown) && status.code == 418);
        assert_eq!(serde_json::to_value(status).unwrap().get("reason"), None);
    }
}
