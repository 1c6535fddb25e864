//! What the store's refusals mean to a client.

use crate::request::RequestInfo;
use lab_object::{Cause, Reason, Status, StatusDetails};
use lab_store::{Error, Revision};

/// The status for a failure of the store that has no meaning of its own to the request.
pub(crate) fn store(error: &Error) -> Status {
    match error {
        Error::Compacted { asked, oldest } => too_old(*asked, *oldest),
        Error::Future { asked, newest } => too_new(*asked, *newest),
        Error::Unwritable { .. } => Status::failure(
            Reason::ServiceUnavailable,
            format!("{error}; nothing was changed, and reading still works"),
        ),
        Error::Closed => Status::failure(Reason::ServiceUnavailable, "the server is shutting down"),
        Error::Conflict { .. } => Status::failure(Reason::Conflict, error.to_string()),
        Error::Invalid { .. } => Status::failure(Reason::BadRequest, error.to_string()),
        Error::Unreadable { .. } | Error::InUse { .. } => {
            tracing::error!(%error, "the store failed");
            Status::failure(Reason::InternalError, format!("Internal error occurred: {error}"))
        }
    }
}

/// 410 for a revision whose history is gone.
pub(crate) fn too_old(asked: Revision, oldest: Revision) -> Status {
    Status::failure(Reason::Expired, format!("too old resource version: {asked} ({oldest})"))
}

/// 504 for a revision that this store has not reached.
pub(crate) fn too_new(asked: Revision, newest: Revision) -> Status {
    let cause = Cause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: "".into(),
    };
    let message = format!("Too large resource version: {asked}, current: {newest}");
    Status::failure(Reason::Timeout, message).with_details(StatusDetails {
        causes: vec![cause],
        retry_after_seconds: Some(1),
        ..Default::default()
    })
}

/// 500.
pub(crate) fn internal(why: impl std::fmt::Display) -> Status {
    Status::failure(Reason::InternalError, format!("Internal error occurred: {why}"))
}

/// 400.
pub(crate) fn bad_request(why: impl Into<String>) -> Status {
    Status::failure(Reason::BadRequest, why)
}

impl RequestInfo {
    /// 404 for the object asked for.
    pub(crate) fn not_found(&self) -> Status {
        Status::not_found(&self.kind.plural, &self.kind.group, &self.name)
    }

    /// 409 for an object.
    pub(crate) fn conflict(&self, name: &str, why: impl std::fmt::Display) -> Status {
        Status::conflict(&self.kind.plural, &self.kind.group, name, why)
    }

    /// What a status about the object of this request names.
    pub(crate) fn details(&self, name: &str) -> StatusDetails {
        StatusDetails {
            name: name.into(),
            group: self.kind.group.clone(),
            kind: self.kind.plural.clone(),
            ..Default::default()
        }
    }
}
