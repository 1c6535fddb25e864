//! `kill -9` at random points under load: what was acknowledged is there, and nothing is half there.
//!
//! The parent runs this same test binary as a child that opens the store and writes until it is killed: mostly in the
//! middle of writing, sometimes while it opens what the one before it left. Through a pipe the child says each write before
//! it sends it, and again when it was acknowledged. `LAB_STORE_KILLS` sets the number of kills.

use lab_store::{Embedded, Expect, Options, Range, Store, Value, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

const CHILD: &str = "LAB_STORE_KILL_CHILD";
const WRITERS: u64 = 8;
/// Keys that each writer goes through again and again.
const KEYS: u64 = 6;

/// The numbers that each key may hold; 0 stands for no key at all.
type Possible = BTreeMap<String, BTreeSet<u64>>;

#[test]
fn what_was_acknowledged_outlives_the_process() {
    if let Ok(dir) = std::env::var(CHILD) {
        return child(Path::new(&dir));
    }
    let rounds: u64 = std::env::var("LAB_STORE_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let dir = tempfile::tempdir().expect("a directory");
    let mut possible = Possible::new();
    let mut acknowledged = 0;
    for round in 0..rounds {
        // Without a pattern, over the time of some commits; every fourth is killed on its way there.
        let micros = round * 7_919 % 80_000;
        let said = one_life(dir.path(), round % 4 != 3, Duration::from_micros(micros));
        acknowledged += take_in(&said, &mut possible);
        // Where the parent does not look, the next child opens what a kill left behind.
        if round % 2 == 0 || round + 1 == rounds {
            check(dir.path(), &mut possible);
        }
    }
    eprintln!("{rounds} kills, {acknowledged} acknowledged writes");
    assert!(acknowledged > rounds, "too few writes for this to mean anything: {acknowledged}");
}

/// Lets a child write for a while, from its first write or from its start on, kills it, and returns what it said.
fn one_life(dir: &Path, from_first_write: bool, life: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "what_was_acknowledged_outlives_the_process", "--nocapture"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let (writing, writes) = mpsc::channel();
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        for line in lines {
            if line.starts_with("try") {
                // Only the first is listened for.
                writing.send(()).ok();
            }
            said.push(line);
        }
        said
    });
    if from_first_write {
        writes.recv_timeout(Duration::from_secs(30)).expect("the child writes");
    }
    std::thread::sleep(life);
    // It must still have been at work: one that ended before was not killed, but failed.
    let ended = child.try_wait().expect("a child to ask");
    child.kill().expect("a child to kill");
    child.wait().expect("a dead child");
    let said = said.join().expect("what it said");
    assert!(ended.is_none(), "the child ended by itself: {ended:?}\n{}", said.join("\n"));
    said
}

/// `try KEY NUMBER .` before a write, `ok KEY NUMBER .` after; number 0 deletes. Returns how many were acknowledged.
fn take_in(said: &[String], possible: &mut Possible) -> u64 {
    let mut under_way = BTreeMap::new();
    let mut acknowledged = 0;
    for line in said {
        let mut words = line.split(' ');
        let (Some(word @ ("try" | "ok")), Some(key), Some(number), Some("."), None) =
            (words.next(), words.next(), words.next(), words.next(), words.next())
        else {
            continue;
        };
        let number: u64 = number.parse().expect("a number");
        if word == "try" {
            under_way.insert(key.to_owned(), number);
        } else {
            under_way.remove(key);
            acknowledged += 1;
            possible.insert(key.to_owned(), [number].into());
        }
    }
    for (key, number) in under_way {
        possible.entry(key).or_insert_with(|| [0].into()).insert(number);
    }
    acknowledged
}

/// Opens what was left; from then on, what is there is all that may be there.
fn check(dir: &Path, possible: &mut Possible) {
    let store = Embedded::open(dir, Options::default()).expect("opens after a kill");
    let mut found = found_in(&store);
    for (key, numbers) in &mut *possible {
        let number = found.remove(key).unwrap_or(0);
        assert!(numbers.contains(&number), "{key} holds {number}, and may hold {numbers:?}");
        *numbers = [number].into();
    }
    assert!(found.is_empty(), "never written: {found:?}");
}

fn found_in(store: &Embedded) -> BTreeMap<String, u64> {
    let listing = futures_util::FutureExt::now_or_never(store.list(Range::default()));
    let listing = listing.expect("lists do not wait").expect("lists");
    listing.entries.iter().map(|e| (e.key.to_string(), number_in(&e.value, e.modified))).collect()
}

/// The number in a value; the value must be whole, and carry its own revision.
fn number_in(value: &[u8], modified: u64) -> u64 {
    let text = std::str::from_utf8(value).expect("text");
    let (revision, rest) = text.split_once(' ').expect("a revision first");
    assert_eq!(revision.parse(), Ok(modified));
    let number: u64 = rest.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
    assert_eq!(rest, filled(number), "half a value");
    number
}

fn filled(number: u64) -> String {
    format!("{number} ").repeat(1 + number as usize % 300)
}

/// Writes until killed.
fn child(dir: &Path) {
    // A small journal, so that many a kill hits the tables while they take it in.
    let options = Options { history_events: 200, journal_bytes: 32 << 10, ..Options::default() };
    let store = Arc::new(Embedded::open(dir, options).expect("opens"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    runtime.block_on(async {
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            writers.spawn(write_on(store.clone(), writer));
        }
        writers.join_all().await;
    });
}

async fn write_on(store: Arc<Embedded>, writer: u64) {
    for number in store.revision() + 1.. {
        let key = format!("t/{writer}/{}", number % KEYS);
        let found = store.get(&key, None).await.expect("reads").0.map(|e| e.modified);
        let deletes = found.is_some() && number % 5 == 0;
        let number = if deletes { 0 } else { number };
        let value =
            (!deletes).then(|| Value { bytes: format!(" {}", filled(number)).into(), revision_at: Some(0) });
        let expect = found.map_or(Expect::Absent, Expect::Revision);
        say("try", &key, number);
        store.write(Write { key: key.as_str().into(), value, expect }).await.expect("writes");
        say("ok", &key, number);
    }
}

/// One line in one piece; the full stop tells a line that was cut off.
fn say(word: &str, key: &str, number: u64) {
    let line = format!("{word} {key} {number} .\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent listens");
}
