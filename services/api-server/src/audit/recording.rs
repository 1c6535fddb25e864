//! What changes leave in the trail: the store makes an entry durable with its change, and the trail takes it over.

use lab_audit::Trail;
use lab_store::{Error, Notes, Revision};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Takes the store's notes into the trail. An entry says which revision its change made; so one that is handed over again after a
/// crash is known.
pub struct Recording {
    trail: Arc<Trail>,
    newest: AtomicU64,
}

impl Recording {
    /// Reads how far the trail has come. Blocks.
    ///
    /// # Errors
    /// The trail cannot be read.
    pub fn new(trail: Arc<Trail>) -> Result<Self, lab_audit::Error> {
        let newest = trail.newest(revision)?.unwrap_or(0);
        Ok(Self { trail, newest: newest.into() })
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("newest", &self.newest).finish_non_exhaustive()
    }
}

/// The revision that an entry's change made.
fn revision(line: &[u8]) -> Option<Revision> {
    #[derive(serde::Deserialize)]
    struct Made {
        revision: Option<Revision>,
    }
    serde_json::from_slice::<Made>(line).ok()?.revision
}

impl Notes for Recording {
    fn take(&self, revision: Revision, note: &[u8]) {
        if self.newest.fetch_max(revision, Ordering::Relaxed) >= revision {
            return;
        }
        let members = [format!(r#""revision":{revision},"#).as_bytes(), note].concat();
        if let Err(error) = self.trail.note(members) {
            tracing::error!(%error, revision, "the audit trail did not take an entry; the store keeps it for the next start");
        }
    }

    fn keep(&self) -> Result<(), Error> {
        let unwritable = |error: lab_audit::Error| Error::Unwritable { why: error.to_string().into() };
        self.trail.keep().map_err(unwritable)
    }
}
