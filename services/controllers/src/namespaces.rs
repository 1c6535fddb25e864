//! The end of namespaces: empties one that is being deleted, then lets it go ([`lab_deletion::namespace`]).

use crate::{seen::Partial, served::Served};
use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use jiff::Timestamp;
use lab_client::{
    Api, Backoff, Client, DeleteParams, Error, Informer, InformerOptions, ListParams, Next, Patch,
    PatchParams, Propagation, WorkQueue,
};
use lab_deletion::namespace::{self, Decision, FINALIZER, Failure, Remaining};
use lab_kinds::{Condition, ConditionStatus, core::Namespace};
use lab_object::Time;
use serde_json::json;
use std::{sync::Arc, time::Duration};

/// Namespaces emptied side by side.
const WORKERS: usize = 4;
/// The shortest and the longest wait before looking again at a namespace that others hold.
const WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(60));
/// When to look again at a namespace that changed while it was decided about.
const CHANGED: Duration = Duration::from_millis(20);

/// Empties namespaces.
pub(crate) struct Emptier {
    reconciler: Arc<Reconciler>,
    informer: Informer<Namespace>,
    queue: WorkQueue<String>,
}

struct Reconciler {
    client: Client,
    served: Arc<Served>,
}

impl Emptier {
    /// Begins to watch. Nothing is done before [`Self::run`].
    pub fn new(client: Client, served: Arc<Served>, backoff: Backoff) -> Self {
        let queue = WorkQueue::new(backoff);
        let informer = Informer::start(client.resource(), InformerOptions::everything(!backoff.seed));
        informer.feed(&queue, |change: &lab_client::Change<Namespace>| {
            let new = change.new.as_deref()?;
            namespace::is_terminating(&new.metadata, &new.spec.finalizers).then(|| change.key.name.clone())
        });
        Self { reconciler: Arc::new(Reconciler { client, served }), informer, queue }
    }

    pub async fn synced(&self) {
        self.informer.synced().await;
    }

    pub async fn run(&self) {
        let reconciler = self.reconciler.clone();
        lab_client::run("namespaces", &self.queue, WORKERS, move |name| {
            let reconciler = reconciler.clone();
            async move {
                match reconciler.visit(&name).await {
                    Err(e) if e.is_conflict() => Ok(Next::After(CHANGED)),
                    Err(e) if e.is_not_found() => Ok(Next::Settled),
                    outcome => outcome,
                }
            }
        })
        .await;
    }
}

impl Reconciler {
    async fn visit(&self, name: &str) -> Result<Next, Error> {
        let api: Api<Namespace> = self.client.resource();
        let Some(found) = api.get_opt(name).await? else { return Ok(Next::Settled) };
        if !namespace::is_terminating(&found.metadata, &found.spec.finalizers) {
            return Ok(Next::Settled);
        }
        let (remaining, failures) = self.empty(name).await;
        match namespace::decide(&found.metadata, &found.spec.finalizers, &remaining, &failures) {
            Decision::Keep => Ok(Next::Settled),
            Decision::Finalize => {
                tracing::info!(namespace = name, "the namespace is empty and goes");
                self.finalize(found).await?;
                Ok(Next::Settled)
            }
            Decision::Wait(conditions) => {
                let now = Timestamp::now();
                self.report(&api, &found, conditions, now).await?;
                Ok(Next::After(wait(&found, now)))
            }
        }
    }

    /// Deletes all that is in a namespace; what stays, and what could not be deleted.
    async fn empty(&self, namespace: &str) -> (Vec<Remaining>, Vec<Failure>) {
        let (mut remaining, mut failures) = (Vec::new(), Vec::new());
        for (_, kind) in self.served.all().filter(|(_, kind)| kind.namespaced) {
            let api = self.client.dynamic(&kind.gvr, Some(namespace)).of::<Partial>();
            match delete_all(&api).await {
                Ok(objects) => remaining.push(count(&kind.name, &objects)),
                Err(e) => {
                    let why = e.status().map_or_else(|| e.to_string(), |status| status.message.clone());
                    failures.push(Failure { resource: kind.name.clone(), why });
                }
            }
        }
        (remaining, failures)
    }

    async fn finalize(&self, mut found: Namespace) -> Result<(), Error> {
        found.spec.finalizers.retain(|f| f != FINALIZER);
        let name = found.metadata.name.clone().unwrap_or_default();
        let doing = format!("finalize namespace {name:?}");
        let refuse = |why: String| Error::Request { doing: doing.clone(), why };
        let body = serde_json::to_vec(&found).map_err(|e| refuse(e.to_string()))?;
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/api/v1/namespaces/{name}/finalize"))
            .header(CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|e| refuse(e.to_string()))?;
        self.client.send(&doing, request).await.map(drop)
    }

    /// Says in the namespace's status what it waits for, where that is not what it says already.
    async fn report(
        &self,
        api: &Api<Namespace>,
        found: &Namespace,
        conditions: Vec<namespace::Condition>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let conditions = merge(&found.status.conditions, conditions, now);
        if conditions == found.status.conditions {
            return Ok(());
        }
        let status = json!({"phase": "Terminating", "conditions": conditions});
        let uid = &found.metadata.uid;
        let patch = Patch::Merge(json!({"metadata": {"uid": uid}, "status": status}));
        let name = found.metadata.name.as_deref().unwrap_or_default();
        api.patch_status(name, &patch, &PatchParams::default()).await.map(drop)
    }
}

/// Asks for the deletion of all objects; those that are there afterwards.
async fn delete_all(api: &Api<Partial>) -> Result<Vec<Partial>, Error> {
    let all = ListParams::default();
    let probe = ListParams { limit: Some(1), ..ListParams::default() };
    if api.list(&probe).await?.items.is_empty() {
        return Ok(Vec::new());
    }
    let background = DeleteParams { propagation: Some(Propagation::Background), ..DeleteParams::default() };
    api.delete_collection(&all, &background).await?;
    Ok(api.list_all(&all).await?.items)
}

fn count(resource: &str, objects: &[Partial]) -> Remaining {
    let mut remaining = Remaining { resource: resource.into(), count: objects.len(), ..Remaining::default() };
    for finalizer in objects.iter().flat_map(|object| &object.metadata.finalizers) {
        *remaining.finalizers.entry(finalizer.clone()).or_default() += 1;
    }
    remaining
}

/// The conditions as they are to be; one whose status stays keeps its time, and others' conditions stay.
fn merge(old: &[Condition], new: Vec<namespace::Condition>, now: Timestamp) -> Vec<Condition> {
    let mut merged = old.to_vec();
    for condition in new {
        let status = if condition.holds { ConditionStatus::True } else { ConditionStatus::False };
        let at = merged.iter().position(|c| c.kind == condition.kind);
        let since =
            at.map(|at| &merged[at]).filter(|c| c.status == status).and_then(|c| c.last_transition_time);
        let next = Condition {
            kind: condition.kind.into(),
            status,
            reason: Some(condition.reason.into()),
            message: Some(condition.message),
            last_transition_time: Some(since.unwrap_or(Time(now))),
            observed_generation: None,
        };
        match at {
            Some(at) => merged[at] = next,
            None => merged.push(next),
        }
    }
    merged
}

/// The longer a namespace has been waiting, the longer until it is looked at again.
fn wait(found: &Namespace, now: Timestamp) -> Duration {
    let since = found.metadata.deletion_timestamp.map_or(now, |time| time.0);
    let waited = Duration::try_from(now.duration_since(since)).unwrap_or_default();
    (waited / 4).clamp(WAITS.0, WAITS.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let said = |holds, message: &str| namespace::Condition {
            kind: "NamespaceContentRemaining",
            holds,
            reason: "R",
            message: message.into(),
        };
        let first = merge(&[], vec![said(true, "3 left")], at(10));
        let second = merge(&first, vec![said(true, "2 left")], at(20));
        let third = merge(&second, vec![said(false, "none left")], at(30));
        let shown: Vec<_> = [first, second, third]
            .iter()
            .map(|c| (c.len(), c[0].status, c[0].message.clone(), c[0].last_transition_time))
            .collect();
        assert_eq!(
            shown,
            [
                (1, ConditionStatus::True, Some("3 left".into()), Some(Time(at(10)))),
                (1, ConditionStatus::True, Some("2 left".into()), Some(Time(at(10)))),
                (1, ConditionStatus::False, Some("none left".into()), Some(Time(at(30)))),
            ]
        );
    }

    #[test]
    fn waits_grow_with_the_time_waited() {
        let check = |deleted: i64, now: i64, expected: Duration| {
            let mut found = Namespace::default();
            found.metadata.deletion_timestamp = Some(Time(at(deleted)));
            assert_eq!(wait(&found, at(now)), expected);
        };
        check(100, 100, Duration::from_millis(200));
        check(100, 140, Duration::from_secs(10));
        check(100, 90, Duration::from_millis(200));
        check(100, 100_000, Duration::from_secs(60));
    }
}
