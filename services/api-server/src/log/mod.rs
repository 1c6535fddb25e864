//! Machines' logs: `bastions/<name>/logs` takes lines in, `servers/<name>/log` shows them as server-sent events.
//!
//! The lines live in memory here and on disk at the bastion, which hands on again what another run of this process has not.

mod rings;

pub(crate) use rings::Rings;

use crate::{
    body::{Body, Pieces},
    call::Call,
    fault,
    request::RequestInfo,
    server::too_many,
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, header};
use lab_object::{Json, Status};
use lab_store::Entry;
use lab_wire::log::{Fed, Feed, Line};
use rings::Told;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, watch};

/// How often a reader hears that there is nothing new, so that nobody in between ends the connection.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// How many lines are told when nobody says how many: all that are kept.
const ALL: usize = usize::MAX;

impl Call<'_> {
    /// Answers POST of a bastion's feed. Lines of servers that another bastion answers are left out, and not counted as taken.
    pub(crate) async fn take_feed(&self, body: &Bytes) -> Result<Response<Body>, Status> {
        let feed: Feed = serde_json::from_slice(body)
            .map_err(|error| fault::bad_request(format!("the feed is not understood: {error}")))?;
        let bastion = self.find().await?.ok_or_else(|| self.info.not_found())?;
        let bastion = parsed(&bastion)?;
        self.judge(Some(&bastion), None)?;
        let name = bastion["metadata"]["name"].as_str().unwrap_or_default();
        let mut fed = Fed { run: self.server.logs.run().into(), ..Fed::default() };
        for machine in feed.machines {
            let Some(server) = self.server_of(&machine.server).await? else { continue };
            let (Some(uid), Some(own)) =
                (server["metadata"]["uid"].as_str(), server["status"]["bastion"].as_str())
            else {
                continue;
            };
            if own == name {
                let (mac, lines) = (machine.mac, machine.lines);
                let next = self.server.logs.take(uid, mac, &feed.run, machine.first, lines);
                fed.next.insert(mac, next);
            }
        }
        Ok(crate::answer::json(&fed))
    }

    async fn server_of(&self, name: &str) -> Result<Option<Json>, Status> {
        let Some(kind) = self.server.registry.by_resource("metal.lab", "v1alpha1", "servers") else {
            return Ok(None);
        };
        let key = crate::key::object(&self.info.tenant, kind, "", name);
        let (entry, _) = self.server.store.get(&key, None).await.map_err(|error| fault::store(&error))?;
        entry.as_ref().map(parsed).transpose()
    }

    /// Answers GET of a server's log.
    pub(crate) async fn tell_log(&self) -> Result<Response<Body>, Status> {
        let server = self.find().await?.ok_or_else(|| self.info.not_found())?;
        let server = parsed(&server)?;
        let uid = server["metadata"]["uid"].as_str().unwrap_or_default();
        let RequestInfo { query, .. } = self.info;
        let slots = self.server.watches.slots.clone();
        let slot = slots.try_acquire_owned().map_err(|_| too_many("watches"))?;
        let (told, news) = self.server.logs.follow(uid);
        let reader = Reader {
            logs: self.server.logs.clone(),
            uid: uid.into(),
            stage: query.stage.clone(),
            follow: query.follow,
            cursor: 0,
            tail: Some(query.tail_lines.unwrap_or(ALL)),
            news,
            closing: self.server.watches.closing(),
            told: Some(told),
            _slot: slot,
        };
        let events = stream::unfold(reader, |mut reader| async move {
            let text = reader.next().await?;
            Some((Pieces::from(Bytes::from(text)), reader))
        });
        let mut response = Response::new(Body::stream(events));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

fn parsed(entry: &Entry) -> Result<Json, Status> {
    serde_json::from_slice(&entry.value).map_err(fault::internal)
}

/// Somebody who reads a log.
struct Reader {
    logs: Arc<Rings>,
    uid: String,
    stage: Option<String>,
    follow: bool,
    /// Up to which line it was told.
    cursor: u64,
    /// How many of the lines that are there at first are told; nothing once that is done.
    tail: Option<usize>,
    news: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    told: Option<Told>,
    _slot: OwnedSemaphorePermit,
}

impl Reader {
    /// The next events; nothing at the end.
    async fn next(&mut self) -> Option<String> {
        if let Some(told) = self.told.take() {
            let text = self.text(told);
            // A head is only sent with something to follow it.
            return Some(if text.is_empty() { ":\n\n".into() } else { text });
        }
        while self.follow && !*self.closing.borrow() {
            tokio::select! {
                changed = self.news.changed() => changed.ok()?,
                _ = self.closing.changed() => return None,
                () = tokio::time::sleep(SIGN_OF_LIFE) => return Some(":\n\n".into()),
            }
            let text = self.text(self.logs.since(&self.uid, self.cursor));
            if !text.is_empty() {
                return Some(text);
            }
        }
        None
    }

    fn text(&mut self, told: Told) -> String {
        self.cursor = told.last;
        let wanted = |line: &&Arc<Line>| self.stage.is_none() || line.stage == self.stage;
        let lines: Vec<&Arc<Line>> = told.lines.iter().filter(wanted).collect();
        let skip = self.tail.take().map_or(0, |tail| lines.len().saturating_sub(tail));
        lines[skip..].iter().map(|line| event(line)).collect()
    }
}

/// A line as a server-sent event. JSON has no line breaks of its own.
fn event(line: &Line) -> String {
    let data = serde_json::to_string(line).unwrap_or_default();
    format!("event: {}\ndata: {data}\n\n", line.kind.word())
}
