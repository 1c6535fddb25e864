//! What is recorded in the audit trail: every change, every refusal, and whatever asks for it with [`Trace::name_verb`]. An
//! answer is sent once its entry is on disk.
//!
//! The entry of a change is on disk exactly if the change is: it goes to the store along with it, as a note, and one sync makes both
//! durable. The trail takes the notes over ([`Recording`]) and makes them its own before the store lets go of them, or earlier when
//! somebody reads. Everything else is appended to the trail directly.

mod export;
mod read;
mod recording;
mod trace;

pub use recording::Recording;
pub use trace::Trace;

use crate::caller::Caller;
use bytes::Bytes;
use jiff::Timestamp;
use lab_audit::{Sequence, Trail};
use lab_kinds::audit::AuditEntry;
use lab_object::{Json, MicroTime, Reason, Resource, Status};
use parking_lot::Mutex;
use std::{sync::Arc, time::Instant};

/// The path at which the whole trail is given out.
pub const PATH: &str = "/audit";

/// Requests without credentials whose refusal is recorded each second in the long run, and at once.
const ANONYMOUS: (f64, f64) = (10.0, 100.0);

/// What the server records in.
pub(crate) struct Audit {
    trail: Option<Arc<Trail>>,
    anonymous: Mutex<Budget>,
}

/// How many refusals of requests without credentials are recorded: whoever sends millions does not fill the disk.
struct Budget {
    left: f64,
    at: Instant,
    left_out: u64,
}

impl Budget {
    /// Takes one; returns how many were left out before it.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let (rate, most) = ANONYMOUS;
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        (self.left, self.at) = ((self.left + earned).min(most), now);
        if self.left < 1.0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1.0;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Audit {
    pub(crate) fn new(trail: Option<Arc<Trail>>) -> Self {
        let budget = Budget { left: ANONYMOUS.1, at: Instant::now(), left_out: 0 };
        Self { trail, anonymous: Mutex::new(budget) }
    }

    /// Refuses what has to be recorded while nothing can be: 503.
    pub(crate) fn ready(&self) -> Result<(), Status> {
        match self.trail.as_ref().map(|trail| trail.check_writable()) {
            Some(Err(error)) => Err(unrecorded(format_args!("{error}; nothing was changed"))),
            _ => Ok(()),
        }
    }

    /// Records an entry, stamped with the present time.
    pub(crate) async fn record(&self, entry: AuditEntry) -> Result<(), lab_audit::Error> {
        match &self.trail {
            Some(trail) => trail.append(stamped(entry)).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// The entry of a change as the store takes it along.
    pub(crate) fn note(&self, entry: AuditEntry) -> Option<Bytes> {
        self.trail.as_ref().map(|_| stamped(entry).into())
    }

    /// Records the answer to a request, if it has to be and is not yet. An answer whose entry is not on disk is not sent:
    /// another takes its place.
    pub(crate) async fn settle(
        &self,
        trace: &Trace,
        code: u16,
        reason: Option<Reason>,
        caller: &Caller,
    ) -> Result<(), Status> {
        if self.trail.is_none() {
            return Ok(());
        }
        let Some(mut entry) = trace.last_entry(code, reason) else { return Ok(()) };
        if caller.is_anonymous() && !trace.is_named() {
            let Some(left_out) = self.anonymous.lock().take(Instant::now()) else { return Ok(()) };
            entry.left_out = i64::try_from(left_out).unwrap_or(i64::MAX);
        }
        let recorded = self.record(entry).await;
        match recorded {
            Ok(()) => Ok(()),
            // Nothing was given; it need not be hidden that nothing is.
            Err(error) if code >= 400 => {
                tracing::warn!(%error, code, "a refusal could not be recorded yet");
                Ok(())
            }
            Err(error) => Err(unrecorded(error)),
        }
    }
}

/// Before reading: what changes left with the store comes to the trail's files. Where that fails, what is there is read. Blocks.
fn catch_up(trail: &Trail) {
    if let Err(error) = trail.keep() {
        tracing::debug!(%error, "the audit trail is read without its newest entries");
    }
}

/// 503 for want of a trail.
pub(crate) fn unrecorded(why: impl std::fmt::Display) -> Status {
    Status::failure(Reason::ServiceUnavailable, format!("what has to be recorded cannot be: {why}"))
}

/// An entry of the present time, as the trail takes it.
fn stamped(mut entry: AuditEntry) -> Vec<u8> {
    entry.time = Some(MicroTime(Timestamp::now()));
    members(&entry)
}

/// The members of an entry that say something, but for those that any object has.
fn members(entry: &AuditEntry) -> Vec<u8> {
    let mut object = serde_json::to_value(entry).expect("an entry's keys are strings");
    if let Some(fields) = object.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata", "sequence", "previous", "hash", "revision"] {
            fields.remove(field);
        }
    }
    let text = object.to_string();
    text.as_bytes()[1..text.len() - 1].to_vec()
}

/// A line of the trail as the object that the API serves; `None` for one that is no entry.
fn object(sequence: Sequence, line: &[u8]) -> Option<Json> {
    let mut object: Json = serde_json::from_slice(line).ok()?;
    let time = object.get("time")?.as_str()?.parse::<Timestamp>().ok()?;
    let fields = object.as_object_mut()?;
    fields.insert("apiVersion".into(), AuditEntry::api_version().into());
    fields.insert("kind".into(), AuditEntry::KIND.into());
    let created = lab_object::Time(time).to_string();
    let name = sequence.to_string();
    let metadata = serde_json::json!({"name": name, "creationTimestamp": created, "resourceVersion": name});
    fields.insert("metadata".into(), metadata);
    Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_kinds::Define;
    use std::time::Duration;

    #[test]
    fn an_entry_comes_back_as_an_object() {
        let example = AuditEntry::example();
        let members = members(&example);
        let line = [b"{\"sequence\":42,", &members[..], b"}"].concat();
        let object = object(42, &line).expect("an entry");
        let read: AuditEntry = serde_json::from_value(object).expect("an entry");
        assert_eq!((read.metadata.name.as_deref(), &read.user), (Some("42"), &example.user));
        assert_eq!((read.result, read.time, read.sequence), (example.result, example.time, 42));
    }

    #[test]
    fn refusals_of_strangers_are_bounded_and_counted() {
        let began = Instant::now();
        let mut budget = Budget { left: 2.0, at: began, left_out: 0 };
        let taken: Vec<_> = (0..5).map(|_| budget.take(began)).collect();
        assert_eq!(taken, [Some(0), Some(0), None, None, None]);
        assert_eq!(budget.take(began + Duration::from_millis(100)), Some(3));
    }
}
