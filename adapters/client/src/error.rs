//! Why a call failed: the server said no, or there was no answer, or it was not understood.

use crate::transport::{Fault, TransportError};
use lab_object::{Reason, Status};

/// Why a call failed. `doing` is what was being done, as in `list servers.metal.lab`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server answered with a failure.
    #[error("{server} refused to {doing}")]
    Status {
        /// What was being done.
        doing: String,
        /// Who answered.
        server: String,
        /// The answer.
        #[source]
        status: Box<Status>,
    },
    /// There was no answer.
    #[error("cannot {doing}")]
    Transport {
        /// What was being done.
        doing: String,
        /// Why.
        #[source]
        source: TransportError,
    },
    /// The answer is not what the API promises.
    #[error("cannot {doing}: the answer of {server} is not understood")]
    Answer {
        /// What was being done.
        doing: String,
        /// Who answered.
        server: String,
        /// Where reading it failed.
        #[source]
        source: serde_json::Error,
    },
    /// The request cannot be written down: an object that is not JSON, or a name that no URL can hold.
    #[error("cannot {doing}: the request cannot be formed: {why}")]
    Request {
        /// What was being done.
        doing: String,
        /// What is wrong.
        why: String,
    },
}

impl Error {
    /// The server's `Status`, when it answered with one.
    pub fn status(&self) -> Option<&Status> {
        match self {
            Self::Status { status, .. } => Some(status),
            _ => None,
        }
    }

    /// The reason in the server's `Status`.
    pub fn reason(&self) -> Option<Reason> {
        self.status().and_then(|s| s.reason)
    }

    /// What went wrong on the way, when there was no answer.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Transport { source, .. } => Some(&source.fault),
            _ => None,
        }
    }

    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        self.reason() == Some(Reason::NotFound)
    }

    /// It was changed since it was read, or another manager owns the field.
    pub fn is_conflict(&self) -> bool {
        self.reason() == Some(Reason::Conflict)
    }

    /// There is one of this name already.
    pub fn is_already_exists(&self) -> bool {
        self.reason() == Some(Reason::AlreadyExists)
    }

    /// The resourceVersion or continue token is too old: list again.
    pub fn is_expired(&self) -> bool {
        self.status().is_some_and(|s| s.code == 410)
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => status.code == 429 || status.code >= 500,
            Self::Transport { source, .. } => source.fault.is_transient(),
            Self::Answer { .. } => true,
            Self::Request { .. } => false,
        }
    }

    /// What the reader may do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        let hint = match self {
            Self::Transport { source, .. } => source.fault.hint(),
            Self::Status { status, .. } => match (status.code, status.reason) {
                (401, _) => {
                    "the credentials are not accepted: log in again, or take a new kubeconfig from the server"
                }
                (403, _) => "ask whoever administers this labd for a role that allows it",
                (429, _) => "the server is busy; try again in a moment",
                (409, Some(Reason::Conflict)) => {
                    "it was changed meanwhile: read it again and repeat the change"
                }
                _ => "",
            },
            Self::Answer { .. } => "is this a labd or Kubernetes API server?",
            Self::Request { .. } => "",
        };
        (!hint.is_empty()).then_some(hint)
    }
}

/// An error and all its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
