//! The one thread that writes: takes what waits, orders it, commits it with one sync, then shows it and answers.
//!
//! Compaction is its work as well, a bounded number of deletions at a time, along with a batch or, while nothing waits,
//! alone: it never holds up a write for long.

use super::Shared;
use super::database::Database;
use super::engine::{Changes, Trouble};
use super::record::splice;
use super::recovery::Expected;
use super::state::{Object, Past, State};
use super::{Options, topics::Topic};
use crate::disk::Disk;
use crate::{Change, Entry, Error, Expect, Revision, Write};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::{Receiver, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Events forgotten in one commit, unless the batch itself is larger than half of that.
const COMPACT_STEP: u64 = 128;

/// What the writer is asked for.
pub(crate) enum Request {
    /// To write.
    Write(Asked),
    /// To write everything on disk anew.
    WriteAnew {
        /// Where the answer goes.
        answer: Answer<()>,
    },
    /// To forget history.
    Compact {
        /// Up to here.
        upto: Revision,
        /// Where the answer goes.
        answer: Answer<()>,
    },
}

/// A write that waits.
pub(crate) struct Asked {
    /// What.
    pub write: Write,
    /// What goes with it to the taker of notes.
    pub note: Option<Bytes>,
    /// Where the answer goes.
    pub answer: Answer<Entry>,
    /// The room it takes up among the waiting bytes, given back when it is answered.
    pub room: OwnedSemaphorePermit,
}

type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What goes with writes to the taker of notes, by their revisions.
type Notes = Vec<(Revision, Bytes)>;

/// A write with its outcome, which holds once the batch is on disk.
struct Decided {
    answer: Answer<Entry>,
    outcome: Result<Entry, Error>,
    _room: OwnedSemaphorePermit,
}

/// The writer.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    disk: Arc<dyn Disk>,
    /// `None` after a failed commit, until recovery.
    database: Option<Database>,
    /// The epoch of its journal, or of the last it had.
    epoch: u64,
    trouble: Arc<Trouble>,
    options: Options,
    /// Up to where history is to be forgotten.
    goal: Revision,
    compactions: Vec<(Revision, Answer<()>)>,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
        database: Database,
        trouble: Arc<Trouble>,
        options: Options,
    ) -> Self {
        let epoch = database.epoch();
        let database = Some(database);
        Self { shared, disk, database, epoch, trouble, options, goal: 0, compactions: Vec::new() }
    }

    /// Works until nobody can ask any more, then closes the database.
    pub fn run(mut self, mut requests: Receiver<Request>) {
        self.bound_history();
        while let Some(first) = self.wait(&mut requests) {
            let batch = self.gather(first, &mut requests);
            self.carry_out(batch);
        }
        if let Some(Err(error)) = self.database.take().map(Database::close) {
            tracing::warn!(%error, "the database was not closed cleanly; the next start repairs it");
        }
    }

    /// Waits for the next request; `Some(None)` when there is compaction to be done meanwhile, `None` at the end.
    fn wait(&self, requests: &mut Receiver<Request>) -> Option<Option<Request>> {
        let due = self.goal > self.shared.state.read().compacted();
        if due && (self.database.is_some() || !self.compactions.is_empty()) {
            return match requests.try_recv() {
                Ok(request) => Some(Some(request)),
                Err(TryRecvError::Empty) => Some(None),
                Err(TryRecvError::Disconnected) => None,
            };
        }
        requests.blocking_recv().map(Some)
    }

    /// Takes whatever waits, within the bounds of a batch.
    fn gather(&mut self, first: Option<Request>, requests: &mut Receiver<Request>) -> Vec<Asked> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut next = first;
        while let Some(request) = next {
            match request {
                Request::Write(asked) => {
                    bytes += asked.write.key.len();
                    bytes += asked.write.value.as_ref().map_or(0, |v| v.bytes.len());
                    batch.push(asked);
                }
                Request::Compact { upto, answer } => self.accept_compaction(upto, answer),
                Request::WriteAnew { answer } => {
                    answer.send(self.write_anew()).ok();
                }
            }
            if batch.len() >= self.options.batch_writes || bytes >= self.options.batch_bytes {
                break;
            }
            next = requests.try_recv().ok();
        }
        batch
    }

    fn accept_compaction(&mut self, upto: Revision, answer: Answer<()>) {
        let state = self.shared.state.read();
        let newest = state.revision();
        if upto > newest {
            // Whoever no longer waits for an answer does not get one; so with all answers.
            answer.send(Err(Error::Future { asked: upto, newest })).ok();
        } else if upto <= state.compacted() {
            answer.send(Ok(())).ok();
        } else {
            self.goal = self.goal.max(upto);
            self.compactions.push((upto, answer));
        }
    }

    fn carry_out(&mut self, batch: Vec<Asked>) {
        let (pasts, notes, decided) = self.decide(batch);
        let forget = self.compaction_step(pasts.len());
        if pasts.is_empty() && forget.is_none() {
            return answer(decided, None);
        }
        match self.commit(&pasts, notes, forget) {
            Ok(()) => {
                let (wake, gone) = self.show(pasts, forget);
                self.database.iter_mut().for_each(Database::hand_over);
                answer(decided, None);
                wake.iter().for_each(|topic| topic.wake.notify_waiters());
                drop(gone);
                self.answer_compactions();
                self.bound_history();
            }
            Err(error) => {
                answer(decided, Some(&error));
                self.goal = 0;
                for (_, waiting) in self.compactions.drain(..) {
                    waiting.send(Err(error.clone())).ok();
                }
            }
        }
    }

    /// Checks each write against the state as it is after those before it, and gives those that hold their revisions.
    fn decide(&self, batch: Vec<Asked>) -> (Vec<Past>, Notes, Vec<Decided>) {
        let state = self.shared.state.read();
        let mut staged = HashMap::new();
        let mut pasts = Vec::with_capacity(batch.len());
        let mut decided = Vec::with_capacity(batch.len());
        let mut notes = Notes::new();
        let mut refused = 0;
        for Asked { write, note, answer, room } in batch {
            let revision = state.revision() + pasts.len() as u64 + 1;
            let outcome = match decide_one(&state, &staged, write, revision) {
                Ok((past, entry)) => {
                    staged.insert(past.event.key.clone(), past.after.clone());
                    pasts.push(past);
                    notes.extend(note.map(|note| (revision, note)));
                    Ok(entry)
                }
                Err(error) => {
                    refused += 1;
                    Err(error)
                }
            };
            decided.push(Decided { answer, outcome, _room: room });
        }
        drop(state);
        if refused > 0 {
            self.shared.counts.lock().conflicts += refused;
        }
        (pasts, notes, decided)
    }

    /// Up to where this commit is to forget, if at all.
    fn compaction_step(&self, writes: usize) -> Option<Revision> {
        let compacted = self.shared.state.read().compacted();
        let most = COMPACT_STEP.max(2 * writes as u64);
        (self.goal > compacted).then(|| self.goal.min(compacted + most))
    }

    fn commit(&mut self, pasts: &[Past], notes: Notes, forget: Option<Revision>) -> Result<(), Error> {
        let began = Instant::now();
        let result = self.try_commit(pasts, notes, forget);
        let failure = result.as_ref().err().map(|e| match e {
            Error::Unwritable { why } => why.clone(),
            other => other.to_string().into(),
        });
        if let Some(why) = &failure {
            tracing::error!(%why, writes = pasts.len(), "a commit failed");
        }
        self.shared.counts.lock().commit(pasts.len(), began.elapsed(), failure.clone());
        failure.map_or(Ok(()), |why| Err(Error::Unwritable { why }))
    }

    fn try_commit(&mut self, pasts: &[Past], notes: Notes, forget: Option<Revision>) -> Result<(), Error> {
        let mut database = match self.database.take() {
            Some(database) => database,
            None => self.recover()?,
        };
        let committed = database.commit(self.changes(pasts, notes, forget));
        self.epoch = database.epoch();
        self.database = committed.is_ok().then_some(database);
        committed
    }

    fn recover(&mut self) -> Result<Database, Error> {
        // Nobody else changes the state; the lock need not be held while the disk works.
        let expected = Expected::of(&self.shared.state.read());
        let database =
            Database::recover(&*self.disk, &self.options, &self.trouble, self.epoch, expected, false)?;
        self.shared.counts.lock().recoveries += 1;
        Ok(database)
    }

    /// Writes the whole database anew. Should that fail, the next write recovers.
    fn write_anew(&mut self) -> Result<(), Error> {
        drop(self.database.take());
        let expected = Expected::of(&self.shared.state.read());
        let database =
            Database::recover(&*self.disk, &self.options, &self.trouble, self.epoch, expected, true)?;
        self.epoch = database.epoch();
        self.database = Some(database);
        self.shared.counts.lock().stale = 0;
        Ok(())
    }

    fn changes(&self, pasts: &[Past], notes: Notes, forget: Option<Revision>) -> Changes {
        let state = self.shared.state.read();
        let removals = match forget {
            Some(upto) => state
                .history_after(state.compacted())
                .take_while(|past| past.event.revision <= upto)
                .flat_map(Past::superseded)
                .collect(),
            None => Vec::new(),
        };
        let puts = pasts.iter().map(|past| (past.event.revision, past.record())).collect();
        Changes { puts, removals, compacted: forget, notes }
    }

    /// Makes what was committed visible; returns whom to wake and what to drop.
    fn show(&self, pasts: Vec<Past>, forget: Option<Revision>) -> (Vec<Arc<Topic>>, Vec<Past>) {
        let mut wake = Vec::new();
        let mut state = self.shared.state.write();
        let before = state.revision();
        for past in pasts {
            state.apply(past, before, &mut wake);
        }
        let gone = forget.map(|upto| state.forget(upto)).unwrap_or_default();
        (wake, gone)
    }

    fn answer_compactions(&mut self) {
        if self.compactions.is_empty() {
            return;
        }
        let compacted = self.shared.state.read().compacted();
        let (done, waiting) = self.compactions.drain(..).partition(|(upto, _)| *upto <= compacted);
        self.compactions = waiting;
        for (_, answer) in Vec::from_iter::<Vec<(Revision, Answer<()>)>>(done) {
            answer.send(Ok(())).ok();
        }
    }

    /// Sets the goal so that the history falls back within its bounds, once it is an eighth above one of them.
    fn bound_history(&mut self) {
        let (events, bytes) = (self.options.history_events, self.options.history_bytes);
        let state = self.shared.state.read();
        if state.history_len() <= events + events / 8 && state.history_bytes() <= bytes + bytes / 8 {
            return;
        }
        let mut over_events = state.history_len().saturating_sub(events);
        let mut over_bytes = state.history_bytes().saturating_sub(bytes);
        for past in state.history_after(state.compacted()) {
            if over_events == 0 && over_bytes == 0 {
                break;
            }
            over_events = over_events.saturating_sub(1);
            over_bytes = over_bytes.saturating_sub(past.weight());
            self.goal = self.goal.max(past.event.revision);
        }
    }
}

/// Checks one write, and makes the event of it.
fn decide_one(
    state: &State,
    staged: &HashMap<Arc<str>, Option<Object>>,
    write: Write,
    revision: Revision,
) -> Result<(Past, Entry), Error> {
    let known = state.object(&write.key);
    let current = match staged.get(&write.key) {
        Some(staged) => staged.clone(),
        None => known.map(|(_, object)| object.clone()),
    };
    let found = current.as_ref().map(|o| o.modified);
    let holds = match write.expect {
        Expect::Absent => found.is_none() && write.value.is_some(),
        Expect::Revision(expected) => found == Some(expected),
    };
    let conflict = |key| Error::Conflict { key, found };
    if !holds {
        return Err(conflict(write.key));
    }
    // One key string for all that know the key.
    let key = known.map_or(write.key, |(key, _)| key.clone());
    let created = current.as_ref().map_or(revision, |o| o.created);
    let after = write.value.map(|value| {
        let spliced = splice(&value.bytes, value.revision_at, revision);
        Object { value: spliced, created, modified: revision, mark: value.revision_at }
    });
    let past = Past::new(key.clone(), revision, current, after).ok_or_else(|| conflict(key.clone()))?;
    let value = match &past.event.change {
        Change::Created { value } | Change::Updated { value, .. } => value.clone(),
        Change::Deleted { last, .. } => last.clone(),
    };
    Ok((past, Entry { key, value, created, modified: revision }))
}

/// Answers every write of a batch: with its outcome, or all with the failure of their commit.
fn answer(decided: Vec<Decided>, failure: Option<&Error>) {
    for Decided { answer, outcome, _room } in decided {
        answer.send(failure.map_or(outcome, |error| Err(error.clone()))).ok();
    }
}
