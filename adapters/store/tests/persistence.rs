//! What lies on disk: the format of yesterday, that of tomorrow, damage, a second process, backups, the history's bounds.

use bytes::Bytes;
use lab_store::backup::{self, BackupError, REVISION_GAP};
use lab_store::{
    Change, Embedded, Entry, Error, Expect, Notes, Options, Range, Revision, Store, Value, Write,
};
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::Arc;

fn open(dir: &Path) -> Result<Embedded, Error> {
    Embedded::open(dir, Options::default())
}

async fn put(store: &Embedded, key: &str, value: &str) -> Entry {
    let found = store.get(key, None).await.expect("reads").0.map(|e| e.modified);
    let value = Value { bytes: Bytes::copy_from_slice(value.as_bytes()), revision_at: Some(0) };
    let expect = found.map_or(Expect::Absent, Expect::Revision);
    store.write(Write { key: key.into(), value: Some(value), expect }).await.expect("writes")
}

async fn delete(store: &Embedded, key: &str) {
    let found = store.get(key, None).await.expect("reads").0.expect("exists");
    let expect = Expect::Revision(found.modified);
    store.write(Write { key: key.into(), value: None, expect }).await.expect("deletes");
}

async fn all(store: &Embedded) -> Vec<String> {
    let listing = store.list(Range::default()).await.expect("lists");
    let text = |e: &Entry| format!("{}={} {}", e.key, String::from_utf8_lossy(&e.value), e.created);
    listing.entries.iter().map(text).collect()
}

const FORMAT_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/format-1.redb.gz");

const FORMAT_2: [(&str, &str); 2] = [
    ("store.redb", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/format-2.redb.gz")),
    ("store.journal", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/format-2.journal.gz")),
];

/// What the fixtures were made by. `LAB_STORE_FIXTURE=<directory>` makes one of the present format.
async fn make_fixture(into: &Path) {
    let dir = tempfile::tempdir().expect("a directory");
    // Some of it is in the tables, and some in the journal alone.
    let options = Options { journal_bytes: 12 << 10, ..Options::default() };
    let store = Embedded::open(dir.path(), options).expect("opens");
    put(&store, "t/superseded", " one").await;
    put(&store, "t/superseded", " two").await;
    put(&store, "t/deleted", " x").await;
    delete(&store, "t/deleted").await;
    store.compact(2).await.expect("compacts");
    put(&store, "t/ä", " last").await;
    store.close();
    for (name, _) in FORMAT_2 {
        let bytes = std::fs::read(dir.path().join(name)).expect("reads");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(&bytes).expect("packs");
        std::fs::write(into.join(format!("{name}.gz")), packed.finish().expect("packs")).expect("writes");
    }
}

fn unpacked(fixture: &str) -> Vec<u8> {
    let packed = std::fs::read(fixture).expect("the fixture");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut bytes).expect("unpacks");
    bytes
}

#[tokio::test]
async fn yesterdays_formats_are_read() {
    if let Some(file) = std::env::var_os("LAB_STORE_FIXTURE") {
        make_fixture(Path::new(&file)).await;
    }
    check_read(&[("store.redb", FORMAT_1)]).await;
    check_read(&FORMAT_2).await;
}

async fn check_read(files: &[(&str, &str)]) {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, fixture) in files {
        std::fs::write(dir.path().join(name), unpacked(fixture)).expect("writes");
    }
    let store = open(dir.path()).expect("opens");
    assert_eq!(all(&store).await, ["t/superseded=2 two 1", "t/ä=5 last 5"]);
    assert_eq!((store.revision(), store.figures().compacted), (5, 2));
    let mut watch = store.watch("t/deleted", 2).await.expect("watches the past");
    let batch = watch.next().await.expect("events");
    let Change::Deleted { last, previous } = &batch.events[1].change else { panic!("{batch:?}") };
    assert_eq!((&last[..], &previous[..]), (&b"4 x"[..], &b"3 x"[..]));
    assert_eq!(put(&store, "t/new", "").await.modified, 6);
    drop(store);
    assert_eq!(open(dir.path()).expect("opens again").revision(), 6);
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("store.redb");
    std::fs::write(&file, unpacked(FORMAT_1)).expect("writes");
    {
        let database = redb::Database::open(&file).expect("opens");
        let transaction = database.begin_write().expect("writes");
        let meta = redb::TableDefinition::<&str, u64>::new("meta");
        transaction.open_table(meta).expect("a table").insert("format", 3).expect("inserts");
        transaction.commit().expect("commits");
    }
    let refused = open(dir.path()).expect_err("a newer format").to_string();
    assert!(refused.contains("format 3") && refused.contains("none above 2"), "{refused}");
}

async fn check_damaged(damage: impl FnOnce(&mut Vec<u8>)) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("store.redb");
    let mut bytes = unpacked(FORMAT_1);
    damage(&mut bytes);
    std::fs::write(&file, bytes).expect("writes");
    let refused = open(dir.path());
    assert!(matches!(refused, Err(Error::Unreadable { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    check_damaged(|bytes| bytes.truncate(100)).await;
    check_damaged(|bytes| bytes[..64].fill(0)).await;
    check_damaged(|bytes| bytes.truncate(bytes.len() / 2)).await;
    check_damaged(|bytes| *bytes = b"something else entirely".repeat(500)).await;
}

/// A taker of notes that cannot make anything durable.
#[derive(Debug)]
struct Forgetful;

impl Notes for Forgetful {
    fn take(&self, _: Revision, _: &[u8]) {}

    fn keep(&self) -> Result<(), Error> {
        Err(Error::Unwritable { why: "no ink".into() })
    }
}

#[tokio::test]
async fn no_note_is_forgotten_for_want_of_a_taker() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { journal_bytes: 12 << 10, notes: Some(Arc::new(Forgetful)), ..Options::default() };
    let store = Embedded::open(dir.path(), options).expect("opens");
    let mut written = 0;
    let refused = loop {
        let value = Value { bytes: Bytes::from_static(b" x"), revision_at: Some(0) };
        let write = Write { key: format!("t/{written}").into(), value: Some(value), expect: Expect::Absent };
        match store.write_noted(write, Some(Bytes::from_static(b"note"))).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 100, "the journal was written over");
    };
    assert!(refused.to_string().contains("no ink"), "{refused}");
    assert_eq!(written, 3, "a block for each, and no room for a fourth");
}

#[tokio::test]
async fn one_process_at_a_time() {
    let dir = tempfile::tempdir().expect("a directory");
    let first = open(dir.path()).expect("opens");
    let refused = open(dir.path()).expect_err("in use");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(first);
    open(dir.path()).expect("free again");
}

#[tokio::test]
async fn a_backup_of_a_running_store_is_one_moment() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Arc::new(open(&dir.path().join("old")).expect("opens"));
    for n in 0..50 {
        put(&store, &format!("t/{n:02}"), " value").await;
    }
    delete(&store, "t/07").await;
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for n in 0..100 {
                put(&store, &format!("u/{n}"), " more").await;
            }
        }
    });
    tokio::task::yield_now().await;
    let mut bytes = Vec::new();
    let summary = store.backup(&mut bytes).expect("backs up");
    writer.await.expect("writes");
    let then = Range { at: Some(summary.revision), ..Range::default() };
    let expected = store.list(then).await.expect("lists").entries;
    assert_eq!((summary.objects, summary.bytes), (expected.len() as u64, bytes.len() as u64));

    let new = dir.path().join("new");
    assert_eq!(backup::restore(&bytes[..], &new, None).expect("restores"), summary);
    let restored = open(&new).expect("opens");
    assert_eq!(restored.list(Range::default()).await.expect("lists").entries, expected);
    assert_eq!(restored.revision(), summary.revision + REVISION_GAP);
    for old in [0, summary.revision, store.revision() + 1] {
        let resumed = restored.watch("t/", old).await.err();
        assert!(matches!(resumed, Some(Error::Compacted { .. })), "{old}: {resumed:?}");
    }
    // The place of the revision came along, and revisions go on above all that may have been used.
    let next = put(&restored, "t/01", " changed").await;
    assert_eq!(next.modified, summary.revision + REVISION_GAP + 1);
    delete(&restored, "t/02").await;
    let mut watch = restored.watch("t/02", next.modified).await.expect("watches");
    let batch = watch.next().await.expect("an event");
    let Change::Deleted { last, .. } = &batch.events[0].change else { panic!("{batch:?}") };
    assert_eq!(last, &format!("{} value", next.modified + 1));
}

fn check_refused(bytes: &[u8], what: &str, expected: impl Fn(&BackupError) -> bool) {
    let parent = tempfile::tempdir().expect("a directory");
    let dir = parent.path().join("new");
    let refused = backup::restore(bytes, &dir, None).expect_err(what);
    assert!(expected(&refused), "{what}: {refused:?}");
    assert!(!dir.exists(), "{what}: something was left behind");
}

#[tokio::test]
async fn a_bad_backup_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path()).expect("opens");
    for n in 0..3 {
        put(&store, &format!("t/{n}"), " value").await;
    }
    let mut good = Vec::new();
    store.backup(&mut good).expect("backs up");
    let damaged = |e: &BackupError| matches!(e, BackupError::Damaged { .. });
    for length in (0..good.len()).step_by(5) {
        check_refused(&good[..length], &format!("cut to {length}"), |e| {
            damaged(e) || matches!(e, BackupError::NotABackup)
        });
    }
    for at in (8..good.len()).step_by(5) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        check_refused(&bytes, &format!("byte {at} changed"), |e| {
            damaged(e) || matches!(e, BackupError::Newer { .. })
        });
    }
    check_refused(&[&good[..], b"x"].concat(), "something after the end", damaged);
    check_refused(b"a text file", "no backup", |e| matches!(e, BackupError::NotABackup));
    let mut newer = good.clone();
    newer[8] = 3;
    check_refused(&newer, "a newer version", |e| matches!(e, BackupError::Newer { found: 3 }));
    let empty = tempfile::tempdir().expect("a directory");
    backup::restore(&good[..good.len() - 1], empty.path(), None).expect_err("cut");
    assert_eq!(empty.path().read_dir().expect("reads").count(), 0, "something was left behind");
    let full = backup::restore(&good[..], dir.path(), None).expect_err("not empty");
    assert!(matches!(full, BackupError::NotEmpty { .. }), "{full:?}");
}

#[tokio::test]
async fn the_history_is_bounded_in_memory_and_on_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { history_events: 60, history_bytes: 1 << 20, ..Options::default() };
    let store = Embedded::open(dir.path(), options.clone()).expect("opens");
    let mut largest = 0;
    for n in 0..300 {
        put(&store, &format!("t/{}", n % 5), &" ".repeat(20_000)).await;
        let figures = store.figures();
        largest = largest.max(figures.history_bytes);
        assert!(figures.history_events <= 60 + 60 / 8 + 2, "{figures:?}");
    }
    assert!(largest < (1 << 20) * 5 / 4, "{largest} bytes of history");
    let figures = store.figures();
    // 300 values of 20 kB were written; 5 and a bounded history are kept.
    assert!(figures.disk_bytes < 6 << 20, "{figures:?}");
    let oldest = figures.compacted;
    let early = store.watch("t/", oldest - 1).await.err();
    assert!(matches!(early, Some(Error::Compacted { oldest: o, .. }) if o == oldest), "{early:?}");

    // A watcher resumes after a restart within the bound, and is told to list anew beyond it.
    drop(store);
    let store = Embedded::open(dir.path(), options).expect("opens");
    assert!(store.watch("t/", oldest - 1).await.is_err());
    let mut watch = store.watch("t/", store.figures().compacted).await.expect("watches");
    let mut seen = 0;
    while watch.progress() < store.revision() {
        seen += watch.next().await.expect("events").events.len();
    }
    assert_eq!(seen, store.figures().history_events);
}
