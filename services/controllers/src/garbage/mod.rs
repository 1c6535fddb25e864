//! Garbage collection: carries out what [`lab_deletion::ownership`] decides, over every kind that is served.

mod graph;

use crate::{
    seen::{Partial, Seen, SeenOwner},
    served::{Place, Served},
};
use graph::Graph;
use lab_client::{
    Backoff, Client, DeleteParams, Error, Informer, InformerOptions, Key, Next, Patch, PatchParams, WorkQueue,
};
use lab_deletion::ownership::{self, Decision, Dependent, Owner, Propagation};
use lab_object::{ObjectMeta, OwnerReference};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// Objects looked at side by side. Each is a few calls of the API.
const WORKERS: usize = 8;
/// When to look again at an object that changed while it was decided about.
const CHANGED: Duration = Duration::from_millis(20);

/// The garbage collector.
pub(crate) struct Collector {
    reconciler: Arc<Reconciler>,
    queue: WorkQueue<Place>,
}

struct Reconciler {
    client: Client,
    served: Arc<Served>,
    graph: Arc<Mutex<Graph>>,
    informers: BTreeMap<usize, Informer<Seen>>,
    queue: WorkQueue<Place>,
}

impl Collector {
    /// Begins to watch. Nothing is done before [`Self::run`].
    pub fn new(client: Client, served: Arc<Served>, backoff: Backoff) -> Self {
        let queue = WorkQueue::new(backoff);
        let graph = Arc::new(Mutex::new(Graph::default()));
        let mut informers = BTreeMap::new();
        // Events own nothing and are owned by nobody, and there are many.
        for (resource, kind) in served.all().filter(|(_, kind)| kind.kind != "Event") {
            let options = InformerOptions::everything(backoff.seed ^ resource as u64);
            let informer = Informer::start(client.dynamic(&kind.gvr, None).of::<Seen>(), options);
            let graph = graph.clone();
            informer.feed(&queue, move |change| {
                let place = Place { resource, key: change.key.clone() };
                graph.lock().change(&place, change.old.as_deref(), change.new.as_deref())
            });
            informers.insert(resource, informer);
        }
        let reconciler = Reconciler { client, served, graph, informers, queue: queue.clone() };
        Self { reconciler: Arc::new(reconciler), queue }
    }

    /// Waits until every kind was seen whole: before that, an owner might seem to have no dependents.
    pub async fn synced(&self) {
        for informer in self.reconciler.informers.values() {
            informer.synced().await;
        }
    }

    pub async fn run(&self) {
        let reconciler = self.reconciler.clone();
        lab_client::run("garbage", &self.queue, WORKERS, move |place| {
            let reconciler = reconciler.clone();
            async move {
                match reconciler.visit(&place).await {
                    // It was decided about a state that is no more: decide again.
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
    async fn visit(&self, place: &Place) -> Result<Next, Error> {
        if self.is_plainly_fine(place) {
            return Ok(Next::Settled);
        }
        let api = self.served.api::<Partial>(&self.client, place);
        let Some(object) = api.get_opt(&place.key.name).await? else { return Ok(Next::Settled) };
        let owners = self.owners(place, &object.metadata).await?;
        let dependents = self.dependents(place, object.uid());
        let states: Vec<Dependent> = dependents.iter().map(|(_, dependent)| *dependent).collect();
        let decision = ownership::decide(&object.metadata, &owners, &states);
        if decision != Decision::Keep {
            let kind = &self.served.get(place.resource).name;
            tracing::debug!(kind, object = %place.key, ?decision, "garbage collection");
        }
        self.carry_out(place, &object, decision, &dependents).await?;
        Ok(Next::Settled)
    }

    /// What needs no reading: an object that is not being deleted, and whose owners all are there and stay.
    fn is_plainly_fine(&self, place: &Place) -> bool {
        let Some(seen) = self.informers.get(&place.resource).and_then(|i| i.get(&place.key)) else {
            return false;
        };
        let stays = |owner: &SeenOwner| {
            let (api_version, kind, name) = (&*owner.api_version, &*owner.kind, &*owner.name);
            let Some(at) = self.owner_place(place, api_version, kind, name) else { return false };
            let found = self.informers.get(&at.resource).and_then(|i| i.get(&at.key));
            found.is_some_and(|found| found.uid == owner.uid && !found.waiting)
        };
        !seen.waiting && !seen.orphaning && seen.owners.iter().all(stays)
    }

    /// Where an owner is; `None` when there can be none: its kind is not served, or it would be in a namespace while the
    /// object is in none.
    fn owner_place(&self, place: &Place, api_version: &str, kind: &str, name: &str) -> Option<Place> {
        let resource = self.served.find(api_version, kind)?;
        let key = if !self.served.get(resource).namespaced {
            Key::cluster(name)
        } else if !place.key.namespace.is_empty() {
            Key::namespaced(&place.key.namespace, name)
        } else {
            return None;
        };
        Some(Place { resource, key })
    }

    async fn owners(&self, place: &Place, object: &ObjectMeta) -> Result<Vec<Owner>, Error> {
        let mut owners = Vec::with_capacity(object.owner_references.len());
        for reference in &object.owner_references {
            owners.push(self.owner(place, reference).await?);
        }
        Ok(owners)
    }

    /// Reads an owner. What is remembered could be old, and a deletion cannot be taken back.
    async fn owner(&self, place: &Place, reference: &OwnerReference) -> Result<Owner, Error> {
        let Some(at) = self.owner_place(place, &reference.api_version, &reference.kind, &reference.name)
        else {
            return Ok(Owner::Unresolvable);
        };
        let found = self.served.api::<Partial>(&self.client, &at).get_opt(&at.key.name).await?;
        Ok(match found {
            // Where objects can be asked for by other names than their own, another's object may come.
            Some(found) if found.uid() != reference.uid || found.name() != reference.name => Owner::Absent,
            Some(found) if ownership::is_waiting(&found.metadata) => Owner::Waiting,
            Some(_) => Owner::Present,
            None => Owner::Absent,
        })
    }

    /// Who names this object as an owner and can: an object in a namespace owns only what is in the same one.
    fn dependents(&self, place: &Place, uid: &str) -> Vec<(Place, Dependent)> {
        let namespace = &place.key.namespace;
        let graph = self.graph.lock();
        let dependents = graph.dependents_of(uid).map(|(place, dependent)| (place.clone(), dependent));
        dependents.filter(|(d, _)| namespace.is_empty() || d.key.namespace == *namespace).collect()
    }

    async fn carry_out(
        &self,
        place: &Place,
        object: &Partial,
        decision: Decision,
        dependents: &[(Place, Dependent)],
    ) -> Result<(), Error> {
        match decision {
            Decision::Keep => Ok(()),
            Decision::VisitDependents => {
                dependents.iter().for_each(|(dependent, _)| self.queue.add(dependent.clone()));
                Ok(())
            }
            Decision::OrphanDependents => {
                for (dependent, _) in dependents {
                    self.release(dependent, object.uid()).await?;
                }
                Ok(())
            }
            Decision::RemoveFinalizer(finalizer) => {
                let mut finalizers = object.metadata.finalizers.clone();
                finalizers.retain(|f| f != finalizer);
                self.change(place, object, json!({"finalizers": or_null(finalizers)})).await.map(drop)
            }
            Decision::Release(uids) => {
                let mut owners = object.metadata.owner_references.clone();
                owners.retain(|owner| !uids.contains(&owner.uid));
                self.change(place, object, json!({"ownerReferences": or_null(owners)})).await.map(drop)
            }
            Decision::Delete { propagation, unblock: false } => self.delete(place, object, propagation).await,
            Decision::Delete { propagation, unblock: true } => {
                let mut owners = object.metadata.owner_references.clone();
                owners.iter_mut().for_each(|owner| owner.block_owner_deletion = Some(false));
                let object = self.change(place, object, json!({"ownerReferences": or_null(owners)})).await?;
                self.delete(place, &object, propagation).await
            }
        }
    }

    /// Takes an owner from an object's references, wherever that object is by now.
    async fn release(&self, place: &Place, owner: &str) -> Result<(), Error> {
        let api = self.served.api::<Partial>(&self.client, place);
        let Some(object) = api.get_opt(&place.key.name).await? else { return Ok(()) };
        let mut owners = object.metadata.owner_references.clone();
        owners.retain(|reference| reference.uid != owner);
        if owners == object.metadata.owner_references {
            return Ok(());
        }
        match self.change(place, &object, json!({"ownerReferences": or_null(owners)})).await {
            Err(e) if e.is_not_found() => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    /// Sets fields of the metadata, if the object is still as it was read.
    async fn change(
        &self,
        place: &Place,
        object: &Partial,
        mut metadata: serde_json::Value,
    ) -> Result<Partial, Error> {
        metadata["uid"] = json!(object.metadata.uid);
        metadata["resourceVersion"] = json!(object.metadata.resource_version);
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let api = self.served.api::<Partial>(&self.client, place);
        api.patch(&place.key.name, &patch, &PatchParams::default()).await
    }

    /// Deletes the object, if it is still as it was read.
    async fn delete(&self, place: &Place, object: &Partial, propagation: Propagation) -> Result<(), Error> {
        let params = DeleteParams {
            propagation: Some(match propagation {
                Propagation::Background => lab_client::Propagation::Background,
                Propagation::Foreground => lab_client::Propagation::Foreground,
                Propagation::Orphan => lab_client::Propagation::Orphan,
            }),
            uid: object.metadata.uid.clone(),
            resource_version: object.metadata.resource_version.clone(),
            ..DeleteParams::default()
        };
        let kind = &self.served.get(place.resource).name;
        tracing::debug!(kind, object = %place.key, "deleting an object whose owners are gone");
        let api = self.served.api::<Partial>(&self.client, place);
        api.delete(&place.key.name, &params).await.map(drop)
    }
}

/// A list for a merge patch, in which a list without elements is one that is not there.
fn or_null<T: Serialize>(list: Vec<T>) -> serde_json::Value {
    if list.is_empty() { serde_json::Value::Null } else { json!(list) }
}
