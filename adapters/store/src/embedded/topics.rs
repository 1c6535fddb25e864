//! Who waits for which keys: one [`Topic`] per watched prefix, however many watch it.
//!
//! A write looks up only the topics its key belongs to, by the few distinct lengths that watched prefixes have, so that
//! watchers of other keys cost it nothing.

use crate::Revision;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

/// A watched prefix.
#[derive(Debug)]
pub(crate) struct Topic {
    pub prefix: Box<str>,
    /// Wakes every watcher of the prefix.
    pub wake: Notify,
    touched: Mutex<Touched>,
}

/// Which revisions of the kept history changed a key of the prefix.
#[derive(Debug, Default)]
struct Touched {
    kept: VecDeque<Revision>,
    /// The newest that the history has forgotten since the topic exists.
    forgotten: Revision,
}

/// What a watcher at some revision has before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ahead {
    /// These revisions, and whether there are more after them.
    Events(Vec<Revision>, bool),
    /// Nothing that is of its prefix.
    Nothing,
    /// Something it has not seen is forgotten.
    Forgotten,
}

impl Topic {
    /// The next revisions of the prefix after `after`, at most `limit`.
    pub fn ahead(&self, after: Revision, limit: usize) -> Ahead {
        let touched = self.touched.lock();
        if touched.forgotten > after {
            return Ahead::Forgotten;
        }
        let first = touched.kept.partition_point(|r| *r <= after);
        let rest = touched.kept.len() - first;
        if rest == 0 {
            return Ahead::Nothing;
        }
        Ahead::Events(touched.kept.iter().skip(first).take(limit).copied().collect(), rest > limit)
    }

    /// Whether nothing of the prefix has changed after `after`.
    pub fn quiet_since(&self, after: Revision) -> bool {
        let touched = self.touched.lock();
        touched.forgotten <= after && touched.kept.back().is_none_or(|last| *last <= after)
    }
}

#[derive(Debug)]
struct Watched {
    topic: Arc<Topic>,
    watchers: usize,
}

/// All watched prefixes.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    by_prefix: HashMap<Box<str>, Watched>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
    watchers: usize,
}

impl Topics {
    /// Joins the topic of a prefix; `history` yields the kept revisions that touch it, ascending, and is asked only for a
    /// prefix that nobody watches yet.
    pub fn join<H: Iterator<Item = Revision>>(
        &mut self,
        prefix: &str,
        history: impl FnOnce() -> H,
    ) -> Arc<Topic> {
        self.watchers += 1;
        if let Some(watched) = self.by_prefix.get_mut(prefix) {
            watched.watchers += 1;
            return watched.topic.clone();
        }
        let touched = Mutex::new(Touched { kept: history().collect(), forgotten: 0 });
        let topic = Arc::new(Topic { prefix: prefix.into(), wake: Notify::new(), touched });
        self.by_prefix.insert(prefix.into(), Watched { topic: topic.clone(), watchers: 1 });
        *self.lengths.entry(prefix.len()).or_default() += 1;
        topic
    }

    /// Leaves a topic; the last to go takes it along.
    pub fn leave(&mut self, topic: &Topic) {
        self.watchers -= 1;
        if let Some(watched) = self.by_prefix.get_mut(&topic.prefix) {
            watched.watchers -= 1;
            if watched.watchers > 0 {
                return;
            }
        }
        self.by_prefix.remove(&topic.prefix);
        if let Some(count) = self.lengths.get_mut(&topic.prefix.len()) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&topic.prefix.len());
            }
        }
    }

    /// How many watch.
    pub fn watchers(&self) -> usize {
        self.watchers
    }

    /// Notes that `key` changed, and adds those to be woken to `wake`, each once for all changes after `batch_after`.
    pub fn touch(&self, key: &str, revision: Revision, batch_after: Revision, wake: &mut Vec<Arc<Topic>>) {
        for topic in self.of(key) {
            let mut touched = topic.touched.lock();
            if touched.kept.back().is_none_or(|last| *last <= batch_after) {
                wake.push(topic.clone());
            }
            touched.kept.push_back(revision);
        }
    }

    /// Notes that the history forgets the change of `key` at `revision`. Nobody is to be woken: who waits has taken all
    /// there was.
    pub fn forget(&self, key: &str, revision: Revision) {
        for topic in self.of(key) {
            let mut touched = topic.touched.lock();
            if touched.kept.front() == Some(&revision) {
                touched.kept.pop_front();
            }
            touched.forgotten = revision;
        }
    }

    /// Every topic.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.by_prefix.values().map(|w| &w.topic)
    }

    fn of<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Arc<Topic>> {
        self.lengths
            .keys()
            .take_while(|length| **length <= key.len())
            .filter_map(|length| Some(&self.by_prefix.get(key.get(..*length)?)?.topic))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_touch(prefixes: &[&str], key: &str, expected: &[&str]) {
        let mut topics = Topics::default();
        let held: Vec<_> = prefixes.iter().map(|p| topics.join(p, std::iter::empty)).collect();
        let mut wake = Vec::new();
        topics.touch(key, 1, 0, &mut wake);
        topics.touch(key, 2, 0, &mut wake);
        let mut woken: Vec<_> = wake.iter().map(|t| &*t.prefix).collect();
        woken.sort_unstable();
        assert_eq!(woken, expected, "{key}");
        for topic in held {
            topics.leave(&topic);
        }
        assert!(topics.by_prefix.is_empty() && topics.lengths.is_empty() && topics.watchers == 0);
    }

    #[test]
    fn a_key_wakes_exactly_its_prefixes() {
        check_touch(&["a/", "a/b/", "b/", ""], "a/b/c", &["", "a/", "a/b/"]);
        check_touch(&["a/b/c", "a/b/c/d"], "a/b/c", &["a/b/c"]);
        check_touch(&["a/", "a/"], "a/x", &["a/"]);
        check_touch(&["ab"], "aä", &[]);
        check_touch(&[], "a", &[]);
    }

    #[test]
    fn a_watcher_is_late_only_when_its_own_prefix_was_forgotten() {
        let mut topics = Topics::default();
        let topic = topics.join("a/", || [3, 5].into_iter());
        let mut wake = Vec::new();
        topics.touch("a/x", 8, 7, &mut wake);
        topics.touch("b/x", 9, 8, &mut wake);
        assert_eq!(topic.ahead(3, 1), Ahead::Events(vec![5], true));
        assert_eq!(topic.ahead(5, 9), Ahead::Events(vec![8], false));
        assert_eq!(topic.ahead(8, 9), Ahead::Nothing);
        topics.forget("a/x", 3);
        topics.forget("b/x", 4);
        assert_eq!(topic.ahead(2, 9), Ahead::Forgotten);
        assert_eq!(topic.ahead(3, 9), Ahead::Events(vec![5, 8], false));
        assert!(topic.quiet_since(8) && !topic.quiet_since(7));
    }
}
