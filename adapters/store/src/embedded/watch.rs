//! A watch of the embedded store: a cursor into the shared history, and a wake-up.

use super::Shared;
use super::topics::{Ahead, Topic};
use crate::{Batch, Error, Revision, Watch};
use async_trait::async_trait;
use std::sync::Arc;

/// Events handed out at once: enough to be cheap, few enough that the lock is held shortly.
const BATCH_EVENTS: usize = 256;

/// A running watch.
#[derive(Debug)]
pub(crate) struct Cursor {
    shared: Arc<Shared>,
    topic: Arc<Topic>,
    /// Every event up to here has been handed out.
    position: Revision,
}

impl Cursor {
    /// Begins to watch after a revision.
    pub fn begin(shared: &Arc<Shared>, prefix: &str, after: Revision) -> Result<Self, Error> {
        let mut state = shared.state.write();
        if state.closed {
            return Err(Error::Closed);
        }
        state.check_kept(after)?;
        let topic = state.join(prefix);
        drop(state);
        Ok(Self { shared: shared.clone(), topic, position: after })
    }

    /// The events that are there now, if any.
    fn take(&mut self) -> Result<Option<Batch>, Error> {
        let state = self.shared.state.read();
        match self.topic.ahead(self.position, BATCH_EVENTS) {
            Ahead::Forgotten => Err(Error::Compacted { asked: self.position, oldest: state.compacted() }),
            Ahead::Nothing if state.closed => Err(Error::Closed),
            Ahead::Nothing => {
                self.position = state.revision();
                Ok(None)
            }
            Ahead::Events(revisions, more) => {
                let last = revisions.last().copied().unwrap_or(self.position);
                let progress = if more { last } else { state.revision() };
                let events = revisions.into_iter().filter_map(|r| state.event(r).cloned()).collect();
                self.position = progress;
                Ok(Some(Batch { events, progress }))
            }
        }
    }
}

#[async_trait]
impl Watch for Cursor {
    async fn next(&mut self) -> Result<Batch, Error> {
        loop {
            let topic = self.topic.clone();
            let woken = topic.wake.notified();
            tokio::pin!(woken);
            // Registered before looking, so that what comes in between is not slept through.
            woken.as_mut().enable();
            if let Some(batch) = self.take()? {
                return Ok(batch);
            }
            woken.await;
        }
    }

    fn progress(&self) -> Revision {
        let state = self.shared.state.read();
        if self.topic.quiet_since(self.position) {
            state.revision().max(self.position)
        } else {
            self.position
        }
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.shared.state.write().topics.leave(&self.topic);
    }
}
