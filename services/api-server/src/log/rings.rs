//! The lines that are kept: a ring for each server, bounded each and all together.

use jiff::Timestamp;
use lab_object::mac::MacAddress;
use lab_wire::log::Line;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tokio::sync::watch;

/// How many lines are kept of a server.
const LINES: usize = 2000;
/// How many bytes of text they may have.
const BYTES: usize = 1 << 20;
/// How many bytes of text all have together. What was written to longest ago goes first, and is still at its bastion.
const ALL_BYTES: usize = 256 << 20;

/// The rings of all servers, by UID.
pub(crate) struct Rings {
    run: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rings: HashMap<String, Ring>,
    bytes: usize,
    clock: u64,
}

struct Ring {
    sources: HashMap<MacAddress, Source>,
    lines: VecDeque<Kept>,
    bytes: usize,
    last: u64,
    tell: watch::Sender<u64>,
    /// When it was last written to, on the clock of all rings.
    touched: u64,
}

/// Where lines come from.
struct Source {
    run: String,
    next: u64,
    /// Lines up to then were told in an earlier run.
    told: Option<Timestamp>,
}

struct Kept {
    /// Counts from 1 in the order of arrival; 0 for what was told before.
    number: u64,
    mac: MacAddress,
    line: Arc<Line>,
}

/// Lines, and up to where they reach.
pub(crate) struct Told {
    pub lines: Vec<Arc<Line>>,
    pub last: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self {
            sources: HashMap::new(),
            lines: VecDeque::new(),
            bytes: 0,
            last: 0,
            tell: watch::Sender::new(0),
            touched: 0,
        }
    }
}

impl Rings {
    /// No lines yet. `run` is a word of this run.
    pub fn new(run: String) -> Self {
        Self { run, state: Mutex::default() }
    }

    /// The word of this run.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Takes lines of a machine; the number of the line that is wanted next.
    pub fn take(&self, uid: &str, mac: MacAddress, run: &str, first: u64, lines: Vec<Line>) -> u64 {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.clock += 1;
        let ring = state.rings.entry(uid.to_owned()).or_default();
        let before = ring.bytes;
        ring.touched = state.clock;
        let next = ring.take(mac, run, first, lines);
        state.bytes = state.bytes + ring.bytes - before;
        while state.bytes > ALL_BYTES && state.rings.len() > 1 {
            let Some(oldest) = state.rings.iter().min_by_key(|(_, ring)| ring.touched) else { break };
            let oldest = oldest.0.clone();
            state.bytes -= state.rings.remove(&oldest).map_or(0, |ring| ring.bytes);
        }
        next
    }

    /// All lines of a server, and word of further ones.
    pub fn follow(&self, uid: &str) -> (Told, watch::Receiver<u64>) {
        let mut state = self.state.lock();
        match state.rings.get(uid) {
            Some(ring) => (ring.since(None), ring.tell.subscribe()),
            // Whoever waits for a machine's first line waits at a ring that is empty yet.
            None => {
                state.clock += 1;
                let ring = Ring { touched: state.clock, ..Ring::default() };
                let news = ring.tell.subscribe();
                state.rings.retain(|_, ring| !ring.lines.is_empty() || ring.tell.receiver_count() > 0);
                state.rings.insert(uid.to_owned(), ring);
                (Told { lines: Vec::new(), last: 0 }, news)
            }
        }
    }

    /// The lines of a server after a number.
    pub fn since(&self, uid: &str, number: u64) -> Told {
        let state = self.state.lock();
        let ring = state.rings.get(uid);
        ring.map_or(Told { lines: Vec::new(), last: number }, |ring| ring.since(Some(number)))
    }
}

impl Ring {
    fn take(&mut self, mac: MacAddress, run: &str, first: u64, lines: Vec<Line>) -> u64 {
        let anew = self.sources.get(&mac).is_none_or(|source| source.run != run);
        if anew {
            let own = self.lines.iter().filter(|kept| kept.mac == mac);
            let told = own.map(|kept| kept.line.at).max();
            self.bytes -= sum(self.lines.iter().filter(|kept| kept.mac == mac));
            self.lines.retain(|kept| kept.mac != mac);
            self.sources.insert(mac, Source { run: run.to_owned(), next: first, told });
        }
        let Some(source) = self.sources.get_mut(&mac) else { return first };
        let skip = usize::try_from(source.next.saturating_sub(first)).unwrap_or(usize::MAX);
        let end = first + lines.len() as u64;
        let told = source.told;
        source.next = source.next.max(end);
        let next = source.next;
        let mut again = false;
        for line in lines.into_iter().skip(skip) {
            let old = told.is_some_and(|told| line.at <= told);
            again |= old;
            self.last += u64::from(!old);
            self.bytes += line.text.len();
            let number = if old { 0 } else { self.last };
            self.lines.push_back(Kept { number, mac, line: Arc::new(line) });
        }
        if again {
            self.lines.make_contiguous().sort_by_key(|kept| kept.line.at);
        }
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.line.text.len();
        }
        self.tell.send_replace(self.last);
        next
    }

    fn since(&self, number: Option<u64>) -> Told {
        let new = self.lines.iter().filter(|kept| number.is_none_or(|number| kept.number > number));
        Told { lines: new.map(|kept| kept.line.clone()).collect(), last: self.last }
    }
}

fn sum<'a>(lines: impl Iterator<Item = &'a Kept>) -> usize {
    lines.map(|kept| kept.line.text.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab_wire::log::Kind;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);

    fn line(second: i64) -> Line {
        let at = Timestamp::from_second(second).unwrap();
        Line { at, kind: Kind::Log, stage: None, severity: 6, program: None, text: second.to_string() }
    }

    fn lines(from: i64, to: i64) -> Vec<Line> {
        (from..to).map(line).collect()
    }

    fn texts(told: &Told) -> Vec<i64> {
        told.lines.iter().map(|line| line.text.parse().unwrap()).collect()
    }

    #[test]
    fn lines_are_taken_once_however_often_they_come() {
        let rings = Rings::new("r".into());
        assert_eq!(rings.take("u", MAC, "a", 0, lines(0, 3)), 3);
        assert_eq!(rings.take("u", MAC, "a", 0, lines(0, 5)), 5);
        assert_eq!(rings.take("u", MAC, "a", 2, lines(2, 3)), 5);
        let (told, news) = rings.follow("u");
        assert_eq!(texts(&told), [0, 1, 2, 3, 4]);
        assert_eq!(rings.take("u", MAC, "a", 5, lines(5, 7)), 7);
        assert!(news.has_changed().unwrap());
        assert_eq!(texts(&rings.since("u", told.last)), [5, 6]);
    }

    #[test]
    fn another_run_hands_on_again_what_readers_heard() {
        let rings = Rings::new("r".into());
        rings.take("u", MAC, "a", 0, lines(0, 5));
        let other = MacAddress([2, 0, 0, 0, 0, 2]);
        rings.take("u", other, "a", 0, lines(3, 4));
        let (told, _) = rings.follow("u");
        assert_eq!(rings.take("u", MAC, "b", 0, lines(2, 4)), 2);
        assert_eq!(rings.take("u", MAC, "b", 2, lines(4, 7)), 5);
        assert_eq!(texts(&rings.since("u", told.last)), [5, 6], "nobody hears a line twice");
        assert_eq!(texts(&rings.follow("u").0), [2, 3, 3, 4, 5, 6], "and all are in order");
    }

    #[test]
    fn rings_are_bounded() {
        let rings = Rings::new("r".into());
        assert_eq!(rings.take("u", MAC, "a", 0, lines(0, 5000)), 5000);
        let told = rings.follow("u").0;
        assert_eq!((told.lines.len(), texts(&told)[0]), (2000, 3000));
        let long = Line { text: "x".repeat(BYTES / 2), ..line(1) };
        rings.take("v", MAC, "a", 0, vec![long; 4]);
        assert_eq!(rings.follow("v").0.lines.len(), 2);
        assert_eq!(rings.state.lock().bytes, BYTES + 8000);
        for waiting in 0..100 {
            drop(rings.follow(&waiting.to_string()));
        }
        assert!(rings.state.lock().rings.len() <= 3, "who only looked leaves nothing behind");
    }
}
