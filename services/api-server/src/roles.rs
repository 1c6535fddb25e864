//! Permissions by the Roles, RoleBindings and Users in the store, and what proves who somebody is: followed as they change.

use crate::{
    authorizer::Authorizer,
    caller::{Caller, Credential, MASTERS},
    key::{DEFAULT_TENANT, Key},
};
use async_trait::async_trait;
use jiff::Timestamp;
use lab_access::{
    Access, Credentials, Permission, Policy,
    credentials::{Lapsed, Token},
};
use lab_object::Json;
use lab_store::{Change, Error, Event, Range, Revision, Store};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};
use tokio::sync::watch;

/// Kinds that the policy and the credentials are made of, as they lie in the store.
const KINDS: [&str; 10] = [
    "iam.lab/roles",
    "iam.lab/rolebindings",
    "iam.lab/users",
    "iam.lab/apitokens",
    "iam.lab/jointokens",
    "iam.lab/certificaterevocations",
    "core/serviceaccounts",
    "metal.lab/bastions",
    "metal.lab/networks",
    "metal.lab/servers",
];

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
    credentials: Credentials,
    /// What callers come to, until the policy changes.
    compiled: HashMap<Who, Arc<Access>>,
}

/// What decides what somebody may do.
#[derive(PartialEq, Eq, Hash)]
struct Who {
    user: String,
    groups: Vec<String>,
    narrowed: Option<Arc<[Permission]>>,
}

impl Who {
    fn of(caller: &Caller) -> Self {
        let narrowed = match &caller.shown {
            Credential::Token(token) => token.permissions.clone(),
            _ => None,
        };
        Self { user: caller.user.clone(), groups: caller.groups.clone(), narrowed }
    }
}

impl State {
    /// Takes an object over, or its removal; returns whether that may decide anything differently.
    fn set(&mut self, key: &Key<'_>, object: Option<&Json>) -> bool {
        let Key { group, resource, namespace, name, .. } = *key;
        let policy = self.policy.set(group, resource, name, object);
        if policy {
            self.compiled.clear();
        }
        self.credentials.set(group, resource, namespace, name, object) || policy
    }

    fn compile(&self, who: &Who) -> Access {
        let access = self.policy.access(&who.user, &who.groups);
        match &who.narrowed {
            Some(to) => access.narrowed(to, &self.policy),
            None => access,
        }
    }
}

impl RoleBased {
    /// Reads the policy, and follows its changes as long as it is used. It must be called within a tokio runtime.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn follow(store: Arc<dyn Store>) -> Result<Arc<Self>, Error> {
        let (state, revision) = read(&*store).await?;
        let followed = Arc::new(Self {
            state: RwLock::new(state),
            version: watch::Sender::new(0),
            progress: watch::Sender::new(revision),
            store,
        });
        tokio::spawn(run(Arc::downgrade(&followed)));
        Ok(followed)
    }

    fn replace(&self, state: State, revision: Revision) {
        *self.state.write() = state;
        self.version.send_modify(|version| *version += 1);
        self.progress.send_replace(revision);
    }

    fn take(&self, events: &[Arc<Event>]) {
        let mut changed = false;
        for event in events {
            let Some(key) = concerned(&event.key) else { continue };
            let value = match &event.change {
                Change::Created { value } | Change::Updated { value, .. } => object(&key, value),
                Change::Deleted { .. } => None,
            };
            changed |= self.state.write().set(&key, value.as_ref());
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
        if let Credential::Account(account) = &caller.shown
            && account.tenant != tenant
        {
            return Arc::new(Access::nothing("the service account is of another tenant"));
        }
        let who = Who::of(caller);
        if let Some(access) = self.state.read().compiled.get(&who) {
            return access.clone();
        }
        let mut state = self.state.write();
        let access = Arc::new(state.compile(&who));
        if state.compiled.len() >= COMPILED {
            state.compiled.clear();
        }
        state.compiled.insert(who, access.clone());
        access
    }

    fn groups(&self, caller: &Caller) -> Vec<String> {
        self.state.read().policy.groups(&caller.user, &caller.groups)
    }

    fn token(&self, hash: &str, now: Timestamp) -> Result<Arc<Token>, Lapsed> {
        self.state.read().credentials.token(hash, now)
    }

    fn join_token(&self, hash: &str) -> Option<String> {
        self.state.read().credentials.join_token(hash).map(ToOwned::to_owned)
    }

    fn holds(&self, caller: &Caller, now: Timestamp) -> Result<(), Lapsed> {
        let known = &self.state.read().credentials;
        match &caller.shown {
            Credential::None => Ok(()),
            Credential::Certificate(shown) => known.certificate_holds(&caller.user, shown, now),
            Credential::Token(token) => known.token_holds(token, now),
            Credential::Account(account) if now >= account.expires => Err(Lapsed::Expired),
            // Of other tenants' accounts nothing is known here, and they may do nothing.
            Credential::Account(account) if account.tenant != DEFAULT_TENANT => Ok(()),
            Credential::Account(account) => {
                known.account_holds(&account.namespace, &account.name, &account.uid)
            }
        }
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

/// The key, where its object is part of the policy or the credentials.
fn concerned(key: &str) -> Option<Key<'_>> {
    Key::parse(key).filter(|key| key.tenant == DEFAULT_TENANT && concerns(key.group, key.resource))
}

/// What of an object may count.
fn object(key: &Key<'_>, value: &[u8]) -> Option<Json> {
    if key.resource == "servers" {
        let server: Server = serde_json::from_slice(value).ok()?;
        return serde_json::to_value(server).ok();
    }
    serde_json::from_slice(value).ok()
}

/// What counts of a server, which changes often and is large: who it is, where it stands, and with what its BMC is spoken to.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Server {
    metadata: Metadata,
    spec: Spec,
    status: Status,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Metadata {
    uid: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Spec {
    addresses: Vec<Address>,
    bmc: Option<Bmc>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Address {
    network: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Bmc {
    credentials: Option<Json>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Status {
    bastion: Option<String>,
}

fn concerns(group: &str, resource: &str) -> bool {
    Policy::concerns(group, resource) || Credentials::concerns(group, resource)
}

/// Reads all of it, and the revision it is of.
async fn read(store: &dyn Store) -> Result<(State, Revision), Error> {
    let (mut state, mut at) = (State::default(), None);
    for kind in KINDS {
        let range = Range { prefix: format!("/{DEFAULT_TENANT}/{kind}/"), at, ..Range::default() };
        let listing = store.list(range).await?;
        at = Some(listing.revision);
        for entry in &listing.entries {
            if let Some(key) = concerned(&entry.key) {
                state.set(&key, object(&key, &entry.value).as_ref());
            }
        }
    }
    Ok((state, at.unwrap_or_default()))
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
            Ok((state, revision)) => roles.replace(state, revision),
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
            let group = if kind.group.is_empty() { "core" } else { &kind.group };
            let path = format!("{group}/{}", kind.plural);
            assert_eq!(concerns(&kind.group, &kind.plural), KINDS.contains(&path.as_str()), "{path}");
        }
    }
}
