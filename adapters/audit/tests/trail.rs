//! A trail from outside: appended to, read, cut off, damaged, and on a disk that fails.

use lab_audit::{
    Digest, Error, Options, Report, Retention, Trail, Verifier,
    folder::{Directory, Folder, Sheet},
    segment,
    verify::{CutOff, Problem},
};
use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

fn small() -> Options {
    Options { segment_bytes: 2000, kept_entries: 100 }
}

fn members(number: u64) -> Vec<u8> {
    format!(r#""verb":"create","number":{number}"#).into_bytes()
}

fn verify(trail: &Trail) -> Report {
    let mut copy = Vec::new();
    trail.export(&mut copy).expect("it is readable");
    Verifier::new(Some(trail.head().hash)).read(&copy[..]).expect("it is in memory")
}

/// Every entry's sequence, as they are read.
fn sequences(trail: &Trail) -> Vec<u64> {
    let mut all = Vec::new();
    for segment in trail.segments() {
        let each = |sequence, _: &[u8]| {
            all.push(sequence);
            ControlFlow::Continue(())
        };
        trail.read(segment, each).expect("it is readable");
    }
    all
}

fn last_file(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir).expect("a directory").map(|file| file.expect("a file").path());
    files.filter(|path| path.extension().is_some_and(|e| e == "log")).max().expect("a segment")
}

#[tokio::test]
async fn entries_stay_in_order_over_segments_and_starts() {
    let dir = tempfile::tempdir().expect("a directory");
    for start in 0..3 {
        let trail = Trail::open(dir.path(), small()).expect("it opens");
        assert_eq!(trail.head().sequence, start * 20);
        for number in 1..=20 {
            let sequence = start * 20 + number;
            assert_eq!(trail.append(members(number)).await.expect("it is written"), sequence);
        }
        assert_eq!(sequences(&trail), (1..=(start + 1) * 20).collect::<Vec<_>>());
        let report = verify(&trail);
        assert_eq!((report.entries, report.problems.len(), report.met), ((start + 1) * 20, 0, true));
    }
    let trail = Trail::open(dir.path(), small()).expect("it opens");
    assert!(trail.segments().len() > 5, "{:?}", trail.segments());
    trail.close();
    assert!(matches!(trail.append(members(0)).await, Err(Error::Closed)));
    let sizes: u64 = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|f| f.expect("a file").metadata().expect("there").len())
        .sum();
    assert!(sizes < 60_000, "the reserve is given back: {sizes} bytes");
}

#[test]
fn what_is_noted_is_written_with_the_next_that_has_to_be() {
    let dir = tempfile::tempdir().expect("a directory");
    let trail = Trail::open(dir.path(), small()).expect("it opens");
    let wait = |future| tokio::runtime::Runtime::new().expect("a runtime").block_on(future);
    trail.note(members(1)).expect("it is kept");
    trail.note(members(2)).expect("it is kept");
    assert!(sequences(&trail).is_empty());
    assert_eq!(wait(trail.append(members(3))).expect("it is written"), 3);
    assert_eq!(sequences(&trail), [1, 2, 3]);
    trail.note(members(4)).expect("it is kept");
    trail.keep().expect("it is written");
    assert_eq!((sequences(&trail), trail.figures().entries), (vec![1, 2, 3, 4], 4));
    trail.note(members(5)).expect("it is kept");
    trail.close();
    let trail = Trail::open(dir.path(), small()).expect("it opens");
    assert_eq!((sequences(&trail), verify(&trail).problems.len()), (vec![1, 2, 3, 4, 5], 0));
    let even = |line: &[u8]| {
        let number =
            String::from_utf8_lossy(line).split_once("\"number\":")?.1.chars().next()?.to_digit(10)?;
        (number % 2 == 0).then_some(number)
    };
    assert_eq!(trail.newest(even).expect("it is readable"), Some(4));
    assert_eq!(trail.newest(|_| None::<u32>).expect("it is readable"), None);
}

#[test]
fn many_noted_entries_are_written_unasked() {
    let dir = tempfile::tempdir().expect("a directory");
    let trail = Trail::open(dir.path(), Options::default()).expect("it opens");
    for number in 0..4000 {
        trail.note(members(number)).expect("it is kept");
    }
    // What was noted comes to the writer in order: once the first is there, it wrote unasked.
    let began = std::time::Instant::now();
    while sequences(&trail).is_empty() {
        assert!(began.elapsed().as_secs() < 20, "nothing was written");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[tokio::test]
async fn many_who_wait_share_a_write() {
    let dir = tempfile::tempdir().expect("a directory");
    let trail = Arc::new(Trail::open(dir.path(), Options::default()).expect("it opens"));
    let appending: Vec<_> = (0..500)
        .map(|number| {
            let trail = trail.clone();
            tokio::spawn(async move { trail.append(members(number)).await.expect("it is written") })
        })
        .collect();
    for one in appending {
        one.await.expect("it ends");
    }
    let figures = trail.figures();
    assert_eq!((figures.entries, figures.sequence), (500, 500));
    assert!(figures.commits < 250, "{} writes", figures.commits);
    assert!(matches!(trail.append(vec![b'x'; segment::MAX_ENTRY + 1]).await, Err(Error::TooLong { .. })));
}

#[tokio::test]
async fn a_torn_line_is_told_and_the_chain_goes_on() {
    for (index, torn) in [&b"{\"previous\":\"00"[..], b"\0\0\0\0\x01garbage\nand more\n"].iter().enumerate() {
        let dir = tempfile::tempdir().expect("a directory");
        let trail = Trail::open(dir.path(), Options::default()).expect("it opens");
        for number in 0..3 {
            trail.append(members(number)).await.expect("it is written");
        }
        trail.close();
        let path = last_file(dir.path());
        let mut bytes = fs::read(&path).expect("it is readable");
        bytes.extend_from_slice(torn);
        bytes.extend_from_slice(&[0; 9000]);
        fs::write(&path, bytes).expect("it is writable");
        for _ in 0..2 {
            let trail = Trail::open(dir.path(), Options::default()).expect("it opens");
            trail.append(members(9)).await.expect("it is written");
            let report = verify(&trail);
            assert_eq!(report.problems, [], "{index}");
            assert_eq!(report.cut_off, [CutOff { after: 3, bytes: torn.len() as u64 }], "{index}");
        }
        let trail = Trail::open(dir.path(), Options::default()).expect("it opens");
        assert_eq!(sequences(&trail), [1, 2, 3, 4, 5]);
        assert_eq!(trail.recovered(), None);
    }
}

/// What a verifier says of a trail whose lines somebody changed.
async fn check_tampered(tamper: impl FnOnce(&mut Vec<String>), expected: &[Problem]) {
    let dir = tempfile::tempdir().expect("a directory");
    let trail = Trail::open(dir.path(), Options::default()).expect("it opens");
    for number in 0..6 {
        trail.append(members(number)).await.expect("it is written");
    }
    let mut copy = Vec::new();
    trail.export(&mut copy).expect("it is readable");
    let text = String::from_utf8(copy).expect("text");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    tamper(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let report = Verifier::new(Some(trail.head().hash)).read(text.as_bytes()).expect("it is in memory");
    assert_eq!(report.problems, expected, "{text}");
}

#[tokio::test]
async fn whoever_changes_something_is_found_out() {
    use lab_audit::chain::{self, LinkError};
    check_tampered(|_| {}, &[]).await;
    check_tampered(
        |lines| lines[3] = lines[3].replace("create", "delete"),
        &[Problem::Changed { after: 2, why: LinkError::Changed }, Problem::Missing { from: 3, to: 3 }],
    )
    .await;
    check_tampered(|lines| drop(lines.remove(3)), &[Problem::Missing { from: 3, to: 3 }]).await;
    check_tampered(
        |lines| lines.swap(3, 4),
        &[
            Problem::Missing { from: 3, to: 3 },
            Problem::Unlinked { after: 4, found: 3 },
            Problem::Missing { from: 4, to: 4 },
        ],
    )
    .await;
    // With a hash that fits, it is the next line that betrays it.
    let forge = |lines: &mut Vec<String>| {
        let previous: Digest = lines[2][lines[2].len() - 66..lines[2].len() - 2].parse().expect("a hash");
        let mut line = Vec::new();
        chain::entry(&mut line, previous, 3, br#""verb":"get""#);
        lines[3] = String::from_utf8(line).expect("text").trim_end().to_owned();
    };
    check_tampered(forge, &[Problem::Unlinked { after: 3, found: 4 }]).await;
}

#[tokio::test]
async fn a_cut_end_is_found_out_by_who_kept_the_hash() {
    let dir = tempfile::tempdir().expect("a directory");
    let trail = Trail::open(dir.path(), Options::default()).expect("it opens");
    for number in 0..6 {
        trail.append(members(number)).await.expect("it is written");
    }
    let mut copy = Vec::new();
    trail.export(&mut copy).expect("it is readable");
    let cut = copy.len() - 10;
    let end = copy[..cut].iter().rposition(|byte| *byte == b'\n').expect("lines") + 1;
    let report = Verifier::new(Some(trail.head().hash)).read(&copy[..end]).expect("in memory");
    assert_eq!((report.problems.len(), report.met, report.last), (0, false, Some(5)));
}

/// A directory on a disk that can be full, or fail to sync.
#[derive(Debug)]
struct Failing {
    inner: Directory,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    /// Bytes of length that files may still gain.
    space: AtomicU64,
    sync: AtomicBool,
}

#[derive(Debug)]
struct FailingSheet {
    inner: Arc<dyn Sheet>,
    faults: Arc<Faults>,
}

impl Folder for Failing {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn Sheet>> {
        Ok(Arc::new(FailingSheet { inner: self.inner.open(name, create)?, faults: self.faults.clone() }))
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        if self.faults.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.inner.remove(name)
    }
}

impl Sheet for FailingSheet {
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let more = (offset + bytes.len() as u64).saturating_sub(self.length()?);
        let taken =
            self.faults.space.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(more));
        taken.map_err(|_| io::Error::from(io::ErrorKind::StorageFull))?;
        self.inner.write(offset, bytes)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.inner.set_length(length)
    }
    fn sync(&self) -> io::Result<()> {
        if self.faults.sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.inner.sync()
    }
}

fn failing(dir: &Path, space: u64) -> (Trail, Arc<Faults>) {
    let faults = Arc::new(Faults { space: space.into(), sync: false.into() });
    let folder = Failing { inner: Directory(dir.to_owned()), faults: faults.clone() };
    (Trail::open_on(dir, Arc::new(folder), Options::default()).expect("it opens"), faults)
}

#[tokio::test]
async fn on_a_full_disk_what_was_begun_is_still_recorded() {
    let dir = tempfile::tempdir().expect("a directory");
    let (trail, faults) = failing(dir.path(), 1 << 19);
    assert!(trail.append(members(1)).await.is_err(), "there is no room for the reserve");
    faults.space.store(3 << 20, Ordering::SeqCst);
    trail.probe().await.expect("there is room");
    trail.check_writable().expect("there is room");
    assert_eq!(verify(&trail).entries, 1, "the one that could not be written is there");
    let long = vec![b' '; 10_000];
    let mut recorded = 1;
    while trail.check_writable().is_ok() {
        trail.append([&members(2), &long[..]].concat()).await.expect("there is room, or the reserve");
        recorded += 1;
    }
    for _ in 0..90 {
        trail.append([&members(3), &long[..]].concat()).await.expect("the reserve is for these");
        recorded += 1;
    }
    assert!(trail.probe().await.is_err());
    faults.space.store(1 << 30, Ordering::SeqCst);
    trail.probe().await.expect("there is space again");
    trail.append(members(4)).await.expect("there is space again");
    let report = verify(&trail);
    assert_eq!((report.entries, report.problems), (recorded + 1, vec![]));
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_missing_or_double() {
    for before in [0, 5] {
        let dir = tempfile::tempdir().expect("a directory");
        let (trail, faults) = failing(dir.path(), 1 << 30);
        for number in 0..before {
            trail.append(members(number)).await.expect("it is written");
        }
        trail.probe().await.expect("it is writable");
        faults.sync.store(true, Ordering::SeqCst);
        for number in 0..3 {
            assert!(matches!(trail.append(members(number)).await, Err(Error::Unwritable { .. })));
            assert!(trail.check_writable().is_err());
        }
        faults.sync.store(false, Ordering::SeqCst);
        assert_eq!(trail.append(members(9)).await.expect("it is written"), before + 4);
        assert_eq!(sequences(&trail), (1..=before + 4).collect::<Vec<_>>());
        let report = verify(&trail);
        assert_eq!((report.entries, report.problems, report.met), (before + 4, vec![], true));
        drop(trail);
        let again = Trail::open(dir.path(), Options::default()).expect("it opens");
        assert_eq!(sequences(&again), (1..=before + 4).collect::<Vec<_>>());
    }
}

/// Makes a segment's file as old as that.
fn age(dir: &Path, first: u64, old: Duration) {
    let file = fs::File::options().write(true).open(dir.join(segment::name(first))).expect("a segment");
    file.set_modified(SystemTime::now() - old).expect("its time is set");
}

#[tokio::test]
async fn the_oldest_go_and_the_chain_goes_on_from_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let trail = Trail::open(dir.path(), small()).expect("it opens");
    for number in 1..=100 {
        trail.append(members(number)).await.expect("it is written");
    }
    let before = trail.segments();
    let whole: u64 = before.iter().map(|segment| segment.length).sum();
    let by_size = |bytes| Retention { bytes: Some(bytes), since: None };
    let hour = Duration::from_secs(3600);
    let by_age = Retention { since: Some(SystemTime::now() - hour), bytes: None };
    for all in [Retention::default(), by_size(whole), by_age] {
        assert_eq!(trail.obsolete(&all).expect("it is readable"), None, "{all:?}");
    }
    // By age: those before the first that was written since. A young one keeps the older ones behind it.
    age(dir.path(), before[0].first, 2 * hour);
    age(dir.path(), before[1].first, 2 * hour);
    age(dir.path(), before[3].first, 2 * hour);
    let old = trail.obsolete(&by_age).expect("it is readable").expect("two may go");
    assert_eq!((old.first, old.last), (1, before[2].first - 1));
    trail.remove(&old).expect("they are removed");
    assert_eq!(trail.segments(), before[2..]);
    let report = verify(&trail);
    assert_eq!((report.problems, report.first, report.follows), (vec![], Some(old.last + 1), Some(old.hash)));
    // By size, though never the newest two.
    let old = trail.obsolete(&by_size(0)).expect("it is readable").expect("all but two may go");
    trail.remove(&old).expect("they are removed");
    assert_eq!(trail.segments(), before[before.len() - 2..]);
    assert_eq!(trail.obsolete(&by_size(0)).expect("it is readable"), None);
    assert!(trail.figures().bytes < 2 * 2100);
    // What was removed is not missed by who opens, reads, writes and verifies, or who lists what is gone.
    trail.read(before[0], |_, _| panic!("nothing is there")).expect("there is nothing to read");
    drop(trail);
    let trail = Trail::open(dir.path(), small()).expect("it opens");
    assert_eq!(trail.append(members(0)).await.expect("it is written"), 101);
    assert_eq!(sequences(&trail), (old.last + 1..=101).collect::<Vec<_>>());
    let mut copy = Vec::new();
    trail.export(&mut copy).expect("it is readable");
    let expecting = |hash| Verifier::new(Some(hash)).read(&copy[..]).expect("it is in memory").met;
    assert!(
        expecting(old.hash) && !expecting(Digest::of(b"another")),
        "the hash of the last that went is known"
    );
}

#[tokio::test]
async fn what_cannot_be_removed_stays() {
    let dir = tempfile::tempdir().expect("a directory");
    let faults = Arc::new(Faults { space: (1 << 30).into(), sync: false.into() });
    let folder = Failing { inner: Directory(dir.path().to_owned()), faults: faults.clone() };
    let trail = Trail::open_on(dir.path(), Arc::new(folder), small()).expect("it opens");
    for number in 1..=40 {
        trail.append(members(number)).await.expect("it is written");
    }
    let old = trail.obsolete(&Retention { bytes: Some(0), since: None }).expect("it is readable");
    faults.sync.store(true, Ordering::SeqCst);
    let refused = trail.remove(&old.expect("some may go")).expect_err("the disk is gone");
    assert!(refused.to_string().contains("00000000000000000001.log"), "{refused}");
    assert_eq!(sequences(&trail), (1..=40).collect::<Vec<_>>());
    drop(trail);
    let trail = Trail::open(dir.path(), small()).expect("it opens");
    assert_eq!(sequences(&trail), (1..=40).collect::<Vec<_>>());
}
