//! Entries as objects: GET of one, and lists by field selector and time (`since`, `until`, `last`).

use super::object;
use crate::{
    answer, body::Body, call::Call, continuation::Continuation, fault, filter::Filter, key, negotiate::View,
    read, request::Query,
};
use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};
use lab_audit::{Segment, Sequence, Trail};
use lab_object::{Json, ListMeta, Status};
use lab_store::Entry;
use std::{collections::VecDeque, ops::ControlFlow, sync::Arc};

/// Most entries in one answer; who wants more continues.
const PAGE: usize = 5000;
/// Entries are in the order in which they were recorded; their times may be out of order by as much.
const SLACK: SignedDuration = SignedDuration::from_mins(1);

/// Which entries are wanted.
struct Wanted {
    after: Sequence,
    limit: usize,
    last: Option<usize>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    prefix: String,
    filter: Filter,
}

/// A page of entries.
struct Page {
    entries: Vec<Entry>,
    more: bool,
}

impl Call<'_> {
    /// Answers GET of one entry.
    pub(crate) async fn get_entry(&self, view: View) -> Result<Response<Body>, Status> {
        let wanted = self.info.name.parse::<Sequence>().ok().filter(|n| n.to_string() == self.info.name);
        let trail = self.server.audit.trail.clone();
        let (Some(wanted), Some(trail)) = (wanted, trail) else { return Err(self.info.not_found()) };
        let found = blocking(move || find(&trail, wanted)).await??;
        let found = found.ok_or_else(|| self.info.not_found())?;
        self.show(view, StatusCode::OK, answer::encode(&found))
    }

    /// Answers a list.
    pub(crate) async fn list_entries(&self, view: View) -> Result<Response<Body>, Status> {
        let query = &self.info.query;
        let after = match &query.continue_token {
            Some(token) => Continuation::decode(token)?.after.parse().map_err(|_| {
                fault::bad_request("continue key is not valid: it is a token for objects of another kind")
            })?,
            None => 0,
        };
        let wanted = Wanted {
            after,
            limit: query.limit.unwrap_or(PAGE).min(PAGE),
            last: query.last,
            since: query.since,
            until: query.until,
            prefix: key::prefix(&self.info.tenant, &self.info.kind, ""),
            filter: Filter::new(self.info, None)?,
        };
        check(query)?;
        let trail = self.server.audit.trail.clone();
        let is_ours = self.info.tenant == key::DEFAULT_TENANT;
        let page = match trail.filter(|_| is_ours) {
            Some(trail) => blocking(move || collect(&trail, &wanted)).await??,
            None => Page { entries: Vec::new(), more: false },
        };
        let version = self.server.store.revision().to_string();
        let mut meta = ListMeta { resource_version: Some(version), ..ListMeta::default() };
        if let (true, Some(last)) = (page.more, page.entries.last()) {
            meta.continue_token = Some(Continuation::new(None, last.modified.to_string()).encode());
        }
        let kind = &self.info.kind;
        let body = match view {
            View::Json => Body::from(read::splice(&kind.api_version(), &kind.kind, &meta, page.entries)),
            _ => self.render(view)?.list(page.entries.iter().map(|entry| &entry.value[..]), &meta)?.into(),
        };
        Ok(answer::compressed(self.headers, answer::with(StatusCode::OK, view.content_type(), body)))
    }
}

fn check(query: &Query) -> Result<(), Status> {
    if query.last.is_some() && (query.limit.is_some() || query.continue_token.is_some()) {
        return Err(fault::bad_request("last cannot be combined with limit and continue"));
    }
    if query.last.is_some_and(|last| last > PAGE) {
        return Err(fault::bad_request(format!("last must be at most {PAGE}")));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(fault::internal)
}

/// The segments that can hold entries after one and up to another.
fn between(trail: &Trail, after: Sequence) -> Vec<Segment> {
    let segments = trail.segments();
    let begin = segments.partition_point(|segment| segment.first <= after.saturating_add(1));
    segments[begin.saturating_sub(1)..].to_vec()
}

fn find(trail: &Trail, wanted: Sequence) -> Result<Option<Json>, Status> {
    super::catch_up(trail);
    let Some(segment) = between(trail, wanted.saturating_sub(1)).into_iter().next() else { return Ok(None) };
    let mut found = None;
    let read = trail.read(segment, |sequence, line| {
        if sequence == wanted {
            found = object(sequence, line);
        }
        if sequence >= wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    read.map_err(fault::internal)?;
    Ok(found)
}

fn collect(trail: &Trail, wanted: &Wanted) -> Result<Page, Status> {
    super::catch_up(trail);
    let mut segments = between(trail, wanted.after);
    if let Some(since) = wanted.since {
        // A segment whose successor begins before the time holds nothing since then.
        let begin = segments
            .iter()
            .rposition(|segment| time_of_first(trail, *segment).is_some_and(|time| time < since - SLACK));
        segments.drain(..begin.unwrap_or(0));
    }
    match wanted.last {
        Some(last) => collect_last(trail, wanted, &segments, last),
        None => collect_first(trail, wanted, &segments),
    }
}

fn time_of_first(trail: &Trail, segment: Segment) -> Option<Timestamp> {
    let mut time = None;
    let read = trail.read(segment, |sequence, line| {
        time = object(sequence, line).as_ref().and_then(time_of);
        ControlFlow::Break(())
    });
    read.ok().and(time)
}

fn time_of(entry: &Json) -> Option<Timestamp> {
    entry.get("time")?.as_str()?.parse().ok()
}

fn collect_first(trail: &Trail, wanted: &Wanted, segments: &[Segment]) -> Result<Page, Status> {
    let mut entries = Vec::new();
    let mut more = false;
    for segment in segments {
        let flow = wanted.read(trail, *segment, |entry| {
            // One more than is wanted shows that there is more.
            if entries.len() >= wanted.limit {
                more = true;
                return ControlFlow::Break(());
            }
            entries.push(entry);
            ControlFlow::Continue(())
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(Page { entries, more })
}

/// The newest ones: segment by segment from the end, as far as need be.
fn collect_last(trail: &Trail, wanted: &Wanted, segments: &[Segment], last: usize) -> Result<Page, Status> {
    let mut entries: VecDeque<Entry> = VecDeque::new();
    for segment in segments.iter().rev() {
        let (room, mut here) = (last - entries.len(), VecDeque::new());
        // That later entries are beyond the time says nothing of earlier segments.
        let _ = wanted.read(trail, *segment, |entry| {
            here.push_back(entry);
            if here.len() > room {
                here.pop_front();
            }
            ControlFlow::Continue(())
        })?;
        here.extend(entries);
        entries = here;
        if entries.len() >= last {
            break;
        }
    }
    Ok(Page { entries: entries.into(), more: false })
}

impl Wanted {
    /// Hands out the entries of a segment that are wanted, until told to stop, or until all that follow are too late.
    fn read(
        &self,
        trail: &Trail,
        segment: Segment,
        mut each: impl FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Status> {
        let mut outcome = Ok(ControlFlow::Continue(()));
        let read = trail.read(segment, |sequence, line| {
            if sequence <= self.after {
                return ControlFlow::Continue(());
            }
            let flow = match self.judge(sequence, line) {
                Ok(Judged::Wanted(entry)) => each(entry),
                Ok(Judged::TooLate) => ControlFlow::Break(()),
                Ok(Judged::Unwanted) => ControlFlow::Continue(()),
                Err(status) => {
                    outcome = Err(status);
                    return ControlFlow::Break(());
                }
            };
            if flow.is_break() {
                outcome = Ok(flow);
            }
            flow
        });
        read.map_err(fault::internal)?;
        outcome
    }

    fn judge(&self, sequence: Sequence, line: &[u8]) -> Result<Judged, Status> {
        let Some(object) = object(sequence, line) else { return Ok(Judged::Unwanted) };
        let Some(time) = time_of(&object) else { return Ok(Judged::Unwanted) };
        if self.until.is_some_and(|until| time > until + SLACK) {
            return Ok(Judged::TooLate);
        }
        if self.since.is_some_and(|since| time < since) || self.until.is_some_and(|until| time > until) {
            return Ok(Judged::Unwanted);
        }
        let key: Arc<str> = format!("{}/{sequence}", self.prefix).into();
        let value: Bytes = answer::encode(&object);
        let matches = self.filter.matches(&key, &value)?;
        let entry = Entry { key, value, created: sequence, modified: sequence };
        Ok(if matches { Judged::Wanted(entry) } else { Judged::Unwanted })
    }
}

enum Judged {
    Wanted(Entry),
    Unwanted,
    TooLate,
}
