//! Watches: a stream of events from the store's, filtered and shown as asked for.
//!
//! A watch is driven by its connection: the next events are fetched when the client can take more, so that a slow client
//! holds nothing but its place in the store's history. When that place is compacted away, it is cut off with 410.
//! Bookmarks are made from the progress of the very stream that brings the events, and so never overtake them.

use crate::{
    answer,
    authorizer::Authorizer,
    body::{Body, Pieces},
    call::Call,
    caller::{self, Caller},
    fault,
    filter::Filter,
    key,
    metrics::{Counted, Metrics},
    negotiate::View,
    server::too_many,
    table::{Include, Render},
};
use bytes::Bytes;
use futures_util::stream;
use http::{Response, StatusCode};
use jiff::Timestamp;
use lab_access::Access;
use lab_kinds::Kind;
use lab_object::{
    Json, Reason, Status,
    watch::{EventType, INITIAL_EVENTS_END},
};
use lab_store::{Change, Entry, Error, Event, Range, Revision};
use rand::Rng;
use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How long a watch lasts that does not say: at random up to twice this, so that not all of them come back at once.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long before its end a watch sends its last bookmark.
const LAST_BOOKMARK: Duration = Duration::from_secs(2);

/// Initial objects that are sent at once.
const PART: usize = 500;

/// What all watches share.
pub(crate) struct Watches {
    pub(crate) slots: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    bookmark_interval: Duration,
}

impl Watches {
    pub(crate) fn new(most: usize, bookmark_interval: Duration) -> Self {
        Self { slots: Arc::new(Semaphore::new(most)), closing: watch::Sender::new(false), bookmark_interval }
    }

    /// Word that every watch is to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Ends every watch.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }
}

impl Call<'_> {
    /// Answers a watch.
    pub(crate) async fn watch(&self) -> Result<Response<Body>, Status> {
        let (server, info, query) = (self.server, self.info, &self.info.query);
        let view = self.view()?;
        let filter = Filter::new(info, self.visible())?;
        let guard = Guard::new(self)?;
        let include = Include::parse(query.include_object.as_deref())?;
        let slot = server.watches.slots.clone().try_acquire_owned().map_err(|_| too_many("watches"))?;
        let prefix = match filter.only_name() {
            // Someone waiting for one object is not woken by the others.
            Some(name) if !info.namespace.is_empty() || info.is_cluster_scoped() => {
                key::object(&info.tenant, &info.kind, &info.namespace, name)
            }
            _ => key::prefix(&info.tenant, &info.kind, &info.namespace),
        };
        let newest = server.store.revision();
        if let Some(asked) = query.resource_version.filter(|&asked| asked > newest) {
            return Err(fault::too_new(asked, newest));
        }
        let asked = query.resource_version.filter(|&asked| asked > 0);
        let (initial, after) = if query.send_initial_events.unwrap_or(asked.is_none()) {
            let range = Range { prefix: prefix.clone(), ..Range::default() };
            let listing = server.store.list(range).await.map_err(|error| fault::store(&error))?;
            (listing.entries.into(), listing.revision)
        } else {
            (VecDeque::new(), asked.unwrap_or(newest))
        };
        let source = match server.store.watch(&prefix, after).await {
            Ok(source) => source,
            // Kubernetes says so within the stream; clients read it there.
            Err(Error::Compacted { asked, oldest }) => {
                return Ok(respond(stream::iter([error_event(&fault::too_old(asked, oldest))])));
            }
            Err(error) => return Err(fault::store(&error)),
        };
        let lifetime = query.timeout.unwrap_or_else(|| LIFETIME.mul_f64(1.0 + rand::rng().random::<f64>()));
        // Nobody watches for longer than what they showed is good for.
        let good = self.caller.shown.expires().map(|end| end.duration_since(self.now));
        let lifetime = good.map_or(lifetime, |good| lifetime.min(good.try_into().unwrap_or(Duration::ZERO)));
        let watch = Stream {
            kind: info.kind.clone(),
            prefix,
            filter,
            view,
            include,
            first: true,
            initial,
            end_mark: query.send_initial_events == Some(true) && query.allow_bookmarks,
            source,
            guard,
            progress: after,
            bookmarks: Bookmarks::new(query.allow_bookmarks, server.watches.bookmark_interval, lifetime),
            end: Instant::now() + lifetime,
            closing: server.watches.closing.subscribe(),
            metrics: server.metrics.clone(),
            over: false,
            _running: server.metrics.watching(&info.kind.group, &info.kind.plural),
            _slot: slot,
        };
        Ok(respond(stream::unfold(watch, |mut watch| async move {
            let pieces = watch.next().await?;
            Some((pieces, watch))
        })))
    }
}

fn respond(events: impl futures_util::Stream<Item = Pieces> + Send + 'static) -> Response<Body> {
    answer::with(StatusCode::OK, crate::negotiate::JSON, Body::stream(events))
}

/// When bookmarks are due.
struct Bookmarks {
    wanted: bool,
    interval: Duration,
    due: Instant,
    /// When the one before the end is due, until it was sent.
    last: Option<Instant>,
}

impl Bookmarks {
    fn new(wanted: bool, interval: Duration, lifetime: Duration) -> Self {
        let now = Instant::now();
        // Not all watches at the same moment.
        let due = now + interval.mul_f64(0.75 + rand::rng().random::<f64>() / 4.0);
        let last = lifetime.checked_sub(LAST_BOOKMARK).map(|until| now + until);
        Self { wanted, interval, due, last }
    }

    /// The moment of the next one.
    fn next(&self) -> Option<Instant> {
        self.wanted.then(|| self.last.map_or(self.due, |last| last.min(self.due)))
    }

    fn sent(&mut self, now: Instant) {
        self.due = now + self.interval;
        if self.last.is_some_and(|last| last <= now) {
            self.last = None;
        }
    }
}

/// What the watcher may see, looked at again when permissions change.
struct Guard {
    authorizer: Arc<dyn Authorizer>,
    changes: Option<watch::Receiver<u64>>,
    caller: Caller,
    tenant: String,
    access: Arc<Access>,
}

impl Guard {
    fn new(call: &Call<'_>) -> Result<Self, Status> {
        let authorizer = call.server.authorizer.clone();
        let mut changes = authorizer.changes();
        // What changed since the caller was admitted is looked at as well.
        if let Some(changes) = &mut changes {
            changes.mark_changed();
        }
        let (caller, tenant) = (call.caller.clone(), call.info.tenant.clone());
        let mut guard = Self { authorizer, changes, caller, tenant, access: call.access.clone() };
        guard.check()?;
        Ok(guard)
    }

    /// Ready when permissions changed.
    async fn changed(&mut self) {
        if let Some(changes) = &mut self.changes
            && changes.changed().await.is_ok()
        {
            return changes.mark_changed();
        }
        std::future::pending().await
    }

    /// Ends the watch with 410 when the watcher's permissions are other ones now: what they see has to be listed anew,
    /// so that nothing stays with them that they may no longer see. Ends it with 401 when what they showed to prove who they
    /// are counts no more.
    fn check(&mut self) -> Result<(), Status> {
        let Some(changes) = &mut self.changes else { return Ok(()) };
        if !changes.has_changed().unwrap_or_default() {
            return Ok(());
        }
        changes.borrow_and_update();
        self.authorizer.holds(&self.caller, Timestamp::now()).map_err(caller::unauthorized)?;
        if *self.authorizer.access(&self.caller, &self.tenant) == *self.access {
            return Ok(());
        }
        let message = "the permissions of this user have changed; list again to see what they may see now";
        Err(Status::failure(Reason::Expired, message))
    }
}

/// One watch.
struct Stream {
    kind: Arc<Kind>,
    prefix: String,
    filter: Filter,
    view: View,
    include: Include,
    /// Nothing was sent yet: a table still needs its columns.
    first: bool,
    /// Objects that were there at the beginning and are still to be sent.
    initial: VecDeque<Entry>,
    /// The end of the initial objects is to be marked.
    end_mark: bool,
    source: Box<dyn lab_store::Watch>,
    guard: Guard,
    /// Everything up to here was sent.
    progress: Revision,
    bookmarks: Bookmarks,
    end: Instant,
    closing: watch::Receiver<bool>,
    metrics: Arc<Metrics>,
    over: bool,
    _running: Counted,
    _slot: OwnedSemaphorePermit,
}

impl Stream {
    /// The next events, as one piece of the body; `None` at the end.
    async fn next(&mut self) -> Option<Pieces> {
        while !self.over {
            let mut out = Pieces::default();
            if let Err(status) = self.step(&mut out).await {
                self.over = true;
                return Some(error_event(&status));
            }
            if !out.is_empty() {
                return Some(out);
            }
        }
        None
    }

    async fn step(&mut self, out: &mut Pieces) -> Result<(), Status> {
        if !self.initial.is_empty() || self.end_mark {
            self.guard.check()?;
            return self.send_initial(out);
        }
        let wake = self.bookmarks.next().map_or(self.end, |due| due.min(self.end));
        let batch = tokio::select! {
            batch = self.source.next() => batch.map(Some),
            () = self.guard.changed() => Ok(None),
            _ = self.closing.wait_for(|&closing| closing) => Err(Error::Closed),
            () = tokio::time::sleep_until(wake.into()) => Ok(None),
        };
        self.guard.check()?;
        match batch {
            Ok(None) => {
                self.wake(out);
                Ok(())
            }
            Ok(Some(batch)) => {
                for event in &batch.events {
                    self.send_event(out, event)?;
                }
                self.progress = batch.progress;
                Ok(())
            }
            Err(Error::Closed) => {
                self.over = true;
                Ok(())
            }
            Err(error) => {
                if matches!(error, Error::Compacted { .. }) {
                    self.metrics.cut_off();
                }
                Err(fault::store(&error))
            }
        }
    }

    /// Does what is due: a bookmark, the end.
    fn wake(&mut self, out: &mut Pieces) {
        let now = Instant::now();
        if self.bookmarks.next().is_some_and(|due| due <= now) {
            self.bookmarks.sent(now);
            // A quiet watch moves on with everyone else's writes.
            self.progress = self.progress.max(self.source.progress());
            self.bookmark(out, None);
        }
        self.over = now >= self.end;
    }

    fn send_initial(&mut self, out: &mut Pieces) -> Result<(), Status> {
        for _ in 0..PART {
            let Some(entry) = self.initial.pop_front() else { break };
            if self.is_ours(&entry.key) && self.filter.matches_entry(&entry)? {
                self.send(out, EventType::Added, entry.value)?;
            }
        }
        if self.initial.is_empty() && self.end_mark {
            self.end_mark = false;
            self.bookmark(out, Some(INITIAL_EVENTS_END));
        }
        Ok(())
    }

    fn send_event(&mut self, out: &mut Pieces, event: &Event) -> Result<(), Status> {
        if !self.is_ours(&event.key) {
            return Ok(());
        }
        let matches = |value: &Bytes| self.filter.matches(&event.key, value);
        let (kind, object) = match &event.change {
            Change::Created { value } if matches(value)? => (EventType::Added, value.clone()),
            Change::Updated { value, previous } => match (matches(previous)?, matches(value)?) {
                (true, true) => (EventType::Modified, value.clone()),
                (false, true) => (EventType::Added, value.clone()),
                // To this watcher the object is gone: as it last saw it, at the revision of the change.
                (true, false) => (EventType::Deleted, moved_to(previous, event.revision)?),
                (false, false) => return Ok(()),
            },
            Change::Deleted { last, previous } if matches(previous)? => (EventType::Deleted, last.clone()),
            Change::Created { .. } | Change::Deleted { .. } => return Ok(()),
        };
        self.send(out, kind, object)
    }

    /// Whether a key is one that is watched: the prefix of a single name is also that of longer ones.
    fn is_ours(&self, key: &str) -> bool {
        self.prefix.ends_with('/') || key == self.prefix
    }

    fn send(&mut self, out: &mut Pieces, kind: EventType, object: Bytes) -> Result<(), Status> {
        let object = match self.view {
            View::Json => object,
            _ => self.render().event(&object, self.first)?,
        };
        self.first = false;
        push_event(out, kind, object);
        Ok(())
    }

    fn render(&self) -> Render<'_> {
        Render { kind: &self.kind, view: self.view, include: self.include, now: Timestamp::now() }
    }

    fn bookmark(&mut self, out: &mut Pieces, annotation: Option<&str>) {
        let mut metadata = serde_json::json!({"resourceVersion": self.progress.to_string()});
        if let Some(annotation) = annotation {
            metadata["annotations"] = serde_json::json!({annotation: "true"});
        }
        let object = self.render().bookmark(metadata);
        push_event(out, EventType::Bookmark, object);
    }
}

fn push_event(out: &mut Pieces, kind: EventType, object: Bytes) {
    let head: &'static [u8] = match kind {
        EventType::Added => br#"{"type":"ADDED","object":"#,
        EventType::Modified => br#"{"type":"MODIFIED","object":"#,
        EventType::Deleted => br#"{"type":"DELETED","object":"#,
        EventType::Bookmark => br#"{"type":"BOOKMARK","object":"#,
        EventType::Error => br#"{"type":"ERROR","object":"#,
    };
    out.push(Bytes::from_static(head));
    out.push(object);
    out.push(Bytes::from_static(b"}\n"));
}

fn error_event(status: &Status) -> Pieces {
    let mut pieces = Pieces::default();
    push_event(&mut pieces, EventType::Error, answer::encode(status));
    pieces
}

/// An object with another resourceVersion.
fn moved_to(object: &Bytes, revision: Revision) -> Result<Bytes, Status> {
    let mut object: Json = serde_json::from_slice(object).map_err(fault::internal)?;
    object["metadata"]["resourceVersion"] = revision.to_string().into();
    Ok(answer::encode(&object))
}
