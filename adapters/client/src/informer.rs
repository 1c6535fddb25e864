//! A kept copy of a kind's objects: listed once, then watched, and shared by all who need it.

use crate::{
    Api, Error, Key, WatchEvent, WatchParams, api::ListParams, backoff::Backoff, queue::WorkQueue,
    watch::Head,
};
use parking_lot::{Mutex, RwLock};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use std::{collections::BTreeMap, hash::Hash, mem, sync::Arc};
use tokio::{sync::watch, task::AbortHandle};

/// Which objects to keep, and how.
#[derive(Debug, Clone)]
pub struct InformerOptions {
    /// Only objects that this label selector matches.
    pub labels: Option<String>,
    /// Only objects that this field selector matches.
    pub fields: Option<String>,
    /// How long one watch lasts before it is renewed, in seconds. A dead connection is noticed at the latest then.
    pub watch_seconds: u32,
    /// Waits after failures.
    pub backoff: Backoff,
}

impl InformerOptions {
    /// Everything; `seed` spreads the waits of many informers.
    pub fn everything(seed: u64) -> Self {
        Self { labels: None, fields: None, watch_seconds: 290, backoff: Backoff::connections(seed) }
    }
}

/// What happened to an object: created (`old` is `None`), changed, or gone (`new` is `None`).
#[derive(Debug, Clone)]
pub struct Change<T> {
    /// Which object.
    pub key: Key,
    /// What it was.
    pub old: Option<Arc<T>>,
    /// What it is.
    pub new: Option<Arc<T>>,
}

/// A kept copy of a kind's objects; cheap to clone, and ends with its last clone.
pub struct Informer<T> {
    kept: Arc<Kept<T>>,
    _task: Arc<Task>,
}

impl<T> Clone for Informer<T> {
    fn clone(&self) -> Self {
        Self { kept: self.kept.clone(), _task: self._task.clone() }
    }
}

type Handler<T> = Box<dyn Fn(&Change<T>) + Send + Sync>;

struct Kept<T> {
    objects: RwLock<BTreeMap<Key, Arc<T>>>,
    /// Locked while the objects change and the handlers are told, so that all see the same order.
    handlers: Mutex<Vec<Handler<T>>>,
    synced: watch::Sender<bool>,
    trouble: Mutex<Option<String>>,
}

struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: DeserializeOwned + Send + Sync + 'static> Informer<T> {
    /// Starts to list and watch, in a task of the current runtime.
    pub fn start(api: Api<T>, options: InformerOptions) -> Self {
        let kept = Arc::new(Kept {
            objects: RwLock::default(),
            handlers: Mutex::default(),
            synced: watch::Sender::new(false),
            trouble: Mutex::default(),
        });
        let keeper = Keeper { api, options, kept: kept.clone(), resume: None, streaming: true, heard: false };
        let task = tokio::spawn(keeper.run()).abort_handle();
        Self { kept, _task: Arc::new(Task(task)) }
    }

    /// Waits until the copy is whole for the first time.
    pub async fn synced(&self) {
        // The sender lives as long as this informer, so waiting cannot fail.
        let _ = self.kept.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Whether the copy was whole at least once.
    pub fn is_synced(&self) -> bool {
        *self.kept.synced.borrow()
    }

    /// Why the copy is not kept up to date at the moment; `None` while it is.
    pub fn trouble(&self) -> Option<String> {
        self.kept.trouble.lock().clone()
    }

    /// One object.
    pub fn get(&self, key: &Key) -> Option<Arc<T>> {
        self.kept.objects.read().get(key).cloned()
    }

    /// All objects, in the order of their keys.
    pub fn list(&self) -> Vec<Arc<T>> {
        self.kept.objects.read().values().cloned().collect()
    }

    /// Calls `handler` for every object there is, as created, and from then on for every change, in order. It runs in the
    /// informer's own task: it should be quick, and must not register handlers itself.
    pub fn on_change(&self, handler: impl Fn(&Change<T>) + Send + Sync + 'static) {
        let mut handlers = self.kept.handlers.lock();
        let present: Vec<_> = self.kept.objects.read().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        for (key, object) in present {
            handler(&Change { key, old: None, new: Some(object) });
        }
        handlers.push(Box::new(handler));
    }

    /// Puts into `queue` what `keys` makes of every change.
    pub fn feed<K, I>(&self, queue: &WorkQueue<K>, keys: impl Fn(&Change<T>) -> I + Send + Sync + 'static)
    where
        K: Clone + Eq + Hash + Send + Sync + 'static,
        I: IntoIterator<Item = K>,
    {
        let queue = queue.clone();
        self.on_change(move |change| keys(change).into_iter().for_each(|key| queue.add(key)));
    }
}

impl<T> Kept<T> {
    fn tell(handlers: &[Handler<T>], change: &Change<T>) {
        for handler in handlers {
            handler(change);
        }
    }

    fn set(&self, key: Key, object: T) {
        let handlers = self.handlers.lock();
        let new = Arc::new(object);
        let old = self.objects.write().insert(key.clone(), new.clone());
        Self::tell(&handlers, &Change { key, old, new: Some(new) });
    }

    fn remove(&self, key: Key, last: T) {
        let handlers = self.handlers.lock();
        let kept = self.objects.write().remove(&key);
        // The last state may be newer than the kept one, and says why it went.
        let old = kept.map(|_| Arc::new(last));
        if old.is_some() {
            Self::tell(&handlers, &Change { key, old, new: None });
        }
    }

    /// Replaces the whole copy and tells the differences.
    fn replace(&self, fresh: BTreeMap<Key, (T, String)>, revisions: &mut BTreeMap<Key, String>) {
        let handlers = self.handlers.lock();
        let mut changes = Vec::new();
        let mut known = mem::take(revisions);
        {
            let mut objects = self.objects.write();
            let mut before = mem::take(&mut *objects);
            for (key, (object, revision)) in fresh {
                let old = before.remove(&key);
                let same = known.remove(&key).is_some_and(|r| r == revision);
                revisions.insert(key.clone(), revision);
                match old {
                    Some(old) if same => {
                        objects.insert(key, old);
                    }
                    old => {
                        let new = Arc::new(object);
                        objects.insert(key.clone(), new.clone());
                        changes.push(Change { key, old, new: Some(new) });
                    }
                }
            }
            let gone = before.into_iter().map(|(key, old)| Change { key, old: Some(old), new: None });
            changes.extend(gone);
        }
        for change in &changes {
            Self::tell(&handlers, change);
        }
    }
}

/// The loop that keeps the copy.
struct Keeper<T> {
    api: Api<T>,
    options: InformerOptions,
    kept: Arc<Kept<T>>,
    /// From where to watch; `None` to list first.
    resume: Option<String>,
    /// Whether the server is believed to stream lists.
    streaming: bool,
    /// Whether the server has said anything since the last failure.
    heard: bool,
}

impl<T: DeserializeOwned + Send + Sync + 'static> Keeper<T> {
    async fn run(mut self) {
        let mut revisions = BTreeMap::new();
        let mut failures = 0;
        loop {
            self.heard = false;
            let ended = self.round(&mut revisions).await;
            if self.heard {
                failures = 0;
            }
            match ended {
                Ok(()) if self.heard => continue,
                Ok(()) => {}
                Err(e) if e.is_expired() => self.resume = None,
                Err(e) => self.complain(&e),
            }
            failures += 1;
            tokio::time::sleep(self.options.backoff.after(failures)).await;
        }
    }

    fn complain(&self, error: &Error) {
        let text = crate::error::chain(error);
        tracing::warn!(resource = self.api.resource_name(), "{text}");
        *self.kept.trouble.lock() = Some(text);
    }

    /// Lists if need be, and watches until the watch ends.
    async fn round(&mut self, revisions: &mut BTreeMap<Key, String>) -> Result<(), Error> {
        let mut initial = None;
        if self.resume.is_none() {
            if self.streaming {
                initial = Some(BTreeMap::new());
            } else {
                self.list(revisions).await?;
            }
        }
        let params = WatchParams {
            labels: self.options.labels.clone(),
            fields: self.options.fields.clone(),
            resource_version: self.resume.clone(),
            initial_events: initial.is_some(),
            bookmarks: true,
            timeout_seconds: Some(self.options.watch_seconds),
        };
        let mut watch = match self.api.watch(&params).await {
            // A server that does not stream lists says that the parameter is forbidden.
            Err(e) if initial.is_some() && e.status().is_some_and(|s| s.code == 400 || s.code == 422) => {
                self.streaming = false;
                self.heard = true;
                return Ok(());
            }
            watch => watch?,
        };
        *self.kept.trouble.lock() = None;
        while let Some(event) = watch.next().await {
            let event = event?;
            self.heard = true;
            match &mut initial {
                Some(fresh) => {
                    if let Some(revision) = gather(fresh, event) {
                        self.kept.replace(mem::take(fresh), revisions);
                        self.kept.synced.send_replace(true);
                        self.resume = Some(revision);
                        initial = None;
                    }
                }
                None => self.apply(event, revisions),
            }
        }
        Ok(())
    }

    async fn list(&mut self, revisions: &mut BTreeMap<Key, String>) -> Result<(), Error> {
        let params = ListParams {
            labels: self.options.labels.clone(),
            fields: self.options.fields.clone(),
            ..ListParams::default()
        };
        let raw: Api<Box<RawValue>> = self.api.of();
        let list = raw.list_all(&params).await?;
        let mut fresh = BTreeMap::new();
        for item in list.items {
            let doing = "read a list";
            let head: Head = self.api.client().decode(doing, item.get().as_bytes())?;
            let (key, revision, _) = head.metadata.into_parts();
            fresh.insert(key, (self.api.client().decode(doing, item.get().as_bytes())?, revision));
        }
        self.kept.replace(fresh, revisions);
        self.kept.synced.send_replace(true);
        self.resume = Some(list.metadata.resource_version.unwrap_or_default());
        self.heard = true;
        Ok(())
    }

    fn apply(&mut self, event: WatchEvent<T>, revisions: &mut BTreeMap<Key, String>) {
        match event {
            WatchEvent::Added(key, object, revision) | WatchEvent::Modified(key, object, revision) => {
                self.resume = Some(revision.clone());
                revisions.insert(key.clone(), revision);
                self.kept.set(key, *object);
            }
            WatchEvent::Deleted(key, object, revision) => {
                self.resume = Some(revision);
                revisions.remove(&key);
                self.kept.remove(key, *object);
            }
            WatchEvent::Bookmark(revision, _) => self.resume = Some(revision),
        }
    }
}

/// Takes an event of a streaming list; yields the list's revision when it is complete.
fn gather<T>(fresh: &mut BTreeMap<Key, (T, String)>, event: WatchEvent<T>) -> Option<String> {
    match event {
        WatchEvent::Added(key, object, revision) | WatchEvent::Modified(key, object, revision) => {
            fresh.insert(key, (*object, revision));
        }
        WatchEvent::Deleted(key, ..) => {
            fresh.remove(&key);
        }
        WatchEvent::Bookmark(revision, true) => return Some(revision),
        WatchEvent::Bookmark(_, false) => {}
    }
    None
}
