//! What [`Store`]'s documentation promises, as checks that any implementation can be held to.
//!
//! ```no_run
//! # async fn all() {
//! use lab_store::{Embedded, Options, Store, conformance};
//! use std::sync::Arc;
//! conformance::run(
//!     async || tempfile::tempdir().expect("a directory"),
//!     async |dir| Arc::new(Embedded::open(dir.path(), Options::default()).expect("opens")) as Arc<dyn Store>,
//! )
//! .await;
//! # }
//! ```

mod reading;
mod restarting;
mod watching;
mod writing;

use crate::{Batch, Change, Entry, Error, Event, Expect, Range, Revision, Store, Value, Watch, Write};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// How long an event may take to come before the check fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs every check. `place` makes an empty place for a store to keep its data in; `open` opens the store of a place,
/// which may be done again once all that was opened before is dropped.
///
/// # Panics
/// When the store does not keep a promise, with what it did instead.
pub async fn run<P>(place: impl AsyncFn() -> P, open: impl AsyncFn(&P) -> Arc<dyn Store>) {
    macro_rules! check {
        ($($check:path),+ $(,)?) => {
            $({
                let place = place().await;
                $check(Subject { store: open(&place).await }).await;
            })+
        };
    }
    check!(
        writing::each_write_has_its_revision,
        writing::conditions_are_held,
        writing::of_racing_writes_one_wins,
        writing::the_revision_is_written_in,
        writing::malformed_writes_are_refused,
        writing::a_dropped_write_is_whole_or_absent,
        reading::a_list_is_ordered_and_complete,
        reading::a_list_comes_in_parts,
        reading::the_past_can_be_read,
        reading::parts_of_a_list_fit_together,
        reading::compaction_forgets_and_keeps,
        watching::events_come_in_order_each_once,
        watching::a_change_tells_what_was_before,
        watching::a_watch_resumes_where_it_is_told,
        watching::a_watch_sees_its_prefix_only,
        watching::progress_neither_lags_nor_overtakes,
        watching::waiting_can_be_given_up_at_any_time,
        watching::all_watchers_see_the_same,
        watching::a_slow_watcher_is_cut_off_and_a_quiet_one_is_not,
    );
    restarting::what_was_acknowledged_is_there_again(&place().await, &open).await;
    restarting::a_watch_resumes_over_a_restart(&place().await, &open).await;
    restarting::the_oldest_revision_never_falls(&place().await, &open).await;
}

/// A store under test, with short words for what the checks do to it.
struct Subject {
    store: Arc<dyn Store>,
}

impl Subject {
    async fn write(&self, key: &str, value: Option<&str>, expect: Expect) -> Result<Entry, Error> {
        self.store.write(a_write(key, value, expect)).await
    }

    async fn create(&self, key: &str, value: &str) -> Entry {
        let written = self.write(key, Some(value), Expect::Absent).await;
        written.unwrap_or_else(|e| panic!("creating {key}: {e}"))
    }

    async fn update(&self, key: &str, value: &str, at: Revision) -> Entry {
        let written = self.write(key, Some(value), Expect::Revision(at)).await;
        written.unwrap_or_else(|e| panic!("updating {key} at {at}: {e}"))
    }

    async fn delete(&self, key: &str, at: Revision) -> Entry {
        let written = self.write(key, None, Expect::Revision(at)).await;
        written.unwrap_or_else(|e| panic!("deleting {key} at {at}: {e}"))
    }

    async fn get(&self, key: &str, at: Option<Revision>) -> Option<Entry> {
        let read = self.store.get(key, at).await;
        read.unwrap_or_else(|e| panic!("reading {key} at {at:?}: {e}")).0
    }

    /// The keys and values of a range, `key=value`.
    async fn list(&self, range: Range) -> Vec<String> {
        let listing =
            self.store.list(range.clone()).await.unwrap_or_else(|e| panic!("listing {range:?}: {e}"));
        listing.entries.iter().map(|e| format!("{}={}", e.key, text(&e.value))).collect()
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Box<dyn Watch> {
        let watch = self.store.watch(prefix, after).await;
        watch.unwrap_or_else(|e| panic!("watching {prefix:?} after {after}: {e}"))
    }

    async fn compact(&self, upto: Revision) {
        self.store.compact(upto).await.unwrap_or_else(|e| panic!("compacting up to {upto}: {e}"));
    }
}

fn a_write(key: &str, value: Option<&str>, expect: Expect) -> Write {
    let value = value.map(|v| Value { bytes: Bytes::copy_from_slice(v.as_bytes()), revision_at: None });
    Write { key: key.into(), value, expect }
}

fn range(prefix: &str) -> Range {
    Range { prefix: prefix.into(), ..Range::default() }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("a value that was written as text: {e}"))
}

/// An event as text: `revision kind key value<previous`.
fn told(event: &Event) -> String {
    let (kind, value, previous) = match &event.change {
        Change::Created { value } => ("created", value, None),
        Change::Updated { value, previous } => ("updated", value, Some(previous)),
        Change::Deleted { last, previous } => ("deleted", last, Some(previous)),
    };
    let previous = previous.map(|p| format!("<{}", text(p))).unwrap_or_default();
    format!("{} {kind} {} {}{previous}", event.revision, event.key, text(value))
}

/// The next batch, which must come soon and hold something.
async fn next(watch: &mut dyn Watch) -> Result<Batch, Error> {
    match tokio::time::timeout(PATIENCE, watch.next()).await {
        Ok(Ok(batch)) => {
            assert!(!batch.events.is_empty(), "a batch without events");
            let last = batch.events.last().map_or(0, |e| e.revision);
            assert!(batch.progress >= last, "progress {} before event {last}", batch.progress);
            assert!(watch.progress() >= batch.progress, "the watch's own progress is behind its batch's");
            Ok(batch)
        }
        Ok(Err(error)) => Err(error),
        Err(_) => panic!("no event came within {PATIENCE:?}"),
    }
}

/// The next so many events.
async fn events(watch: &mut dyn Watch, count: usize) -> Vec<String> {
    let mut events = Vec::new();
    while events.len() < count {
        let batch = next(watch).await.unwrap_or_else(|e| panic!("after {} events: {e}", events.len()));
        events.extend(batch.events.iter().map(|e| told(e)));
    }
    assert_eq!(events.len(), count, "more events than there were changes: {events:#?}");
    events
}
