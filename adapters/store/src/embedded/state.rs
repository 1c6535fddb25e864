//! What the store knows in memory: the current objects as the bytes to be sent, and the history behind them.
//!
//! Only the writer changes it, after the change is on disk; everybody else reads it under a short shared lock. Every
//! revision of the history is exactly one event, so that a revision is an index. The value an event replaced and the value
//! the event before it set are the same buffer; nothing is kept twice.

use super::record::{Mark, Record, respliced};
use super::topics::{Topic, Topics};
use crate::{Change, Entry, Error, Event, Listing, Range, Revision};
use bytes::Bytes;
use std::borrow::Borrow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// What an event weighs in the bound on the history beyond its key and the values that only the history keeps.
const EVENT_OVERHEAD: usize = 256;

/// A key's value at some revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub value: Bytes,
    pub created: Revision,
    pub modified: Revision,
    pub mark: Mark,
}

impl Object {
    fn entry(&self, key: &Arc<str>) -> Entry {
        Entry { key: key.clone(), value: self.value.clone(), created: self.created, modified: self.modified }
    }
}

/// One event with what is needed to undo it.
#[derive(Debug)]
pub(crate) struct Past {
    pub event: Arc<Event>,
    /// What the key was before.
    pub before: Option<Object>,
    /// What it became.
    pub after: Option<Object>,
}

impl Past {
    /// The event by which `key` became `after`, which must differ from nothing to nothing.
    pub fn new(
        key: Arc<str>,
        revision: Revision,
        before: Option<Object>,
        after: Option<Object>,
    ) -> Option<Self> {
        let change = match (&before, &after) {
            (None, Some(new)) => Change::Created { value: new.value.clone() },
            (Some(old), Some(new)) => {
                Change::Updated { value: new.value.clone(), previous: old.value.clone() }
            }
            (Some(old), None) => Change::Deleted {
                last: respliced(&old.value, old.mark, old.modified, revision),
                previous: old.value.clone(),
            },
            (None, None) => return None,
        };
        Some(Self { event: Arc::new(Event { key, revision, change }), before, after })
    }

    /// The event as it lies on disk.
    pub fn record(&self) -> Record {
        let created = self.after.as_ref().or(self.before.as_ref()).map_or(0, |o| o.created);
        Record {
            key: self.event.key.clone(),
            created,
            previous: self.before.as_ref().map_or(0, |o| o.modified),
            mark: self.after.as_ref().and_then(|o| o.mark),
            value: self.after.as_ref().map(|o| o.value.clone()),
            sealed: false,
        }
    }

    /// The revisions whose records nobody needs once this event is forgotten.
    pub fn superseded(&self) -> impl Iterator<Item = Revision> {
        let tombstone = self.after.is_none().then_some(self.event.revision);
        self.before.as_ref().map(|o| o.modified).into_iter().chain(tombstone)
    }

    /// What the history's bound counts: the memory that is given back when the event is forgotten.
    pub fn weight(&self) -> usize {
        let last = match &self.event.change {
            Change::Deleted { last, .. } => last.len(),
            _ => 0,
        };
        EVENT_OVERHEAD + self.event.key.len() + last + self.before.as_ref().map_or(0, |o| o.value.len())
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct State {
    objects: BTreeMap<Arc<str>, Object>,
    history: VecDeque<Past>,
    history_bytes: usize,
    compacted: Revision,
    revision: Revision,
    pub topics: Topics,
    pub closed: bool,
}

impl State {
    /// A state that begins at a revision, to be filled by [`State::recall`].
    pub fn beginning(compacted: Revision) -> Self {
        Self { compacted, revision: compacted, ..Self::default() }
    }

    /// Takes in a record read from disk. Records come by ascending revision.
    pub fn recall(&mut self, revision: Revision, record: Record) -> Result<(), Error> {
        let damaged = |what: std::fmt::Arguments<'_>| {
            Error::unreadable(format_args!("{} at revision {revision}: {what}", record.key))
        };
        let before = self.objects.get(&record.key);
        let found = before.map_or(0, |o| o.modified);
        let kept = revision > self.compacted;
        if !kept && (found != 0 || record.value.is_none()) {
            return Err(damaged(format_args!("a superseded record before the oldest kept revision")));
        }
        if kept && found != record.previous {
            return Err(damaged(format_args!(
                "it follows revision {}, but {found} was found",
                record.previous
            )));
        }
        if kept && revision != self.revision + 1 {
            return Err(damaged(format_args!("revision {} is missing", self.revision + 1)));
        }
        let key = self.objects.get_key_value(&record.key).map_or(record.key.clone(), |(key, _)| key.clone());
        let (created, mark) = (record.created, record.mark);
        let after = record.value.clone().map(|value| Object { value, created, modified: revision, mark });
        if kept {
            let before = before.cloned();
            let past = Past::new(key, revision, before, after)
                .ok_or_else(|| damaged(format_args!("a deletion of what does not exist")))?;
            self.apply(past, revision - 1, &mut Vec::new());
        } else if let Some(object) = after {
            self.objects.insert(key, object);
        }
        Ok(())
    }

    /// Carries out one event; adds the topics whose watchers are to be woken to `wake`.
    pub fn apply(&mut self, past: Past, batch_after: Revision, wake: &mut Vec<Arc<Topic>>) {
        let key = &past.event.key;
        self.revision = past.event.revision;
        self.topics.touch(key, self.revision, batch_after, wake);
        match &past.after {
            Some(object) => drop(self.objects.insert(key.clone(), object.clone())),
            None => drop(self.objects.remove(key)),
        }
        self.history_bytes += past.weight();
        self.history.push_back(past);
    }

    /// Forgets the history up to `upto`, and returns it, to be dropped outside the lock.
    pub fn forget(&mut self, upto: Revision) -> Vec<Past> {
        let count = (upto.saturating_sub(self.compacted) as usize).min(self.history.len());
        let gone: Vec<Past> = self.history.drain(..count).collect();
        for past in &gone {
            self.history_bytes -= past.weight();
            self.topics.forget(&past.event.key, past.event.revision);
        }
        self.compacted = self.compacted.max(upto);
        gone
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    pub fn history_len(&self) -> usize {
        self.history.len()
    }

    pub fn history_bytes(&self) -> usize {
        self.history_bytes
    }

    pub fn keys(&self) -> usize {
        self.objects.len()
    }

    /// The current object of a key.
    pub fn object(&self, key: &str) -> Option<(&Arc<str>, &Object)> {
        self.objects.get_key_value(key)
    }

    /// Every current object.
    pub fn objects(&self) -> impl Iterator<Item = (&Arc<str>, &Object)> {
        self.objects.iter()
    }

    /// The kept events after a revision that is itself kept.
    pub fn history_after(&self, after: Revision) -> impl DoubleEndedIterator<Item = &Past> {
        self.history.range((after.saturating_sub(self.compacted) as usize).min(self.history.len())..)
    }

    /// The event of a kept revision.
    pub fn event(&self, revision: Revision) -> Option<&Arc<Event>> {
        let index = revision.checked_sub(self.compacted + 1)?;
        self.history.get(index as usize).map(|past| &past.event)
    }

    /// Whether one may read at and watch from a revision.
    pub fn check_kept(&self, asked: Revision) -> Result<(), Error> {
        if asked > self.revision {
            return Err(Error::Future { asked, newest: self.revision });
        }
        if asked < self.compacted {
            return Err(Error::Compacted { asked, oldest: self.compacted });
        }
        Ok(())
    }

    /// Reads one key.
    pub fn get(&self, key: &str, at: Option<Revision>) -> Result<(Option<Entry>, Revision), Error> {
        let revision = at.unwrap_or(self.revision);
        self.check_kept(revision)?;
        // The first change after the revision knows what was before it.
        let later = match at {
            Some(_) => self.history_after(revision).find(|past| &*past.event.key == key),
            None => None,
        };
        let entry = match later {
            Some(past) => past.before.as_ref().map(|o| o.entry(&past.event.key)),
            None => self.objects.get_key_value(key).map(|(key, o)| o.entry(key)),
        };
        Ok((entry, revision))
    }

    /// Lists a range.
    pub fn list(&self, range: &Range) -> Result<Listing, Error> {
        let revision = range.at.unwrap_or(self.revision);
        self.check_kept(revision)?;
        let prefix = range.prefix.as_str();
        let from = match range.after.as_deref() {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let current = self
            .objects
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix));
        let undone = self.undone(revision, prefix, from);
        let limit = range.limit.unwrap_or(usize::MAX);
        let mut entries = Vec::new();
        let mut remaining = 0;
        let mut take = |key: &Arc<str>, object: &Object| {
            if entries.len() < limit { entries.push(object.entry(key)) } else { remaining += 1 }
        };
        let mut undone = undone.into_iter().peekable();
        for (key, object) in current {
            while let Some((older, was)) = undone.next_if(|(older, _)| *older < key) {
                was.into_iter().for_each(|o| take(older, o));
            }
            match undone.next_if(|(older, _)| *older == key) {
                Some((_, was)) => was.into_iter().for_each(|o| take(key, o)),
                None => take(key, object),
            }
        }
        for (older, was) in undone {
            was.into_iter().for_each(|o| take(older, o));
        }
        Ok(Listing { entries, revision, remaining })
    }

    /// What the keys of a range that changed after `revision` were then.
    fn undone(
        &self,
        revision: Revision,
        prefix: &str,
        from: Bound<&str>,
    ) -> BTreeMap<&Arc<str>, Option<&Object>> {
        let mut undone = BTreeMap::new();
        for past in self.history_after(revision).rev() {
            let key = &past.event.key;
            let beyond = match from {
                Bound::Excluded(after) => Borrow::<str>::borrow(key) > after,
                _ => true,
            };
            if beyond && key.starts_with(prefix) {
                undone.insert(key, past.before.as_ref());
            }
        }
        undone
    }

    /// Every record that belongs on disk, by revision. What lies before the oldest kept revision follows nothing.
    pub fn records(&self) -> BTreeMap<Revision, Record> {
        let put = |key: &Arc<str>, object: &Object| Record {
            key: key.clone(),
            created: object.created,
            previous: 0,
            mark: object.mark,
            value: Some(object.value.clone()),
            sealed: false,
        };
        let mut records: BTreeMap<_, _> = self.objects().map(|(key, o)| (o.modified, put(key, o))).collect();
        for past in &self.history {
            records.extend(past.before.as_ref().map(|o| (o.modified, put(&past.event.key, o))));
        }
        records.extend(self.history.iter().map(|past| (past.event.revision, past.record())));
        records
    }
}

impl State {
    /// Joins the watchers of a prefix.
    pub fn join(&mut self, prefix: &str) -> Arc<Topic> {
        let history = &self.history;
        self.topics.join(prefix, || {
            history.iter().filter(|past| past.event.key.starts_with(prefix)).map(|past| past.event.revision)
        })
    }
}
