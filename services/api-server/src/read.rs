//! GET of one object, and lists.

use crate::{
    answer,
    body::{Body, Pieces},
    call::Call,
    continuation::Continuation,
    fault,
    filter::Filter,
    heavy, key,
    negotiate::View,
    request::VersionMatch,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use lab_kinds::Subresource;
use lab_object::{ListMeta, Status};
use lab_store::{Entry, Error, Listing, Range, Revision};

/// How many objects are looked at together when only some of them match.
const CHUNK: usize = 2000;

/// Where a list begins.
struct Start {
    at: Option<Revision>,
    after: Option<String>,
    continuation: Option<Continuation>,
}

/// A list that was read.
struct Found {
    entries: Vec<Entry>,
    revision: Revision,
    /// More matching objects may follow after the last entry.
    more: bool,
    /// How many follow, where that is known.
    remaining: Option<usize>,
}

impl Call<'_> {
    /// Answers GET of one object.
    pub(crate) async fn get(&self, view: View) -> Result<Response<Body>, Status> {
        let newest = self.server.store.revision();
        if let Some(asked) = self.info.query.resource_version.filter(|&asked| asked > newest) {
            return Err(fault::too_new(asked, newest));
        }
        let entry = self.find().await?.ok_or_else(|| self.info.not_found())?;
        match &self.info.subresource {
            Some(Subresource::Scale { spec, status }) => self.get_scale(&entry, spec, status),
            _ => self.show(view, StatusCode::OK, entry.value),
        }
    }

    /// Answers a list.
    pub(crate) async fn list(&self, view: View) -> Result<Response<Body>, Status> {
        let info = self.info;
        let filter = Filter::new(info, self.visible())?;
        let prefix = key::prefix(&info.tenant, &info.kind, &info.namespace);
        let start = self.start(&prefix)?;
        let found = self.collect(&prefix, &start, &filter).await?;
        let mut meta = ListMeta { resource_version: Some(found.revision.to_string()), ..ListMeta::default() };
        if let (true, Some(last)) = (found.more, found.entries.last()) {
            let after = last.key.strip_prefix(&prefix).unwrap_or(&last.key);
            meta.continue_token = Some(Continuation::new(Some(found.revision), after).encode());
            meta.remaining_item_count = found.remaining.map(|count| count as i64);
        }
        let body = match view {
            View::Json => Body::from(splice(&info.kind.api_version(), &info.kind.kind, &meta, found.entries)),
            _ => {
                let render = self.render(view)?;
                let objects = found.entries.iter().map(|entry| &entry.value[..]);
                heavy::apart(found.entries.len(), || render.list(objects, &meta))?.into()
            }
        };
        Ok(answer::compressed(self.headers, answer::with(StatusCode::OK, view.content_type(), body)))
    }

    /// At which revision and after which key to begin, by Kubernetes' table of resourceVersion semantics.
    fn start(&self, prefix: &str) -> Result<Start, Status> {
        let query = &self.info.query;
        if let Some(token) = &query.continue_token {
            if query.resource_version.is_some_and(|asked| asked != 0) {
                return Err(fault::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            let continuation = Continuation::decode(token)?;
            let after = Some(format!("{prefix}{}", continuation.after));
            return Ok(Start { at: continuation.revision, after, continuation: Some(continuation) });
        }
        let asked = query.resource_version.filter(|&asked| asked > 0);
        let exact = match query.version_match {
            Some(VersionMatch::Exact) => true,
            Some(VersionMatch::NotOlderThan) => false,
            None => query.limit.is_some(),
        };
        let newest = self.server.store.revision();
        match asked {
            Some(asked) if asked > newest => Err(fault::too_new(asked, newest)),
            Some(asked) if exact => Ok(Start { at: Some(asked), after: None, continuation: None }),
            _ => Ok(Start { at: None, after: None, continuation: None }),
        }
    }

    async fn collect(&self, prefix: &str, start: &Start, filter: &Filter) -> Result<Found, Status> {
        let limit = self.info.query.limit;
        let failed = |error| expired(&error, start.continuation.as_ref());
        if let Some(name) = filter.only_name()
            && limit.is_none_or(|limit| limit > 0)
            && (!self.info.namespace.is_empty() || self.info.is_cluster_scoped())
        {
            return self.collect_one(name, start, filter).await;
        }
        let mut range = Range { prefix: prefix.to_owned(), after: start.after.clone(), limit, at: start.at };
        if filter.is_empty() {
            let Listing { entries, revision, remaining } =
                self.server.store.list(range).await.map_err(failed)?;
            return Ok(Found { entries, revision, more: remaining > 0, remaining: Some(remaining) });
        }
        let mut matching = Vec::new();
        loop {
            range.limit = limit.map(|_| CHUNK);
            let listing = self.server.store.list(range.clone()).await.map_err(failed)?;
            let revision = listing.revision;
            range.at = Some(revision);
            range.after = listing.entries.last().map(|entry| entry.key.to_string());
            let mut left = listing.entries.len() + listing.remaining;
            for entry in listing.entries {
                left -= 1;
                if filter.matches_entry(&entry)? {
                    matching.push(entry);
                    if limit.is_some_and(|limit| matching.len() >= limit) {
                        return Ok(Found { entries: matching, revision, more: left > 0, remaining: None });
                    }
                }
            }
            if listing.remaining == 0 {
                return Ok(Found { entries: matching, revision, more: false, remaining: None });
            }
        }
    }

    /// A list of which the selector leaves one name.
    async fn collect_one(&self, name: &str, start: &Start, filter: &Filter) -> Result<Found, Status> {
        let key = self.key(name);
        let (entry, revision) = self
            .server
            .store
            .get(&key, start.at)
            .await
            .map_err(|error| expired(&error, start.continuation.as_ref()))?;
        let mut entries = Vec::new();
        if let Some(entry) = entry
            && start.after.as_ref().is_none_or(|after| *after < key)
            && filter.matches_entry(&entry)?
        {
            entries.push(entry);
        }
        Ok(Found { entries, revision, more: false, remaining: None })
    }
}

/// Why a list could not be read: where it was to be continued, a way to go on is given.
fn expired(error: &Error, continuation: Option<&Continuation>) -> Status {
    match (error, continuation) {
        (Error::Compacted { .. }, Some(continuation)) => continuation.expired(),
        (Error::Compacted { .. }, None) => Status::failure(
            lab_object::Reason::Expired,
            "The resourceVersion for the provided list is too old.",
        ),
        (error, _) => fault::store(error),
    }
}

/// A list put together from the bytes of its objects.
pub(crate) fn splice(api_version: &str, kind: &str, meta: &ListMeta, entries: Vec<Entry>) -> Pieces {
    let mut pieces = Pieces::with_capacity(2 * entries.len() + 2);
    let meta = serde_json::to_string(meta).expect("list metadata serialises");
    let head = format!(r#"{{"kind":"{kind}List","apiVersion":"{api_version}","metadata":{meta},"items":["#);
    pieces.push(Bytes::from(head));
    for (index, entry) in entries.into_iter().enumerate() {
        if index > 0 {
            pieces.push(Bytes::from_static(b","));
        }
        pieces.push(entry.value);
    }
    pieces.push(Bytes::from_static(b"]}"));
    pieces
}
