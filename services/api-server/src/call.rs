//! One request for objects, on its way.

use crate::{
    answer,
    audit::Trace,
    body::Body,
    caller::{self, Caller},
    fault,
    key::Key,
    metadata,
    negotiate::{self, View},
    request::{RequestInfo, Verb},
    server::{self, ApiServer},
    table::{Include, Render},
    visible::Visible,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use jiff::Timestamp;
use lab_access::{Access, Ask, Refusal};
use lab_kinds::Scope;
use lab_object::{Json, Status, Time};
use lab_store::{Entry, Error, Expect, Write};
use std::{borrow::Cow, sync::Arc};

/// A request with everything it needs.
pub(crate) struct Call<'a> {
    pub server: &'a ApiServer,
    pub info: &'a RequestInfo,
    pub headers: &'a HeaderMap,
    pub caller: &'a Caller,
    /// What the caller may do.
    pub access: Arc<Access>,
    /// Whether that depends on the object.
    pub partial: bool,
    /// Whether it is only admitted because it is about the caller themselves, who have to prove it once more.
    pub about_self: bool,
    /// When the request came.
    pub now: Timestamp,
    /// What is recorded of it.
    pub trace: &'a Trace,
}

impl RequestInfo {
    pub(crate) fn is_cluster_scoped(&self) -> bool {
        self.kind.scope == Scope::Cluster
    }
}

impl<'a> Call<'a> {
    /// Answers everything but a watch.
    pub(crate) async fn run<B>(&self, body: B) -> Result<Response<Body>, Status>
    where
        B: http_body::Body + Send,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // An answer that cannot be given is refused before anything is changed.
        let view = self.view()?;
        match self.info.verb {
            Verb::Get if self.info.kind.read_only => self.get_entry(view).await,
            Verb::List if self.info.kind.read_only => self.list_entries(view).await,
            Verb::Get => self.get(view).await,
            Verb::List => self.list(view).await,
            Verb::Watch => self.watch().await,
            _ => {
                self.server.audit.ready()?;
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
            let shown = self.shows(&entry);
            if !shown {
                self.trace.is_due();
            }
            return Ok(Some(entry).filter(|_| shown));
        }
        let mut names = Vec::new();
        let mut found = None;
        for name in self.server.aliases.find(&info.tenant, &info.kind, &info.namespace, &info.name).await {
            // Of an object that is hidden nobody learns by its other names, either.
            match self.lookup(&name).await? {
                Some(entry) if self.shows(&entry) => {
                    found = Some(entry);
                    names.push(name);
                }
                Some(_) => self.trace.is_due(),
                None => {}
            }
        }
        if names.len() > 1 { Err(self.ambiguous(&names)) } else { Ok(found) }
    }

    /// What the caller asks to do.
    pub(crate) fn ask(&self) -> Ask<'_> {
        let (info, kind) = (self.info, &self.info.kind);
        Ask {
            verb: info.verb.as_str(),
            group: &kind.group,
            resource: &kind.plural,
            subresource: self.subresource(),
        }
    }

    /// What is left out of lists and watches; `None` where the caller sees everything.
    pub(crate) fn visible(&self) -> Option<Visible> {
        self.partial
            .then(|| Visible::new(self.access.clone(), self.info.kind.clone(), self.server.places.clone()))
    }

    /// Whether a stored object exists for this caller.
    fn shows(&self, entry: &Entry) -> bool {
        self.visible().is_none_or(|visible| visible.shows_entry(entry))
    }

    /// Decides about an object before it is written: as it was, and as it would be. Where that depends on the object, the
    /// answer to who may not is 404 when they may not see it, else 403.
    pub(crate) fn judge(&self, old: Option<&Json>, new: Option<&Json>) -> Result<(), Status> {
        if !self.partial {
            return Ok(());
        }
        self.access.decide(&self.ask(), old, new).map_err(|refusal| match refusal {
            Refusal::Hidden => self.info.not_found(),
            Refusal::Forbidden(why) => {
                let name = new.or(old).map(|object| metadata::text(object, "name")).unwrap_or_default();
                caller::forbidden(self.caller, self.info, name, &why)
            }
        })
    }

    /// Writes to the store, and records it with the same sync.
    pub(crate) async fn commit(&self, write: Write) -> Result<Entry, Error> {
        let name = Key::parse(&write.key).map(|key| key.name).unwrap_or_default();
        let code = if write.expect == Expect::Absent { StatusCode::CREATED } else { StatusCode::OK };
        let note = self.trace.change(name, code.as_u16()).and_then(|entry| self.server.audit.note(entry));
        let name = name.to_owned();
        let written = self.server.store.write_noted(write, note).await?;
        self.trace.made(&name, code.as_u16());
        Ok(written)
    }

    /// Whether there is an object of the request's name that the caller may not see.
    pub(crate) async fn is_hidden(&self) -> Result<bool, Status> {
        Ok(self.partial && self.lookup(&self.info.name).await?.is_some_and(|entry| !self.shows(&entry)))
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
