//! A watch: the server's stream of changes, decoded.

use crate::{Body, Client, Error, api::refused};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lab_object::Status;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, fmt, marker::PhantomData};

/// An object's namespace and name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of a cluster-scoped object.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self { namespace: String::new(), name: name.into() }
    }

    /// The key of an object in a namespace.
    pub fn namespaced(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

/// What a watch tells. Each carries the revision from which a watch can be resumed after it.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent<T> {
    /// An object came to be, or came to match the selector.
    Added(Key, Box<T>, String),
    /// An object was changed.
    Modified(Key, Box<T>, String),
    /// An object was deleted, or no longer matches; its last state.
    Deleted(Key, Box<T>, String),
    /// Nothing happened up to this revision. The flag says that a streaming list is complete.
    Bookmark(String, bool),
}

/// A running watch; dropping it ends it.
pub struct Watch<T> {
    client: Client,
    doing: String,
    body: Body,
    buffer: BytesMut,
    scanned: usize,
    events: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Watch<T> {
    pub(crate) fn new(client: Client, doing: String, body: Body) -> Self {
        Self { client, doing, body, buffer: BytesMut::new(), scanned: 0, events: PhantomData }
    }

    /// Waits for the next event; `None` when the server ended the watch, which it may do at any time. An error ends it
    /// as well; one that [`Error::is_expired`] means to list again. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<WatchEvent<T>, Error>> {
        loop {
            if let Some(line) = self.line() {
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Some(self.event(&line));
            }
            match self.body.frame().await {
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return None,
                None => {
                    self.buffer.clear();
                    return Some(Err(self.client.broken(&self.doing, "the last event is cut off".into())));
                }
                Some(Err(e)) => return Some(Err(self.client.broken(&self.doing, e))),
                Some(Ok(frame)) => {
                    if let Some(data) = frame.data_ref() {
                        self.buffer.extend_from_slice(data);
                    }
                }
            }
        }
    }

    /// Takes a whole line off the buffer. What was searched before is not searched again.
    fn line(&mut self) -> Option<Bytes> {
        match self.buffer[self.scanned..].iter().position(|b| *b == b'\n') {
            Some(at) => {
                let end = self.scanned + at + 1;
                self.scanned = 0;
                Some(self.buffer.split_to(end).freeze())
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }

    fn event(&self, line: &[u8]) -> Result<WatchEvent<T>, Error> {
        let raw: RawEvent<'_> = self.client.decode(&self.doing, line)?;
        if raw.kind == "ERROR" {
            let status: Status = self.client.decode(&self.doing, raw.object.get().as_bytes())?;
            return Err(refused(&self.client, &self.doing, status));
        }
        let head: Head = self.client.decode(&self.doing, raw.object.get().as_bytes())?;
        let (key, revision, end) = head.metadata.into_parts();
        if raw.kind == "BOOKMARK" {
            return Ok(WatchEvent::Bookmark(revision, end));
        }
        let object = Box::new(self.client.decode(&self.doing, raw.object.get().as_bytes())?);
        match raw.kind {
            "ADDED" => Ok(WatchEvent::Added(key, object, revision)),
            "MODIFIED" => Ok(WatchEvent::Modified(key, object, revision)),
            "DELETED" => Ok(WatchEvent::Deleted(key, object, revision)),
            other => Err(Error::Answer {
                doing: self.doing.clone(),
                server: self.client.server().into(),
                source: serde::de::Error::custom(format!("an event of type {other:?}")),
            }),
        }
    }
}

#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The part of an object that names it.
#[derive(Deserialize)]
pub(crate) struct Head {
    #[serde(default)]
    pub metadata: HeadMeta,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct HeadMeta {
    name: String,
    namespace: String,
    resource_version: String,
    annotations: BTreeMap<String, String>,
}

impl HeadMeta {
    /// Key, revision, and whether this marks the end of a streaming list.
    pub fn into_parts(self) -> (Key, String, bool) {
        let end = self.annotations.get("k8s.io/initial-events-end").is_some_and(|v| v == "true");
        (Key { namespace: self.namespace, name: self.name }, self.resource_version, end)
    }
}
