//! Many writers, slow and many watchers, a full disk.

use bytes::Bytes;
use lab_store::{Embedded, Error, Expect, Options, Store, Value, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::task::JoinSet;

fn create(key: &str, bytes: usize) -> Write {
    let value = Value { bytes: Bytes::from(vec![b'x'; bytes]), revision_at: None };
    Write { key: key.into(), value: Some(value), expect: Expect::Absent }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_wait_share_a_sync() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(Embedded::open(dir.path(), Options::default()).expect("opens"));
    let mut writers = JoinSet::new();
    for writer in 0..64 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..20 {
                store.write(create(&format!("t/{writer}/{n}"), 100)).await.expect("writes");
            }
        });
    }
    writers.join_all().await;
    let figures = store.figures();
    assert_eq!((figures.writes, figures.revision, figures.keys), (1280, 1280, 1280));
    assert!(figures.commits <= 1280 / 4, "{} commits for 1280 writes", figures.commits);
    assert_eq!(figures.batch_writes.sum, 1280.0);
    assert_eq!(figures.batch_writes.count(), figures.commits);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_watcher_costs_nothing_but_its_own_watch() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { history_events: 60, ..Options::default() };
    let store = Embedded::open(dir.path(), options).expect("opens");
    let mut slow = store.watch("t/", 0).await.expect("watches");
    let mut quick = store.watch("t/", 0).await.expect("watches");
    let quiet = store.watch("q/", 0).await.expect("watches");
    let mut seen = 0;
    for n in 0..200 {
        store.write(create(&format!("t/{n}"), 1000)).await.expect("writes");
        seen += quick.next().await.expect("keeps up").events.len();
    }
    assert_eq!(seen, 200);
    // The slow one holds no events of its own: memory is the history's, and that is bounded.
    assert!(store.figures().history_events <= 70, "{:?}", store.figures());
    let cut = slow.next().await.err();
    assert!(matches!(cut, Some(Error::Compacted { .. })), "{cut:?}");
    assert_eq!(quiet.progress(), 200);
    assert_eq!(store.figures().watchers, 3);
    drop((slow, quick, quiet));
    assert_eq!(store.figures().watchers, 0);
}

/// A file system of its own, small, for as long as this lives.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "none"]).arg(path).output().ok()?;
        mount.status.success().then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg(self.0).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_and_recovers() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(disk) = SmallDisk::mount(dir.path()) else {
        eprintln!(
            "SKIPPED: a small tmpfs cannot be mounted here (needs root); the simulation fills its disk instead"
        );
        return;
    };
    let options = Options { journal_bytes: 256 << 10, ..Options::default() };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).expect("room for ballast");
    let store = Embedded::open(disk.0, options.clone()).expect("opens");
    let mut watch = store.watch("t/", 0).await.expect("watches");
    let mut stored = 0;
    let why = loop {
        match store.write(create(&format!("t/{stored:04}"), 20_000)).await {
            Ok(_) => stored += 1,
            Err(Error::Unwritable { why }) => break why,
            Err(error) => panic!("{error}"),
        }
        assert!(stored < 200, "3 MiB never run full");
    };
    assert!(why.contains("No space left"), "{why}");
    for _ in 0..3 {
        let refused = store.write(create("t/more", 20_000)).await;
        assert!(matches!(refused, Err(Error::Unwritable { .. })), "{refused:?}");
    }
    assert_eq!(
        (store.figures().writable(), store.figures().keys, store.revision()),
        (false, stored, stored as u64)
    );
    assert!(store.get("t/0000", None).await.expect("reads go on").0.is_some());
    let mut seen = 0;
    while seen < stored {
        seen += watch.next().await.expect("watches go on").events.len();
    }

    std::fs::remove_file(&ballast).expect("makes room");
    store.write(create("t/more", 20_000)).await.expect("space returned");
    assert!(store.figures().writable());
    assert_eq!(watch.next().await.expect("the event").events.len(), 1);
    drop((watch, store));
    let store = Embedded::open(disk.0, options).expect("opens");
    assert_eq!(store.figures().keys, stored + 1);
}
