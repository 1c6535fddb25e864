//! Events go when they are old ([`lab_deletion::expiry`]).

use crate::served::Served;
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};
use lab_client::{Api, Backoff, Client, DeleteParams, Error, ListParams};
use lab_deletion::expiry;
use lab_object::{MicroTime, ObjectMeta, Time};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// Deletions asked for side by side: they share one write to the disk.
const AT_ONCE: usize = 32;
/// Events read at once.
const PART: u32 = 500;

/// Deletes old events.
pub(crate) struct Expiry {
    client: Client,
    served: Arc<Served>,
    keep: SignedDuration,
    backoff: Backoff,
}

/// An event, with nothing but its times.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Event {
    metadata: ObjectMeta,
    event_time: Option<MicroTime>,
    first_timestamp: Option<Time>,
    last_timestamp: Option<Time>,
    series: Option<Series>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Series {
    last_observed_time: Option<MicroTime>,
}

impl Event {
    fn expires(&self, keep: SignedDuration) -> Option<Timestamp> {
        let series = self.series.as_ref().and_then(|series| series.last_observed_time);
        let seen = [
            self.metadata.creation_timestamp.map(|time| time.0),
            self.first_timestamp.map(|time| time.0),
            self.last_timestamp.map(|time| time.0),
            self.event_time.map(|time| time.0),
            series.map(|time| time.0),
        ];
        expiry::expires(seen, keep)
    }
}

impl Expiry {
    pub fn new(client: Client, served: Arc<Served>, keep: SignedDuration, backoff: Backoff) -> Self {
        Self { client, served, keep, backoff }
    }

    pub async fn run(self) {
        let mut failures = 0;
        loop {
            let wait = match self.sweep(Timestamp::now()).await {
                Ok(next) => {
                    failures = 0;
                    self.until(next, Timestamp::now())
                }
                Err(error) => {
                    failures += 1;
                    let wait = self.backoff.after(failures);
                    tracing::warn!(%error, ?wait, "old events could not be deleted, will try again");
                    wait
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait when the next event expires at `next`: not so short that sweeping is all that is done, nor longer
    /// than an event that comes now is kept.
    fn until(&self, next: Option<Timestamp>, now: Timestamp) -> Duration {
        let keep = Duration::try_from(self.keep).unwrap_or_default();
        let least = (keep / 12).clamp(Duration::from_secs(1), Duration::from_secs(300));
        let until =
            next.map_or(keep, |next| Duration::try_from(next.duration_since(now)).unwrap_or_default());
        until.min(keep).max(least)
    }

    /// Deletes what is old; when the next event will be.
    async fn sweep(&self, now: Timestamp) -> Result<Option<Timestamp>, Error> {
        let mut next = None;
        for (_, kind) in self.served.all().filter(|(_, kind)| kind.kind == "Event") {
            let everywhere = self.client.dynamic(&kind.gvr, None).of::<Event>();
            let mut params = ListParams { limit: Some(PART), ..ListParams::default() };
            loop {
                let part = everywhere.list(&params).await?;
                let due = part.items.into_iter().filter(|event| match event.expires(self.keep) {
                    Some(at) if at > now => {
                        next = Some(next.map_or(at, |next: Timestamp| next.min(at)));
                        false
                    }
                    expires => expires.is_some(),
                });
                let due: Vec<Event> = due.collect();
                self.delete(&kind.gvr, due).await?;
                match part.metadata.continue_token.filter(|token| !token.is_empty()) {
                    Some(token) => params.continue_token = Some(token),
                    None => break,
                }
            }
        }
        Ok(next)
    }

    async fn delete(&self, gvr: &lab_object::GroupVersionResource, due: Vec<Event>) -> Result<(), Error> {
        let deletions = due.into_iter().map(|event| {
            let api: Api<Event> = self.client.dynamic(gvr, event.metadata.namespace.as_deref()).of();
            let name = event.metadata.name.unwrap_or_default();
            // One that was seen again meanwhile is not old.
            let params = DeleteParams {
                uid: event.metadata.uid,
                resource_version: event.metadata.resource_version,
                ..DeleteParams::default()
            };
            async move { api.delete(&name, &params).await }
        });
        let mut outcomes = futures_util::stream::iter(deletions).buffer_unordered(AT_ONCE);
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Err(e) if !e.is_not_found() && !e.is_conflict() => return Err(e),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_an_event_carries_counts() {
        let check = |event: &str, expected: &str| {
            let event: Event = serde_json::from_str(event).unwrap();
            let expires = event.expires(SignedDuration::from_hours(1)).map(|t| t.to_string());
            assert_eq!(expires.unwrap_or_default(), expected);
        };
        check("{}", "");
        check(r#"{"metadata":{"creationTimestamp":"2026-11-21T10:00:00Z"}}"#, "2026-11-21T11:00:00Z");
        check(
            r#"{"metadata":{"creationTimestamp":"2026-11-21T10:00:00Z"},"lastTimestamp":"2026-11-21T10:30:00Z",
                "firstTimestamp":null,"eventTime":null}"#,
            "2026-11-21T11:30:00Z",
        );
        check(
            r#"{"metadata":{"creationTimestamp":"2026-11-21T10:00:00Z"},"eventTime":"2026-11-21T10:00:00.5Z",
                "series":{"count":3,"lastObservedTime":"2026-11-21T10:45:00.250000Z"}}"#,
            "2026-11-21T11:45:00.25Z",
        );
    }
}
