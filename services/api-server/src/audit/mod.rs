//! What is recorded in the audit trail: every change, every refusal, and whatever asks for it with [`Trace::name_verb`]. An
//! answer is sent once its entry is on disk.
//!
//! A change and its entry are written at the same time, and the answer waits for both, so that recording costs hardly any
//! time of its own. The entry says what is answered when the store takes the change; should the answer be another after all,
//! a second entry says so in `corrects`. What was not acknowledged when the process died may stand in the trail without having
//! happened, just as it may have happened.

mod export;
mod read;
mod trace;

pub use trace::Trace;

use crate::{caller::Caller, fault};
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
    pub(crate) async fn record(&self, mut entry: AuditEntry) -> Result<Sequence, lab_audit::Error> {
        let Some(trail) = &self.trail else { return Ok(0) };
        entry.time = Some(MicroTime(Timestamp::now()));
        trail.append(members(&entry)).await
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
            Ok(_) => Ok(()),
            // Nothing was given; it need not be hidden that nothing is.
            Err(error) if code >= 400 => {
                tracing::warn!(%error, code, "a refusal could not be recorded yet");
                Ok(())
            }
            Err(error) => Err(unrecorded(error)),
        }
    }
}

/// 503 for want of a trail.
pub(crate) fn unrecorded(why: impl std::fmt::Display) -> Status {
    Status::failure(Reason::ServiceUnavailable, format!("what has to be recorded cannot be: {why}"))
}

/// 500 for a change that was made, and whose entry is not on disk.
pub(crate) fn made_unrecorded(error: &lab_audit::Error) -> Status {
    fault::internal(format_args!(
        "the change was made, but is not recorded yet, and no other is made until it is: {error}"
    ))
}

/// An entry as the trail takes it: the members that say something, but for those that any object has.
fn members(entry: &AuditEntry) -> Vec<u8> {
    let mut object = serde_json::to_value(entry).expect("an entry's keys are strings");
    if let Some(fields) = object.as_object_mut() {
        for field in ["apiVersion", "kind", "metadata", "sequence", "previous", "hash"] {
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
