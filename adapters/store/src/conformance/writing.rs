//! Writes: revisions, conditions, what is refused.

use super::{Subject, a_write, range, text};
use crate::{Error, Expect, Revision, Value, Write};
use bytes::Bytes;
use std::future::Future;
use std::task::{Context, Waker};
use tokio::task::JoinSet;

pub(super) async fn each_write_has_its_revision(s: Subject) {
    let start = s.store.revision();
    let created = s.create("t/a", "1").await;
    assert_eq!((created.created, created.modified), (start + 1, start + 1));
    let updated = s.update("t/a", "2", created.modified).await;
    assert_eq!((updated.created, updated.modified), (start + 1, start + 2), "an update keeps `created`");
    let deleted = s.delete("t/a", updated.modified).await;
    assert_eq!((deleted.created, deleted.modified), (start + 1, start + 3));
    let again = s.create("t/a", "3").await;
    assert_eq!((again.created, again.modified), (start + 4, start + 4), "created again is created anew");
    assert_eq!(s.store.revision(), start + 4);

    s.write("t/a", Some("x"), Expect::Absent).await.expect_err("exists");
    assert_eq!(s.store.revision(), start + 4, "a refused write makes no revision");
    assert_eq!(s.create("t/b", "1").await.modified, start + 5);
    assert_eq!(s.get("t/b", None).await.map(|e| e.modified), Some(start + 5), "a write is read afterwards");
    let read = s.store.get("t/b", None).await.map(|(_, revision)| revision);
    assert_eq!(read.ok(), Some(start + 5), "a read says its revision");
}

async fn check_conflict(s: &Subject, value: Option<&str>, expect: Expect, expected: Option<Revision>) {
    match s.write("t/a", value, expect).await {
        Err(Error::Conflict { key, found }) => {
            assert_eq!((&*key, found), ("t/a", expected), "{value:?} {expect:?}")
        }
        other => panic!("{value:?} {expect:?}: {other:?}"),
    }
}

pub(super) async fn conditions_are_held(s: Subject) {
    check_conflict(&s, Some("x"), Expect::Revision(1), None).await;
    check_conflict(&s, None, Expect::Revision(1), None).await;
    check_conflict(&s, None, Expect::Absent, None).await;
    let at = s.create("t/a", "1").await.modified;
    check_conflict(&s, Some("x"), Expect::Absent, Some(at)).await;
    check_conflict(&s, Some("x"), Expect::Revision(at + 1), Some(at)).await;
    check_conflict(&s, None, Expect::Absent, Some(at)).await;
    check_conflict(&s, None, Expect::Revision(at + 7), Some(at)).await;
    let newer = s.update("t/a", "2", at).await.modified;
    check_conflict(&s, Some("x"), Expect::Revision(at), Some(newer)).await;
    s.delete("t/a", newer).await;
    check_conflict(&s, Some("x"), Expect::Revision(newer), None).await;
    assert_eq!(s.list(range("t/")).await, Vec::<String>::new());
}

pub(super) async fn of_racing_writes_one_wins(s: Subject) {
    let mut at = s.create("t/a", "start").await.modified;
    for round in 0..5 {
        let mut racing = JoinSet::new();
        for racer in 0..16 {
            let store = s.store.clone();
            let write = a_write("t/a", Some(&format!("{round}-{racer}")), Expect::Revision(at));
            racing.spawn(async move { store.write(write).await });
        }
        let results = racing.join_all().await;
        let won: Vec<_> = results.iter().filter_map(|r| r.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "{results:?}");
        for lost in results.iter().filter_map(|r| r.as_ref().err()) {
            let named = matches!(lost, Error::Conflict { found, .. } if *found == Some(won[0].modified));
            assert!(named, "a loser is told who won: {lost:?}");
        }
        assert_eq!(s.get("t/a", None).await.as_ref(), Some(won[0]));
        at = won[0].modified;
    }
}

fn marked(key: &str, value: &'static str, expect: Expect) -> Write {
    let at = value.find("\"\"").map_or(0, |at| at as u32 + 1);
    let value = Value { bytes: Bytes::from_static(value.as_bytes()), revision_at: Some(at) };
    Write { key: key.into(), value: Some(value), expect }
}

pub(super) async fn the_revision_is_written_in(s: Subject) {
    // Far enough that a deletion's revision can have one digit more than the one it replaces.
    for n in 0..12 {
        let created =
            s.store.write(marked("t/m", r#"{"v":"","x":1}"#, Expect::Absent)).await.expect("creates");
        assert_eq!(text(&created.value), format!(r#"{{"v":"{}","x":1}}"#, created.modified), "round {n}");
        assert_eq!(s.get("t/m", None).await, Some(created.clone()));
        let expect = Expect::Revision(created.modified);
        let updated = s.store.write(marked("t/m", r#"{"long":"er","v":""}"#, expect)).await.expect("updates");
        assert_eq!(text(&updated.value), format!(r#"{{"long":"er","v":"{}"}}"#, updated.modified));
        let deleted = s.delete("t/m", updated.modified).await;
        assert_eq!(text(&deleted.value), format!(r#"{{"long":"er","v":"{}"}}"#, deleted.modified));
    }
    for (value, at, before) in [("", 0, ""), ("tail", 4, "tail")] {
        let value = Value { bytes: Bytes::from_static(value.as_bytes()), revision_at: Some(at) };
        let write = Write { key: format!("t/{before}").into(), value: Some(value), expect: Expect::Absent };
        let written = s.store.write(write).await.expect("a revision at the very end");
        assert_eq!(text(&written.value), format!("{before}{}", written.modified));
    }
    assert_eq!(text(&s.create("t/plain", "as \"\" is").await.value), "as \"\" is");
}

pub(super) async fn malformed_writes_are_refused(s: Subject) {
    let start = s.store.revision();
    let beyond = Value { bytes: Bytes::from_static(b"abc"), revision_at: Some(4) };
    for write in [
        a_write("", Some("x"), Expect::Absent),
        a_write(&"k".repeat(1 << 20), Some("x"), Expect::Absent),
        Write { key: "t/a".into(), value: Some(beyond), expect: Expect::Absent },
    ] {
        let refused = s.store.write(write).await;
        assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    }
    assert_eq!(s.store.revision(), start);
}

pub(super) async fn a_dropped_write_is_whole_or_absent(s: Subject) {
    for n in 0..20 {
        let key = format!("t/{n:02}");
        let mut writing = Box::pin(s.write(&key, Some("whole"), Expect::Absent));
        // Begun, and given up before the answer.
        let _ = writing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop(writing);
    }
    let last = s.create("t/last", "whole").await.modified;
    let listing = s.store.list(range("t/")).await.expect("lists");
    assert!(listing.entries.iter().all(|e| &e.value[..] == b"whole"), "{listing:?}");
    assert_eq!(listing.entries.len() as u64, last, "each write that was carried out made one revision");
}
