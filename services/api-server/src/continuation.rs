//! The opaque token with which a list is continued: the revision it is read at, and the last key that was sent.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use lab_object::{Reason, Status};
use lab_store::Revision;
use serde::{Deserialize, Serialize};

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuation {
    /// Version of this form.
    v: u8,
    /// Revision the list is read at; `None` goes on with the newest, after the one it began with has expired.
    #[serde(rename = "rv")]
    pub revision: Option<Revision>,
    /// The last key that was sent, without the prefix of the list.
    #[serde(rename = "k")]
    pub after: String,
}

/// The form this build writes and reads.
const VERSION: u8 = 1;

impl Continuation {
    /// Goes on after a key (without the list's prefix).
    pub fn new(revision: Option<Revision>, after: impl Into<String>) -> Self {
        Self { v: VERSION, revision, after: after.into() }
    }

    /// The token.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("numbers and text serialise"))
    }

    /// Reads a token; 400 for one that this server did not make.
    pub fn decode(token: &str) -> Result<Self, Status> {
        let read =
            URL_SAFE_NO_PAD.decode(token).ok().and_then(|json| serde_json::from_slice::<Self>(&json).ok());
        read.filter(|c| c.v == VERSION && !c.after.is_empty()).ok_or_else(|| {
            Status::failure(Reason::BadRequest, "continue key is not valid: it is not a token of this server")
        })
    }

    /// 410: the list's revision is gone. The answer carries a token that goes on with the newest objects.
    pub fn expired(&self) -> Status {
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
             a new list without the continue parameter, or use the continue token in this response to retrieve the \
             remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
             that were created, modified, or deleted between the time the first chunk was returned and now may show \
             up in the list.";
        let mut status = Status::failure(Reason::Expired, message);
        status.metadata.continue_token = Some(Self::new(None, self.after.clone()).encode());
        status
    }
}
