//! The whole trail as one answer, line by line as it lies on disk.

use super::Audit;
use crate::{answer, body::Body};
use http::{Response, StatusCode};

impl Audit {
    /// Begins to send the trail; `None` where none is kept. What comes to it meanwhile may or may not be in it.
    pub(crate) fn export(&self) -> Option<Response<Body>> {
        let trail = self.trail.clone()?;
        let body = Body::written(move |out| {
            super::catch_up(&trail);
            if let Err(error) = trail.export(out) {
                tracing::warn!(%error, "the audit trail was not sent to its end");
            }
        });
        Some(answer::with(StatusCode::OK, "application/jsonl", body))
    }
}
