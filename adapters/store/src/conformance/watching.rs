//! Watches: order, resumption, progress, slowness.

use super::{Subject, events, next, range, told};
use crate::{Error, Watch};
use std::task::{Context, Poll, Waker};
use tokio::task::JoinSet;

pub(super) async fn events_come_in_order_each_once(s: Subject) {
    let start = s.store.revision();
    let mut watch = s.watch("t/", start).await;
    let mut writing = JoinSet::new();
    for writer in 0..8 {
        let store = s.store.clone();
        writing.spawn(async move {
            let s = Subject { store };
            for n in 0..50 {
                s.create(&format!("t/{writer}/{n}"), "x").await;
            }
        });
    }
    let seen = events(&mut *watch, 400).await;
    writing.join_all().await;
    let revisions: Vec<u64> = seen.iter().filter_map(|e| e.split(' ').next()?.parse().ok()).collect();
    assert_eq!(revisions, (start + 1..=start + 400).collect::<Vec<_>>());
    assert_eq!(watch.progress(), start + 400);
}

pub(super) async fn a_change_tells_what_was_before(s: Subject) {
    let mut watch = s.watch("t/", s.store.revision()).await;
    let a = s.create("t/a", "one").await.modified;
    let b = s.update("t/a", "two", a).await.modified;
    let c = s.delete("t/a", b).await.modified;
    let d = s.create("t/a", "three").await.modified;
    let expected = [
        format!("{a} created t/a one"),
        format!("{b} updated t/a two<one"),
        format!("{c} deleted t/a two<two"),
        format!("{d} created t/a three"),
    ];
    assert_eq!(events(&mut *watch, 4).await, expected);
}

pub(super) async fn a_watch_resumes_where_it_is_told(s: Subject) {
    let start = s.store.revision();
    for n in 0..6 {
        s.create(&format!("t/{n}"), "x").await;
    }
    for after in start..=start + 6 {
        let mut watch = s.watch("t/", after).await;
        let last = s.store.revision();
        let missed = events_upto(&mut *watch, last).await;
        assert_eq!(missed.len() as u64, last - after, "after {after}");
    }
    let future = s.store.watch("t/", s.store.revision() + 1).await.err();
    assert!(matches!(future, Some(Error::Future { .. })), "{future:?}");
}

/// Events until the watch has come to a revision.
async fn events_upto(watch: &mut dyn Watch, revision: u64) -> Vec<String> {
    let mut seen = Vec::new();
    while watch.progress() < revision {
        let batch = next(watch).await.unwrap_or_else(|e| panic!("after {seen:?}: {e}"));
        seen.extend(batch.events.iter().map(|e| told(e)));
    }
    seen
}

pub(super) async fn a_watch_sees_its_prefix_only(s: Subject) {
    let start = s.store.revision();
    let mut below = s.watch("t/a/", start).await;
    let mut key = s.watch("t/a", start).await;
    let mut all = s.watch("", start).await;
    for name in ["t/a", "t/b", "t/a/x", "u/a/x"] {
        s.create(name, "x").await;
    }
    let names = |events: Vec<String>| -> Vec<String> {
        events.iter().filter_map(|e| Some(e.split(' ').nth(2)?.to_owned())).collect()
    };
    assert_eq!(names(events(&mut *below, 1).await), ["t/a/x"]);
    assert_eq!(names(events(&mut *key, 2).await), ["t/a", "t/a/x"]);
    assert_eq!(names(events(&mut *all, 4).await), ["t/a", "t/b", "t/a/x", "u/a/x"]);
}

pub(super) async fn progress_neither_lags_nor_overtakes(s: Subject) {
    let start = s.store.revision();
    let mut watch = s.watch("t/", start).await;
    assert_eq!(watch.progress(), start);
    for n in 1..=5 {
        s.create(&format!("u/{n}"), "x").await;
        assert_eq!(watch.progress(), start + n, "it rises while the prefix is quiet");
    }
    let event = s.create("t/a", "x").await.modified;
    s.create("u/more", "x").await;
    assert!(watch.progress() < event, "it waits for an event that was not taken yet");
    assert!(watch.progress() >= start, "it never falls");
    let batch = next(&mut *watch).await.expect("the event");
    assert_eq!(batch.events.len(), 1);
    assert_eq!(watch.progress(), event + 1);
    // A watch that resumes from a progress mark has neither a gap nor a repetition.
    let later = s.create("t/b", "x").await.modified;
    let mut resumed = s.watch("t/", event + 1).await;
    assert_eq!(events(&mut *resumed, 1).await, [format!("{later} created t/b x")]);
}

pub(super) async fn waiting_can_be_given_up_at_any_time(s: Subject) {
    let mut watch = s.watch("t/", s.store.revision()).await;
    let mut seen = Vec::new();
    for n in 0..40 {
        let mut waiting = watch.next();
        let polled = waiting.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(waiting);
        if let Poll::Ready(batch) = polled {
            seen.extend(batch.expect("a batch").events.iter().map(|e| told(e)));
        }
        if n % 2 == 0 {
            s.create(&format!("t/{n}"), "x").await;
        }
    }
    seen.extend(events_upto(&mut *watch, s.store.revision()).await);
    assert_eq!(seen.len(), 20, "{seen:#?}");
}

pub(super) async fn all_watchers_see_the_same(s: Subject) {
    let start = s.store.revision();
    let mut watching = JoinSet::new();
    for _ in 0..50 {
        let mut watch = s.watch("t/", start).await;
        watching.spawn(async move { events(&mut *watch, 30).await });
    }
    for n in 0..30 {
        s.create(&format!("t/{n}"), "x").await;
    }
    let seen = watching.join_all().await;
    assert!(seen.iter().all(|events| *events == seen[0]));
}

pub(super) async fn a_slow_watcher_is_cut_off_and_a_quiet_one_is_not(s: Subject) {
    let start = s.store.revision();
    let mut slow = s.watch("t/", start).await;
    let mut quiet = s.watch("q/", start).await;
    let mut quick = s.watch("t/", start).await;
    let mut last = 0;
    for n in 0..10 {
        last = s.create(&format!("t/{n}"), "x").await.modified;
    }
    assert_eq!(events(&mut *quick, 10).await.len(), 10);
    s.compact(last).await;
    for _ in 0..2 {
        let cut = next(&mut *slow).await.err();
        let expected =
            matches!(cut, Some(Error::Compacted { asked, oldest }) if asked < oldest && oldest == last);
        assert!(expected, "{cut:?}");
    }
    let quiet_event = s.create("q/a", "x").await.modified;
    let quick_event = s.create("t/more", "x").await.modified;
    assert_eq!(events(&mut *quiet, 1).await, [format!("{quiet_event} created q/a x")]);
    assert_eq!(events(&mut *quick, 1).await, [format!("{quick_event} created t/more x")]);
    assert_eq!(s.list(range("t/")).await.len(), 11, "nobody was held back");
}
