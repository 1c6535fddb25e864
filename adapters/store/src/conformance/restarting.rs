//! What outlasts a restart.

use super::{Subject, events, range};
use crate::{Error, Range, Store};
use std::sync::Arc;

pub(super) async fn what_was_acknowledged_is_there_again<P>(
    place: &P,
    open: &impl AsyncFn(&P) -> Arc<dyn Store>,
) {
    let mut entries = Vec::new();
    for round in 0..3 {
        let s = Subject { store: open(place).await };
        let listing = s.store.list(range("")).await.expect("lists");
        assert_eq!(listing.entries, entries, "round {round}");
        let start = s.store.revision();
        let kept = s.create(&format!("t/{round}"), "kept").await;
        assert_eq!(kept.modified, start + 1, "revisions go on");
        s.update(&format!("t/{round}"), "changed", kept.modified).await;
        let gone = s.create("t/gone", "x").await.modified;
        s.delete("t/gone", gone).await;
        entries = s.store.list(range("")).await.expect("lists").entries;
        assert_eq!(entries.len(), round + 1);
    }
    let s = Subject { store: open(place).await };
    assert_eq!(s.store.revision(), 12, "the last change was a deletion");
}

pub(super) async fn a_watch_resumes_over_a_restart<P>(place: &P, open: &impl AsyncFn(&P) -> Arc<dyn Store>) {
    let s = Subject { store: open(place).await };
    let a = s.create("t/a", "one").await.modified;
    let b = s.update("t/a", "two", a).await.modified;
    let c = s.delete("t/a", b).await.modified;
    drop(s);
    let s = Subject { store: open(place).await };
    let mut watch = s.watch("t/", a).await;
    let d = s.create("t/a", "three").await.modified;
    let expected = [
        format!("{b} updated t/a two<one"),
        format!("{c} deleted t/a two<two"),
        format!("{d} created t/a three"),
    ];
    assert_eq!(events(&mut *watch, 3).await, expected);
    assert_eq!(s.list(Range { at: Some(a), ..range("t/") }).await, ["t/a=one"], "the past is still there");
}

pub(super) async fn the_oldest_revision_never_falls<P>(place: &P, open: &impl AsyncFn(&P) -> Arc<dyn Store>) {
    let s = Subject { store: open(place).await };
    let a = s.create("t/a", "one").await.modified;
    let b = s.create("t/b", "one").await.modified;
    let newest = s.delete("t/b", b).await.modified;
    s.compact(newest).await;
    drop(s);
    for _ in 0..2 {
        let s = Subject { store: open(place).await };
        assert_eq!(s.store.revision(), newest, "no revision is handed out twice");
        let early = s.store.watch("t/", newest - 1).await.err();
        let expected = matches!(early, Some(Error::Compacted { oldest, .. }) if oldest == newest);
        assert!(expected, "{early:?}");
        s.watch("t/", newest).await;
        assert_eq!(s.get("t/a", None).await.map(|e| e.modified), Some(a));
    }
}
