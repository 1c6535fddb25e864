//! Values that are sealed on disk and in backups, with a seal that hides little but binds as a real one does.

use bytes::Bytes;
use lab_store::backup::{self, BackupError};
use lab_store::{Embedded, Error, Expect, Options, Range, Revision, Seal, Store, Value, Write};
use std::path::Path;
use std::sync::Arc;

const HIDDEN: &str = "hidden-value";

/// Seals keys beneath `secret/`: turns every bit, and writes a version, the key and the revision before it.
#[derive(Debug)]
struct Turning(u8);

impl Turning {
    fn head(&self, key: &str, revision: Revision) -> Vec<u8> {
        format!("{}|{key}|{revision}|", self.0).into_bytes()
    }
}

impl Seal for Turning {
    fn seal(&self, key: &str, revision: Revision, value: &[u8]) -> Option<Vec<u8>> {
        let turned = value.iter().map(|byte| !byte);
        key.starts_with("secret/").then(|| self.head(key, revision).into_iter().chain(turned).collect())
    }

    fn open(&self, key: &str, revision: Revision, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let versions = (1..=self.0).map(|version| Turning(version).head(key, revision));
        let turned = versions.into_iter().find_map(|head| sealed.strip_prefix(&head[..]));
        Ok(turned.ok_or("sealed elsewhere")?.iter().map(|byte| !byte).collect())
    }

    fn is_stale(&self, key: &str, stored: &[u8], sealed: bool) -> bool {
        let current = stored.starts_with(format!("{}|", self.0).as_bytes());
        key.starts_with("secret/") && !(sealed && current)
    }
}

fn options(version: u8) -> Options {
    // A small journal and history, so that the tables and compaction take part.
    let seal = Some(Arc::new(Turning(version)) as Arc<dyn Seal>);
    Options { seal, journal_bytes: 16 << 10, history_events: 20, ..Options::default() }
}

async fn put(store: &Embedded, key: &str, value: &str) {
    let found = store.get(key, None).await.expect("reads").0.map(|entry| entry.modified);
    let value = Value { bytes: Bytes::copy_from_slice(value.as_bytes()), revision_at: Some(0) };
    let expect = found.map_or(Expect::Absent, Expect::Revision);
    store.write(Write { key: key.into(), value: Some(value), expect }).await.expect("writes");
}

async fn all(store: &Embedded) -> Vec<(String, Bytes, Revision)> {
    let listing = store.list(Range::default()).await.expect("lists");
    listing.entries.into_iter().map(|e| (e.key.to_string(), e.value, e.modified)).collect()
}

/// Whether a text stands in a file, or in one of a directory.
fn stands(path: &Path, text: &str) -> bool {
    if path.is_dir() {
        let mut entries = std::fs::read_dir(path).expect("a directory");
        return entries.any(|entry| stands(&entry.expect("an entry").path(), text));
    }
    let bytes = std::fs::read(path).expect("a file");
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn a_sealed_value_is_never_on_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("store");
    let store = Embedded::open(&path, options(1)).expect("opens");
    for number in 0..60 {
        put(&store, &format!("secret/{}", number % 7), &format!(" {HIDDEN} {number}")).await;
        put(&store, &format!("open/{}", number % 7), &format!(" shown {number}")).await;
        assert!(!stands(&path, HIDDEN), "after write {number}");
    }
    let before = all(&store).await;
    assert!(before.iter().any(|(_, value, _)| value.ends_with(b"hidden-value 59")));
    assert!(store.figures().compacted > 0 && stands(&path, "shown"));
    let copy = dir.path().join("copy");
    let written = store.backup(std::fs::File::create(&copy).expect("a file")).expect("backs up");
    assert!(!stands(&copy, HIDDEN) && stands(&copy, "shown"));
    drop(store);
    let store = Embedded::open(&path, options(1)).expect("opens");
    assert_eq!((all(&store).await, store.stale()), (before.clone(), 0));
    drop(store);

    // What another seal cannot open is an error, not another value.
    let without = Embedded::open(&path, Options::default()).expect_err("sealed").to_string();
    assert!(without.contains("is encrypted, and no key was given"), "{without}");
    let other = Embedded::open(&path, options(0)).expect_err("sealed").to_string();
    assert!(other.contains("secret/") && other.contains("sealed elsewhere"), "{other}");

    let restored = dir.path().join("restored");
    let file = || std::fs::File::open(&copy).expect("a file");
    let refused = backup::restore(file(), &restored, None).expect_err("sealed");
    assert!(matches!(refused, BackupError::Store(Error::Unreadable { .. })), "{refused}");
    assert!(!restored.exists());
    let seal = options(2).seal;
    assert_eq!(backup::restore(file(), &restored, seal).expect("restores"), written);
    assert!(!stands(&restored, HIDDEN));
    let store = Embedded::open(&restored, options(2)).expect("opens");
    assert_eq!((all(&store).await, store.stale()), (before, 0));
}

#[tokio::test]
async fn what_is_sealed_otherwise_is_written_anew() {
    let dir = tempfile::tempdir().expect("a directory");
    let unsealed = Embedded::open(dir.path(), Options::default()).expect("opens");
    for number in 0..5 {
        put(&unsealed, "secret/a", &format!(" {HIDDEN} {number}")).await;
        put(&unsealed, "open/a", " shown").await;
    }
    let before = all(&unsealed).await;
    drop(unsealed);
    assert!(stands(dir.path(), HIDDEN));
    for version in [1, 2] {
        let store = Embedded::open(dir.path(), options(version)).expect("opens");
        assert_eq!((all(&store).await, store.stale()), (before.clone(), 5));
        store.write_anew().await.expect("writes");
        assert_eq!((all(&store).await, store.stale()), (before.clone(), 0));
        assert!(!stands(dir.path(), HIDDEN) && stands(dir.path(), "shown"));
        assert!(!stands(dir.path(), &format!("{}|secret", version - 1)), "nothing of before is left");
        put(&store, "open/b", " shown").await;
        store.get("secret/a", Some(3)).await.expect("the history is kept");
        let last = store.get("open/b", None).await.expect("reads").0.expect("exists").modified;
        store
            .write(Write { key: "open/b".into(), value: None, expect: Expect::Revision(last) })
            .await
            .expect("deletes");
    }
}
