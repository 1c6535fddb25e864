//! Permissions by the Roles, RoleBindings and Users in the store: a policy that follows their changes.

use crate::{
    authorizer::Authorizer,
    caller::{Caller, MASTERS},
    key::{DEFAULT_TENANT, Key},
};
use async_trait::async_trait;
use lab_access::{Access, Policy};
use lab_store::{Change, Error, Event, Range, Revision, Store};
use parking_lot::RwLock;
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::watch;

/// Kinds that the policy is made of, as they lie in the store.
const KINDS: [&str; 5] =
    ["iam.lab/roles", "iam.lab/rolebindings", "iam.lab/users", "metal.lab/bastions", "metal.lab/networks"];

/// Most callers that are kept in their compiled form.
const COMPILED: usize = 10_000;

/// Longest time that a write of the policy waits to be decided by.
const PATIENCE: Duration = Duration::from_secs(5);

/// Pause before following again after the store refused.
const PAUSE: Duration = Duration::from_millis(200);

/// Decides by what is stored.
///
/// The infrastructure's own tenant has the roles. Other tenants are open to `system:masters` only.
pub struct RoleBased {
    state: RwLock<State>,
    version: watch::Sender<u64>,
    /// The revision up to which everything is decided by.
    progress: watch::Sender<Revision>,
    store: Arc<dyn Store>,
}

#[derive(Default)]
struct State {
    policy: Policy,
    /// What callers come to, by user and groups, until the policy changes.
    compiled: HashMap<(String, Vec<String>), Arc<Access>>,
}

impl RoleBased {
    /// Reads the policy, and follows its changes as long as it is used. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn follow(store: Arc<dyn Store>) -> Result<Arc<Self>, Error> {
        let (policy, revision) = read(&*store).await?;
        let state = State { policy, ..State::default() };
        let followed = Arc::new(Self {
            state: RwLock::new(state),
            version: watch::Sender::new(0),
            progress: watch::Sender::new(revision),
            store,
        });
        tokio::spawn(run(Arc::downgrade(&followed)));
        Ok(followed)
    }

    fn replace(&self, policy: Policy, revision: Revision) {
        *self.state.write() = State { policy, ..State::default() };
        self.version.send_modify(|version| *version += 1);
        self.progress.send_replace(revision);
    }

    fn take(&self, events: &[Arc<Event>]) {
        let mut changed = false;
        for event in events {
            let Some(key) = concerned(&event.key) else { continue };
            let value = match &event.change {
                Change::Created { value } | Change::Updated { value, .. } => {
                    serde_json::from_slice(value).ok()
                }
                Change::Deleted { .. } => None,
            };
            let mut state = self.state.write();
            if state.policy.set(key.group, key.resource, key.name, value.as_ref()) {
                state.compiled.clear();
                changed = true;
            }
        }
        if changed {
            self.version.send_modify(|version| *version += 1);
        }
    }
}

#[async_trait]
impl Authorizer for RoleBased {
    fn access(&self, caller: &Caller, tenant: &str) -> Arc<Access> {
        if tenant != DEFAULT_TENANT && !caller.is_in(MASTERS) {
            return Arc::new(Access::nothing("this tenant is open to group \"system:masters\" only"));
        }
        let who = (caller.user.clone(), caller.groups.clone());
        if let Some(access) = self.state.read().compiled.get(&who) {
            return access.clone();
        }
        let mut state = self.state.write();
        let access = Arc::new(state.policy.access(&who.0, &who.1));
        if state.compiled.len() >= COMPILED {
            state.compiled.clear();
        }
        state.compiled.insert(who, access.clone());
        access
    }

    fn groups(&self, caller: &Caller) -> Vec<String> {
        self.state.read().policy.groups(&caller.user, &caller.groups)
    }

    fn changes(&self) -> Option<watch::Receiver<u64>> {
        Some(self.version.subscribe())
    }

    async fn settled(&self, revision: Revision) {
        let mut progress = self.progress.subscribe();
        if tokio::time::timeout(PATIENCE, progress.wait_for(|&at| at >= revision)).await.is_err() {
            tracing::warn!(revision, "permissions lag behind what was written");
        }
    }
}

/// The key, where its object is part of the policy.
fn concerned(key: &str) -> Option<Key<'_>> {
    Key::parse(key).filter(|key| key.tenant == DEFAULT_TENANT && Policy::concerns(key.group, key.resource))
}

/// Reads the whole policy, and the revision it is of.
async fn read(store: &dyn Store) -> Result<(Policy, Revision), Error> {
    let (mut policy, mut at) = (Policy::default(), None);
    for kind in KINDS {
        let range = Range { prefix: format!("/{DEFAULT_TENANT}/{kind}/"), at, ..Range::default() };
        let listing = store.list(range).await?;
        at = Some(listing.revision);
        for entry in &listing.entries {
            if let Some(key) = concerned(&entry.key) {
                let object = serde_json::from_slice(&entry.value).ok();
                policy.set(key.group, key.resource, key.name, object.as_ref());
            }
        }
    }
    Ok((policy, at.unwrap_or_default()))
}

/// Follows the store until nobody uses the policy any more, or the store is closed.
async fn run(followed: Weak<RoleBased>) {
    loop {
        match follow(&followed).await {
            Ok(()) | Err(Error::Closed) => return,
            Err(error) => tracing::warn!(%error, "permissions are read anew"),
        }
        tokio::time::sleep(PAUSE).await;
        let Some(roles) = followed.upgrade() else { return };
        match read(&*roles.store).await {
            Ok((policy, revision)) => roles.replace(policy, revision),
            Err(Error::Closed) => return,
            Err(error) => tracing::warn!(%error, "permissions could not be read"),
        }
    }
}

async fn follow(followed: &Weak<RoleBased>) -> Result<(), Error> {
    let Some(roles) = followed.upgrade() else { return Ok(()) };
    let from = *roles.progress.borrow();
    let mut events = roles.store.watch("/", from).await?;
    drop(roles);
    loop {
        let batch = events.next().await?;
        let Some(roles) = followed.upgrade() else { return Ok(()) };
        roles.take(&batch.events);
        roles.progress.send_replace(batch.progress);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_policy_is_read() {
        for kind in lab_kinds::registry().kinds() {
            let path = format!("{}/{}", kind.group, kind.plural);
            assert_eq!(Policy::concerns(&kind.group, &kind.plural), KINDS.contains(&path.as_str()), "{path}");
        }
    }
}
