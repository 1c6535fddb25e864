//! One request for objects, on its way.

use crate::{
    answer,
    body::Body,
    caller::Caller,
    fault,
    negotiate::{self, View},
    request::{RequestInfo, Verb},
    server::{self, ApiServer},
    table::{Include, Render},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use lab_kinds::Scope;
use lab_object::{Status, Time};
use lab_store::Entry;
use std::{borrow::Cow, error::Error};

/// A request with everything it needs.
pub(crate) struct Call<'a> {
    pub server: &'a ApiServer,
    pub info: &'a RequestInfo,
    pub headers: &'a HeaderMap,
    pub caller: &'a Caller,
    /// When the request came.
    pub now: Timestamp,
}

impl RequestInfo {
    pub(crate) fn is_cluster_scoped(&self) -> bool {
        self.kind.scope == Scope::Cluster
    }
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        server: &'a ApiServer,
        info: &'a RequestInfo,
        headers: &'a HeaderMap,
        caller: &'a Caller,
    ) -> Self {
        Self { server, info, headers, caller, now: Timestamp::now() }
    }

    /// Answers everything but a watch.
    pub(crate) async fn run<B>(&self, body: B) -> Result<Response<Body>, Status>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        // An answer that cannot be given is refused before anything is changed.
        let view = self.view()?;
        match self.info.verb {
            Verb::Get => self.get(view).await,
            Verb::List => self.list(view).await,
            Verb::Watch => self.watch().await,
            _ => {
                let body = server::read(self.headers, body).await?;
                self.write(view, body).await
            }
        }
    }

    pub(crate) fn view(&self) -> Result<View, Status> {
        negotiate::view(self.headers)
    }

    pub(crate) fn time(&self) -> Time {
        Time(self.now)
    }

    /// One object as the client wants to see it.
    pub(crate) fn show(&self, view: View, code: StatusCode, object: Bytes) -> Result<Response<Body>, Status> {
        let body = match view {
            View::Json => object,
            _ => self.render(view)?.object(&object)?,
        };
        Ok(answer::compressed(self.headers, answer::with(code, view.content_type(), body.into())))
    }

    pub(crate) fn render(&self, view: View) -> Result<Render<'_>, Status> {
        let include = Include::parse(self.info.query.include_object.as_deref())?;
        Ok(Render { kind: &self.info.kind, view, include, now: self.now })
    }

    /// The stored object that the request names, by its name or by another one.
    pub(crate) async fn find(&self) -> Result<Option<Entry>, Status> {
        let info = self.info;
        if let Some(entry) = self.lookup(&info.name).await? {
            return Ok(Some(entry));
        }
        let found = self.server.aliases.find(&info.tenant, &info.kind, &info.namespace, &info.name).await;
        match found.as_slice() {
            [] => Ok(None),
            [one] => self.lookup(one).await,
            several => Err(self.ambiguous(several)),
        }
    }

    async fn lookup(&self, name: &str) -> Result<Option<Entry>, Status> {
        let key = self.key(name);
        let (entry, _) = self.server.store.get(&key, None).await.map_err(|error| fault::store(&error))?;
        Ok(entry)
    }

    pub(crate) fn key(&self, name: &str) -> String {
        crate::key::object(&self.info.tenant, &self.info.kind, &self.info.namespace, name)
    }

    /// 409: the name given is no object's own, and several answer to it.
    fn ambiguous(&self, candidates: &[String]) -> Status {
        let (kind, name) = (&self.info.kind, &self.info.name);
        let list = candidates.join(", ");
        let why = format!("the name is ambiguous: {} {list} answer to it; ask for one of them", kind.plural);
        let mut status = self.info.conflict(name, why);
        if let Some(details) = &mut status.details {
            details.causes = candidates
                .iter()
                .map(|candidate| lab_object::Cause {
                    reason: "AmbiguousName".into(),
                    message: format!("{} {candidate:?} answers to {name:?}", kind.singular),
                    field: "metadata.name".into(),
                })
                .collect();
        }
        status
    }
}

/// Adds warnings to an answer, each as `Warning: 299 - "…"` (RFC 7234 §5.5).
pub(crate) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text: Cow<'_, str> = warning.replace('\\', "\\\\").replace('"', "\\\"").into();
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if let Ok(value) = HeaderValue::from_bytes(format!("299 - \"{text}\"").as_bytes()) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
}
