//! Reads: lists, parts of lists, the past, compaction.

use super::{Subject, range};
use crate::{Error, Range, Revision};

async fn fill(s: &Subject, keys: &[&str]) {
    for key in keys {
        s.create(key, key).await;
    }
}

async fn check_keys(s: &Subject, range: Range, expected: &[&str], remaining: usize) {
    let listing = s.store.list(range.clone()).await.unwrap_or_else(|e| panic!("{range:?}: {e}"));
    let keys: Vec<_> = listing.entries.iter().map(|e| &*e.key).collect();
    assert_eq!((keys.as_slice(), listing.remaining), (expected, remaining), "{range:?}");
    assert_eq!(listing.revision, range.at.unwrap_or(s.store.revision()), "{range:?}");
}

pub(super) async fn a_list_is_ordered_and_complete(s: Subject) {
    fill(&s, &["t/b/2", "t/a/1", "t/b/10", "t/ä", "t/b", "u/x", "t/b0"]).await;
    check_keys(&s, range("t/b/"), &["t/b/10", "t/b/2"], 0).await;
    check_keys(&s, range("t/"), &["t/a/1", "t/b", "t/b/10", "t/b/2", "t/b0", "t/ä"], 0).await;
    check_keys(&s, range(""), &["t/a/1", "t/b", "t/b/10", "t/b/2", "t/b0", "t/ä", "u/x"], 0).await;
    check_keys(&s, range("none"), &[], 0).await;
}

pub(super) async fn a_list_comes_in_parts(s: Subject) {
    fill(&s, &["t/a", "t/b", "t/c", "t/d", "u/e"]).await;
    let part = |after: Option<&str>, limit| Range { after: after.map(Into::into), limit, ..range("t/") };
    check_keys(&s, part(None, Some(2)), &["t/a", "t/b"], 2).await;
    check_keys(&s, part(Some("t/b"), Some(2)), &["t/c", "t/d"], 0).await;
    check_keys(&s, part(Some("t/b"), Some(9)), &["t/c", "t/d"], 0).await;
    check_keys(&s, part(Some("t/bb"), None), &["t/c", "t/d"], 0).await;
    check_keys(&s, part(Some("a"), Some(1)), &["t/a"], 3).await;
    check_keys(&s, part(Some("t/d"), None), &[], 0).await;
    check_keys(&s, part(Some("z"), None), &[], 0).await;
    check_keys(&s, part(None, Some(0)), &[], 4).await;
}

pub(super) async fn the_past_can_be_read(s: Subject) {
    let mut then = vec![(s.store.revision(), Vec::new())];
    let mut at = [0; 4];
    // Creates, updates, deletes and creates again, in an order that leaves each key in every state at some revision.
    for step in 0..24_usize {
        let (slot, key) = (step * 7 % 4, format!("t/{}", step * 7 % 4));
        at[slot] = match (step / 4 % 3, at[slot]) {
            (_, 0) => s.create(&key, &step.to_string()).await.modified,
            (1, now) => s.update(&key, &step.to_string(), now).await.modified,
            (_, now) => {
                s.delete(&key, now).await;
                0
            }
        };
        then.push((s.store.revision(), s.list(range("t/")).await));
    }
    for (revision, expected) in &then {
        let at = Some(*revision);
        assert_eq!(&s.list(Range { at, ..range("t/") }).await, expected, "at {revision}");
        for slot in 0..4 {
            let key = format!("t/{slot}");
            let found = s.get(&key, at).await.map(|e| format!("{key}={}", super::text(&e.value)));
            assert_eq!(found.as_ref(), expected.iter().find(|e| e.starts_with(&key)), "{key} at {revision}");
        }
    }
    let newest = s.store.revision();
    let future = s.store.get("t/0", Some(newest + 1)).await;
    assert!(
        matches!(future, Err(Error::Future { asked, newest: n }) if asked == n + 1 && n == newest),
        "{future:?}"
    );
    let future = s.store.list(Range { at: Some(newest + 1), ..range("") }).await;
    assert!(matches!(future, Err(Error::Future { .. })), "{future:?}");
}

pub(super) async fn parts_of_a_list_fit_together(s: Subject) {
    for n in 0..10 {
        s.create(&format!("t/{n}"), "old").await;
    }
    let first = s.store.list(Range { limit: Some(4), ..range("t/") }).await.expect("the first part");
    // What happens in between is not to be seen in the parts to come.
    s.create("t/45", "new").await;
    let at = s.get("t/6", None).await.map_or(0, |e| e.modified);
    s.update("t/6", "new", at).await;
    let at = s.get("t/8", None).await.map_or(0, |e| e.modified);
    s.delete("t/8", at).await;
    s.create("t/99", "new").await;
    let after = first.entries.last().map(|e| e.key.to_string());
    let rest = Range { after, at: Some(first.revision), limit: Some(5), ..range("t/") };
    let second = s.store.list(rest.clone()).await.expect("the second part");
    assert_eq!((second.entries.len(), second.remaining, second.revision), (5, 1, first.revision));
    let after = second.entries.last().map(|e| e.key.to_string());
    let third = s.store.list(Range { after, ..rest }).await.expect("the third part");
    let all: Vec<_> = [first.entries, second.entries, third.entries].concat();
    assert_eq!(all.len(), 10);
    for (n, entry) in all.iter().enumerate() {
        assert_eq!((&*entry.key, &entry.value[..]), (format!("t/{n}").as_str(), &b"old"[..]));
        assert_eq!(entry.modified, entry.created, "the entry as it was then");
    }
}

async fn check_compacted(s: &Subject, asked: Revision, oldest: Revision) {
    let expect = |what: &str, error: Option<Error>| match error {
        Some(Error::Compacted { asked: a, oldest: o }) if (a, o) == (asked, oldest) => {}
        other => panic!("{what} at {asked}: {other:?}"),
    };
    expect("get", s.store.get("t/a", Some(asked)).await.err());
    expect("list", s.store.list(Range { at: Some(asked), ..range("t/") }).await.err());
    expect("watch", s.store.watch("t/", asked).await.err());
}

pub(super) async fn compaction_forgets_and_keeps(s: Subject) {
    let first = s.create("t/a", "1").await.modified;
    let second = s.update("t/a", "2", first).await.modified;
    let other = s.create("t/b", "1").await.modified;
    s.delete("t/b", other).await;
    let newest = s.update("t/a", "3", second).await.modified;
    s.compact(second).await;
    check_compacted(&s, first, second).await;
    assert_eq!(s.list(Range { at: Some(second), ..range("t/") }).await, ["t/a=2"], "the oldest kept is kept");
    assert_eq!(s.list(Range { at: Some(other), ..range("t/") }).await, ["t/a=2", "t/b=1"]);
    s.compact(first).await;
    check_compacted(&s, first, second).await;
    s.compact(newest).await;
    check_compacted(&s, newest - 1, newest).await;
    assert_eq!(s.list(range("t/")).await, ["t/a=3"], "the newest values stay");
    assert_eq!(s.get("t/a", None).await.map(|e| (e.created, e.modified)), Some((first, newest)));
    let future = s.store.compact(newest + 1).await;
    assert!(matches!(future, Err(Error::Future { asked, .. }) if asked == newest + 1), "{future:?}");
    assert_eq!(s.store.revision(), newest, "compaction makes no revision");
    assert_eq!(s.update("t/a", "4", newest).await.modified, newest + 1);
}
